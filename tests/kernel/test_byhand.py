"""What a person does to a run by hand is a step like any other: pure, in the journal, and replayed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from statemachine.errors import EventRefused, InvalidInput
from statemachine.journal.replay import replay, retrace
from statemachine.kernel import (
    EDIT,
    FINISH,
    INTEND,
    UNDO_NEXT,
    Event,
    Immediate,
    Ledger,
    PendingApproval,
    PendingCall,
    Snapshot,
    Step,
    checked_edit,
    due,
    fork,
    start,
    step,
)
from statemachine.machine.definition import Definition
from statemachine.machine.outcome import Failure, Outcome
from tests.journal.test_replay import journal
from tests.kernel.driving import GOOD, Run, define
from tests.kernel.strategies import Moves, plain, runs

check = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
STATES = """
act: {do: mail, save: answer, on: {done: [{to: nap, when: answer.ok}, {to: fail}], failed: nap}}
nap: {attempts: 2, exhausted: fail, wait: 1s, on: {elapsed: act}}
"""


def without_place(snapshot: Snapshot) -> dict[str, Any]:
    """A snapshot as data, but for what counts records."""
    data = snapshot.as_data()
    for call in (data.get("pending"), (data.get("rollback") or {}).get("doubted")):
        if call and "key" in call:
            call |= {"key": "", "seq": 0, "undoes": bool(call.get("undoes"))}
            call["input"] = {**call.get("input", {}), "key": ""}
        if call and "approval" in call:
            call["approval"] = bool(call["approval"])
        if call and "request" in call:
            call["request"] = ""
    return data | {"seq": 0, "reviews": len(data.get("reviews", ()))}


def test_a_held_run_intends_nothing() -> None:
    """It has moved, and what it was told is on disk; the call is intended when the run is let go."""
    run = Run(define(STATES))
    made = step(
        run.definition, run.last.snapshot, Event(FINISH, outcome=Outcome(GOOD), key=run.call.key), 1001.0
    )
    timed = step(run.definition, made.snapshot, Event("elapsed", hold=True), 1002.0)
    assert (timed.snapshot.state, timed.snapshot.pending, timed.call) == ("act", Immediate(INTEND), None)
    assert timed.entries[-1][1]["held"] is True
    assert due(run.definition, timed.snapshot) == (1002.0, Event(INTEND))
    went = step(run.definition, timed.snapshot, Event(INTEND, by="ann"), 1003.0)
    assert went.call is not None
    assert [kind for kind, _ in went.entries] == ["event", "call_intended"]
    assert went.call.key == f"run:{went.snapshot.seq}"


def test_a_field_that_is_edited_while_the_run_is_held_is_what_the_call_gets() -> None:
    """The input is computed when the call is intended; the run says that it was edited."""
    definition = define(STATES)
    first = step(definition, start(definition, "run", {}, 0.0).snapshot, Event(EDIT, {"n": 5}), 1.0)
    assert first.entries == ()  # its first call is under way
    run = Run(definition)
    run.finish(GOOD)
    held = step(definition, run.last.snapshot, Event("elapsed", hold=True), 2000.0)
    made = step(definition, held.snapshot, Event(EDIT, {"n": "7"}, by="ann"), 2001.0)
    assert made.entries == (("context_changed", {"values": {"n": 7}, "owner": "operator edit", "by": "ann"}),)
    assert (made.snapshot.edited, made.snapshot.sources["n"].by) == (("n",), "operator edit")
    went = step(definition, made.snapshot, Event(INTEND), 2002.0)
    assert went.call is not None
    assert went.call.input["n"] == 7
    steps = [*run.steps, held, made, went]
    found = replay(definition, "run", journal(steps))
    assert (found.deviation, found.snapshot) == (None, went.snapshot)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"anser": 1}, "anser: is not declared.*did you mean `answer`"),
        ({"n": "many"}, "n: not a int"),
        ({"answer": {"ok": "perhaps"}}, "answer.ok: not a"),
    ],
)
def test_an_edit_that_does_not_fit_is_refused(values: dict[str, Any], says: str) -> None:
    """With the reason; the kernel itself takes none either."""
    run = Run(define(STATES))
    run.finish(GOOD)
    with pytest.raises(InvalidInput, match=says):
        checked_edit(run.definition, values)
    made = step(run.definition, run.last.snapshot, Event(EDIT, values), 2000.0)
    assert (made.receipt.verdict, made.snapshot) == ("denied", run.last.snapshot)


def test_a_pretended_failure_is_marked() -> None:
    """In the journal and in the snapshot; a real one is not."""
    run = Run(define(STATES))
    failure = Outcome(failure=Failure("permission", "no"), pretended="ann")
    made = step(run.definition, run.last.snapshot, Event(FINISH, outcome=failure, key=run.call.key), 1001.0)
    assert made.entries[0][1]["pretended"] == "ann"
    assert made.snapshot.edited == ("call mail",)
    assert replay(run.definition, "run", journal([*run.steps, made])).snapshot == made.snapshot


def test_a_fork_begins_with_the_call_held() -> None:
    """Under a key of its own; the state's time, the run's and a timer's are moved, facts stay as old as they are."""
    run = Run(define(STATES))
    before = run.last.snapshot
    made = fork(run.definition, "other", before, 1000.0, "ab", 5000.0, {"by": "ann"})
    after = made.snapshot
    assert (after.run, after.seq, after.pending, made.call) == ("other", 1, Immediate(INTEND), None)
    assert (after.started, after.entered, after.parent) == (5000.0, 5000.0, f"run:{before.seq}")
    assert after.sources == before.sources
    assert made.entries[0][1]["parent"] == {"run": "run", "seq": before.seq, "hash": "ab", "at": 1000.0}
    went = step(run.definition, after, Event(INTEND), 5001.0)
    assert went.call is not None
    assert went.call.key == "other:3"
    run.finish(GOOD)
    timed = fork(run.definition, "other", run.last.snapshot, run.last.at, "ab", run.last.at + 100).snapshot
    assert timed.pending.due == run.last.snapshot.pending.due + 100  # type: ignore[union-attr]  # both are timers


