"""A commit stores steps whole, only for who has the run, and in one transaction."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from statemachine.errors import LeaseLost
from statemachine.journal import decode, verify
from statemachine.store import Commit, Store


def test_a_step_is_stored_with_its_snapshot_and_summary(store: Store, new_run) -> None:
    """What was committed is what is read: records, snapshot, status, what is waited for, and by when."""
    run = new_run("r1").begin(store)
    step = run.step(
        status="waiting", state="approve", waiting="approval by legal", due=50.0, reason="irreversible"
    )
    assert store.commit([step]) == [None]
    stored = store.load("r1")
    assert (stored.status, stored.state, stored.waiting) == ("waiting", "approve", "approval by legal")
    assert (stored.due, stored.reason, stored.snapshot) == (50.0, "irreversible", step.snapshot)
    assert (stored.seq, stored.head, stored.started, stored.updated) == (3, run.head, 1.0, 2.0)
    assert tuple(store.records("r1", after=1)) == step.records
    assert verify(store.records("r1"), run.machine.digest) is None
    assert store.commit([run.step()]) == [None]
    assert (store.load("r1").status, store.load("r1").waiting, store.due(99.0)) == ("running", None, [])


def test_an_ended_run_gives_up_its_lease(store: Store, new_run) -> None:
    """The commit that ends a run needs no second one to release it."""
    run = new_run("r1").begin(store)
    store.commit([run.step(status="succeeded", finished=9.0)])
    stored = store.load("r1")
    assert (stored.status, stored.finished, stored.owner, stored.lease_until) == (
        "succeeded",
        9.0,
        None,
        None,
    )


def test_a_late_writer_is_refused_and_the_others_are_not(store: Store, new_run) -> None:
    """A step from an old epoch or number, another history or no run leaves nothing; the rest stay."""
    good, fenced, late, forked = (new_run(id).begin(store) for id in ("good", "fenced", "late", "forked"))
    store.acquire("fenced", "other", 0.0, 9.0, lambda _: True)
    store.commit([late.step()])
    late.seq = 1
    forked.head = late.head
    steps = [fenced.step(), late.step(), good.step(), forked.step(), new_run("unknown").step()]
    verdicts = store.commit(steps)
    assert [isinstance(verdict, LeaseLost) for verdict in verdicts] == [True, True, False, True, True]
    for verdict, word in zip(
        verdicts, ("taken over", "gone on", "None", "another history", "not in"), strict=True
    ):
        assert word in str(verdict)
    assert [store.load(id).seq for id in ("good", "fenced", "late", "forked")] == [3, 1, 3, 1]
    assert len(list(store.records("fenced"))) == 1


def test_steps_of_one_run_follow_each_other_in_one_commit(store: Store, new_run) -> None:
    """A batch may hold several steps of a run; the last summary stays; what leaves a gap is refused."""
    run = new_run("r1").begin(store)
    first, second, third, fourth = (
        run.step(),
        run.step(status="waiting", due=7.0),
        run.step(),
        run.step(status="failed", finished=8.0),
    )
    assert [bool(v) for v in store.commit([first, second, fourth, third])] == [False, False, True, False]
    stored = store.load("r1")
    assert (stored.seq, stored.status, stored.due, stored.owner) == (7, "running", None, "me")
    assert verify(store.records("r1"), run.machine.digest) is None


def test_a_batch_that_breaks_leaves_nothing(store: Store, new_run) -> None:
    """When one statement fails, no step of the batch is stored, and the store goes on."""
    one, other = new_run("r1").begin(store), new_run("r2").begin(store)
    with pytest.raises(sqlite3.IntegrityError):
        store.commit([one.step(), other.step(snapshot=None)])
    assert [store.load(id).seq for id in ("r1", "r2")] == [1, 1]
    assert len(list(store.records("r1"))) == 1
    assert store.commit([one.take_over(store, "me").step()]) == [None]


def test_large_values_are_kept_apart_and_once(store: Store, new_run, database: Path) -> None:
    """A value above the limit goes to the blobs, however many steps hold it."""
    run = new_run("r1").begin(store)
    for _ in range(20):
        store.commit([run.step([("call_finished", {"output": "x" * 100_000})])])
    last = list(store.records("r1"))[-1]
    assert len(last.body) < 200
    assert decode(last.body, store.blob) == {"output": "x" * 100_000}
    store.close()
    assert database.stat().st_size < 300_000


def test_a_commit_deals_with_inbox_messages_of_its_run(store: Store, new_run) -> None:
    """Messages go with the step that handled them, and only those of that run; a refused step leaves them."""
    run, other = new_run("r1").begin(store), new_run("r2").begin(store)
    ids = [store.post("r1", "go", {"n": n}, at=1.0) for n in range(3)]
    theirs = store.post("r2", "go", None, at=2.0)
    store.commit([run.step(consumed=(ids[0], ids[1], theirs))])
    assert [(message.id, message.payload) for message in store.inbox("r1")] == [(ids[2], {"n": 2})]
    other.epoch = 7
    store.commit([other.step(consumed=(theirs,))])
    assert [message.id for message in store.inbox("r2")] == [theirs]
    assert store.post("r1", "go", None, at=3.0) > theirs


@pytest.mark.parametrize(
    "wrong",
    [{"status": "done"}, {"status": "failed"}, {"finished": 1.0}, {"expected_seq": 4}, {"run": "r2"}],
)
def test_a_step_that_contradicts_itself_is_never_made(new_run, wrong: dict[str, object]) -> None:
    """Status, time of finishing and the records' places must fit each other."""
    step = new_run("r1").step()
    fields = {name: getattr(step, name) for name in Commit.__slots__}
    with pytest.raises(ValueError, match=r"r1|done|final"):
        Commit(**(fields | wrong))


def test_a_run_that_another_process_has_moved_is_not_stored_from_memory(
    database: Path, store: Store, new_run
) -> None:
    """A writer that left a run at some step stores the next one only if the run is still there; the rest stay."""
    moved, fenced, good = (new_run(id).begin(store) for id in ("moved", "fenced", "good"))
    assert store.commit([run.step() for run in (moved, fenced, good)]) == [None] * 3
    late = moved.step()
    with Store.open(database) as other:
        assert other.commit([late]) == [None]
        other.acquire("fenced", "other", 0.0, 9.0, lambda _: True)
    verdicts = store.commit([late, fenced.step(), good.step()])
    assert ["gone on" in str(verdicts[0]), "taken over" in str(verdicts[1]), verdicts[2]] == [
        True,
        True,
        None,
    ]
    assert [store.load(run).seq for run in ("moved", "fenced", "good")] == [5, 3, 5]
    assert verify(store.records("moved"), moved.machine.digest) is None
