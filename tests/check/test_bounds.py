"""Bounds: what they are, what binds them, and what is said when there is none."""

from __future__ import annotations

import math
import random
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from statemachine.check import Finding
from statemachine.check import check as check_all
from statemachine.check.bounds import Bounds, Prover, bounds_of, prover_of
from statemachine.check.export import Language, exported
from statemachine.check.moves import edges
from statemachine.check.product import explore
from statemachine.check.runs import rounds, shown
from statemachine.check.space import space_of
from statemachine.check.structure import check
from statemachine.kernel import (
    FINISH,
    RECOVER,
    RESOLVE,
    UNDO_NEXT,
    Event,
    Ledger,
    PendingCall,
    due,
    start,
    step,
)
from statemachine.kernel.due import may_leave
from statemachine.machine.definition import Definition
from statemachine.machine.load import load
from statemachine.machine.outcome import Failure, Outcome
from tests.benchmarks.check.__main__ import calls, chain
from tests.check.random_machines import random_machine
from tests.kernel.driving import GOOD, define
from tests.kernel.strategies import Moves, runs

LOOP = """
plan:  {do: look, on: {done: act, failed: retry}}
act:   {do: put, on: {done: end, failed: retry}}
retry: {attempts: 3, exhausted: fail, wait: {initial: 1s, factor: 2, cap: 1m}, on: {elapsed: plan}}
"""


def proved(states: str, **parts: Any) -> Bounds:
    """Return the bounds of a machine, which must be the same for its structure where that is enough."""
    return bounds_of(define(states, **parts))


def test_a_loop_goes_round_as_often_as_its_counter_allows() -> None:
    """Three retries make four rounds of two calls, and the run that does so is told."""
    bounds = proved(LOOP)
    assert {bound.name: bound.counters for bound in bounds.bounds} == {
        "steps": 12,
        "calls": 8,
        "calls of look": 4,
        "calls of put": 4,
        "entries of retry": 3,
        "elapsed": 8 * 60 + 1 + 2 + 4,
    }
    assert shown(bounds.of("steps").run) == "(plan → act → retry) × 3 → plan → act → end"
    assert bounds.of("steps").binds == "counters"
    assert bounds.of("steps").exact


def test_retries_of_a_tool_are_calls_and_take_back_offs() -> None:
    """Two retries of one class and one of another make four calls of up to 10 s, and 1 + 2 + 5 s between them."""
    retry = {
        "transient": {"max": 2, "initial": "1s", "factor": 2},
        "timeout": {"max": 1, "initial": "5s", "cap": "1m"},
    }
    bounds = proved(
        "go: {do: put, on: {done: end, failed: fail}}", tools={"put": {"retry": retry, "timeout": "10s"}}
    )
    assert bounds.of("calls").most == 4
    assert bounds.of("elapsed").most == 48
    assert any("Retry-After" in line and "put" in line for line in bounds.assumptions)


def test_what_refreshes_stale_data_is_a_call_too() -> None:
    """Each retry after stale data reads anew, and then calls again."""
    states = """
    find: {do: look, on: {done: go, failed: fail}}
    go:   {do: put, on: {done: end, failed: fail}}
    """
    bounds = proved(states, tools={"put": {"retry": {"stale_data": {"max": 2, "refresh": "look"}}}})
    assert (bounds.of("calls of look").most, bounds.of("calls of put").most) == (3, 3)


def test_a_wait_for_a_person_without_a_time_out_has_no_end() -> None:
    """With one it ends, and with a limit of the whole run it ends as well."""
    waits = "ask: {on: {go: end}}"
    bound = proved(waits, events={"go": {}}).of("elapsed")
    assert math.isinf(bound.most)
    assert (bound.binds, bound.why) == ("", "nothing ends the wait in ask")
    assert proved(waits, events={"go": {}}, limits={"elapsed": "1h"}).of("elapsed").most == 3600
    timed = "ask: {timeout: 10m, on: {go: end, timeout: fail}}"
    assert proved(timed, events={"go": {}}).of("elapsed").most == 600


