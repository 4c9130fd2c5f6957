"""The transition table of one machine, on `transitions`: one table serves every run of the machine.

A run is no registered model: a step in the making is led past the table, and nothing is called back.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from transitions import EventData, Machine, State, Transition

from statemachine.kernel.receipt import Candidate
from statemachine.machine.definition import Definition, Edge

_NOTHING: Mapping[str, Any] = {}


class GuardedTransition(Transition):
    """A transition with a typed guard; it leaves an account of each verdict with the step in the making."""

    def __init__(self, source: str, dest: str, *_: Any, edge: Edge, **__: Any) -> None:
        super().__init__(source, dest)
        self.edge = edge

    def execute(self, event_data: EventData) -> bool:
        """Choose the transition unless its guard says no; a guard that fails ends the search."""
        draft: Any = event_data.model
        edge, guard = self.edge, self.edge.guard
        if guard is None:
            draft.candidates.append(Candidate(edge.event, edge.target, None, True, _NOTHING))
        else:
            verdict, values, error = guard.decide(draft)
            if draft.stale:
                if verdict is None or guard.opaque:
                    verdict, error = None, "; ".join(draft.stale.values())
                else:
                    draft.stale = _NOTHING  # what is too old did not matter
            draft.candidates.append(Candidate(edge.event, edge.target, guard.text, verdict, values, error))
            if verdict is False:
                return False
            if verdict is None:
                draft.error = error
                return True
        draft.chosen = edge
        return True


class Table(Machine):
    """The table of one machine."""

    transition_cls = GuardedTransition

    def __init__(self, definition: Definition) -> None:
        states = definition.declaration.states
        super().__init__(
            model=None,
            states=[State(name) for name in states],
            initial=None,
            auto_transitions=False,
            send_event=True,
        )
        for name in states:
            for event in definition.events():
                for edge in definition.candidates(name, event):
                    self.add_transition(event, name, edge.target, edge=edge)


@lru_cache(maxsize=256)
def table_of(definition: Definition) -> Table:
    """Return the table of a machine, made once."""
    return Table(definition)
