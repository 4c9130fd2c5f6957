"""Where an event leads: the transition it takes, or what happens instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from statemachine.kernel.draft import Draft
from statemachine.kernel.enter import destination, enter, finish
from statemachine.kernel.events import NOTHING, Step
from statemachine.kernel.limits import last_failure, limit_reached, limit_reason
from statemachine.kernel.receipt import Verdict
from statemachine.kernel.saving import saved
from statemachine.kernel.snapshot import Immediate
from statemachine.machine.definition import DENIED, EXPIRED, REFUSED, STALE, STALE_FAILURE, STUCK, Edge

_TOLD = (DENIED, EXPIRED, REFUSED, STUCK, STALE)
"""The events for which the run knows a better reason than their name: who said no, what is too old."""


def route(
    draft: Draft,
    name: str,
    payload: Mapping[str, Any] = NOTHING,
    output: Any = None,
    *,
    external: bool = False,
) -> Step:
    """Take the transition that an event calls for.

    An ``external`` event that no transition takes is refused, and the run stays as it was. Any other always
    leads somewhere: to the machine's ``otherwise`` state then. If values are too old to go on with already
    (``draft.stale``), or a guard needs one that is, what answers that is taken instead.
    """
    if external and (receives := draft.definition.receives.get(draft.state)):
        # An event need not carry every part that the state keeps: another one that it takes does.
        carried = [save for save in receives if payload.get(save[1][0]) is not None]
        values, wrong = saved(draft.definition, carried, payload, draft.state)
        if wrong:
            return draft.refuse(name, "denied")
        draft.write(values, name)
    edge = None if draft.stale else draft.select(name, payload, output)
    verdict: Verdict = "taken"
    if edge is None:
        verdict = "guard_error" if draft.error or draft.stale else "denied" if draft.candidates else "unknown"
        if draft.stale or name == STALE:
            edge = _answer_stale(draft, name)
        elif draft.error:
            failed = draft.candidates[-1]
            draft.fail("guard", f"guard `{failed.guard}` failed to evaluate: {failed.error}")
            edge = draft.select(REFUSED) if name != REFUSED else None
    if edge is not None:
        return take(draft, edge, name)
    if external:
        return draft.refuse(name, verdict)
    draft.because = _why_nowhere(draft, name, verdict)
    draft.instead = "otherwise"
    enter(draft, draft.definition.declaration.otherwise, name)
    return draft.step(name, verdict)


def answer(draft: Draft, pending: Immediate) -> Step:
    """Handle at once the event that a call which could not be made left behind."""
    draft.outdated, draft.stale = pending.fields, NOTHING
    return route(draft, pending.event, {"fields": list(pending.fields)} if pending.fields else NOTHING)


def _answer_stale(draft: Draft, name: str) -> Edge | None:
    """Return the transition for `stale` or, where none takes that, for `failed.stale_data`."""
    edge = None
    if draft.stale:
        draft.outdated = tuple(draft.stale)
        draft.fail("stale_data", "; ".join(draft.stale.values()))
        if name != STALE:
            edge = draft.select(STALE, {"fields": list(draft.outdated)})
    return edge or draft.select(STALE_FAILURE)


def take(draft: Draft, edge: Edge, name: str) -> Step:
    """Take a transition, unless a limit forbids it."""
    states = draft.definition.declaration.states
    target, exhausted = destination(draft.definition, draft.attempts, edge)
    if states[target].final is None:  # ending is never forbidden
        limit = limit_reached(draft, step=True, call=states[target].do is not None)
        if limit is not None:
            return end_by_limit(draft, name, limit)
    if exhausted:
        times = f"{states[exhausted].attempts} times, as often as it may"
        draft.because = f"{exhausted} was entered {times}{last_failure(draft)}"
        draft.instead = "exhausted"
    enter(draft, target, name, edge.resets)
    return draft.step(name, "taken")


def end_by_limit(draft: Draft, name: str, limit: str) -> Step:
    """Let a limit end the run instead of what the event ``name`` called for."""
    draft.because, draft.instead = limit_reason(draft, limit), limit
    edge = draft.select(limit)
    enter(draft, edge.target if edge else draft.definition.declaration.otherwise, name)
    return draft.step(name, "taken")


def cancel(draft: Draft, by: str) -> Step:
    """Take the transition for a cancellation, or end the run where it is."""
    draft.cancelled = True
    draft.because = f"cancelled by {by}" if by else "cancelled"
    edge = draft.select("cancelled")
    if edge is not None:
        return take(draft, edge, "cancelled")
    finish(draft)
    return draft.step("cancelled", "taken")


def _why_nowhere(draft: Draft, name: str, verdict: Verdict) -> str:
    if name.startswith("limit."):
        return limit_reason(draft, name)
    if verdict == "guard_error" or name in _TOLD or name.startswith("failed."):
        return draft.because
    if verdict == "denied":
        return f"every guard on `{name}` in {draft.state} said no"
    return f"no transition takes `{name}` in {draft.state}"
