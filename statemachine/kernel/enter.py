"""Entering a state: what is counted, and what the run waits for then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from statemachine.clock import instant
from statemachine.errors import InvalidExpression
from statemachine.kernel.asking import ask, digest_of, forbidden, spoken
from statemachine.kernel.draft import Draft
from statemachine.kernel.events import INTEND, NOTHING, UNDO_NEXT
from statemachine.kernel.limits import last_failure
from statemachine.kernel.snapshot import Grant, PendingCall, Rollback, Status, Timer
from statemachine.kernel.stuck import repeated_call, unchanged_round
from statemachine.machine.definition import REFUSED, STALE, STUCK, Action, Definition, Edge
from statemachine.machine.expressions import Expression


def destination(definition: Definition, attempts: Mapping[str, int], edge: Edge) -> tuple[str, str]:
    """Return the state that a transition arrives in, and the first exhausted one that it was sent on from."""
    states, target, exhausted = definition.declaration.states, edge.target, ""
    while True:
        state = states[target]
        used = 0 if target in edge.resets else attempts.get(target, 0)
        if state.attempts is None or used < state.attempts:
            return target, exhausted
        assert state.exhausted is not None
        exhausted, target = exhausted or target, state.exhausted


def enter(draft: Draft, target: str, event: str | None, resets: tuple[str, ...] = ()) -> None:
    """Move the run: count the attempt, and set up what the new state waits for."""
    state = draft.definition.declaration.states[target]
    body: dict[str, Any] = {"event": event, "from": draft.state if event else None, "to": target}
    if resets:
        draft.attempts = {n: c for n, c in draft.attempts.items() if n not in resets}
        body["resets"] = list(resets)
    if state.attempts is not None:
        attempt = draft.attempts.get(target, 0) + 1
        draft.attempts = {**draft.attempts, target: attempt}
        body["attempt"] = attempt
    if draft.instead:
        body["instead"] = draft.instead
    if draft.outdated:
        body["stale"] = list(draft.outdated)
    tried = draft.candidates
    if len(tried) > 1 or (tried and tried[0].guard is not None):
        body["tried"] = [c.as_data() for c in tried]
    draft.add("transition", body)
    if state.final == "failed" and not draft.because:
        draft.because = f"`{event}` in {draft.state} leads to {target}"
    draft.state = draft.target = target
    draft.entered = draft.now
    draft.steps += 1
    draft.pending, draft.status, draft.amended = None, "running", False
    stalled = unchanged_round(draft, target) if state.attempts is not None else ""
    if stalled:
        _stuck(draft, stalled)
        return
    match state.kind:
        case "call" if draft.hold:
            body["held"] = True
            draft.at_once(INTEND)
        case "call":
            intend(draft, body)
        case "wait":
            assert state.wait is not None
            draft.pending = Timer(instant(draft.now + state.wait.seconds(draft.attempts.get(target, 1))))
            draft.status = "waiting"
            draft.add("timer_set", {"due": draft.pending.due})
        case "choice":
            draft.at_once("always")
        case "undo":
            draft.rollback = Rollback({})
            draft.at_once(UNDO_NEXT)
        case "event":
            draft.status = "waiting"
        case "final":
            finish(draft)


def intend(
    draft: Draft,
    entry: dict[str, Any],
    state: str | None = None,
    retries: Mapping[str, int] = NOTHING,
    refreshes: str | None = None,
    approved: Grant | None = None,
) -> None:
    """Intend the call of the run's state, or the one that another ``state`` would make to refresh it.

    A call that needs approval is asked for; once it is ``approved`` it is intended if its input is still that,
    and if it may still be made; what is too old for it is read anew first, and that read keeps the approval. ``entry`` is the record that tells of it if the input cannot be computed.
    """
    action = draft.definition.actions[state or draft.state]
    try:
        given = inputs_of(draft, action)
    except InvalidExpression as error:
        message = f"the input of {action.tool} cannot be computed: {error}"
        entry["error"] = message
        draft.fail("guard", message, action.tool)
        draft.at_once(REFUSED)
        return
    if draft.stale:
        _too_old(draft, entry, action.tool, retries, refreshes, approved)
        return
    seq = draft.before.seq + len(draft.entries) + 1
    given = {name: value for name, value in given.items() if value is not None}
    repeated = "" if retries or approved else repeated_call(draft, action.tool, given)
    if repeated:
        _stuck(draft, repeated)
        return
    request = None
    if action.asking is not None and refreshes is None:
        if (
            approved is None
            or digest_of(given, draft.before.salt) != approved.digest
            or forbidden(draft, action.asking)
        ):
            ask(draft, action, given, retries=retries)
            return
        request = approved.request
    key = f"{draft.before.run}:{seq}"
    call = PendingCall(
        key,
        seq,
        action.tool,
        given,
        1,
        "sent",
        draft.now,
        retries,
        refreshes=refreshes,
        approval=request,
        granted=approved if refreshes is not None else None,
    )
    send(draft, call, action)


def inputs_of(draft: Draft, action: Action) -> dict[str, Any]:
    """Return the inputs of a call as they are now; ``draft.stale`` tells which of them cannot be had.

    Raises:
        InvalidExpression: One cannot be computed, and not because of what is stale.
    """
    if not draft.perishable:
        return {name: expression.value(draft) for name, expression in action.arguments.items()}
    given: dict[str, Any] = {}
    stale: dict[str, str] = {}
    for name, expression in action.arguments.items():
        draft.stale = NOTHING
        try:
            given[name] = expression.value(draft)
            if expression.computed:
                continue  # what is too old did not matter
        except InvalidExpression:
            if not draft.stale:
                raise
        stale |= draft.stale
    draft.stale = stale
    return given


def _too_old(
    draft: Draft,
    entry: dict[str, Any],
    tool: str,
    retries: Mapping[str, int],
    refreshes: str | None,
    approved: Grant | None,
) -> None:
    """Read anew what a call's input needs, as the tool's policy says; else let the machine answer `stale`."""
    told = f"the input of {tool} would be stale: {'; '.join(draft.stale.values())}"
    entry["error"] = told
    policy = draft.definition.declaration.tools[tool].retry.get("stale_data")
    used = retries.get("stale_data", 0)
    if policy is not None and policy.refresh is not None and refreshes is None and used < policy.max:
        again = {**retries, "stale_data": used + 1}
        intend(draft, entry, caller_of(draft, policy.refresh), again, refreshes=tool, approved=approved)
        return
    draft.fail("stale_data", told, tool)
    draft.at_once(STALE, tuple(draft.stale))


def caller_of(draft: Draft, tool: str) -> str:
    """Return the state that calls a tool; of one that refreshes there is only one."""
    return next(name for name, action in draft.definition.actions.items() if action.tool == tool)


def _stuck(draft: Draft, what: str) -> None:
    draft.because = f"the run is stuck in {draft.state}: {what}{last_failure(draft)}"
    draft.at_once(STUCK)


def send(draft: Draft, call: PendingCall, action: Action | None = None) -> None:
    """Intend a call: for the first time, as an ``action`` of the machine, or once more under its key."""
    draft.pending = draft.call = call
    draft.status = "running"
    body = {"key": call.key, "tool": call.tool, "input": dict(call.input), "attempt": call.attempt}
    if call.undoes is None:
        draft.calls += 1  # what limits and bounds speak of: a roll back has its own, the writes there were
    else:
        body["undoes"] = call.undoes
    if call.approval is not None:
        body["approval"] = call.approval
    if action is not None:
        told = {"reasoning": action.reasoning, "expects": action.expects}
        body |= {name: said for name, text in told.items() if text and (said := spoken(text, draft))}
    draft.add("call_intended", body)


def finish(draft: Draft, status: Status | None = None) -> None:
    """End the run where it is, as its state says unless a ``status`` is given."""
    definition, state = draft.definition, draft.state
    final = definition.declaration.states[state].final
    draft.pending = None
    draft.perishable = NOTHING  # what a run says at its end is what it knew, however old
    cancelled = final is None or (draft.cancelled and final == "failed")
    draft.status = status or ("cancelled" if cancelled or final is None else final)
    if draft.status == "succeeded":
        draft.because = ""
    draft.result = {name: _known(value, draft) for name, value in definition.outputs[state].items()}
    reason = definition.reasons.get(state)
    if reason is not None and status is None:
        stated = str(_known(reason, draft) or "")
        # What ended the run instead of its own transition is told before what the machine says of it.
        if draft.cancelled or draft.instead or not stated:
            stated = draft.because if stated in draft.because else f"{draft.because}; {stated}"
        draft.because = stated
    body = {"status": draft.status, "state": state, "reason": draft.because, "output": draft.result}
    draft.add("run_finished", body)


def _known(expression: Expression, draft: Draft) -> Any:
    """Return the expression's value; None when it needs what the run never came to know."""
    try:
        return expression.value(draft)
    except InvalidExpression:
        return None
