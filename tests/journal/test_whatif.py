"""What another machine would decide on recorded answers is what it does decide when it is run on them."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from statemachine.errors import InvalidMachine
from statemachine.journal.replay import Written
from statemachine.journal.whatif import Comparison, compare
from statemachine.kernel import Event, Step, fork, start, step
from statemachine.machine.definition import Definition
from tests.journal.worlds import changed, live, path
from tests.kernel.driving import declare, define
from tests.kernel.strategies import declarations


def journal(steps: list[Step]) -> list[Written]:
    """Return the records of steps."""
    entries = [(made.at, kind, body) for made in steps for kind, body in made.entries]
    return [(seq, at, kind, body) for seq, (at, kind, body) in enumerate(entries, start=1)]


def compared(old: Definition, new: Definition, steps: list[Step]) -> Comparison:
    """Return what one machine makes of the steps of another."""
    return compare(old, new, "run", journal(steps))


@given(declarations(), st.integers(0, 10**6), st.integers(0, 4))
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_is_told_is_what_a_full_run_would_do(parts: dict[str, Any], seed: int, n: int) -> None:
    """For any machine, any change of it, and any world that answers the same each time."""
    old = declare(**parts)
    try:
        new = declare(**changed(parts, Random(seed)))
    except InvalidMachine:
        assume(False)
    steps, refused = live(old, seed, n)
    assume(not refused)  # what a machine refuses is not recorded, so another one cannot be given it
    again, _ = live(new, seed, n)
    found, same = compared(old, new, steps), path(steps) == path(again)
    event("same" if same else f"differs: {found.difference.cause if found.difference else '?'}")
    if found.difference is None:
        assert same
    else:
        # What was cut short would have had more time: nobody knows what would have come.
        assert not same or "cut short" in found.difference.why


def test_a_time_out_that_comes_before_a_wait_is_over_is_told() -> None:
    """Also where both came at the same moment before, and where nothing looked at the run until both were over."""
    old, new = (define(f"nap: {{wait: 5s, timeout: {t}, on: {{elapsed: end}}}}") for t in ("5s", "3s"))
    begun = start(old, "run", {}, 1000.0)
    for late in (0.0, 60.0):
        steps = [begun, step(old, begun.snapshot, Event("elapsed"), 1005.0 + late)]
        difference = compared(old, new, steps).difference
        assert difference is not None
        assert difference.why == "`timeout` is raised first, after 3s in nap"
    other = define("nap: {wait: 5s, timeout: 9s, on: {elapsed: end}}")
    assert compared(old, other, steps).difference is None


def test_a_wait_for_others_that_was_cut_short_may_end_otherwise() -> None:
    """For an event and for approval, as for a call: nobody knows what would have come in the time there is now."""
    for state in (
        "ask: {timeout: %s, on: {go: end}}",
        "ask: {do: wire, timeout: %s, on: {done: end, denied: fail}}",
    ):
        old, new = (define(state % t, events={"go": {}}, limits={"otherwise": "fail"}) for t in ("5s", "2m"))
        begun = start(old, "run", {}, 1000.0)
        found = compared(old, new, [begun, step(old, begun.snapshot, Event("timeout"), 1005.0)])
        assert found.difference is not None
        assert found.difference.why.endswith("was cut short by `timeout`; it has more time now")


@given(declarations(), st.integers(0, 10**6), st.integers(0, 4))
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_same_machine_decides_the_same(parts: dict[str, Any], seed: int, n: int) -> None:
    """Step by step, with no wait longer or shorter."""
    definition = declare(**parts)
    steps, _ = live(definition, seed, n)
    assert compared(definition, definition, steps) == Comparison(len(steps), None, ())


def forked(state: str, **parts: Any) -> tuple[Definition, list[Step]]:
    """Return a machine with one state that asks, and a run that was forked off there and sent an event."""
    definition = define(f"{state}: {{on: {{go: end, cancelled: fail}}}}", events={"go": {}}, **parts)
    before = start(definition, "parent", {}, 1000.0).snapshot
    made = fork(definition, "run", before, 1000.0, "0" * 64, 2000.0, {"by": "ann"})
    return definition, [made, step(definition, made.snapshot, Event("go"), 2001.0)]


def test_a_forked_run_begins_on_the_other_machine_where_it_was_forked() -> None:
    """It has a place there, or that is the difference."""
    old, steps = forked("ask")
    assert compared(old, old, steps).difference is None
    other, _ = forked("wonder")
    found = compared(old, other, steps).difference
    assert found is not None
    assert (found.seq, found.cause, found.why) == (
        1,
        "state",
        "there is no state `ask`, in which the run begins",
    )
    waits = define("ask: {wait: 1s, on: {elapsed: end}}", events={"go": {}})
    found = compared(old, waits, steps).difference
    assert found is not None
    assert found.why == "ask waits for time; it waited for an event"
