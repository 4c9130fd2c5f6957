"""The step: a pure function of machine, snapshot, event and time. No I/O, no clock, no randomness."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from statemachine.kernel.due import may_leave
from statemachine.kernel.events import AGAIN, FINISH, RECOVER, RESOLVE, Event, Step
from statemachine.kernel.inputs import checked_inputs
from statemachine.kernel.move import Mover
from statemachine.kernel.snapshot import PendingCall, Snapshot, Source
from statemachine.machine.definition import REFUSED, Definition, Edge
from statemachine.machine.model import OPERATOR, Tool
from statemachine.machine.outcome import Outcome


def start(definition: Definition, run: str, inputs: Mapping[str, Any], now: float) -> Step:
    """Return the first step of a new run.

    Args:
        definition: The machine.
        run: Id of the run.
        inputs: Values of fields that the operator owns; text is read as the field's type.
        now: The time, in seconds since the epoch.

    Raises:
        InvalidInput: A value does not fit, is not the operator's to give, or is missing.
    """
    given = checked_inputs(definition, inputs)
    context = {n: f.default for n, f in definition.declaration.context.items() if f.has_default} | given
    context = {n: v for n, v in context.items() if v is not None}
    declared = definition.declaration
    snapshot = Snapshot(
        run=run,
        digest=definition.digest,
        seq=0,
        status="running",
        state=declared.initial,
        started=now,
        entered=now,
        context=context,
        sources={n: Source(OPERATOR, now) for n in context},
        attempts={},
        steps=0,
        calls=0,
        cost={},
        pending=None,
        failure=None,
        because="",
        cancelled=False,
        output=None,
    )
    body = {
        "machine": declared.machine,
        "version": declared.version,
        "digest": definition.digest,
        "inputs": given,
    }
    mover = Mover(definition, snapshot, now, [("run_started", body)])
    mover.enter(Edge(declared.initial, None, "start", ()), "")
    return mover.step("start", "taken", ())


def step(definition: Definition, snapshot: Snapshot, event: Event, now: float) -> Step:
    """Return what ``event`` leads to at the time ``now``, in seconds since the epoch.

    Nothing is ever lost: an event that leads nowhere gives a step whose snapshot is the one given.
    """
    mover = Mover(definition, snapshot, now, [])
    if snapshot.finished:
        return mover.step(event.name, "unknown", ())
    pending = snapshot.pending
    if event.name in (FINISH, AGAIN, RECOVER, RESOLVE):
        if not isinstance(pending, PendingCall) or pending.key != event.key:
            return mover.step(event.name, "unknown", ())
        return _about_call(mover, pending, event)
    if isinstance(pending, PendingCall) and not may_leave(definition, pending):
        return mover.step(event.name, "denied", ())
    if event.name in ("elapsed", "timeout", "always", "limit.elapsed", REFUSED):
        return mover.route(event.name, {"name": event.name})
    if event.name == "cancelled":
        mover.entries.append(("event", {"name": event.name, "by": event.by}))
        return mover.cancel()
    mover.entries.append(("event", {"name": event.name, "payload": dict(event.payload), "by": event.by}))
    return mover.route(event.name, {**event.payload, "name": event.name}, required=False)


def _about_call(mover: Mover, call: PendingCall, event: Event) -> Step:
    tool = mover.definition.declaration.tools[call.tool]
    if event.name == FINISH and event.outcome is not None and call.phase == "sent":
        return _finished(mover, call, tool, event.outcome)
    if event.name == AGAIN and call.phase == "backoff":
        return mover.call_again(call)
    if event.name == RECOVER and call.phase == "sent":
        return mover.call_again(call) if tool.repeatable else mover.doubt(call, tool)
    if event.name == RESOLVE and call.phase in ("probe", "doubt"):
        happened = event.payload["happened"]
        mover.entries.append(("call_resolved", {"key": call.key, "happened": happened, "by": event.by}))
        if happened is None:
            return mover.doubt(call, tool, probe=False)
        if not happened:
            return mover.call_again(call)
        return _finished(mover, call, tool, Outcome(event.payload.get("output")))
    return mover.step(event.name, "unknown", ())


def _finished(mover: Mover, call: PendingCall, tool: Tool, outcome: Outcome) -> Step:
    mover.entries.append(("call_finished", {"key": call.key, **outcome.as_data()}))
    mover.spend(outcome.cost)
    failure = outcome.failure
    if failure is None:
        failure = mover.save(outcome.output)
    if failure is None:
        return mover.route(outcome.kind if outcome.not_done else "done", {"name": "done"}, outcome.output)
    if failure.failure in ("timeout", "in_doubt") and not tool.repeatable:
        return mover.doubt(call, tool)
    policy = tool.retry.get(failure.failure)
    used = call.retries.get(failure.failure, 0)
    if policy is not None and used < policy.max:
        wait = policy.seconds(used + 1)
        if policy.jitter == "full":
            wait *= _share(f"{call.key}:{call.attempt}")
        if failure.retry_after is not None:
            wait = max(wait, failure.retry_after)
        return mover.back_off(call, failure, wait, used + 1)
    mover.fail(call.tool, failure, used)
    return mover.route(f"failed.{failure.failure}", {"name": f"failed.{failure.failure}"})


def _share(seed: str) -> float:
    """Return a number in (0, 1] that depends on the seed alone: jitter that replays."""
    return (int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4]) + 1) / 2**32
