"""Asking for approval: the request that is journaled before anyone is told of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from statemachine.clock import instant
from statemachine.errors import InvalidExpression
from statemachine.kernel.draft import Draft, described
from statemachine.kernel.events import NOTHING
from statemachine.kernel.snapshot import PendingApproval
from statemachine.machine.definition import DENIED, REFUSED, STALE, Action, Asking
from statemachine.machine.expressions import Expression


def digest_of(given: Mapping[str, Any], salt: str) -> str:
    """Return the SHA-256 of the run's salt and a call's input: JSON, keys sorted, no spaces, only JSON's own escapes."""
    text = json.dumps(given, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=dict)
    return hashlib.sha256(f"{salt}{text}".encode()).hexdigest()


def ask(
    draft: Draft,
    action: Action,
    given: Mapping[str, Any],
    level: int = 0,
    retries: Mapping[str, int] = NOTHING,
) -> None:
    """Ask for approval of a call, unless it was denied before; nobody is told before this is committed."""
    asking, digest = action.asking, digest_of(given, draft.before.salt)
    assert asking is not None
    if digest in draft.denied:
        draft.denied = {**draft.denied, digest: draft.denied[digest] + 1}
        draft.because = f"{action.tool} with this input was denied before; asked {draft.denied[digest]} times"
        draft.add("approval_refused", {"tool": action.tool, "digest": digest, "asked": draft.denied[digest]})
        draft.at_once(DENIED)
        return
    wrong = forbidden(draft, asking)
    if level and draft.stale:  # others are asked the same; it is looked at again, and anew, before the call
        wrong, draft.stale = "", NOTHING
    if wrong:
        stale = tuple(draft.stale)
        draft.fail("stale_data" if stale else "guard", wrong, action.tool)
        draft.at_once(STALE if stale else REFUSED, stale)
        return
    request = f"{draft.before.run}:{draft.before.seq + len(draft.entries) + 1}"
    asked = asking.levels[level]
    expires = instant(draft.now + asked.expires)
    draft.pending = PendingApproval(
        request, action.tool, given, digest, level, draft.now, expires, retries=retries
    )
    draft.status = "waiting"
    draft.add("approval_requested", _request(draft, action, draft.pending))


def _request(draft: Draft, action: Action, pending: PendingApproval) -> dict[str, Any]:
    """Return all that a person needs to decide; what the agent says is marked as its word."""
    declared = draft.definition.declaration
    tool, asking = declared.tools[action.tool], action.asking
    assert asking is not None
    level, last = asking.levels[pending.level], pending.level == len(asking.levels) - 1
    further = asking.levels[pending.level + 1 : pending.level + 2]
    fields = [path[0] for e in action.arguments.values() for _, root, path in e.reads if root == "context"]
    return {
        "request": pending.request,
        "machine": draft.definition.digest,
        "state": draft.state,
        "tool": action.tool,
        "summary": tool.summary or "",
        "input": dict(pending.input),
        "digest": pending.digest,
        **({"salt": draft.before.salt} if draft.before.salt else {}),
        "reversibility": tool.reversibility or "full",
        "undo": tool.undo,
        "blast_radius": tool.blast_radius or "",
        "agent_says": {
            "reasoning": spoken(action.reasoning, draft),
            "expects": spoken(action.expects, draft),
        },
        "checked_by": _leads_to(draft, "done"),
        "denied_to": _leads_to(draft, DENIED),
        "only_while": asking.guard.text if asking.guard is not None else "",
        "facts": [
            {"field": name, "by": source.by, "at": source.at}
            for name in sorted(set(fields))
            if (source := draft.sources.get(name)) is not None
        ],
        "attempts": dict(draft.attempts),
        "last_failure": described(draft.failure) if draft.failure else "",
        "cost": dict(draft.cost),
        "approvers": list(level.approvers),
        "needed": level.needed,
        "expires": pending.expires,
        "unanswered": ("approve" if asking.by_time else "deny") if last else "escalate",
        "next": [{"approvers": list(level.approvers), "needed": level.needed} for level in further],
    }


def _leads_to(draft: Draft, event: str) -> list[str]:
    """Return the states that an event may lead to, each with what it is for."""
    states = draft.definition.declaration.states
    found = (edge.target for edge in draft.definition.candidates(draft.state, event))
    return [f"{to}: {what}" if (what := states[to].summary) else to for to in dict.fromkeys(found)]


def spoken(expression: Expression | None, draft: Draft) -> str:
    """Return what the agent says, as text; empty when it says nothing."""
    if expression is None:
        return ""
    try:
        value = expression.value(draft)
    except InvalidExpression:
        return ""  # the agent did not say
    finally:
        draft.stale = NOTHING  # nothing is decided by it
    return "" if value is None else str(value)


def forbidden(draft: Draft, asking: Asking) -> str:
    """Return why the call may not be made now, whoever approves it; empty if it may."""
    if asking.guard is None:
        return ""
    verdict, read, error = asking.guard.decide(draft)
    if draft.stale:
        error = "; ".join(draft.stale.values()) if verdict is None else ""
        draft.stale = draft.stale if verdict is None else NOTHING
    shown = error or ", ".join(f"{name} = {value!r}" for name, value in read.items())
    return "" if verdict is True else f"it may be approved only while {asking.guard.text} ({shown})"