def test_a_limit_of_time_lets_a_write_end() -> None:
    """A write that is under way when the time is over is not left, so the bound is the limit and its time-out."""
    states = "go: {do: put, on: {done: again, failed: fail}}\nagain: {wait: 2h, on: {elapsed: end}}"
    bound = proved(states, limits={"elapsed": "1h"}, tools={"put": {"timeout": "5m"}}).of("elapsed")
    assert (bound.most, bound.binds, bound.counters) == (3900, "limits.elapsed", 7500)


def test_a_loop_without_a_counter_is_bounded_by_the_limit_of_steps_alone() -> None:
    """Then calls are bounded by what fits into so many steps, and the loop is told."""
    bounds = proved(
        "a: {do: look, on: {done: b, failed: fail}}\nb: {wait: 1s, on: {elapsed: a}}", limits={"steps": 9}
    )
    steps, calls = bounds.of("steps"), bounds.of("calls")
    assert (steps.most, steps.binds, steps.why) == (10, "limits.steps", "nothing ends the loop a → b → a")
    assert math.isinf(steps.counters or 0)
    assert (calls.most, calls.binds) == (5, "limits.steps")


def test_a_limit_of_calls_binds_when_it_is_met_first() -> None:
    """And what the counters allow is told beside it."""
    bound = proved(LOOP, limits={"calls": 5}).of("calls")
    assert (bound.most, bound.binds, bound.counters) == (5, "limits.calls", 8)


def test_a_cost_is_bounded_by_its_limit_alone() -> None:
    """Tools declare no cost: it is said that the call which passes the limit is still paid."""
    bound = proved(LOOP, limits={"cost": {"usd": 1.5}}).of("cost in usd")
    assert (bound.most, bound.binds) == (1.5, "limits.cost.usd")
    assert "still paid" in bound.why


def test_a_reset_inside_the_loop_takes_its_bound_away() -> None:
    """And one outside of the loop does not."""
    inside = LOOP.replace("elapsed: plan", "elapsed: {to: plan, resets: [retry]}")
    assert math.isinf(proved(inside).of("steps").counters or 0)
    outside = "begin: {wait: 1s, on: {elapsed: {to: plan, resets: [retry]}}}\n" + LOOP.strip()
    assert proved(outside).of("steps").counters == 13


def test_a_roll_back_is_bounded_by_the_writes_that_there_were() -> None:
    """Each of four writes is undone at most once, and one undoing may fail."""
    states = (
        LOOP.replace("exhausted: fail", "exhausted: back")
        + "back: {undo: all, on: {done: fail, failed: fail}}"
    )
    bounds = proved(states)
    assert bounds.of("calls to undo").most == 5
    assert bounds.of("calls").most == 8


@pytest.mark.parametrize(("attempts", "method"), [(2, "every state"), (400, "structure")])
def test_a_thousand_states_are_judged_in_so_much_work(attempts: int, method: str, tmp_path: Path) -> None:
    """A chain with loops and three counters, read from its file; where states times counts are 10^10, its structure
    is judged. Calls do not drift: twelve millions are about two seconds of a processor."""
    file = tmp_path / "chain.yaml"
    file.write_text(chain(1000, attempts, 3))

    def judge() -> tuple[Definition, list[Finding], Bounds]:
        definition = load(file)
        return definition, check_all(definition), prover_of(definition).bounds

    (definition, findings, bounds), made = calls(judge)
    assert len(definition.declaration.states) == 1000
    assert findings == []
    assert bounds.method.startswith(method)
    assert (bounds.of("steps").counters or 0) >= attempts * 995 * 0.9
    assert made < 12_000_000


def test_seven_states_are_checked_in_so_much_work() -> None:
    """Beyond the start of the program: a hundredth of what a thousand states take."""
    definition = load(Path(__file__).parents[2] / "machines" / "agent" / "agent.yaml")
    findings, made = calls(lambda: check_all(definition))
    assert findings == []
    assert len(definition.declaration.states) == 7
    assert made < 200_000


