"""What a run waits for, and when time itself moves it."""

from __future__ import annotations

from statemachine.clock import instant
from statemachine.kernel.events import AGAIN, ANNOUNCED, RELEASED, Event
from statemachine.kernel.snapshot import Immediate, PendingApproval, PendingCall, Snapshot, Timer
from statemachine.machine.definition import EXPIRED, Definition

UNTOLD = ", of which not all could be told"
"""How what a run waits for ends, when people could not be told of it in every way."""


def due(definition: Definition, snapshot: Snapshot, now: float = 0.0) -> tuple[float, Event] | None:
    """Return when time itself moves the run next, and the event that it raises then.

    Of all that is due ``now`` telling people again comes last: nobody is told of what is over.
    """

    def order(moment: tuple[float, Event]) -> tuple[float, bool, float]:
        return max(moment[0], now), moment[1].name == ANNOUNCED, moment[0]

    return min(coming(definition, snapshot), key=order, default=None)


def coming(definition: Definition, snapshot: Snapshot) -> list[tuple[float, Event]]:
    """Return every event that time raises if nothing else happens, and when; before then it is refused."""
    if snapshot.finished:
        return []
    pending = snapshot.pending
    if snapshot.rollback is not None and isinstance(pending, PendingCall):
        return [(pending.due, Event(AGAIN, key=pending.key))] if pending.phase == "backoff" else []
    if isinstance(pending, Immediate):
        return [(snapshot.entered, Event(pending.event))]
    if isinstance(pending, PendingCall) and not may_leave(definition, pending):
        return []
    found: list[tuple[float, Event]] = []
    if isinstance(pending, PendingApproval):
        # Who is asked has a time to answer in; those who did answer, in time, need not do so again after a freeze.
        held = pending.held
        found.append((held, Event(RELEASED)) if held else (pending.expires, Event(EXPIRED)))
        if (again := pending.told_again) and not held:
            found.append((again, Event(ANNOUNCED, {"request": pending.request})))
    elif isinstance(pending, Timer):
        found.append((pending.due, Event("elapsed")))
    elif isinstance(pending, PendingCall) and pending.phase == "backoff":
        found.append((pending.due, Event(AGAIN, key=pending.key)))
    declared = definition.declaration
    timeout = declared.states[snapshot.state].timeout
    if timeout is not None:
        found.append((instant(snapshot.entered + timeout), Event("timeout")))
    if declared.limits.elapsed is not None:
        found.append((instant(snapshot.started + declared.limits.elapsed), Event("limit.elapsed")))
    return found


def may_leave(definition: Definition, call: PendingCall) -> bool:
    """Return whether the run may move on without the call's outcome: only if it changes nothing."""
    return call.phase == "backoff" or definition.declaration.tools[call.tool].effect == "read"


def waiting_for(definition: Definition, snapshot: Snapshot) -> str:
    """Return what a run that does not move waits for, in a few words; empty when it waits for nothing."""
    match snapshot.pending:
        case _ if snapshot.finished:
            return ""
        case Timer():
            return "time"
        case PendingCall(phase="backoff", tool=tool):
            return f"time, to call {tool} again"
        case PendingApproval(tool=tool, held=held) if held:
            return f"a freeze to end, to call {tool}"
        case PendingApproval(tool=tool, untold=untold):
            return f"approval of {tool}{UNTOLD if untold else ''}"
        case PendingCall(phase="doubt", key=key):
            return f"a decision on call {key}"
        case None:
            events = [e for e in definition.payloads if definition.candidates(snapshot.state, e)]
            return f"event {' or '.join(events)}" if events else "time"
    return ""
