"""Runs on simulated time: the kernel decides, the store keeps, and tools and people are played by functions."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from pathlib import Path
from typing import Any

from statemachine.host.pinned import pin
from statemachine.host.sealing import sealed
from statemachine.journal import genesis
from statemachine.kernel import (
    DECIDED,
    FINISH,
    Event,
    PendingApproval,
    PendingCall,
    Snapshot,
    Step,
    due,
    queue,
    start,
    step,
)
from statemachine.machine.definition import Definition
from statemachine.machine.load import load
from statemachine.machine.outcome import Outcome
from statemachine.store import Commit, NewRun, Store

Tool = Callable[[PendingCall, float], tuple[Outcome, float]]
"""Answers a call at a time: how it ends, and after how many seconds."""

Person = Callable[[PendingApproval, float], tuple[str, float] | None]
"""Answers a request at a time: ``approve`` or ``deny``, and after how many seconds; None for no answer."""


class Day:
    """Starts runs, and takes each to its end, or to where nobody answers."""

    def __init__(self, tools: dict[str, Tool], person: Person) -> None:
        self.tools, self.person = tools, person
        self.commits: list[Commit | NewRun] = []
        self._todo: list[tuple[float, int, Callable[[float], None]]] = []
        self._runs: dict[str, tuple[Definition, Snapshot, int, str]] = {}

    def start(self, definition: Definition, run: str, at: float, inputs: dict[str, Any]) -> None:
        """Start a run at a time."""

        self._begin(start, definition, run, at, inputs)

    def queue(self, definition: Definition, run: str, at: float, inputs: dict[str, Any]) -> None:
        """Make a run at a time, which no worker takes."""
        self._begin(queue, definition, run, at, inputs)

    def _begin(
        self, by: Callable[..., Step], definition: Definition, run: str, at: float, inputs: dict[str, Any]
    ) -> None:
        def begin(now: float) -> None:
            self._runs[run] = (definition, None, 0, genesis(run, definition.digest))  # type: ignore[assignment]
            self._take(run, by(definition, run, inputs, now))

        self._at(at, begin)

    def send(self, run: str, event: Event, at: float) -> None:
        """Send an event to a run at a time."""
        self._at(at, lambda now: self._step(run, event, now))

    def until(self, end: float, store: Store) -> None:
        """Let time pass, and store what happened."""
        while self._todo and self._todo[0][0] <= end:
            at, _, act = heapq.heappop(self._todo)
            act(at)
        for first in range(0, len(self.commits), 1000):
            assert not any(store.commit(self.commits[first : first + 1000]))
        self.commits = []

    def _at(self, at: float, act: Callable[[float], None]) -> None:
        self._n = getattr(self, "_n", 0) + 1
        heapq.heappush(self._todo, (at, self._n, act))

    def _step(self, run: str, event: Event, now: float, seq: int | None = None) -> None:
        definition, snapshot, _, _ = self._runs[run]
        if seq in (None, snapshot.seq) and not snapshot.finished:
            made = step(definition, snapshot, event, now)
            if made.entries:
                self._take(run, made)

    def _take(self, run: str, made: Step) -> None:
        definition, before, seq, head = self._runs[run]
        commit = sealed(definition, made, seq=seq, head=head, epoch=1, now=made.at)
        self.commits.append(commit if before is not None else NewRun(pin(definition), commit))
        after, last = made.snapshot, commit.records[-1]
        self._runs[run] = (definition, after, last.seq, last.hash)
        if isinstance(after.pending, PendingCall) and after.pending.phase == "sent":
            outcome, took = self.tools[after.pending.tool](after.pending, made.at)
            event = Event(FINISH, outcome=outcome, key=after.pending.key)
            self._later(run, event, made.at + took, after.seq)
        elif isinstance(after.pending, PendingApproval) and (answer := self.person(after.pending, made.at)):
            said = {"request": after.pending.request, "verdict": answer[0], "approver": "ann"}
            self._later(run, Event(DECIDED, said), made.at + answer[1], after.seq)
        timed = due(definition, after)
        if timed is not None and after.status != "pending":
            self._later(run, timed[1], max(timed[0], made.at), after.seq)

    def _later(self, run: str, event: Event, at: float, seq: int) -> None:
        self._at(at, lambda now: self._step(run, event, now, seq))


def machine(folder: Path, name: str, text: str) -> Definition:
    """Return a machine that a text declares, under a name."""
    file = folder / f"{name}.yaml"
    file.write_text(f'machine: {name}\nversion: "1"\n{text}')
    return load(file)
