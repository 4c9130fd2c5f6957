"""Which transition is which: by where it is declared, and in which order it is tried."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from statemachine.machine.definition import event_names
from statemachine.machine.model import Declaration, Transition


class Way(NamedTuple):
    """Which declared transition.

    Attributes:
        source: The state that it leaves; None for one of the machine, from every state that is not final.
        event: The event that it is declared under; None for what is taken at once, and for exhausted attempts.
        nth: Its place among the transitions of its event, from 0.
        exhausted: Whether it is the one for exhausted attempts.
    """

    source: str | None
    event: str | None
    nth: int = 0
    exhausted: bool = False


def way_at(path: tuple[str | int, ...]) -> Way:
    """Return the way of a transition from its path in the declaration, as ``Declaration.transitions`` gives it."""
    source = str(path[1]) if path[0] == "states" else None
    return Way(source, None if path[-2] == "always" else str(path[-2]), int(path[-1]))


def every_way(declaration: Declaration) -> Iterator[tuple[Way, str]]:
    """Yield every way of a machine, and where it leads."""
    for path, transition in declaration.transitions():
        yield way_at(path), transition.to
    for name, state in declaration.states.items():
        if state.exhausted is not None:
            yield Way(name, None, 0, exhausted=True), state.exhausted


def candidates(declaration: Declaration, state: str, event: str) -> Iterator[tuple[Way, str]]:
    """Yield the transitions that an event may take from a state, in the order in which they are tried."""
    declared = declaration.states[state]
    own: dict[str, tuple[Transition, ...]] = {**declared.on, "always": declared.always or ()}
    tables: list[tuple[str | None, Mapping[str, tuple[Transition, ...]]]] = [(state, own)]
    if declared.final is None:
        tables.append((None, declaration.on))
    for source, table in tables:
        for name in event_names(event):
            for index, transition in enumerate(table.get(name, ())):
                yield Way(source, None if name == "always" else name, index), transition.to