def test_what_has_ended_cannot_be_forked() -> None:
    """There is nothing to go on with; the words say what to do."""
    run = Run(define(STATES))
    run.send("cancelled")
    run.fail("permission"), run.wait(), run.fail("permission"), run.wait(), run.fail("permission")
    assert run.last.snapshot.finished
    with pytest.raises(EventRefused, match="earlier"):
        fork(run.definition, "other", run.last.snapshot, 0.0, "", 1.0)


@given(runs())
@check
def test_holding_changes_nothing_but_when_a_call_is_intended(case: tuple[Definition, Moves]) -> None:
    """A run that is held before each call and let go at once goes the way that it goes without."""
    definition, moved = case
    snapshot, keys, steps = None, {}, []
    ledger = Ledger(definition)

    def noted(made: Step) -> Snapshot:
        steps.extend([made] if made.entries else [])
        for kind, body in made.entries:
            ledger.add(kind, body)
        return made.snapshot

    for event, now, made in moved:
        if snapshot is None:
            snapshot = noted(made)
            continue
        if event.name == UNDO_NEXT:
            event = ledger.next()
        key = keys.get(event.key, event.key)
        if (request := event.payload.get("request")) in keys:
            event = event._replace(payload={**event.payload, "request": keys[request]})
        held = step(definition, snapshot, event._replace(key=key, hold=True), now)
        snapshot = noted(held)
        if snapshot.pending == Immediate(INTEND):
            snapshot = noted(step(definition, snapshot, Event(INTEND), now))
        if isinstance(made.snapshot.pending, PendingCall) and isinstance(snapshot.pending, PendingCall):
            keys[made.snapshot.pending.key] = snapshot.pending.key
            if snapshot.pending.phase == "backoff":
                return  # its jitter depends on the key, which counts records
        if isinstance(made.snapshot.pending, PendingApproval) and isinstance(
            snapshot.pending, PendingApproval
        ):
            keys[made.snapshot.pending.request] = snapshot.pending.request
        assert without_place(snapshot) == without_place(made.snapshot)
    found = replay(definition, "run", journal(steps))
    assert (found.deviation, found.snapshot) == (None, snapshot)


@given(runs(), st.data())
@check
def test_a_fork_of_any_step_replays(case: tuple[Definition, Moves], data: Any) -> None:
    """And goes on; its journal alone tells it."""
    definition, moved = case
    steps = [m for _, _, m in moved if m.entries and not m.snapshot.finished and m.snapshot.rollback is None]
    if not steps:
        return
    parent = data.draw(st.sampled_from(steps))
    made = fork(definition, "other", parent.snapshot, parent.at, "ab", parent.at + 50, {"by": "ann"})
    walk = [made]
    timed = due(definition, made.snapshot)
    if timed is not None:
        walk.append(step(definition, made.snapshot, timed[1], max(timed[0], made.at)))
    found = replay(definition, "other", journal([w for w in walk if w.entries]))
    assert (found.deviation, found.snapshot) == (None, walk[-1].snapshot)


@given(runs(), st.data())
@check
def test_the_steps_can_be_walked_from_any_of_them(case: tuple[Definition, Moves], data: Any) -> None:
    """What follows a step is found again from its snapshot and the records after it."""
    definition, moved = case
    steps = [made for _, _, made in moved if made.entries]
    place = data.draw(st.integers(0, len(steps) - 1))
    after = steps[place].snapshot
    rest = [record for record in journal(steps) if record[0] > after.seq]
    ledger = Ledger(definition)  # what a roll back undoes may lie before
    for entry in (entry for made in steps[: place + 1] for entry in made.entries):
        ledger.add(*entry)
    assert [plain(made) for made in retrace(definition, "run", rest, after, ledger)] == [
        plain(made) for made in steps[place + 1 :]
    ]
