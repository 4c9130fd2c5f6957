"""What a person does to a run by hand: let a held call go, write a field, begin a run off a record of another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from statemachine.clock import instant
from statemachine.errors import EventRefused, InvalidInput
from statemachine.kernel.draft import Draft
from statemachine.kernel.enter import intend
from statemachine.kernel.events import EDIT, FORK, INTEND, NOTHING, Event, Step
from statemachine.kernel.limits import limit_reached
from statemachine.kernel.route import end_by_limit
from statemachine.kernel.snapshot import Immediate, PendingApproval, PendingCall, Snapshot, Timer
from statemachine.machine import types
from statemachine.machine.definition import Definition
from statemachine.machine.references import suggest

EDITOR = "operator edit"
"""The source of a field that was written by hand."""


def released(draft: Draft, by: str) -> Step:
    """Intend the call that the run is held before, with the context as it is now."""
    if draft.pending != Immediate(INTEND):
        return draft.refuse(INTEND, "unknown")
    body: dict[str, Any] = {"name": INTEND, "by": by}
    draft.add("event", body)
    limit = limit_reached(draft, step=False, call=True)
    if limit is not None:
        return end_by_limit(draft, INTEND, limit)
    draft.pending = None
    intend(draft, body)
    return draft.step(INTEND, "noted")


def checked_edit(definition: Definition, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields to be written by hand as JSON data; text is read as the field's type.

    Raises:
        InvalidInput: A field is not declared, or a value is not of its type.
    """
    declared, given = definition.declaration.context, {}
    for name, value in values.items():
        if name not in declared:
            raise InvalidInput(f"{name}: is not declared under `context:`{suggest(name, declared)}")
        adapter = types.adapter(definition.types[name])
        try:
            given[name] = adapter.dump_python(adapter.validate_python(value), mode="json")
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            where = "".join(f".{part}" for part in fault["loc"])
            raise InvalidInput(f"{name}{where}: not a {declared[name].type}: {fault['msg']}") from None
    return given


def edited(draft: Draft, event: Event) -> Step:
    """Write fields by hand; refused while a call is under way, whose input is fixed by now."""
    if isinstance(draft.pending, PendingCall) and draft.pending.phase in ("sent", "probe"):
        return draft.refuse(EDIT, "denied")
    try:
        values = checked_edit(draft.definition, event.payload)
    except InvalidInput:
        return draft.refuse(EDIT, "denied")
    draft.add("context_changed", {"values": values, "owner": EDITOR, "by": event.by})
    draft.write(values, EDIT, EDITOR)
    draft.edited = marked(draft.edited, *values)
    return draft.step(EDIT, "noted")


def marked(edited: tuple[str, ...], *names: str) -> tuple[str, ...]:
    """Return what was changed by hand, each once."""
    return tuple(dict.fromkeys((*edited, *names)))


def fork(
    definition: Definition,
    run: str,
    parent: Snapshot,
    at: float,
    hash: str,
    now: float,
    noted: Mapping[str, Any] = NOTHING,
) -> Step:
    """Return the first step of a run that goes on from where another one was.

    What that one waited for begins anew: a call is held before it is intended, under a key of its own; times
    that count from the past (the state's, the run's, a timer's) are moved to now. When facts were observed stays.

    Args:
        definition: The machine of both.
        run: Id of the new run.
        parent: The other run as it was.
        at: When it was so, in seconds since the epoch.
        hash: Hash of its record then.
        now: The time, in seconds since the epoch.
        noted: What else is written down of the run, such as who forks it; it moves nothing.

    Raises:
        EventRefused: The other run had ended there, or was rolling back.
    """
    if parent.finished:
        raise EventRefused(f"run {parent.run} has ended at record {parent.seq}; fork it off an earlier one")
    if parent.rollback is not None:
        raise EventRefused(
            f"run {parent.run} was rolling back at record {parent.seq}; fork it off another one"
        )
    now = instant(now)
    passed, pending = now - at, parent.pending
    if isinstance(pending, PendingCall | PendingApproval):
        pending = Immediate(INTEND)  # what was approved there is not approved here; what was denied stays so
    elif isinstance(pending, Timer):
        pending = Timer(instant(pending.due + passed))
    before = parent._replace(
        run=run,
        seq=0,
        started=instant(parent.started + passed),
        entered=instant(parent.entered + passed),
        pending=pending,
        status="running" if isinstance(pending, Immediate) and parent.status != "pending" else parent.status,
        parent=f"{parent.run}:{parent.seq}",
        reviews=(),
    )
    draft = Draft(definition, before, now)
    declared = definition.declaration
    draft.add(
        "run_started",
        {
            "machine": declared.machine,
            "version": declared.version,
            "digest": definition.digest,
            "parent": {"run": parent.run, "seq": parent.seq, "hash": hash, "at": at},
            "snapshot": parent.as_data(),
            **noted,
        },
    )
    return draft.step(FORK, "taken")
