"""A step in the making: what the run will be, and the account of how it gets there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from statemachine.kernel.events import NOTHING, Entry, Step
from statemachine.kernel.receipt import Candidate, Receipt, Verdict
from statemachine.kernel.snapshot import Immediate, PendingCall, Snapshot, Source
from statemachine.kernel.table import table_of
from statemachine.machine.definition import Definition, Edge
from statemachine.machine.duration import spell
from statemachine.machine.expressions import Root


class Draft:
    """One step in the making; expressions read through it.

    Besides the parts of the next snapshot, under their names there (``result`` is the run's output):

    Attributes:
        definition: The machine.
        before: The run as it was.
        now: The time, in seconds since the epoch.
        entries: The journal records so far.
        call: The call to make.
        target: The state that was entered.
        instead: Why that is not the target of the transition that was chosen.
        hold: Whether the run is to be held before the call of the state that it enters.
        event: The event's payload and name, as guards read them.
        output: The output of the call that ended, as guards read it.
        candidates: The account of the transitions that were considered.
        chosen: The last one that was chosen.
        error: Why a guard of the last choice failed to evaluate; empty if none did.
        perishable: After how many seconds values grow stale, by field; empty once the run ends.
        stale: The fields that are too old for what was last decided or computed, and what to say of each.
        outdated: Those that decided where the run goes.
    """

    __slots__ = (
        "amended",
        "attempts",
        "because",
        "before",
        "call",
        "calls",
        "cancelled",
        "candidates",
        "chosen",
        "context",
        "cost",
        "definition",
        "denied",
        "edited",
        "entered",
        "entries",
        "error",
        "event",
        "failure",
        "history",
        "hold",
        "instead",
        "now",
        "outdated",
        "output",
        "pending",
        "perishable",
        "recent",
        "result",
        "reviews",
        "rollback",
        "sources",
        "stale",
        "state",
        "status",
        "steps",
        "target",
        "watched",
    )

    def __init__(self, definition: Definition, before: Snapshot, now: float, hold: bool = False) -> None:
        self.definition = definition
        self.before = before
        self.now = now
        self.hold = hold
        self.entries: list[Entry] = []
        self.call: PendingCall | None = None
        self.target: str | None = None
        self.instead = ""
        self.event = NOTHING
        self.output: Any = None
        self.candidates: list[Candidate] = []
        self.chosen: Edge | None = None
        self.error = ""
        self.perishable = definition.perishable
        self.stale: Mapping[str, str] = NOTHING
        self.outdated: tuple[str, ...] = ()

        self.status = before.status
        self.state = before.state
        self.entered = before.entered
        self.context = before.context
        self.sources = before.sources
        self.attempts = before.attempts
        self.steps = before.steps
        self.calls = before.calls
        self.cost = before.cost
        self.pending = before.pending
        self.failure = before.failure
        self.because = before.because
        self.cancelled = before.cancelled
        self.result = before.output
        self.recent = before.recent
        self.watched = before.watched
        self.rollback = before.rollback
        self.denied = before.denied
        self.reviews = before.reviews
        self.edited = before.edited
        self.amended = before.amended
        self.history = before.history

    def add(self, kind: str, body: Mapping[str, Any]) -> None:
        """Add a journal record."""
        self.entries.append((kind, body))

    def select(self, name: str, payload: Mapping[str, Any] = NOTHING, output: Any = None) -> Edge | None:
        """Return the transition that an event takes; None if it has none, all are denied, or a guard failed."""
        self.event, self.output = {**payload, "name": name}, output
        self.chosen, self.error, self.stale = None, "", NOTHING
        event = table_of(self.definition).events.get(name)
        if event is not None and self.state in event.transitions:
            event.trigger(self)
        return self.chosen

    def read(self, root: Root, path: tuple[str, ...]) -> Any:
        """Return the value at ``path`` below ``root``; None when there is none, or when it is too old."""
        value: Any
        if root == "context":
            if self.perishable and path[0] in self.perishable and self._too_old(path[0]):
                return None
            value = self.context
        elif root == "output":
            value = self.output
        elif root == "event":
            value = self.event
        elif root == "failure":
            value = self.failure
        elif root == "attempts":
            return self.attempts.get(path[0], 0)
        elif root == "history":
            return self.history.get(path[0], 0) if path[0] in self.definition.counted else None
        elif root == "fresh":
            return self.context.get(path[0]) is not None and not self._age_beyond(path[0])
        else:
            known = self.failure if path == ("failure",) else _inside(self.context, path)
            return known is not None
        return _inside(value, path)

    def _age_beyond(self, field: str) -> float:
        """Return the age of a value that has grown stale, in seconds; 0 of any other."""
        lasts = self.perishable.get(field)
        if lasts is None or self.context.get(field) is None:
            return 0
        age = self.now - self.sources[field].at
        return age if age > lasts else 0

    def _too_old(self, field: str) -> bool:
        age = self._age_beyond(field)
        if age:
            told = f"`{field}` is {age:.6g} s old and fresh for {spell(self.perishable[field])}"
            self.stale = {**self.stale, field: told}
        return bool(age)

    def write(
        self, values: Mapping[str, Any], of: str, by: str | None = None, observed: float | None = None
    ) -> None:
        """Write context fields that ``of``, a tool or an event, gave.

        The writer is the state that the run is in or, to refresh them, another one; ``observed`` is when they
        were so, at most now.
        """
        if values:
            at = self.now if observed is None else min(observed, self.now)
            self.context = {**self.context, **values}
            self.sources = {**self.sources, **dict.fromkeys(values, Source(by or self.state, at, of))}

    def fail(self, failure: str, message: str, tool: str = "") -> None:
        """Note a failure where guards and people find it."""
        self.failure = {"class": failure, "message": message, "tool": tool, "state": self.state}
        self.because = described(self.failure)

    def at_once(self, event: str, fields: tuple[str, ...] = ()) -> None:
        """Let an event happen next that waits for nobody; ``fields`` are those that are too old."""
        self.pending, self.status = Immediate(event, fields), "running"

    def refuse(self, event: str, verdict: Verdict) -> Step:
        """Return a step that leaves the run as it was."""
        before, tried = self.before, tuple(self.candidates)
        receipt = Receipt(event, verdict, before.state, None, tried, "", before.attempts)
        return Step(before, receipt, (), None, self.now)

    def step(self, event: str, verdict: Verdict) -> Step:
        """Return the step that was made."""
        before, entries = self.before, tuple(self.entries)
        snapshot = Snapshot(
            before.run,
            before.digest,
            before.seq + len(entries),
            self.status,
            self.state,
            before.started,
            self.entered,
            self.context,
            self.sources,
            self.attempts,
            self.steps,
            self.calls,
            self.cost,
            self.pending,
            self.failure,
            self.because,
            self.cancelled,
            self.result,
            self.recent,
            self.watched,
            self.rollback,
            self.denied,
            self.reviews,
            self.edited,
            before.parent,
            self.amended,
            before.code,
            before.salt,
            self.history,
        )
        tried = tuple(self.candidates)
        receipt = Receipt(event, verdict, before.state, self.target, tried, self.instead, self.attempts)
        return Step(snapshot, receipt, entries, self.call, self.now)


def _inside(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        if value.__class__ is not dict and not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def described(failure: Mapping[str, str]) -> str:
    """Return a failure as a sentence."""
    if not failure["tool"]:
        return f"{failure['message']} (in {failure['state']})"
    return f"{failure['tool']} failed in {failure['state']} ({failure['class']}): {failure['message']}"