def test_a_request_that_may_be_taken_back_behind_too_many_counts_is_unknown() -> None:
    """Without counters it may be taken back for ever; with them nobody has looked."""
    counters = "\n".join(
        f"c{n}: {{attempts: 400, exhausted: fail, do: look, on: {{done: c{(n + 1) % 3}, failed: ask}}}}"
        for n in range(3)
    )
    ask = "ask: {do: mail, approval: {expires: 1m}, on: {done: end, failed: fail, denied: fail, amended: c0}}"
    found = [f for f in check_all(define(f"{counters}\n{ask}", limits={"steps": 9000})) if f.code == "SM602"]
    assert [(f.verdict, f.witness, f.severity) for f in found] == [("UNKNOWN", (), "warning")]


def test_what_neither_structure_nor_search_can_decide_is_unknown_soon() -> None:
    """Counters that reset each other, and 10^9 counts of them: UNKNOWN with the reason, and without a long search."""
    states = "\n".join(
        f"c{n}: {{attempts: 1000, exhausted: end, do: look, "
        f"on: {{done: c{n}, failed: {{to: c{(n + 1) % 3}, resets: [c{(n + 2) % 3}]}}}}}}"
        for n in range(3)
    )
    definition = define(states, limits={"steps": 9000})
    bound, tried = calls(lambda: prover_of(definition).bounds.of("steps"))
    found = {finding.code: finding.verdict for finding in check(definition)}
    assert tried < 1_500_000
    assert bound.counters is None
    assert "more than" in bound.why
    assert (bound.most, bound.binds) == (9001, "limits.steps")
    assert found == {"SM202": "UNKNOWN", "SM203": "UNKNOWN"}


def test_a_trap_behind_too_many_counts_is_shown_or_unknown() -> None:
    """Shown where the way to it uses up nothing; where it needs attempts to be used up, UNKNOWN."""
    counters = "\n".join(
        f"c{n}: {{attempts: 400, exhausted: {'trap' if n == 2 else 'fail'}, do: look, "
        f"on: {{done: c{(n + 1) % 3}, failed: END}}}}"
        for n in range(3)
    )
    states = counters + "\ntrap: {wait: 1s, on: {elapsed: trap}}"
    states = states.replace("done: c", "failed.transient: c0, done: c")

    def trapped(end: str) -> list[tuple[str, tuple[str, ...]]]:
        found = check(define(states.replace("END", end), limits={"steps": 9000}))
        return [(f.verdict, f.witness) for f in found if f.code == "SM202"]

    assert trapped("end") == [("UNKNOWN", ())]
    assert trapped("trap") == [("REFUTED", ("c0 --failed.rate_limited--> trap",))]


def test_runs_are_written_with_their_rounds() -> None:
    """The shortest round first, and rounds of rounds."""
    assert shown(rounds(["a", "b", "b", "c", "a", "b", "b", "c", "d"])) == "(a → b × 2 → c) × 2 → d"
    assert shown(rounds(list("xyz"))) == "x → y → z"


