"""Runs are made, found, listed, leased and sent events."""

from __future__ import annotations

import pytest

from statemachine.errors import EventRefused, InvalidInput, RunOwned, StoreUnusable, UnknownRun
from statemachine.journal import decode
from statemachine.store import NewRun, Ready, Release, Store, StoredMachine


def test_a_run_keeps_the_machine_that_it_was_started_with(store: Store, new_run) -> None:
    """Machines are stored once by digest, with what is needed to load them again."""
    run = new_run("r1").begin(store)
    new_run("r2").begin(store)
    assert store.machine(run.machine.digest) == run.machine
    assert store.machine("nothing") is None
    stored = store.load("r1")
    assert (stored.machine, stored.name, stored.version) == (run.machine.digest, "renewal", "1")
    assert (stored.epoch, stored.owner, stored.lease_until) == (1, "me", 100.0)


def test_a_run_is_made_once(store: Store, new_run) -> None:
    """A second run of the same id is refused, and the first is as it was."""
    new_run("r1").begin(store)
    with pytest.raises(InvalidInput, match="there is a run r1 already"):
        new_run("r1").begin(store)
    assert store.load("r1").seq == 1


def test_runs_begin_together_with_steps_of_others(store: Store, new_run) -> None:
    """One commit holds both; a run that is there already is refused, and what is beside it is stored."""
    going, twice, fresh = new_run("r1").begin(store), new_run("r1"), new_run("r2")
    begin = [("run_started", {"inputs": {"large": "x" * 70_000}})]
    batch = [
        going.step(),
        NewRun(twice.machine, twice.step(begin), "me", 9.0),
        NewRun(fresh.machine, fresh.step(begin, status="pending")),
    ]
    stored = store.commit(batch)
    assert [type(refused).__name__ for refused in stored] == ["NoneType", "InvalidInput", "NoneType"]
    assert (store.load("r1").seq, store.load("r2").seq) == (3, 1)
    assert (store.load("r2").owner, store.load("r2").status) == (None, "pending")
    assert decode(next(store.records("r2")).body, store.blob) == begin[0][1]
    assert store.commit([fresh.step()]) == [None]


def test_runs_are_listed_newest_first(store: Store, new_run) -> None:
    """By status, by machine, and as many as asked for; counts and what is unfinished agree with it."""
    other = StoredMachine("cd" * 32, "repair", "2", "{}", "repair.py")
    for place, (id, machine) in enumerate([("a", None), ("b", other), ("c", None)], start=1):
        run = new_run(id, machine) if machine else new_run(id)
        run.begin(store, at=float(place))
    store.commit([run.step(status="failed", finished=9.0)])
    assert [summary.id for summary in store.runs()] == ["c", "b", "a"]
    assert [summary.id for summary in store.runs(status="running", limit=1)] == ["b"]
    assert [summary.id for summary in store.runs(machine="repair")] == ["b"]
    assert [summary.id for summary in store.runs(machine="ab" * 32)] == ["c", "a"]
    assert store.unfinished() == ["a", "b"]
    assert store.counts() == {
        "pending": 0, "running": 2, "waiting": 0, "succeeded": 0, "failed": 1, "cancelled": 0
    }  # fmt: skip


def test_timers_are_found_when_they_are_due(store: Store, new_run) -> None:
    """Runs whose time has come, the most overdue first."""
    for id, due in (("a", 30.0), ("b", 20.0), ("c", 40.0), ("d", None)):
        store.commit([new_run(id).begin(store).step(status="waiting", due=due)])
    assert store.due(30.0) == ["b", "a"]


def test_what_can_move_and_is_free_is_ready(store: Store, new_run) -> None:
    """Pending, running, due or with mail; not what waits, has ended, or is another's that lives."""
    at = 0.0
    for id, owner, until, changes in (
        ("pending", None, None, {"status": "pending"}),
        ("lapsed", "a", 50.0, {}),
        ("dead", "b", 150.0, {}),
        ("owned", "c", 150.0, {}),
        ("due", None, None, {"status": "waiting", "due": 100.0}),
        ("later", None, None, {"status": "waiting", "due": 101.0}),
        ("waits", None, None, {"status": "waiting"}),
        ("mail", None, None, {"status": "waiting", "due": 300.0}),
        ("ended", None, None, {"status": "failed", "finished": 9.0}),
    ):
        run, at = new_run(id), at + 1
        first = run.step([("run_started", {})], at=at, **changes)
        assert store.commit([NewRun(run.machine, first, owner, until)]) == [None]
    message = store.post("mail", "go", None, at=5.0)
    found = store.ready(100.0, ["b"], 9)
    assert found == [
        Ready("pending", 1, 1, None, False),
        Ready("lapsed", 1, 1, None, False),
        Ready("dead", 1, 1, None, False),
        Ready("due", 1, 1, None, True),
        Ready("mail", 1, 1, message, False),
    ]
    assert store.ready(100.0, ["b"], 2) == found[:2]
    assert set(store.owners()) == {"a", "b", "c"}
    assert store.renew("a", 100.0, 10.0) == 1
    assert store.acquire("due", "c", 100.0, 10.0, lambda _: False) == 2
    taken = store.claim(found, "me", 100.0, 30.0, ["b"])
    assert taken == {"pending": 2, "dead": 2, "mail": 2}, "neither what was renewed nor what was taken"
    assert (store.load("dead").owner, store.load("dead").lease_until) == ("me", 130.0)
    assert store.claim(found, "you", 100.0, 30.0, ["b"]) == {}
    assert sorted(store.restless(9)) == ["dead", "lapsed", "owned", "pending"]


