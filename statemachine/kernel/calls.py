"""What the end of a call leads to: its output is kept, or its failure is retried, doubted or routed."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from typing import Any

from statemachine.clock import instant
from statemachine.errors import InvalidExpression
from statemachine.kernel.byhand import marked
from statemachine.kernel.counting import ended, wrote
from statemachine.kernel.draft import Draft
from statemachine.kernel.enter import caller_of, inputs_of, intend, send
from statemachine.kernel.events import AGAIN, FINISH, NOTHING, RECOVER, RESOLVE, Event, Step
from statemachine.kernel.ledger import Written
from statemachine.kernel.limits import limit_reached
from statemachine.kernel.rollback import not_undone, undo, undone
from statemachine.kernel.route import end_by_limit, route
from statemachine.kernel.saving import saved
from statemachine.kernel.snapshot import PendingCall, Rollback
from statemachine.machine.contract import FailureClass
from statemachine.machine.definition import AMENDED, STALE_FAILURE
from statemachine.machine.outcome import Failure, Outcome

_UNCERTAIN = ("timeout", "in_doubt")
"""Failures after which a write may have happened."""


def about_call(draft: Draft, call: PendingCall, event: Event) -> Step:
    """Return what an event about the pending call leads to."""
    if event.name == FINISH and call.phase == "sent" and event.outcome is not None:
        return _finished(draft, call, event.outcome)
    if event.name == AGAIN and call.phase == "backoff" and draft.now >= call.due:
        return _again(draft, call, AGAIN)
    if event.name == RECOVER and call.phase == "sent":
        repeatable = draft.definition.declaration.tools[call.tool].repeatable
        return _again(draft, call, RECOVER) if repeatable else _doubt(draft, call, RECOVER)
    if event.name == RESOLVE and call.phase in ("probe", "doubt"):
        return _resolved(draft, call, event)
    return draft.refuse(event.name, "unknown")


def _finished(draft: Draft, call: PendingCall, outcome: Outcome, *, checked: bool = True) -> Step:
    body: dict[str, Any] = {"key": call.key, **outcome.as_data()}
    draft.add("call_finished", body)
    if outcome.pretended:
        draft.edited = marked(draft.edited, f"call {call.tool}")
    if outcome.cost:
        draft.cost = {**draft.cost, **{u: draft.cost.get(u, 0) + c for u, c in outcome.cost.items()}}
    if call.undoes is None:
        wrote(draft, call.tool, outcome)
    if call.refreshes is not None:
        return _refreshed(draft, call, outcome)
    repeatable = draft.definition.declaration.tools[call.tool].repeatable
    if draft.amended and draft.rollback is None:
        body["trusted"] = False
        if outcome.failure is not None and not repeatable and outcome.failure.failure in _UNCERTAIN:
            return _doubt(draft, call._replace(after=outcome.failure.failure), FINISH)
        ended(draft, call.tool, outcome.failure, outcome.not_done)
        return route(draft, AMENDED)
    if draft.rollback is not None:
        failure = outcome.failure
        if outcome.not_done:
            failure = Failure("data_error", f"only in part; not undone: {', '.join(outcome.not_done)}")
        if failure is None:
            ended(draft, call.tool, None)
            return undone(draft, draft.rollback)
    else:
        failure = outcome.failure or _keep(draft, call.tool, outcome, checked)
    if failure is None:
        ended(draft, call.tool, None, outcome.not_done)
        draft.failure = None  # what failed before has been answered
        return route(draft, "partial" if outcome.not_done else "done", output=outcome.output)
    if draft.stale:  # the call was made: only whether its answer is enough cannot be told
        ended(draft, call.tool, None, outcome.not_done)
        return route(draft, "done")
    if failure.failure in _UNCERTAIN and not repeatable:
        return _doubt(draft, call._replace(after=failure.failure), FINISH)
    return _failed(draft, call, failure)


def _keep(draft: Draft, tool: str, outcome: Outcome, checked: bool) -> Failure | None:
    """Write the output where the state saves it; return a failure if it cannot be, or is not enough.

    An output that nobody ``checked`` against the tool's type is checked against the type of each field.
    """
    definition, action = draft.definition, draft.definition.actions[draft.state]
    values, wrong = saved(definition, action.saves, outcome.output, draft.state, check_all=not checked)
    if wrong:
        return Failure("contract", wrong)
    if action.sufficient is not None:
        draft.output = outcome.output
        verdict, read, error_text = action.sufficient.decide(draft)
        if draft.stale and verdict is None:
            return Failure("stale_data", "; ".join(draft.stale.values()))
        draft.stale = NOTHING
        if verdict is not True:
            shown = ", ".join(f"{name} = {value!r}" for name, value in read.items())
            why = error_text or f"{action.sufficient.text} is false ({shown})"
            return Failure("data_error", f"the answer is not sufficient: {why}")
    draft.write(values, tool, observed=outcome.observed)
    return None


def _failed(draft: Draft, call: PendingCall, failure: Failure) -> Step:
    name = f"failed.{failure.failure}"
    ended(draft, call.tool, failure)
    policy = draft.definition.declaration.tools[call.tool].retry.get(failure.failure)
    used = call.retries.get(failure.failure, 0)
    if policy is None or used >= policy.max:
        retried = f" (after {used} {'retry' if used == 1 else 'retries'})" if used else ""
        draft.fail(failure.failure, failure.message + retried, call.tool)
        if draft.rollback is not None:
            return not_undone(draft, draft.rollback, failure, name)
        return route(draft, name)
    retries = {**call.retries, failure.failure: used + 1}
    if policy.refresh is not None:
        return _refresh(draft, policy.refresh, retries, call.tool)
    wait = policy.seconds(used + 1)
    if policy.jitter == "full":
        wait *= _share(f"{call.key}:{call.attempt}")
    due = instant(draft.now + max(wait, failure.retry_after or 0))
    draft.pending = call._replace(phase="backoff", due=due, retries=retries)
    draft.status = "waiting"
    draft.add("timer_set", {"due": due, "key": call.key, "after": failure.failure})
    return draft.step(name, "retry")


def _refresh(draft: Draft, reader: str, retries: Mapping[str, int], tool: str) -> Step:
    """Read anew what was stale, as the state that reads it does; the call is made again after that."""
    limit = limit_reached(draft, step=False, call=True)
    if limit is not None:
        return end_by_limit(draft, FINISH, limit)
    intend(draft, dict(draft.entries[-1][1]), caller_of(draft, reader), retries, refreshes=tool)
    return draft.step(FINISH, "retry")


def _refreshed(draft: Draft, call: PendingCall, outcome: Outcome) -> Step:
    """Make the call anew with what was read, as a call of its own; if nothing was, the data stay stale."""
    failure = outcome.failure
    if failure is None:
        reader = caller_of(draft, call.tool)
        values, wrong = saved(
            draft.definition, draft.definition.actions[reader].saves, outcome.output, reader
        )
        if not wrong:
            ended(draft, call.tool, None, outcome.not_done)
            draft.write(values, call.tool, reader, outcome.observed)
            limit = limit_reached(draft, step=False, call=True)
            if limit is not None:
                return end_by_limit(draft, FINISH, limit)
            # Who approved the call has approved it with what was read, if that makes it the same.
            grant = call.granted if call.granted is not None and draft.now < call.granted.until else None
            intend(draft, dict(draft.entries[-1][1]), None, call.retries, approved=grant)
            return draft.step(FINISH, "retry")
        failure = Failure("contract", wrong)
    ended(draft, call.tool, failure)
    message = f"the data are stale, and {call.tool} could not read them anew: {failure.message}"
    draft.fail("stale_data", message, call.refreshes or call.tool)
    return route(draft, STALE_FAILURE)


def _share(seed: str) -> float:
    """Return a number in (0, 1] that depends on the seed alone: jitter that replays."""
    return (int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4]) + 1) / 2**32


def _again(draft: Draft, call: PendingCall, event: str) -> Step:
    """Make a call once more, under its key, unless a limit forbids it; none forbids to undo."""
    limit = limit_reached(draft, step=False, call=True)
    if limit is not None and draft.rollback is None:
        return end_by_limit(draft, event, limit)
    if event == AGAIN and draft.rollback is None and draft.perishable:
        # It was not made and is not with what is too old by now; after a crash it is, to know what it did.
        state = draft.state if call.refreshes is None else caller_of(draft, call.tool)
        with contextlib.suppress(InvalidExpression):
            inputs_of(draft, draft.definition.actions[state])
        if draft.stale:
            return route(draft, event)
    send(draft, call._replace(attempt=call.attempt + 1, phase="sent", due=draft.now, after=None))
    return draft.step(event, "retry")


def _doubt(draft: Draft, call: PendingCall, event: str, *, ask: bool = True) -> Step:
    """The call may have happened: ask the world if it can be asked, else a person."""
    probe = draft.definition.declaration.tools[call.tool].probe if ask else None
    draft.pending = call._replace(phase="probe" if probe else "doubt")
    draft.status = "running" if probe else "waiting"
    body = {"key": call.key, "after": call.after or "crash", "asks": probe or "a person"}
    draft.add("call_in_doubt", body)
    return draft.step(event, "noted")


def _resolved(draft: Draft, call: PendingCall, event: Event) -> Step:
    happened = event.payload.get("happened")
    if event.payload.get("undo") is True:
        return _undo_doubted(draft, call, event)
    if not isinstance(happened, bool) and (happened is not None or call.phase == "doubt"):
        return draft.refuse(RESOLVE, "noted")
    draft.add("call_resolved", {"key": call.key, "happened": happened, "by": event.by})
    if happened is None:
        return _doubt(draft, call, RESOLVE, ask=False)
    if happened:
        return _finished(draft, call, Outcome(event.payload.get("output")), checked=False)
    # It failed, and now is known to have done nothing: the tool's policy decides, and ends it at last.
    known: FailureClass = "timeout" if call.after == "timeout" else "transient"
    failure = Failure(known, f"{call.after}; it is known by now that it did not happen")
    if draft.amended and draft.rollback is None:
        if call.after is not None:
            ended(draft, call.tool, failure)
        return route(draft, AMENDED)
    return _failed(draft, call, failure) if call.after is not None else _again(draft, call, RESOLVE)


def _undo_doubted(draft: Draft, call: PendingCall, event: Event) -> Step:
    """Undo what may have happened, because a person says so; it has failed then, and done nothing."""
    if draft.rollback is not None or call.tool not in draft.definition.undoes:
        return draft.refuse(RESOLVE, "denied")
    draft.add("call_resolved", {"key": call.key, "happened": None, "undo": True, "by": event.by})
    undo(draft, Rollback({}, doubted=call), Written(call.key, call.tool, call.input, None))
    return draft.step(RESOLVE, "noted")
