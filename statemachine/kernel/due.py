"""What a run waits for, and when time itself moves it."""

from __future__ import annotations

from statemachine.clock import instant
from statemachine.kernel.events import AGAIN, RELEASED, Event
from statemachine.kernel.snapshot import Immediate, PendingApproval, PendingCall, Snapshot, Timer
from statemachine.machine.definition import EXPIRED, Definition


def due(definition: Definition, snapshot: Snapshot) -> tuple[float, Event] | None:
    """Return when time itself moves the run next, and the event that it raises then."""
    return min(coming(definition, snapshot), key=lambda moment: moment[0], default=None)


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
        case PendingApproval(tool=tool, held=held):
            return f"a freeze to end, to call {tool}" if held else f"approval of {tool}"
        case PendingCall(phase="doubt", key=key):
            return f"a decision on call {key}"
        case None:
            events = [e for e in definition.payloads if definition.candidates(snapshot.state, e)]
            return f"event {' or '.join(events)}" if events else "time"
    return ""
