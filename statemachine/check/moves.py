"""Every way in which a run can leave a state: the events it may meet there and the transitions they take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from statemachine.check.space import occurring, stays
from statemachine.machine.contract import FAILURE_CLASSES, FailureClass, Tool
from statemachine.machine.definition import REFUSED, STALE, STALE_FAILURE, STUCK, Definition, Edge
from statemachine.machine.report import Keys


@dataclass(frozen=True, slots=True)
class Move:
    """One way out of a state.

    Attributes:
        events: The events that may take it, all with the same effect.
        edge: The transition; None where no transition takes the event and the run ends in ``otherwise``.
        target: The state that it leads to, if that is not exhausted.
        denied: The transitions before it, whose guards have said no.
    """

    events: tuple[str, ...]
    edge: Edge | None
    target: str
    denied: tuple[Edge, ...]

    @property
    def resets(self) -> tuple[str, ...]:
        """The states whose attempts fall to zero."""
        return self.edge.resets if self.edge is not None else ()


def failures(tool: Tool) -> tuple[FailureClass, ...]:
    """Return the classes that a failed call of a tool may get: those it declares, and those it cannot rule out."""
    declared = {*tool.failures.values(), *tool.retry}
    if tool.python is not None:  # it may raise whatever it likes, but a call in doubt is a person's to decide
        declared |= set(FAILURE_CLASSES) - {"in_doubt"}
    else:
        declared |= {"transient", "permission", "data_error", "contract", "timeout", "fatal", "unknown"}
    return tuple(c for c in FAILURE_CLASSES if c in declared)


def choices(definition: Definition, state: str) -> Iterator[tuple[tuple[str, ...], tuple[Edge, ...], bool]]:
    """Yield what a run that is in a state chooses from, in the order in which its events are tried.

    Each is the events with the same candidates and the same effect, the candidates, and whether the run ends
    in ``otherwise`` if all of them are denied. Limits are left out: they end a run at once, from anywhere.
    """
    do = definition.declaration.states[state].do
    tool = definition.declaration.tools[do] if do is not None else None
    given = failures(tool) if tool is not None else FAILURE_CLASSES
    found: dict[tuple[str, tuple[Edge, ...]], list[str]] = {}
    ending = set()
    raised = [(event, outside) for event, _, outside in occurring(definition, state)]
    guarded = any(e.guard is not None for event, _ in raised for e in definition.candidates(state, event))
    if guarded and (REFUSED, False) not in raised:
        raised.append((REFUSED, False))  # also in the course of an event from outside
    for event, outside in raised:
        candidates = definition.candidates(state, event)
        failed = event.startswith("failed.") and event != REFUSED
        unusual = failed and event.partition(".")[2] not in given
        if unusual and not candidates:
            continue
        if event == "partial" and tool is not None and tool.shell is not None:
            continue  # a command has succeeded or failed
        # A tool that never answers in part, and guards that do not fail, need no route for it.
        needless = event in ("partial", REFUSED, STUCK, STALE) or (event == STALE_FAILURE and do is None)
        stay = unusual or stays(definition, state, event, outside)
        ends = not stay and (bool(candidates) or not needless)
        # A failed call leaves nothing behind; every other event may carry something of its own.
        alike = failed and not (event == STALE_FAILURE and definition.perishable)
        key = ("failed" if alike else event, candidates)
        if candidates or ends:
            found.setdefault(key, []).append(event)
        if ends:
            ending.add(key)
    for key, events in found.items():
        yield tuple(events), key[1], key in ending


@lru_cache(maxsize=8)
def moves(definition: Definition) -> Mapping[str, tuple[Move, ...]]:
    """Return the ways out of every state; none of a final one."""
    return {state: _moves(definition, state) for state in definition.declaration.states}


def _moves(definition: Definition, state: str) -> tuple[Move, ...]:
    result = []
    for events, candidates, ends in choices(definition, state):
        closed = False
        for index, edge in enumerate(candidates):
            result.append(Move(events, edge, edge.target, candidates[:index]))
            if edge.guard is None:
                closed = True
                break
        if not closed and ends:
            result.append(Move(events, None, definition.declaration.otherwise, candidates))
    return tuple(result)


@lru_cache(maxsize=8)
def paths(definition: Definition) -> Mapping[int, Keys]:
    """Return where each transition is declared, by its identity."""
    return {id(edge): path for path, edge in edges(definition)}


def edges(definition: Definition) -> Iterator[tuple[Keys, Edge]]:
    """Yield every transition with the path at which it is declared."""
    tables = [((), definition.everywhere), *((("states", n), t) for n, t in definition.edges.items())]
    for above, table in tables:
        for event, listed in table.items():
            for index, edge in enumerate(listed):
                yield (*above, *(() if event == "always" else ("on",)), event, index), edge
