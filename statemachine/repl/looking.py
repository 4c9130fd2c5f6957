"""What can be asked of a run as it is: which guards hold, what can be sent, why it is not elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from statemachine.kernel import Candidate, Event, Receipt, Snapshot, step
from statemachine.machine.definition import Definition
from statemachine.repl.expressions import decided


@dataclass(frozen=True, slots=True)
class Offer:
    """An event that a state takes from outside.

    Attributes:
        event: Its name.
        carries: What it carries: the type of each part.
        would: Where it would lead now; None when a guard says no, or when that depends on what it carries.
        candidates: Its transitions, with what their guards give now.
    """

    event: str
    carries: Mapping[str, str]
    would: str | None
    candidates: tuple[Candidate, ...]

    def as_data(self) -> dict[str, Any]:
        """Return the offer as plain data."""
        tried = [candidate.as_data() for candidate in self.candidates]
        return {"event": self.event, "carries": dict(self.carries), "would": self.would, "candidates": tried}


def leaving(definition: Definition, snapshot: Snapshot, now: float) -> list[Candidate]:
    """Return every transition of the state that a run is in, with what its guard gives now."""
    own = definition.edges.get(snapshot.state, {})
    common = {} if definition.declaration.states[snapshot.state].kind == "final" else definition.everywhere
    found = []
    for table in (own, common):
        for edges in table.values():
            for edge in edges:
                if edge.guard is None:
                    found.append(Candidate(edge.event, edge.target, None, True, {}))
                    continue
                verdict, values, error = decided(edge.guard, definition, snapshot, now)
                found.append(Candidate(edge.event, edge.target, edge.guard.text, verdict, values, error))
    return found


def offers(definition: Definition, snapshot: Snapshot, now: float) -> list[Offer]:
    """Return the events that can be sent to a run as it is, and what each would do."""
    all_of_them = leaving(definition, snapshot, now)
    found = []
    for event in (*definition.payloads, "cancelled"):
        tried = tuple(
            c for c in all_of_them if c.event in (event, "*") and (c.event != "*" or event != "cancelled")
        )
        carries = dict(definition.declaration.events.get(event, {}))
        would = None
        if not carries:
            made = step(definition, snapshot, Event(event), now)
            would = made.snapshot.state if made.entries else None
        if tried or would:
            found.append(Offer(event, carries, would, tried))
    return found


def why_not(
    definition: Definition, receipt: Receipt, snapshot: Snapshot, now: float, state: str
) -> tuple[list[Candidate], list[tuple[str, str]]]:
    """Return why a run is not in a state.

    Returns:
        The transitions there that the last step considered, or else those from the state that the run is in now,
        with what their guards gave; and where the machine leads there from at all: state and event.
    """
    tried = [c for c in receipt.candidates if c.target == state]
    if not tried:
        tried = [c for c in leaving(definition, snapshot, now) if c.target == state]
    ways = [
        (source, event)
        for source, table in definition.edges.items()
        for event, edges in table.items()
        if any(edge.target == state for edge in edges)
    ]
    ways += [
        ("any state", e)
        for e, edges in definition.everywhere.items()
        if any(x.target == state for x in edges)
    ]
    states = definition.declaration.states
    ways += [(name, "exhausted") for name, other in states.items() if other.exhausted == state]
    return tried, ways
