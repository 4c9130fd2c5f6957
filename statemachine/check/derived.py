"""A rule on what rests on what: a value is not read after what it was derived from has been written anew."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from statemachine.check.ages import reading
from statemachine.check.data import Place, places_in, writes
from statemachine.check.moves import Move, moves
from statemachine.check.paths import TooMany, shortest
from statemachine.check.rules import Rule
from statemachine.errors import Finding
from statemachine.machine.definition import Definition

OUTLIVED = Rule(
    "SM504",
    "value older than what it derives from",
    "warning",
    "A field that is `derived_from` others is written anew after one of them is, before it is read.",
    "An amendment takes back what rests on it; a state that reads a source anew does not. The old conclusion goes on "
    "beside the new facts.",
)
RULES = (OUTLIVED,)

Standing = Literal["unknown", "in line", "outlived"]


def check(definition: Definition) -> Iterator[Finding]:
    """Yield where a machine reads a field whose sources may have been written since."""
    declared = definition.declaration.context
    derived = [name for name, field in declared.items() if field.derived_from]
    if not derived:
        return
    places = [place for state in moves(definition) for place in places_in(definition, state)]
    for name in derived:
        sources = frozenset(n for n in declared if name in definition.derived([n]))
        told = set()
        for place in places:
            if name in reading(place.expression) and place.path not in told:
                told.add(place.path)
                yield from _outlived(definition, place, name, sources)


def _outlived(definition: Definition, place: Place, name: str, sources: frozenset[str]) -> Iterator[Finding]:
    """Yield the finding that some run reads a field at a place after it wrote one of its sources."""

    def after(state: str, event: str, before: Standing) -> Standing:
        if writes(definition, state, event, name):
            return "in line"
        written = any(writes(definition, state, event, source) for source in sources)
        return "outlived" if written and before == "in line" else before

    def carry(state: str, move: Move, target: str, before: Standing) -> Standing:
        return after(state, move.events[0], before)

    def goal(state: str, before: Standing) -> bool:
        if state != place.state:
            return False
        if before == "in line" and _reads_anew(definition, place, sources):
            return True
        return (after(state, place.event, before) if place.event else before) == "outlived"

    message = f"{place.what} reads `{name}`, and what that is derived from may have been written since"
    advice = f"lead the run past a state that writes `{name}` first, or silence this with the reason why it still holds"
    start: tuple[str, Standing] = (definition.declaration.initial, "unknown")
    try:
        run = shortest(definition, [start], carry, goal)
    except TooMany:
        message += ": there are too many paths to tell"
        yield OUTLIVED.at(definition, place.path, message, "UNKNOWN", offset=0, advice=advice)
        return
    if run is not None:
        witness = (*run, f"{place.what} reads {name}, which is older than what it rests on")
        yield OUTLIVED.at(
            definition, place.path, message, "REFUTED", offset=0, witness=witness, advice=advice
        )


def _reads_anew(definition: Definition, place: Place, sources: frozenset[str]) -> bool:
    """Return whether a call may be made again with sources that its tool's policy has read anew."""
    do = definition.declaration.states[place.state].do
    if do is None or place.path[2] not in ("do", "with"):
        return False
    policy = definition.declaration.tools[do].retry.get("stale_data")
    readers = [n for n, a in definition.actions.items() if policy is not None and a.tool == policy.refresh]
    return any(writes(definition, reader, "done", source) for reader in readers for source in sources)
