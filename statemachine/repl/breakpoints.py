"""Where a run is to stop: in a state, after an event, before a call, or when an expression becomes true."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from statemachine.errors import InvalidInput
from statemachine.kernel import Snapshot, Step
from statemachine.machine.definition import Definition, event_names
from statemachine.machine.expressions import Guard
from statemachine.machine.references import suggest
from statemachine.repl.expressions import compile_guard, decided


@dataclass(frozen=True, slots=True)
class Breakpoint:
    """A place to stop at.

    Attributes:
        number: Its number.
        state: Stop when this state is entered.
        event: Stop after this event; ``failed`` also means ``failed.transient``.
        tool: Stop before a call of this tool.
        condition: Stop only if this holds; of a breakpoint that names nothing else, when it becomes true.
        once: Whether it goes away when it has been hit.
    """

    number: int
    state: str | None = None
    event: str | None = None
    tool: str | None = None
    condition: Guard | None = None
    once: bool = False

    def __str__(self) -> str:
        where = [
            self.state or "",
            f"on {self.event}" if self.event else "",
            f"call {self.tool}" if self.tool else "",
            f"if {self.condition.text}" if self.condition else "",
        ]
        return " ".join(part for part in where if part)

    def as_data(self) -> dict[str, Any]:
        """Return the breakpoint as plain data."""
        return {"number": self.number, "where": str(self), "once": self.once}


_CONDITIONAL = re.compile(r"(?P<place>.*?)(?:^|\s)if\s+(?P<condition>.+)", re.DOTALL)


def parse(definition: Definition, text: str, number: int, *, once: bool = False) -> Breakpoint:
    """Return the breakpoint that ``[STATE | on EVENT | call TOOL] [if EXPRESSION]`` describes.

    Raises:
        InvalidInput: It describes none, or names what the machine does not have.
        InvalidExpression: The expression is misspelt or ill-typed.
    """
    found = _CONDITIONAL.fullmatch(text.strip())
    condition = compile_guard(definition, found["condition"]) if found else None
    match (found["place"] if found else text).split():
        case [] if condition is not None:
            return Breakpoint(number, condition=condition, once=once)
        case ["on", event]:
            known = {name for full in definition.events() for name in event_names(full)} | {"start"}
            return Breakpoint(number, event=_one_of("event", event, known), condition=condition, once=once)
        case ["call", tool]:
            tool = _one_of("tool", tool, definition.declaration.tools)
            return Breakpoint(number, tool=tool, condition=condition, once=once)
        case [state]:
            state = _one_of("state", state, definition.declaration.states)
            return Breakpoint(number, state=state, condition=condition, once=once)
    raise InvalidInput("write `break STATE`, `break on EVENT`, `break call TOOL` or `break if EXPRESSION`")


def _one_of(what: str, name: str, known: Any) -> str:
    if name not in known:
        raise InvalidInput(f"the machine has no {what} `{name}`{suggest(name, known)}")
    return name


class Breakpoints:
    """All places where a run is to stop."""

    def __init__(self) -> None:
        self.all: list[Breakpoint] = []
        self._numbers = 0
        self._held: set[int] = set()

    def add(self, definition: Definition, text: str, *, once: bool = False) -> Breakpoint:
        """Add what :func:`parse` makes of a text."""
        made = parse(definition, text, self._numbers + 1, once=once)
        self._numbers += 1
        self.all.append(made)
        return made

    def delete(self, number: int | None = None) -> list[Breakpoint]:
        """Remove one, or all; return what was removed.

        Raises:
            InvalidInput: There is no such breakpoint.
        """
        gone = [b for b in self.all if number in (None, b.number)]
        if number is not None and not gone:
            raise InvalidInput(f"there is no breakpoint {number}; `info breaks` lists them")
        self.all = [b for b in self.all if b not in gone]
        return gone

    def watch(self, definition: Definition, snapshot: Snapshot, now: float) -> None:
        """Note which conditions hold now: they stop the run only when they become true."""
        self._held = {b.number for b in self.all if _holds(b, definition, snapshot, now)}

    def after(self, definition: Definition, made: Step) -> Breakpoint | None:
        """Return the first breakpoint that a step hits; it goes away if it was for once."""
        holding = {b.number for b in self.all if _holds(b, definition, made.snapshot, made.at)}
        became, self._held = holding - self._held, holding
        receipt, found = made.receipt, None
        for point in self.all:
            if point.tool is not None:
                continue
            if point.state is None and point.event is None:
                hit = point.number in became
            else:
                entered = point.state is not None and receipt.target == point.state
                raised = point.event is not None and (
                    point.event in event_names(receipt.event) or point.event == receipt.event
                )
                hit = (entered or raised) and (point.condition is None or point.number in holding)
            if hit:
                found = found or point
        return self._hit(found)

    def before(self, definition: Definition, snapshot: Snapshot, tool: str, now: float) -> Breakpoint | None:
        """Return the first breakpoint that a call which is about to be made hits."""
        return self._hit(
            next(
                (
                    b
                    for b in self.all
                    if b.tool == tool and (b.condition is None or _holds(b, definition, snapshot, now))
                ),
                None,
            )
        )

    def _hit(self, found: Breakpoint | None) -> Breakpoint | None:
        if found is not None and found.once:
            self.all.remove(found)
        return found


def _holds(point: Breakpoint, definition: Definition, snapshot: Snapshot, now: float) -> bool:
    condition = point.condition
    return condition is not None and decided(condition, definition, snapshot, now)[0] is True
