"""What a run may spend, and how it is told that it has."""

from __future__ import annotations

from statemachine.clock import instant
from statemachine.kernel.draft import Draft, described
from statemachine.machine.duration import spell


def limit_reached(draft: Draft, *, step: bool, call: bool) -> str | None:
    """Return the limit that forbids one more step, or call, of a run that is not to end; None if none does."""
    limits = draft.definition.declaration.limits
    if step and draft.steps >= limits.steps:
        return "limit.steps"
    begun, elapsed = draft.before.started, limits.elapsed
    # To round costs more than all else here, and can matter only in the last second.
    if elapsed is not None and draft.now - begun > elapsed - 1 and draft.now >= instant(begun + elapsed):
        return "limit.elapsed"
    if call and limits.calls is not None and draft.calls >= limits.calls:
        return "limit.calls"
    for unit, most in limits.cost.items():
        if draft.cost.get(unit, 0) > most:
            return f"limit.cost.{unit}"
    return None


def limit_reason(draft: Draft, limit: str) -> str:
    """Return why a limit ends the run, for people."""
    limits = draft.definition.declaration.limits
    kind, _, unit = limit.removeprefix("limit.").partition(".")
    if unit:
        most = f"a cost of {limits.cost[unit]:g} {unit}"
    elif kind == "elapsed":
        most = spell(limits.elapsed or 0)
    else:
        most = f"{getattr(limits, kind)} {kind}"
    return f"the run reached its limit of {most}{last_failure(draft)}"


def last_failure(draft: Draft) -> str:
    """Return the last failure as the end of a sentence; empty if there was none."""
    return f"; last failure: {described(draft.failure)}" if draft.failure else ""