@given(runs())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_run_of_the_kernel_breaks_what_is_proved(run: tuple[Definition, Moves]) -> None:
    """Random events, amendments among them, at random machines: no state that is unreachable is reached, no bound
    passed, no trap left, no attempt made that a limit forbids, no transition taken that never is, no event that
    nothing takes."""
    definition, moves = run
    findings = check_all(definition)
    proved_of = [f for f in findings if f.verdict == "PROVED"]
    fewer = [
        re.search(r"no run enters `(\w+)` (\d+) times", f.message) for f in proved_of if f.code == "SM204"
    ]
    unused = {f.path[1] for f in proved_of if f.code == "SM407"}
    never = {f.path for f in proved_of if f.code in ("SM301", "SM302")}
    bounds = bounds_of(definition)
    unreachable = {f.path[1] for f in findings if f.code == "SM201" and f.verdict == "PROVED"}
    traps = {f.path[1] for f in findings if f.code == "SM202" and "once" not in f.message}
    crashes, trapped, entries = 0, False, dict.fromkeys(definition.declaration.states, 0)
    for event, _, made in moves:
        after = made.snapshot
        assert event.name not in unused or made.receipt.target is None
        for candidate in made.receipt.candidates:
            possible = [
                {path, (*path, "when")}
                for path, edge in edges(definition)
                if path[:2] == ("states", made.receipt.state) or path[0] == "on"
                if (edge.event, edge.target) == (candidate.event, candidate.target)
                if (edge.guard and edge.guard.text) == candidate.guard
            ]
            assert not candidate.verdict or not all(never & paths for paths in possible), candidate
        crashes += event.name == RECOVER
        assert after.state not in unreachable
        assert after.steps <= bounds.of("steps").most
        # A crash in the middle of a call, and the word of a person that it did not happen, make one call more.
        assert after.calls <= bounds.of("calls").most + crashes
        if made.receipt.target is not None:
            entries[made.receipt.target] += 1
            raised = made.receipt.event
            declared = not made.receipt.instead and raised != "start" and not raised.startswith("limit.")
            assert not (trapped and declared and definition.declaration.states[after.state].final)
            trapped = trapped or after.state in traps
    for found in fewer:
        assert found is not None
        assert entries[found[1]] < int(found[2])
    for bound in bounds.bounds:
        if bound.name.startswith("entries of "):
            assert entries[bound.name.removeprefix("entries of ")] <= bound.most


@pytest.mark.parametrize("seed", range(80))
def test_no_run_that_is_driven_in_time_lasts_longer_than_proved(seed: int) -> None:
    """Calls take up to their time-outs, time is told when it has come, doubts are settled at once."""
    definition = random_machine(seed)
    most = bounds_of(definition).of("elapsed").most
    chance = random.Random(seed)
    for _ in range(10):
        assert _lasting(definition, chance) <= most + 1e-3


def _lasting(definition: Definition, chance: random.Random) -> float:
    made, ledger, now = start(definition, "run", {}, 0.0), Ledger(definition), 0.0
    for _ in range(200):
        for kind, body in made.entries:
            ledger.add(kind, body)
        snapshot, pending = made.snapshot, made.snapshot.pending
        timed = due(definition, snapshot)
        if snapshot.finished or (timed is None and pending is None):
            break
        if isinstance(pending, PendingCall) and pending.phase == "sent":
            tool = definition.declaration.tools[pending.tool]
            ends = pending.due + tool.timeout * chance.choice((0, 1, 1, 1))
            if timed is not None and timed[0] < ends and may_leave(definition, pending):
                now, event = timed
            else:
                failure = Failure(
                    chance.choice(("transient", "timeout", "stale_data", "unknown")), "it failed"
                )
                outcome = Outcome(GOOD) if chance.random() < 0.3 else Outcome(failure=failure)
                now, event = ends, Event(FINISH, outcome=outcome, key=pending.key)
        elif isinstance(pending, PendingCall) and pending.phase != "backoff":
            event = Event(RESOLVE, {"happened": chance.random() < 0.5, "output": GOOD}, key=pending.key)
        else:
            assert timed is not None
            now, event = max(now, timed[0]), timed[1]
            event = ledger.next() if event.name == UNDO_NEXT else event
        made = step(definition, snapshot, event, now)
    return now


@pytest.mark.parametrize("language", ["prism", "tla", "promela"])
def test_an_export_holds_the_whole_abstract_machine(language: Language) -> None:
    """Every move that the checker looks at is in it, and what is proved is written beside it."""
    files = exported(define(LOOP), language)
    text = "".join(files.values())
    space = space_of(define(LOOP))
    product = explore(space)
    assert product is not None
    assert text.count("elapsed") == 1
    assert "12" in text or "11" in text
    assert "8" in text
    assert Prover(space, product).bounds.of("steps").most == 12
