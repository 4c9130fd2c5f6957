"""What another machine would decide on recorded answers is what it does decide when it is run on them."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from statemachine.errors import InvalidMachine
from statemachine.journal.replay import Written
from statemachine.journal.whatif import Comparison, compare
from statemachine.kernel import Step
from statemachine.machine.definition import Definition
from tests.journal.worlds import changed, live, path
from tests.kernel.driving import declare
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
        # A call that was cut short would have had more time: nobody knows what it would have said.
        assert not same or "cut short" in found.difference.why


@given(declarations(), st.integers(0, 10**6), st.integers(0, 4))
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_same_machine_decides_the_same(parts: dict[str, Any], seed: int, n: int) -> None:
    """Step by step, with no wait longer or shorter."""
    definition = declare(**parts)
    steps, _ = live(definition, seed, n)
    assert compared(definition, definition, steps) == Comparison(len(steps), None, ())
