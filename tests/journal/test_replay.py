"""A journal is a path of its machine, or the first record that is not is named."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from statemachine.journal import Record, seal
from statemachine.journal.replay import Deviates, Written, replay, retrace
from statemachine.kernel import START, Event, due, queue, step
from statemachine.machine.definition import Definition
from tests.kernel.driving import GOOD, Run, define
from tests.kernel.strategies import Moves, plain, runs

check = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
STATES = """
act: {do: mail, save: answer, on: {done: [{to: nap, when: answer.ok}, {to: fail}], failed: nap}}
nap: {attempts: 2, exhausted: fail, wait: 1s, on: {elapsed: pick}}
pick: {always: [{to: ask, when: attempts.nap > 1}, {to: act}]}
ask: {timeout: 1h, on: {go: end, timeout: fail}}
"""


def journal(steps: Any) -> list[Written]:
    """Return the records of steps as a store gives them back: JSON, numbered, with the time of their step."""
    entries = [(made.at, kind, body) for made in steps for kind, body in made.entries]
    return [
        (n, at, kind, json.loads(json.dumps(dict(body))))
        for n, (at, kind, body) in enumerate(entries, start=1)
    ]


def eventful() -> Run:
    """A run with a crash, a doubt, a retry, a timer, a choice and an event."""
    retry = {"retry": {"transient": {"max": 2}}}
    run = Run(define(STATES, events={"go": {}}, tools={"mail": retry}))
    run.crash(), run.resolve(False), run.fail("transient"), run.wait(), run.fail("timeout")
    (
        run.resolve(True, GOOD),
        run.wait(),
        run.wait(),
        run.finish(GOOD),
        run.wait(),
        run.wait(),
        run.send("go", by="ann"),
    )
    assert run.status == "succeeded"
    return run


def test_a_journal_of_the_machine_conforms() -> None:
    """Every step is found again, and the snapshot they lead to."""
    run = eventful()
    found = replay(run.definition, "run", journal(run.steps))
    assert (found.conforms, found.deviation, found.steps) == (True, None, len(run.steps))
    assert found.snapshot == run.last.snapshot


def test_the_steps_can_be_walked_one_by_one() -> None:
    """Receipts and snapshots come back without a call being made."""
    run = eventful()
    assert [plain(made) for made in retrace(run.definition, "run", journal(run.steps))] == [
        plain(m) for m in run.steps
    ]


def test_sealed_records_replay_too() -> None:
    """What goes through the chain and its encoding is the same."""
    run, head, seq = eventful(), "0" * 64, 0
    records: list[Record] = []
    for made in run.steps:
        sealed, _ = seal("run", head, seq, made.at, made.entries)
        records += sealed
        head, seq = sealed[-1].hash, sealed[-1].seq
    assert replay(
        run.definition, "run", [(r.seq, r.at, r.kind, json.loads(r.body)) for r in records]
    ).conforms


def test_an_empty_journal_is_no_step() -> None:
    """It conforms, and there is no run."""
    found = replay(eventful().definition, "run", [])
    assert (found.conforms, found.steps, found.snapshot) == (True, 0, None)


@pytest.mark.parametrize("place", range(len(journal(eventful().steps)) - 1))
def test_a_record_that_is_missing_is_found(place: int) -> None:
    """Also when those that follow are numbered anew; what is missing is named as expected, or the next as wrong."""
    run = eventful()
    records = journal(run.steps)
    del records[place]
    assert not replay(run.definition, "run", records).conforms
    renumbered = [(n, at, kind, body) for n, (_, at, kind, body) in enumerate(records, start=1)]
    found = replay(run.definition, "run", renumbered).deviation
    assert found is not None
    assert found.seq >= place  # the step that the record was of begins at most one before it


@pytest.mark.parametrize(
    ("kind", "change", "why"),
    [
        ("run_started", {"digest": "0"}, "the machine gives another digest"),
        ("run_started", {"inputs": {"n": "many"}}, "the run_started record cannot be read"),
        ("call_intended", {"input": {"n": 2}}, "the machine gives another input"),
        ("transition", {"to": "end"}, "the machine gives another to"),
        ("transition", {"more": 1}, "the machine gives another more"),
        ("timer_set", {"due": 5.0}, "the machine gives another due"),
        ("call_in_doubt", {"asks": "nobody"}, "the machine gives another asks"),
        (
            "call_resolved",
            {"happened": "no"},
            "nothing that can happen in act begins with this call_resolved record",
        ),
        ("call_finished", {"kind": "success"}, "the call_finished record cannot be read: KeyError"),
        (
            "call_finished",
            {"key": "run:1"},
            "nothing that can happen in act begins with this call_finished record",
        ),
        ("event", {"name": "done"}, "nothing that can happen in ask begins with this event record"),
        ("run_finished", {"status": "failed"}, "the machine gives another status"),
    ],
)
def test_a_record_that_was_changed_is_found(kind: str, change: dict[str, Any], why: str) -> None:
    """The deviation names the record and tells what is wrong with it."""
    run = eventful()
    records = journal(run.steps)
    place = [k for _, _, k, _ in records].index(kind)
    seq, at, _, body = records[place]
    records[place] = (seq, at, kind, {**body, **change})
    found = replay(run.definition, "run", records).deviation
    assert found is not None
    assert (found.seq, found.why[: len(why)]) == (place + 1, why)


def test_records_of_one_step_have_one_time() -> None:
    """A record that was moved in time within its step is found."""
    run = eventful()
    records = journal(run.steps)
    records[1] = (2, records[1][1] + 1, *records[1][2:])
    with pytest.raises(Deviates, match="record 2: it is of another time"):
        list(retrace(run.definition, "run", records))


def test_a_journal_that_ends_within_a_step_is_found() -> None:
    """A step is committed as a whole; half of one is damage, wherever it was cut."""
    run = eventful()
    records, whole = journal(run.steps), {made.snapshot.seq for made in run.steps}
    for kept in sorted(set(range(1, len(records))) - whole):
        found = replay(run.definition, "run", records[:kept]).deviation
        assert found is not None
        belongs = f"the journal ends where a {records[kept][2]} record belongs"
        assert (found.seq, found.found, found.why) == (kept + 1, None, belongs)


def test_another_machine_does_not_conform() -> None:
    """A journal is a path of the machine it was written by."""
    run = eventful()
    other = define(STATES.replace("attempts: 2", "attempts: 3"), events={"go": {}})
    assert replay(other, "run", journal(run.steps)).deviation is not None
    assert replay(run.definition, "other", journal(run.steps)).deviation is not None


@given(runs())
@check
def test_every_run_replays_to_its_snapshot(case: tuple[Definition, Moves]) -> None:
    """The records hold enough to take every step again, and the steps are the same."""
    definition, made = case
    steps = [after for _, _, after in made if after.entries]
    found = replay(definition, "run", journal(steps))
    assert found.deviation is None
    assert found.steps == len(steps)
    assert found.snapshot == steps[-1].snapshot
    again = retrace(definition, "run", journal(steps))
    assert [plain(a)["entries"] for a in again] == [plain(s)["entries"] for s in steps]


@given(runs(), st.data())
@check
def test_what_the_machine_wrote_cannot_be_changed_unseen(case: tuple[Definition, Moves], data: Any) -> None:
    """Dropping, swapping or editing is found, and nothing that a hand writes makes replay itself fail."""
    definition, made = case
    records = journal([after for _, _, after in made])
    place = data.draw(st.integers(0, len(records) - 1))
    seq, at, kind, body = records[place]
    change = data.draw(st.sampled_from(["drop", "swap", "edit", "spoil"]))
    changed = copy.deepcopy(records)
    if change == "drop":
        changed = changed[:place] + [(n - 1, at, kind, body) for n, at, kind, body in changed[place + 1 :]]
    elif change == "swap":
        other = data.draw(st.integers(0, len(records) - 1))
        changed[place], changed[other] = (seq, *records[other][1:]), (other + 1, *records[place][1:])
        # Only their times would change: clocks may be set back, so that is for the hash chain to find.
        assume(records[place][2:] != records[other][2:])
    else:
        # What the world answered is its own; what the machine made of it is not.
        assume(
            change == "spoil"
            or kind in ("transition", "call_intended", "timer_set", "call_in_doubt", "run_finished")
        )
        name = data.draw(st.sampled_from(sorted(body)))
        spoilt = data.draw(st.sampled_from([None, "x", -1, [], {"x": 1}, True]))
        assume(spoilt != body[name])
        changed[place] = (seq, at, kind, {**body, name: spoilt})
    found = replay(definition, "run", changed)
    if change != "spoil":
        # One round less of a loop is a path too, but it does not lead to the snapshot that is stored.
        assert found.deviation is not None or found.snapshot != made[-1][2].snapshot


def test_a_run_that_was_queued_conforms() -> None:
    """It starts later than it was made; from then on it is the run that would have been started then."""
    started = Run(define(STATES, events={"go": {}}), now=2000.0)
    made = queue(started.definition, "run", {}, 1000.0)
    assert (made.snapshot.status, made.snapshot.state, made.call) == ("pending", started.state, None)
    assert due(started.definition, made.snapshot) == (1000.0, Event(START))
    assert step(started.definition, made.snapshot, Event("go"), 1500.0).entries == ()
    moved = step(started.definition, made.snapshot, Event(START), 2000.0)
    assert moved.snapshot == started.last.snapshot._replace(sources=made.snapshot.sources)
    assert moved.call == started.last.call
    assert step(started.definition, moved.snapshot, Event(START), 2000.0).entries == ()
    for steps in ([made], [made, moved]):
        found = replay(started.definition, "run", journal(steps))
        assert (found.deviation, found.snapshot) == (None, steps[-1].snapshot)


def test_a_run_that_was_queued_can_be_cancelled_before_it_starts() -> None:
    """Nothing of the machine is done then."""
    definition = define(STATES, events={"go": {}})
    made = queue(definition, "run", {}, 1000.0)
    gone = step(definition, made.snapshot, Event("cancelled", by="ann"), 1001.0)
    assert (gone.snapshot.status, gone.call) == ("cancelled", None)
    assert replay(definition, "run", journal([made, gone])).conforms
