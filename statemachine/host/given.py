"""What is given to runs from outside, against what their machine declares."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from statemachine.errors import EventRefused, InvalidInput
from statemachine.kernel import Event, PendingCall, Receipt, Snapshot, step
from statemachine.kernel.due import may_leave
from statemachine.machine import types
from statemachine.machine.definition import AMENDED, Definition
from statemachine.machine.load import load
from statemachine.machine.python import MachineBuilder
from statemachine.machine.references import suggest


def definition_of(machine: Definition | MachineBuilder | str | Path) -> Definition:
    """Return the definition of a machine, or of the file that declares one."""
    if isinstance(machine, MachineBuilder):
        return machine.definition
    return machine if isinstance(machine, Definition) else load(machine)


def absolute(definition: Definition, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs with paths made absolute: a run may be resumed from another folder."""
    return {
        name: os.path.abspath(os.path.expanduser(value))
        if types.required(definition.types.get(name))[0] is Path and isinstance(value, str | Path)
        else value
        for name, value in inputs.items()
    }


def checked_payload(definition: Definition, event: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an event carries as JSON data.

    Raises:
        InvalidInput: With everything that does not fit what is declared, or is missing.
    """
    declared = definition.payloads[event]
    problems = [
        f"{name}: `{event}` carries no such value{suggest(name, declared)}"
        for name in payload
        if name not in declared
    ]
    given = {}
    for name, of in declared.items():
        wanted = types.adapter(of)
        if name not in payload and not types.required(of)[1]:
            problems.append(f"{name}: missing; give it as {name}=…")
            continue
        try:
            given[name] = wanted.dump_python(wanted.validate_python(payload.get(name)), mode="json")
        except ValidationError as error:
            problems.append(f"{name}: {error.errors(include_url=False)[0]['msg']}")
    if problems:
        raise InvalidInput("\n".join(problems))
    return given


def refuse_if_doubtful(definition: Definition, snapshot: Snapshot) -> None:
    """Raise EventRefused when it has to be decided first whether the run's pending call happened."""
    call = snapshot.pending
    if isinstance(call, PendingCall) and call.phase == "doubt" and not may_leave(definition, call):
        undo = " | --undo" if call.tool in definition.undoes and call.undoes is None else ""
        raise EventRefused(
            f"it is not known whether call {call.key} ({call.tool}) happened; "
            f"decide that first: statemachine resolve {snapshot.run} --happened | --not-happened{undo}"
        )


def refuse_amendment(definition: Definition, snapshot: Snapshot, event: Event, now: float) -> None:
    """Raise EventRefused, with what to do instead, when a run does not take an amendment."""
    run, state = snapshot.run, snapshot.state
    if snapshot.finished:
        raise EventRefused(f"run {run} has ended ({snapshot.status}); start a new one with other inputs")
    if snapshot.status == "pending":
        raise EventRefused(f"run {run} has not begun; cancel it, and start one with other inputs")
    if snapshot.rollback is not None:
        raise EventRefused(f"run {run} rolls back; amend it when that is over")
    if not definition.candidates(state, AMENDED):
        raise EventRefused(
            f"{state} takes no amendment; a machine says where one leads, for a state or at the top: "
            f"on: {{amended: {definition.declaration.initial}}}"
        )
    made = step(definition, snapshot, event, now)
    if made.receipt.verdict == "noted" and not made.entries:
        raise EventRefused(f"run {run} has these values already; nothing would change")
    if not made.entries:
        raise EventRefused(refusal(definition, state, AMENDED, made.receipt))


def refuse_if_not_undone(definition: Definition, call: PendingCall) -> None:
    """Raise EventRefused when no tool can undo a call of which nobody knows what it gave."""
    undo = definition.declaration.tools[call.tool].undo
    if call.undoes is not None:
        raise EventRefused(f"{call.tool} undoes a call itself; say whether it happened")
    if undo is None:
        raise EventRefused(f"nothing undoes {call.tool}; say whether it happened")
    output = definition.signatures[undo].input.get("output")
    if output is not None and output.required and not types.required(output.type)[1]:
        raise EventRefused(
            f"{undo} needs the output of the call, which nobody knows; if it happened, say so with its "
            f"--output, then roll back"
        )


def refusal(definition: Definition, state: str, event: str, receipt: Receipt) -> str:
    """Return why a state does not take an event, for people."""
    takes = [e for e in definition.payloads if definition.candidates(state, e)]
    if receipt.verdict == "unknown":
        return f"{state} does not take `{event}`; it takes: {', '.join(takes) or 'no event'}"
    guards = "; ".join(
        f"{c.guard} is {'not known: ' + c.error if c.verdict is None else 'false'}"
        for c in receipt.candidates
    )
    return f"{state} refuses `{event}` now: {guards}"


def read_as(declared: Mapping[str, Any], plain: Mapping[str, str]) -> dict[str, Any]:
    """Return text values as what their types want: text as it is, anything else as JSON if it is some."""

    def read(name: str, value: str) -> Any:
        if name not in declared or types.kind(declared[name]) == "str":
            return value
        try:
            return json.loads(value)
        except ValueError:
            return value

    return {name: read(name, value) for name, value in plain.items()}
