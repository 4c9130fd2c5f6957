"""The transition table of one machine, on `transitions`: one table serves every run of the machine.

A run is a light cursor over it, not a registered model; nothing is called back on entry or exit.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from transitions import EventData, Machine, State, Transition

from statemachine.kernel.receipt import Candidate
from statemachine.kernel.snapshot import Snapshot
from statemachine.machine.definition import Definition, Edge
from statemachine.machine.expressions import Root

_NOTHING: Mapping[str, Any] = {}


class CountedState(State):
    """A state that knows how often it may be entered, and where one more entry goes."""

    def __init__(self, name: str, attempts: int | None = None, exhausted: str | None = None) -> None:
        super().__init__(name)
        self.attempts = attempts
        self.exhausted = exhausted


class GuardedTransition(Transition):
    """A transition with a typed guard; it leaves an account of each verdict with the cursor."""

    def __init__(self, source: str, dest: str, *_: Any, edge: Edge, **__: Any) -> None:
        super().__init__(source, dest)
        self.edge = edge

    def execute(self, event_data: EventData) -> bool:
        """Take the transition unless its guard says no; a guard that fails ends the search."""
        cursor: Any = event_data.model
        edge, guard = self.edge, self.edge.guard
        if guard is None:
            cursor.candidates.append(Candidate(edge.event, edge.target, None, True, _NOTHING))
        else:
            verdict, values, error = guard.decide(cursor)
            cursor.candidates.append(Candidate(edge.event, edge.target, guard.text, verdict, values, error))
            if verdict is False:
                return False
            if verdict is None:
                cursor.error = error
                return True
        cursor.chosen = edge
        cursor.state = edge.target
        return True


class Table(Machine):
    """The table of one machine."""

    state_cls = CountedState
    transition_cls = GuardedTransition

    def __init__(self, definition: Definition) -> None:
        states = definition.declaration.states
        super().__init__(
            model=None,
            states=[CountedState(name, state.attempts, state.exhausted) for name, state in states.items()],
            initial=None,
            auto_transitions=False,
            send_event=True,
        )
        for name in states:
            for event in definition.events():
                for edge in definition.candidates(name, event):
                    self.add_transition(event, name, edge.target, edge=edge)


class Cursor:
    """A run on its table for the length of one step; guards read through it.

    Attributes:
        state: Where it stands; moved by the transition that is taken.
        context, sources, attempts, event, output, failure: What guards read.
        candidates: The account of what was considered.
        chosen: The transition that was taken.
        error: Why a guard failed to evaluate.
    """

    __slots__ = (
        "attempts",
        "candidates",
        "chosen",
        "context",
        "definition",
        "error",
        "event",
        "failure",
        "now",
        "output",
        "sources",
        "state",
    )

    def __init__(
        self,
        definition: Definition,
        snapshot: Snapshot,
        now: float,
        event: Mapping[str, Any],
        output: Any = None,
    ) -> None:
        self.definition = definition
        self.state = snapshot.state
        self.now = now
        self.event = event
        self.context = snapshot.context
        self.sources = snapshot.sources
        self.attempts = snapshot.attempts
        self.output = output
        self.failure = snapshot.failure
        self.candidates: list[Candidate] = []
        self.chosen: Edge | None = None
        self.error = ""

    def select(self, event: str) -> Edge | None:
        """Return the transition that the event takes, None if all are denied or a guard failed."""
        self.chosen, self.error = None, ""
        table = table_of(self.definition)
        if event in table.events and self.state in table.events[event].transitions:
            table.events[event].trigger(self)
        return self.chosen

    def read(self, root: Root, path: tuple[str, ...]) -> Any:
        """Return the value at ``path`` below ``root``; None when there is none."""
        if root == "attempts":
            return self.attempts.get(path[0], 0)
        if root == "known":
            return (
                self.failure is not None if path == ("failure",) else self.read("context", path) is not None
            )
        if root == "fresh":
            return self._fresh(path[0])
        if root == "output":
            value = self.output
        else:
            value = (
                self.context
                if root == "context"
                else self.event
                if root == "event"
                else self.failure or _NOTHING
            )
        for key in path:
            if value.__class__ is not dict and not isinstance(value, Mapping):
                return None
            value = value.get(key)
        return value

    def _fresh(self, field: str) -> bool:
        if self.context.get(field) is None:
            return False
        fresh_for = self.definition.declaration.context[field].fresh_for
        return fresh_for is None or self.now - self.sources[field].at <= fresh_for


@lru_cache(maxsize=256)
def table_of(definition: Definition) -> Table:
    """Return the table of a machine, made once."""
    return Table(definition)
