"""The step: a pure function of machine, snapshot, event and time. No I/O, no clock, no randomness."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from statemachine.clock import instant
from statemachine.kernel.amending import amend
from statemachine.kernel.byhand import edited, released
from statemachine.kernel.calls import about_call
from statemachine.kernel.deciding import announced, decide, expire, release, reviewed
from statemachine.kernel.draft import Draft
from statemachine.kernel.due import coming, may_leave
from statemachine.kernel.enter import enter
from statemachine.kernel.events import (
    AGAIN,
    ANNOUNCED,
    DECIDED,
    EDIT,
    FINISH,
    INTEND,
    NOTHING,
    RECOVER,
    RELEASED,
    RESOLVE,
    REVIEWED,
    START,
    UNDO_NEXT,
    Event,
    Step,
)
from statemachine.kernel.inputs import checked_inputs
from statemachine.kernel.rollback import demanded, undo_next
from statemachine.kernel.route import answer, cancel, route
from statemachine.kernel.snapshot import Immediate, PendingApproval, PendingCall, Snapshot, Source
from statemachine.machine.definition import (
    AMENDED,
    DENIED,
    EXPIRED,
    REFUSED,
    STALE,
    STUCK,
    UNDO,
    Definition,
)
from statemachine.machine.model import OPERATOR

STARTED = ("machine", "version", "digest", "inputs", "queued", "parent", "snapshot")
"""What the kernel itself writes into a run's first record, begun or forked."""

_BY_TIME = frozenset(
    ("elapsed", "timeout", "always", "limit.elapsed", DENIED, EXPIRED, REFUSED, STUCK, STALE)
)
_ABOUT_APPROVAL = {DECIDED: decide, ANNOUNCED: announced, RELEASED: release}
_ABOUT_CALLS = frozenset((FINISH, AGAIN, RECOVER, RESOLVE))


def start(
    definition: Definition,
    run: str,
    inputs: Mapping[str, Any],
    now: float,
    noted: Mapping[str, Any] = NOTHING,
) -> Step:
    """Return the first step of a new run.

    Args:
        definition: The machine.
        run: Id of the run.
        inputs: Values of fields that the operator owns; text is read as the field's type.
        now: The time, in seconds since the epoch; it counts to the microsecond.
        noted: What else is written down of the run, such as who starts it; it moves nothing.

    Raises:
        InvalidInput: A value does not fit, is not the operator's to give, or is missing.
    """
    draft = _begun(definition, run, inputs, now, noted)
    enter(draft, definition.declaration.initial, None)
    return draft.step(START, "taken")


def queue(
    definition: Definition,
    run: str,
    inputs: Mapping[str, Any],
    now: float,
    noted: Mapping[str, Any] = NOTHING,
) -> Step:
    """Return the first step of a run that waits, pending, for someone to send it START; else as :func:`start`.

    Until then it can only be cancelled. Its limits count from START on, not from here.
    """
    draft = _begun(definition, run, inputs, now, {"queued": True, **noted})
    draft.status, draft.pending = "pending", Immediate(START)
    return draft.step("queue", "taken")


def _begun(
    definition: Definition, run: str, inputs: Mapping[str, Any], now: float, noted: Mapping[str, Any]
) -> Draft:
    given, now = checked_inputs(definition, inputs), instant(now)
    declared = definition.declaration
    context = {n: f.default for n, f in declared.context.items() if f.has_default} | given
    context = {n: v for n, v in context.items() if v is not None}
    before = Snapshot(
        run=run,
        digest=definition.digest,
        seq=0,
        status="running",
        state=declared.initial,
        started=now,
        entered=now,
        context=context,
        sources={n: Source(OPERATOR, now, "input" if n in given else "default") for n in context},
        attempts={},
        steps=0,
        calls=0,
        cost={},
        pending=None,
        failure=None,
        because="",
        cancelled=False,
        output=None,
        code=noted.get("code", ""),
        salt=noted.get("salt", ""),
    )
    draft = Draft(definition, before, now)
    machine = {"machine": declared.machine, "version": declared.version, "digest": definition.digest}
    draft.add("run_started", {**machine, "inputs": given, **noted})
    return draft


def step(definition: Definition, snapshot: Snapshot, event: Event, now: float) -> Step:
    """Return what ``event`` leads to at the time ``now``, in seconds since the epoch to the microsecond.

    Nothing is ever lost: an event that leads nowhere gives a step whose snapshot is the one given. Events
    that time raises are taken when they are due (see :func:`due`), and refused before.
    """
    draft, name = Draft(definition, snapshot, instant(now), event.hold), event.name
    pending, rollback = snapshot.pending, snapshot.rollback
    if name == REVIEWED:
        return reviewed(draft, event)
    if name == UNDO and snapshot.finished:
        return demanded(draft, event)
    unmoved = snapshot.status == "pending" and name not in ("cancelled", EDIT)
    if snapshot.finished or (name == START) != unmoved:
        return draft.refuse(name, "unknown")
    if name == START:
        begun = snapshot._replace(started=draft.now, entered=draft.now)
        draft = Draft(definition, begun, draft.now, event.hold)
        enter(draft, snapshot.state, None)
        return draft.step(name, "taken")
    if name in _ABOUT_CALLS:
        if not isinstance(pending, PendingCall) or pending.key != event.key:
            return draft.refuse(name, "unknown")
        return about_call(draft, pending, event)
    if rollback is not None:
        if name == UNDO_NEXT and isinstance(pending, Immediate):
            return undo_next(draft, rollback, event)
        return draft.refuse(name, "denied")
    if name in _ABOUT_APPROVAL:
        if not isinstance(pending, PendingApproval) or (
            name != RELEASED and event.payload.get("request") != pending.request
        ):
            return draft.refuse(name, "unknown")
        return _ABOUT_APPROVAL[name](draft, pending, event)
    if name == INTEND:
        return released(draft, event.by)
    if name == EDIT:
        return edited(draft, event)
    if name in _BY_TIME:
        at = next((at for at, raised in coming(definition, snapshot) if raised.name == name), None)
        if at is None or (draft.now < at and not isinstance(pending, Immediate)):
            return draft.refuse(name, "unknown")
        if name == EXPIRED and isinstance(pending, PendingApproval):
            return expire(draft, pending)
        return answer(draft, pending) if isinstance(pending, Immediate) else route(draft, name)
    if name == AMENDED:
        return amend(draft, event)
    if isinstance(pending, PendingCall) and not may_leave(definition, pending):
        return draft.refuse(name, "denied")
    if name == "cancelled":
        draft.add("event", {"name": name, "by": event.by})
        return cancel(draft, event.by)
    if name == UNDO:
        return demanded(draft, event)
    if name not in definition.payloads:
        return draft.refuse(name, "unknown")
    draft.add("event", {"name": name, "payload": dict(event.payload), "by": event.by})
    return route(draft, name, event.payload, external=True)
