"""The operator changes what a run was given, in the middle of it; what rests on that is no longer known."""

from __future__ import annotations

from typing import Any

from statemachine.errors import InvalidInput
from statemachine.kernel.draft import Draft
from statemachine.kernel.due import may_leave
from statemachine.kernel.events import Event, Step
from statemachine.kernel.inputs import checked_amendment
from statemachine.kernel.route import route
from statemachine.kernel.snapshot import PendingCall, Source
from statemachine.machine.definition import AMENDED
from statemachine.machine.model import OPERATOR


def amend(draft: Draft, event: Event) -> Step:
    """Write the operator's fields and take the transition for `amended`; refuse where there is none.

    A value that is the same counts only for a field whose values grow stale: it is confirmed. What is under way
    and changes nothing is left. A call that may change the world is waited for, and its outcome not trusted.
    """
    try:
        given = checked_amendment(draft.definition, event.payload)
    except InvalidInput:
        return draft.refuse(AMENDED, "denied")
    given = {
        name: value
        for name, value in given.items()
        if draft.context.get(name) != value or (name in draft.perishable and value is not None)
    }
    if not given:
        return draft.refuse(AMENDED, "noted")
    body: dict[str, Any] = {
        "by": event.by,
        "values": given,
        "was": {name: draft.context.get(name) for name in given},
        "invalidated": _write(draft, given),
    }
    draft.add("amended", body)
    draft.recent, draft.watched = (), {}  # with another goal, what was done before is done for another reason
    pending = draft.pending
    if isinstance(pending, PendingCall) and not may_leave(draft.definition, pending):
        if not draft.definition.candidates(draft.state, AMENDED):
            return draft.refuse(AMENDED, "unknown")
        body["during"] = pending.key
        draft.amended = True
        return draft.step(AMENDED, "noted")
    return route(draft, AMENDED, external=True)


def _write(draft: Draft, given: dict[str, Any]) -> list[str]:
    """Write what is given, take back what is derived from it, and return the names of that."""
    fields = draft.definition.declaration.context
    changed = [name for name, value in given.items() if draft.context.get(name) != value]
    values = {n: fields[n].default for n in draft.definition.derived(changed) if n not in given}
    taken = [name for name, value in values.items() if draft.context.get(name) != value]
    at, gave = draft.now, {**dict.fromkeys(taken, "default"), **dict.fromkeys(given, "amendment")}
    values = {name: values[name] for name in taken} | given
    known = {name: value for name, value in values.items() if value is not None}
    draft.context = {n: v for n, v in draft.context.items() if n not in values} | known
    sources = {name: Source(OPERATOR, at, gave[name]) for name in known}
    draft.sources = {n: s for n, s in draft.sources.items() if n not in values} | sources
    return taken
