"""Steps and runs in a few words, for people."""

from __future__ import annotations

from statemachine.kernel import PendingCall, Snapshot, Step, waiting_for
from statemachine.machine.contract import Tool
from statemachine.machine.definition import Definition


def arrow(definition: Definition, made: Step) -> str:
    """Return a step as the transition that was taken, or where the run stays."""
    receipt, after = made.receipt, made.snapshot
    target = receipt.target or after.state
    most = definition.declaration.states[target].attempts
    attempt = f" ({after.attempts.get(target, 0)}/{most})" if most else ""
    why = f" [{receipt.instead}]" if receipt.instead else ""
    if receipt.event == "start":
        return f"{target}{attempt}"
    return f"{receipt.state} --{receipt.event}--> {target}{attempt}{why}"


def doing(definition: Definition, snapshot: Snapshot) -> str:
    """Return what a run does now, in a few words."""
    call = snapshot.pending
    if isinstance(call, PendingCall) and call.phase in ("sent", "probe"):
        again = f", try {call.attempt}" if call.attempt > 1 else ""
        return f"calling {call.tool}{again}"
    waits = waiting_for(definition, snapshot)
    return f"waiting for {waits}" if waits else snapshot.status


def effect_of(tool: Tool) -> str:
    """Return what a call of a tool means for the world."""
    if tool.effect == "read":
        return "read"
    undone = {"full": "reversible", "partial": "partly reversible", "none": "irreversible"}
    again = "idempotent" if tool.idempotent else "not idempotent"
    return f"write, {undone[tool.reversibility or 'none']}, {again}"
