"""The way of a run, folded from its records, is the one that its steps tell of."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from statemachine.diagrams import render_run
from statemachine.diagrams.trail import SHOWN, Passage, Stay, Stray, Trail
from statemachine.diagrams.ways import Way
from statemachine.host.pinned import declared
from statemachine.host.runtime import Runtime
from statemachine.host.trail import Written, trail, trail_of
from statemachine.kernel import Event, Immediate, Step, fork, step
from statemachine.kernel.migrating import move
from statemachine.machine.definition import Definition
from tests.host.conftest import LOOP
from tests.kernel.driving import BAD, GOOD, Run, define
from tests.kernel.strategies import Moves, runs

check = settings(
    max_examples=150,
    deadline=None,
    phases=(Phase.generate, Phase.reuse),
    suppress_health_check=list(HealthCheck),
)
STATES = """
act: {do: put, save: answer, on: {done: [{to: end, when: answer.ok}, {to: retry}], failed: retry}}
retry: {attempts: 2, exhausted: ask, wait: 5s, on: {elapsed: act}}
ask: {timeout: 1h, on: {go: end, timeout: fail}}
"""


def records(steps: list[Step]) -> list[Written]:
    """Return the records of steps as a journal holds them."""
    entries = [(made.at, kind, body) for made in steps for kind, body in made.entries]
    return [
        (n, at, kind, json.loads(json.dumps(dict(body)))) for n, (at, kind, body) in enumerate(entries, 1)
    ]


def drawn(run: Run, until: float | None = None) -> Trail:
    """Return the way of a run that was driven by hand."""
    return trail(run.definition.declaration, "run", records(run.steps), until)


def taken(definition: Definition, way: Way) -> tuple[str, str, str | None]:
    """Return event, target and guard of the transition that a way names."""
    table = definition.declaration.states[way.source] if way.source else None
    if table is not None and way.event is None:
        transition = (table.always or ())[way.nth]
    else:
        transition = (table.on if table else definition.declaration.on)[str(way.event)][way.nth]
    return way.event or "always", transition.to, str(transition.when) if transition.when else None


@check
@given(runs())
def test_every_transition_is_told_as_its_receipt_tells_it(made: tuple[Definition, Moves]) -> None:
    """Which one was taken (own or the machine's, which of several guards) and how often; nothing is lost."""
    definition, moves = made
    steps = [step for _, _, step in moves if step.entries]
    found = trail(definition.declaration, "run", records(steps))
    expected: Counter[tuple[str, str, str | None]] = Counter()
    strays = 0
    for made_step in steps[1:]:
        receipt = made_step.receipt
        if receipt.target is None:
            continue
        last = receipt.candidates[-1] if receipt.candidates else None
        limited = receipt.instead.startswith("limit.")
        if last is None or last.verdict is not True or (limited and not last.event.startswith("limit")):
            strays += 1
        else:
            expected[last.event, last.target, last.guard] += 1
    ways = {way: passage.count for way, passage in found.passages.items() if not way.exhausted}
    told: Counter[tuple[str, str, str | None]] = Counter()
    for way, count in ways.items():
        told[taken(definition, way)] += count
        assert way.source is None or set(found.passages[way].sources) == {way.source}
    assert told == expected
    assert sum(passage.count for passage in found.strays.values()) == strays
    last_snapshot = steps[-1].snapshot
    assert (found.state, found.steps) == (last_snapshot.state, last_snapshot.steps)
    assert {name: stay.attempts for name, stay in found.stays.items() if stay.attempts} == {
        name: n for name, n in last_snapshot.attempts.items() if n
    }
    intended = sum(kind == "call_intended" for step in steps for kind, _ in step.entries)
    assert sum(stay.calls for stay in found.stays.values()) == intended
    assert sum(stay.visits for stay in found.stays.values()) == found.steps
    # A run that is on the move (stuck in a state that waits for events, say) is told by no record.
    if not isinstance(last_snapshot.pending, Immediate):
        assert found.status in (last_snapshot.status, "running")
    assert sum(stay.seconds for stay in found.stays.values()) == pytest.approx(found.seconds, abs=1e-3)


@pytest.mark.parametrize("name", ["stale", "failed.stale_data", "failed"])
@pytest.mark.parametrize("guard", [False, True])
@pytest.mark.parametrize("asks", ["look", "choose"])
def test_what_answers_stale_is_told_whatever_its_name(name: str, guard: bool, asks: str) -> None:
    """Whether a call's input is too old, or what a guard needs, and whether the answer has a guard itself."""
    answer = "{to: fail, when: n > 0}" if guard else "fail"
    nap = "wait: 2m, on: {elapsed: next}"
    go = {
        "look": f"do: put, with: {{n: answer.size}}, on: {{done: end, {name}: {answer}}}",
        "choose": f"on: {{go: [{{to: end, when: answer.ok}}], {name}: {answer}}}",
    }[asks]
    text = f"act: {{do: look, save: {{answer: output}}, on: {{done: nap}}}}\nnap: {{{nap}}}\nnext: {{{go}}}\n"
    run = Run(define(text, events={"go": {}}), n=1)
    run.finish(GOOD), run.wait()
    if asks == "choose":
        run.send("go")
    run.settle()
    found = drawn(run)
    assert (run.state, found.strays) == ("fail", {})
    assert found.passages[Way("next", name, 0)].count == 1


def test_exhausted_attempts_are_passed_without_a_stay() -> None:
    """Both the transition to the exhausted state and the one it is sent on by have the same turn."""
    run = Run(define(STATES, events={"go": {}}))
    for _ in range(2):
        run.finish(BAD), run.wait()
    run.finish(BAD)
    found = drawn(run)
    assert found.passages[Way("act", "done", 1)] == Passage((2, 4, 6), 3, 1, ("act",))
    assert found.passages[Way("retry", None, 0, exhausted=True)] == Passage((6,), 1, 1, ("act",))
    assert (found.stays["retry"].visits, found.stays["retry"].attempts) == (2, 2)
    assert (found.status, found.state, found.waiting) == ("waiting", "ask", "event go")


def test_time_goes_to_the_state_that_the_run_was_in() -> None:
    """Also the time since its last record, up to the moment that is asked for."""
    run = Run(define(STATES, events={"go": {}}), now=100.0)
    run.now = 103.0
    run.finish(BAD)
    run.wait()
    run.now = 110.0
    run.fail("transient")
    found = drawn(run, until=112.0)
    assert found.stays["act"] == Stay(2, 0, 5.0, 2, {"transient": 1})
    assert found.stays["retry"] == Stay(2, 2, 7.0, 0, {})
    assert (found.status, found.waiting, found.seconds) == ("waiting", "time", 12.0)


def test_a_failure_that_nobody_answers_is_no_declared_way() -> None:
    """It is told by itself, as is a limit without a transition of its own."""
    run = Run(define("act: {do: put, on: {done: end}}"))
    run.fail("fatal")
    assert drawn(run).strays == {
        Stray("act", "fail", "unanswered: failed.fatal"): Passage((2,), 1, 1, ("act",))
    }
    run = Run(define("a: {always: b}\nb: {always: a}", limits={"steps": 3}))
    for _ in range(3):
        run.wait()
    assert list(drawn(run).strays) == [Stray("a", "fail", "limit.steps")]


def test_a_fork_goes_on_counting_where_it_left_the_other_run() -> None:
    """Its turns and attempts are those of both; visits and time are its own."""
    run = Run(define(STATES, events={"go": {}}), now=100.0)
    run.finish(BAD), run.wait()
    first = fork(run.definition, "other", run.last.snapshot, run.now, "0" * 64, 500.0)
    made = step(run.definition, first.snapshot, Event("call.intend"), 501.0)
    found = trail(run.definition.declaration, "other", records([first, made]), 503.0)
    assert (found.parent, found.state, found.steps) == (f"run:{run.last.snapshot.seq}", "act", 3)
    assert (found.stays["act"].visits, found.stays["act"].seconds) == (1, 3.0)
    assert found.passages == {}


def test_what_was_done_in_an_earlier_version_is_told_as_far_as_there_is_a_place() -> None:
    """Renamed states keep what was counted; a way that is declared no more is told with its version."""
    run = Run(define(STATES, events={"go": {}}), now=100.0)
    run.finish(BAD), run.wait(), run.finish(BAD)
    states = STATES.replace("act", "work").replace("{to: retry}", "{to: fail}")
    migrations = {"1": {"states": {"act": "work"}}}
    new = define(states, events={"go": {}}, version="2", migrations=migrations)
    moved = move(run.definition, new, run.last.snapshot, run.now).step
    assert moved is not None
    after = step(new, moved.snapshot, Event("elapsed"), run.now + 5)
    versions = {made.digest: made.declaration for made in (run.definition, new)}
    found = trail(new.declaration, "run", records([*run.steps, moved, after]), version=versions.__getitem__)
    assert {way: passage.count for way, passage in found.passages.items()} == {Way("retry", "elapsed"): 2}
    assert {stray: p.turns for stray, p in found.strays.items()} == {
        Stray("work", "retry", "done, in version 1"): (2, 4)
    }
    assert (found.state, found.stays["work"].visits, found.stays["retry"].attempts) == ("work", 3, 2)
    assert render_run(new.declaration, found, "svg")


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 60))
def test_many_turns_are_counted_and_few_are_kept(times: int) -> None:
    """However long the run, a passage holds its first turns and its last."""
    run = Run(define("act: {do: put, save: answer, on: {done: again}}\nagain: {always: act}"))
    for _ in range(times):
        run.finish(GOOD), run.wait()
    passage = drawn(run).passages[Way("act", "done")]
    assert passage.count == times
    assert len(passage.turns) == min(times, SHOWN)
    assert (passage.turns[0], passage.turns[-1]) == (2, 2 * times)
    if times > SHOWN:
        assert passage.numbers == f"2, 4, 6 … {2 * times} ×{times}"


def test_a_stored_run_is_read_up_to_a_moment_or_a_record(folder: Path) -> None:
    """Finished, in between, and with values that the store keeps apart; nothing of its tools is loaded."""
    (folder / "loop.yaml").write_text(LOOP)

    async def work() -> Any:
        async with Runtime(folder / "runs.db") as runtime:
            view = await runtime.start(folder / "loop.yaml", {"world": str(folder / "world.txt")})
            (folder / "tools.py").unlink()
            found = trail_of(runtime.store, view.run[:6])
            part = trail_of(runtime.store, view.run, until=4)
            early = trail_of(runtime.store, view.run, at=view.started)
            return found, part, early, declared(runtime.store, view.digest)

    found, part, early, declaration = asyncio.run(work())
    assert (found.status, found.state, found.steps) == ("succeeded", "complete", 9)
    assert list(declaration.states) == ["act", "validate", "retry", "complete", "fail"]
    assert (part.status, part.state, part.steps) == ("running", "act", 1)
    assert early.steps <= 1