def test_an_id_may_be_shortened_while_it_is_unique(store: Store, new_run) -> None:
    """A beginning names a run; none or several are errors that say which there are."""
    for id in ("abc1", "abc2", "abd", "a%", *(f"many{n}" for n in range(7))):
        new_run(id).begin(store)
    assert [store.find(prefix) for prefix in ("abd", "abc1", "a%")] == ["abd", "abc1", "a%"]
    with pytest.raises(UnknownRun, match=r"'abc' begins more than one run: abc1, abc2; write more"):
        store.find("abc")
    with pytest.raises(UnknownRun, match=r"many0, many1, many2, many3, many4, …;"):
        store.find("many")
    with pytest.raises(UnknownRun, match=r"no run 'abx'; did you mean .*abd.*`statemachine runs` lists"):
        store.find("abx")
    with pytest.raises(UnknownRun, match="no run '%'"):
        store.find("%")
    with pytest.raises(UnknownRun, match="no run 'abc'"):
        store.load("abc")


def test_a_lease_keeps_others_out_until_it_ends(store: Store, new_run) -> None:
    """Others are told who has a run; time, the owner's end and the owner open it, in a new epoch."""
    new_run("r1").begin(store, owner="alice", until=100.0)
    with pytest.raises(RunOwned, match=r"r1 is owned by alice until 1970-01-01 00:01:40\+00:00"):
        store.acquire("r1", "bob", 99.0, 10.0, lambda _: False)
    assert store.acquire("r1", "alice", 99.0, 10.0, lambda _: False) == 2
    assert store.acquire("r1", "bob", 109.0, 10.0, lambda _: False) == 3
    assert store.acquire("r1", "alice", 110.0, 10.0, lambda owner: owner == "bob") == 4
    assert store.renew("alice", 115.0, 10.0) == 1
    assert store.load("r1").lease_until == 125.0
    store.commit([Release("r1", 3)])
    assert store.load("r1").owner == "alice"
    store.commit([Release("r1", 4)])
    assert store.load("r1").owner is None
    assert store.acquire("r1", "bob", 116.0, 10.0, lambda _: False) == 5
    with pytest.raises(UnknownRun):
        store.acquire("r2", "bob", 0.0, 1.0, lambda _: False)


def test_only_a_run_that_goes_on_takes_events(store: Store, new_run) -> None:
    """Events wait in order; a run that has ended, or is not there, refuses them."""
    run = new_run("r1").begin(store)
    first = store.post("r1", "approve", {"by": "x" * 70_000}, at=5.0)
    second = store.post("r1", "cancel", None, at=4.0)
    assert [(m.id, m.event, m.at) for m in store.inbox("r1")] == [
        (first, "approve", 5.0),
        (second, "cancel", 4.0),
    ]
    assert store.inbox("r1")[0].payload == {"by": "x" * 70_000}
    store.commit([run.step(status="cancelled", finished=6.0)])
    with pytest.raises(EventRefused, match="run r1 was cancelled and takes no more events"):
        store.post("r1", "go", None, at=7.0)
    with pytest.raises(UnknownRun):
        store.post("r2", "go", None, at=7.0)


def test_records_are_read_in_pages(store: Store, new_run) -> None:
    """A journal longer than a page comes whole and in order, and any part of it can be asked for."""
    run = new_run("r1").begin(store)
    store.commit([run.step() for _ in range(600)])
    assert [record.seq for record in store.records("r1")] == list(range(1, 1202))
    assert [record.seq for record in store.records("r1", after=499, until=1001)] == list(range(500, 1002))
    assert list(store.records("r2")) == []


def test_a_blob_that_is_gone_is_reported(store: Store) -> None:
    """The error names the digest."""
    with pytest.raises(StoreUnusable, match="blob abc is missing"):
        store.blob("abc")
