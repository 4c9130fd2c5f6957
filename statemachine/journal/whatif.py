"""What-if: the answers that a journal holds, given to another machine, and the first decision that differs.

Both machines go side by side, each with its own snapshot: counters, defaults and limits of the new one count from
the start. After a decision that differs the recorded answers no longer apply, so nothing is said of what follows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import zip_longest

from statemachine.clock import instant
from statemachine.errors import InvalidInput
from statemachine.journal.reasons import Cause, cause_of, no_place
from statemachine.journal.replay import Versions, Written, first, moves
from statemachine.kernel import (
    UNDO_NEXT,
    Entry,
    Event,
    Immediate,
    Ledger,
    PendingApproval,
    PendingCall,
    Snapshot,
    Step,
    step,
)
from statemachine.kernel.due import coming, due
from statemachine.kernel.migrating import MIGRATED
from statemachine.machine.definition import EXPIRED, Definition
from statemachine.machine.duration import spell

_DECISIVE: Mapping[str, tuple[str, ...]] = {
    "transition": ("event", "from", "to", "instead"),
    "call_intended": ("tool", "input", "undoes"),
    "call_in_doubt": ("asks",),
    "approval_requested": ("tool", "input", "approvers", "needed", "unanswered"),
    "approval_refused": ("tool",),
    "approval_decided": ("result",),
    "rolled_back": ("undone", "left"),
    "run_finished": ("status", "state", "output"),
}
"""What a machine decides, by kind of record; of any other only that it is written."""

_TIMEOUTS = ("timeout", "limit.elapsed", EXPIRED)


@dataclass(frozen=True, slots=True)
class Wait:
    """A wait for time that is longer or shorter.

    Attributes:
        seq: The record that began or ended it.
        state: The state it is in.
        was: Seconds.
        now: Seconds, on the new machine.
    """

    seq: int
    state: str
    was: float
    now: float


@dataclass(frozen=True, slots=True)
class Difference:
    """The first decision of a run that the new machine makes otherwise.

    Attributes:
        seq: The recorded decision; one past the last record when nothing is recorded where the new one acts.
        state: The state it is made in.
        event: The event it answers; empty for the start of the run.
        was: Kind and body of the record; None when the run had nothing there.
        now: Kind and body of what the new machine would write; None when it does nothing.
        cause: What makes the difference.
        why: The same for people, with the values that were read.
    """

    seq: int
    state: str
    event: str
    was: Entry | None
    now: Entry | None
    cause: Cause
    why: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """What another machine makes of a recorded run.

    Attributes:
        steps: Steps that both take alike.
        difference: The first decision that differs; None when all are the same.
        waits: Waits up to there that are longer or shorter.
    """

    steps: int
    difference: Difference | None
    waits: tuple[Wait, ...]


def compare(
    old: Definition,
    new: Definition,
    run: str,
    records: Iterable[Written],
    versions: Versions | None = None,
) -> Comparison:
    """Return what ``new`` makes of a run that ``old`` recorded; nothing is called.

    Args:
        old: The machine that the run is pinned to.
        new: The other one.
        run: Id of the run.
        records: Its records from the first; streamed, never held.
        versions: Finds the versions of the machine that the run was migrated to; needed only if it was.

    Raises:
        Deviates: The journal is no path of ``old``.
    """
    side = _SideBySide(old, new)
    steps = 0
    for event, made in moves(old, run, records, versions=versions):
        if made.entries[0][0] == MIGRATED:
            break  # what another version has decided since is no word on this one
        difference = side.take(run, event, made)
        if difference is not None:
            return Comparison(steps, difference, tuple(side.waits))
        steps += 1
    return Comparison(steps, None, tuple(side.waits))


class _SideBySide:
    """A run on its own machine and on another one, up to the first decision that differs.

    Attributes:
        waits: Waits that are longer or shorter.
    """

    def __init__(self, old: Definition, new: Definition) -> None:
        self._old, self._new = old, new
        self._was: Snapshot | None = None
        self._is: Snapshot | None = None
        self._ledger = Ledger(new)
        self._shift = 0.0  # how much later the new machine's run is by now
        self.waits: list[Wait] = []

    def take(self, run: str, event: Event | None, made: Step) -> Difference | None:
        """Let the new machine take a recorded step; return how it differs, or None."""
        if event is None:
            found = self._begin(run, made)
        else:
            found = self._earlier(event, made.at) or self._answer(event, made.at)
        if isinstance(found, Difference):
            return found
        difference = self._difference(event, made, found)
        self._was, self._is = made.snapshot, found.snapshot
        for entry in found.entries:
            self._ledger.add(*entry)
        return difference

    def _begin(self, run: str, made: Step) -> Step | Difference:
        kind, body = made.entries[0]
        state = made.snapshot.state
        wrong = no_place(self._old, self._new, made.snapshot) if "parent" in body else None
        cause: Cause = "inputs"
        try:
            if wrong is None:
                return first(self._new, run, made.at, body)
            cause, why = wrong
        except InvalidInput as error:
            why = str(error).replace("\n", "; ")
        return Difference(1, state, "", (kind, body), None, cause, why)

    def _earlier(self, event: Event, at: float) -> Difference | None:
        """Return what time does on the new machine before the recorded event comes, if it did not do so then."""
        assert self._was is not None
        assert self._is is not None
        was, now = (
            {raised.name: moment for moment, raised in coming(definition, snapshot)}
            for definition, snapshot in ((self._old, self._was), (self._new, self._is))
        )
        cut = self._cut_short(event, at, was, now)
        if cut is not None:
            return self._unlike(event, *cut)
        timed = event.name in was and event.name in now
        if timed:
            if event.name in _TIMEOUTS and instant(now[event.name] - was[event.name] - self._shift):
                lasted = (was[event.name] - self._was.entered, now[event.name] - self._is.entered)
                self.waits.append(Wait(self._was.seq + 1, self._was.state, *map(instant, lasted)))
            self._shift = instant(now[event.name] - was[event.name])
        then = instant(at + self._shift)
        if timed:
            first = due(self._new, self._is, then)
            early = [] if first is None else [(first[0], first[1].name)]
        else:  # what was due by then, and yet not raised, says only that nothing looked at the run
            early = [(now[name], name) for name in now if now[name] < then and was.get(name, math.inf) >= at]
        for moment, name in sorted(early):
            if name != event.name:
                why = f"`{name}` is raised first, after {spell(instant(moment - self._is.entered))} in {self._is.state}"
                return self._unlike(event, "limit" if name == "limit.elapsed" else "timeout", why)
        return None

    def _cut_short(
        self, event: Event, at: float, was: Mapping[str, float], now: Mapping[str, float]
    ) -> tuple[Cause, str] | None:
        """Return why a call, or others, would have had more time, or less, than is recorded."""
        assert self._was is not None
        call = self._was.pending
        match call:
            case PendingCall(phase="sent", tool=tool):
                what = f"the call of {tool}"
            case PendingApproval(tool=tool):
                what = f"approval of {tool}"
            case None:
                what = "the wait for an event"
            case _:
                return None
        if event.name in _TIMEOUTS and event.name in was:
            if now.get(event.name, math.inf) - self._shift <= was[event.name]:
                return None
            cause: Cause = "limit" if event.name == "limit.elapsed" else "timeout"
            return cause, f"{what} was cut short by `{event.name}`; it has more time now"
        if event.outcome is None or not isinstance(call, PendingCall):
            return None
        had, has = (d.declaration.tools[call.tool].timeout for d in (self._old, self._new))
        failure = event.outcome.failure
        if failure is not None and failure.failure == "timeout" and has > had:
            return (
                "timeout",
                f"the call of {call.tool} was cut short after {spell(had)}; it has {spell(has)} now",
            )
        if has < had and at - call.due > has and failure is None:
            took = f"{at - call.due:.1f}s"
            return "timeout", f"the call of {call.tool} took {took}; it is cut short after {spell(has)} now"
        return None

    def _answer(self, event: Event, at: float) -> Step:
        assert self._is is not None
        if event.name == UNDO_NEXT:
            event = self._ledger.next()  # what can be undone is for each machine to say
        return step(self._new, self._is, event, instant(at + self._shift))

    def _unlike(self, event: Event, cause: Cause, why: str) -> Difference:
        """Return a difference that lies before the recorded event."""
        assert self._was is not None
        return Difference(self._was.seq + 1, self._was.state, event.name, None, None, cause, why)

    def _difference(self, event: Event | None, made: Step, found: Step) -> Difference | None:
        """Return the first decision of a step that the new machine makes otherwise; note what only waits differ."""
        before = made.snapshot.seq - len(made.entries)
        state = self._was.state if self._was is not None else made.snapshot.state
        name = "" if event is None else made.receipt.event
        for seq, (was, now) in enumerate(zip_longest(made.entries, found.entries), start=before + 1):
            if _decision(was) != _decision(now):
                cause, why = cause_of(self._old, self._new, made, found, was, now)
                return Difference(seq, state, name, was, now, cause, why)
            if was[0] == "timer_set":
                lasted = instant(was[1]["due"] - made.at), instant(now[1]["due"] - found.at)
                if lasted[0] != lasted[1]:
                    self.waits.append(Wait(seq, made.snapshot.state, *lasted))
        if _next(made.snapshot) == _next(found.snapshot):
            return None
        cause, why = cause_of(self._old, self._new, made, found, None, None)
        return Difference(made.snapshot.seq + 1, made.snapshot.state, name, None, None, cause, why)


def _decision(entry: Entry | None) -> object:
    if entry is None:
        return None
    kind, body = entry
    return kind, [body.get(name) for name in _DECISIVE.get(kind, ())]


def _next(snapshot: Snapshot) -> object:
    """Return what kind of thing moves a run next."""
    pending = snapshot.pending
    if isinstance(pending, Immediate):
        return pending.event
    return pending.phase if isinstance(pending, PendingCall) else type(pending)
