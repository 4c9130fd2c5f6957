"""Deciding: a call that needs approval is made once enough people said yes to exactly its input, or never.

Who may decide, and whether a decision is truly that person's, is verified by the host; that it counts once,
in time, and for this input only, is decided here. No time approves what cannot be undone wholly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from statemachine.clock import instant
from statemachine.kernel.asking import ask
from statemachine.kernel.draft import Draft
from statemachine.kernel.enter import intend
from statemachine.kernel.events import DECIDED, RELEASED, REVIEWED, Event, Step
from statemachine.kernel.limits import limit_reached
from statemachine.kernel.route import answer, end_by_limit, route
from statemachine.kernel.snapshot import Grant, Immediate, PendingApproval, Untold
from statemachine.machine.definition import DENIED, EXPIRED, Action

Result = Literal["granted", "counted", "held", "denied", "expired", "void"]
"""What a decision leads to: the call, one yes of several, a wait although there are enough, the event ``denied``
or ``expired``, or nothing."""


def decide(draft: Draft, pending: PendingApproval, event: Event) -> Step:
    """Let a decision count, if it may, and do what it leads to."""
    payload = event.payload
    action = draft.definition.actions[draft.state]
    by = str(payload.get("approver", ""))
    breaks = pending.break_glass or bool(payload.get("break_glass"))
    result = _result(draft, action, pending, payload, by, breaks=breaks)
    body = {"request": pending.request, "digest": pending.digest, "result": result}
    draft.add("approval_decided", {**body, "decision": dict(payload)})
    if result in ("counted", "granted", "held"):
        held = instant(payload["hold"]) if result == "held" else 0.0
        pending = replace(pending, granted=(*pending.granted, by), break_glass=breaks, held=held)
        draft.pending = pending
    if result == "denied":
        draft.denied = {**draft.denied, pending.digest: 1}
        draft.because = f"{by} denied {pending.tool}" + (
            f": {payload['reason']}" if payload.get("reason") else ""
        )
        return route(draft, DENIED)
    if result == "expired":
        return _unanswered(draft, action, pending, DECIDED)
    if result == "granted":
        if breaks:
            draft.reviews = (*draft.reviews, pending.request)
        return _use(draft, pending, DECIDED)
    return draft.step(DECIDED, "noted")


def _use(draft: Draft, pending: PendingApproval, event: str) -> Step:
    """Intend the call that was approved, if it is still the same and may still be made; else ask anew."""
    limit = limit_reached(draft, step=False, call=True)
    if limit is not None:
        return end_by_limit(draft, event, limit)
    lasts = pending.expires if not pending.held else instant(draft.now + pending.expires - pending.asked)
    grant = Grant(pending.request, pending.digest, lasts)
    intend(draft, {}, retries=pending.retries, approved=grant)
    if isinstance(draft.pending, Immediate) and not draft.entries:
        # Of a call that was held nothing is recorded yet, and a step without a record is not committed.
        return answer(draft, draft.pending)
    return draft.step(event, "noted")


def release(draft: Draft, pending: PendingApproval, event: Event) -> Step:
    """Make the call that was held, unless it is held still; ask anew where what people said counts no more."""
    if not pending.held or draft.now < pending.held:
        return draft.refuse(RELEASED, "unknown")
    until, void = event.payload.get("hold"), event.payload.get("void")
    if void is not None:
        about = {"request": pending.request, "digest": pending.digest}
        draft.add("approval_decided", {**about, "result": "void", "because": void})
        ask(draft, draft.definition.actions[draft.state], pending.input, retries=pending.retries)
        return draft.step(RELEASED, "noted")
    if until is None:
        return _use(draft, pending, RELEASED)
    draft.pending = replace(pending, held=instant(until))
    because = event.payload.get("because", "")
    draft.add("approval_held", {"request": pending.request, "until": until, "because": because})
    return draft.step(RELEASED, "noted")


def _result(
    draft: Draft,
    action: Action,
    pending: PendingApproval,
    payload: Mapping[str, Any],
    by: str,
    *,
    breaks: bool,
) -> Result:
    asking, verdict = action.asking, payload.get("verdict")
    late = not pending.held and draft.now >= pending.expires
    assert asking is not None  # a state that has asked
    if payload.get("by_time"):  # the policy's yes where nobody answered
        reversible = draft.definition.declaration.tools[pending.tool].reversibility == "full"
        last = pending.level == len(asking.levels) - 1
        return "granted" if asking.by_time and reversible and late and last else "void"
    if payload.get("void"):
        return "void"
    if late:  # the earliest timer wins, and a tie denies
        return "expired"
    if verdict == "deny":
        return "denied"
    glass = bool(payload.get("break_glass"))
    if verdict != "approve" or not by or by in pending.granted or (pending.held and not glass):
        return "void"
    # Glass is broken by two people at least, whoever is asked usually.
    needed = max(asking.levels[pending.level].needed, 2 if breaks else 1)
    if len(pending.granted) + 1 < needed:
        return "counted"
    return "held" if payload.get("hold", 0) > draft.now else "granted"


def expire(draft: Draft, pending: PendingApproval) -> Step:
    """Let the time for an answer be over."""
    draft.add("approval_decided", {"request": pending.request, "digest": pending.digest, "result": "expired"})
    return _unanswered(draft, draft.definition.actions[draft.state], pending, EXPIRED)


def _unanswered(draft: Draft, action: Action, pending: PendingApproval, event: str) -> Step:
    assert action.asking is not None
    if pending.level + 1 < len(action.asking.levels):
        ask(draft, action, pending.input, pending.level + 1, pending.retries)
        return draft.step(event, "noted")
    draft.because = f"nobody approved {pending.tool} in time"
    return route(draft, EXPIRED)


def announced(draft: Draft, pending: PendingApproval, event: Event) -> Step:
    """Note in which ways people were told of a request, and in which not; those are tried again, within its time."""
    told, failed = event.payload.get("told"), event.payload.get("untold", ())
    if told is None:  # it is due, and nobody has tried
        return draft.refuse(event.name, "unknown")
    since = {way.way: way.since for way in pending.untold}
    untold = [
        Untold(
            one["way"],
            since.get(one["way"], draft.now),
            one["attempt"],
            one["error"],
            again if (again := instant(one.get("again", 0.0))) < pending.expires else 0.0,
        )
        for one in failed
    ]
    tried = {*told, *(way.way for way in untold)}
    kept = [way for way in pending.untold if way.way not in tried]
    draft.pending = replace(pending, announced=True, untold=(*kept, *untold))
    body: dict[str, Any] = {"request": pending.request, "told": list(told)}
    if untold:
        known = [{n: getattr(way, n) for n in ("way", "attempt", "error", "again")} for way in untold]
        body["untold"] = [{n: value for n, value in one.items() if value} for one in known]
    draft.add("approval_announced", body)
    return draft.step(event.name, "noted")


def reviewed(draft: Draft, event: Event) -> Step:
    """Note that somebody has looked at a call for which glass was broken; of a run that has ended, too."""
    request = event.payload.get("request")
    if request not in draft.reviews:
        return draft.refuse(REVIEWED, "unknown")
    draft.reviews = tuple(r for r in draft.reviews if r != request)
    draft.add("approval_reviewed", dict(event.payload))
    return draft.step(REVIEWED, "noted")
