"""Declare a machine in a few lines, and drive a run of it by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from statemachine.kernel import (
    AGAIN,
    FINISH,
    RECOVER,
    RESOLVE,
    UNDO_NEXT,
    Event,
    Ledger,
    PendingCall,
    Step,
    due,
    start,
    step,
)
from statemachine.machine.contract import FailureClass
from statemachine.machine.definition import AMENDED, Definition
from statemachine.machine.model import Declaration
from statemachine.machine.outcome import Failure, Outcome
from statemachine.machine.references import Folder
from statemachine.machine.resolve import resolve

FOLDER = Folder(Path(__file__).parent)
WRITE = {"effect": "write", "reversibility": "partial"}
TOOLS: dict[str, dict[str, Any]] = {
    "look": {"python": "tools.py:look", "effect": "read"},
    "put": {"python": "tools.py:put", **WRITE, "idempotent": True, "undo": "take"},
    "post": {"python": "tools.py:post", **WRITE, "idempotent": False, "probe": "posted", "undo": "unpost"},
    "mail": {"python": "tools.py:mail", **WRITE, "idempotent": False},
    "wire": {"python": "tools.py:mail", "effect": "write", "reversibility": "none", "idempotent": False},
    "posted": {"python": "tools.py:posted", "effect": "read"},
    "take": {"python": "tools.py:take", **WRITE, "idempotent": True},
    "unpost": {"python": "tools.py:unpost", **WRITE, "idempotent": False},
}
GOOD = {"ok": True, "score": 0.9, "size": 3}
BAD = {"ok": False, "score": 0.1, "size": 0}


def declare(states: Mapping[str, Any], *, lasting: str = "1m", **parts: Any) -> Definition:
    """Return a machine with these states, the tools above, and `n`, `answer` and `size` as its context.

    An answer is fresh for as long as it is said to be ``lasting``.
    """
    callers = [name for name, state in states.items() if "do" in state]
    context: dict[str, Any] = {"n": {"type": "int", "owner": "operator", "default": 1}}
    if callers:
        context["answer"] = {
            "type": "tools.py:Answer",
            "owner": callers,
            "fresh_for": lasting,
            "derived_from": "n",
        }
        context["size"] = {"type": "int", "owner": callers, "derived_from": ["answer"]}
    changed = parts.get("tools", {})
    tools = {name: {**TOOLS.get(name, {}), **changed.get(name, {})} for name in {**TOOLS, **changed}}
    fixed = {"machine": "test", "version": "1", "initial": next(iter(states)), "context": context}
    return resolve(
        Declaration.model_validate({**fixed, **parts, "tools": tools, "states": dict(states)}), FOLDER
    )


def define(states: str, **parts: Any) -> Definition:
    """Return :func:`declare` of states written in YAML, with final states `end` (succeeded) and `fail`."""
    read: dict[str, Any] = YAML(typ="safe").load(states)
    return declare({**read, "end": {"final": "succeeded"}, "fail": {"final": "failed"}} | read, **parts)


class Run:
    """A run driven by hand, at a time that only the test moves.

    Attributes:
        now: The time.
        last: The last step.
        steps: All of them.
    """

    def __init__(self, definition: Definition, now: float = 1000.0, **inputs: Any) -> None:
        self.definition = definition
        self.now = now
        self.last = start(definition, "run", inputs, now)
        self.steps = [self.last]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.last.snapshot, name)

    @property
    def entries(self) -> list[tuple[str, Mapping[str, Any]]]:
        """All journal records so far."""
        return [entry for made in self.steps for entry in made.entries]

    @property
    def call(self) -> PendingCall:
        """The pending call."""
        assert isinstance(self.pending, PendingCall)
        return self.pending

    @property
    def due(self) -> tuple[float, Event]:
        """When time moves the run next, and the event that it raises then."""
        timed = due(self.definition, self.last.snapshot)
        assert timed is not None
        return timed

    def take(self, event: Event) -> Step:
        """Let an event happen."""
        before = self.last.snapshot
        self.last = step(self.definition, before, event, self.now)
        # What leaves no record is not committed: it must not have moved the run.
        assert self.last.entries or self.last.snapshot == before
        self.steps.append(self.last)
        return self.last

    def send(self, name: str, by: str = "", **payload: Any) -> Step:
        """Send an event from outside."""
        return self.take(Event(name, payload, by=by))

    def amend(self, **values: Any) -> Step:
        """Let the operator change what was given."""
        return self.take(Event(AMENDED, values, by="ann"))

    def finish(self, output: Any = None, **outcome: Any) -> Step:
        """Let the pending call succeed."""
        return self.take(Event(FINISH, outcome=Outcome(output, **outcome), key=self.call.key))

    def fail(self, failure: FailureClass, retry_after: float | None = None, **outcome: Any) -> Step:
        """Let the pending call fail."""
        failed = Failure(failure, f"it was {failure}", retry_after)
        return self.take(Event(FINISH, outcome=Outcome(failure=failed, **outcome), key=self.call.key))

    def crash(self) -> Step:
        """Let the host die and come back while the call is under way."""
        return self.take(Event(RECOVER, key=self.call.key))

    def again(self) -> Step:
        """Say that the back-off is over, whether it is or not."""
        return self.take(Event(AGAIN, key=self.call.key))

    def resolve(self, happened: bool | None, output: Any = None, by: str = "ann") -> Step:
        """Decide on a call in doubt."""
        payload = {"happened": happened} | ({"output": output} if output is not None else {})
        return self.take(Event(RESOLVE, payload, key=self.call.key, by=by))

    @property
    def ledger(self) -> Ledger:
        """What the run did to the world and has not undone."""
        ledger = Ledger(self.definition)
        for kind, body in self.entries:
            ledger.add(kind, body)
        return ledger

    def wait(self) -> Step:
        """Let time pass until time moves the run; one that rolls back is offered the next write to undo."""
        at, event = self.due
        self.now = max(self.now, at)
        return self.take(self.ledger.next() if event.name == UNDO_NEXT else event)

    def settle(self) -> Run:
        """Let every immediate event happen."""
        while (
            not self.finished and (timed := due(self.definition, self.last.snapshot)) and timed[0] <= self.now
        ):
            self.wait()
        return self
