"""The inputs of a new run, against what the machine declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from statemachine.errors import InvalidInput
from statemachine.machine import types
from statemachine.machine.definition import Definition
from statemachine.machine.model import OPERATOR
from statemachine.machine.references import suggest


def checked_inputs(definition: Definition, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs as JSON data.

    Raises:
        InvalidInput: With everything that does not fit, is not the operator's to give, or is missing.
    """
    given, problems = _checked(definition, inputs)
    declared = definition.declaration.context
    for name in own_fields(definition):
        optional = declared[name].has_default or types.required(definition.types[name])[1]
        if name not in inputs and not optional and len(declared[name].owner) == 1:
            problems.append(f"{name}: missing; give it as {name}=…")
    if problems:
        raise InvalidInput("\n".join(problems))
    return given


def checked_amendment(definition: Definition, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an operator amends as JSON data.

    Raises:
        InvalidInput: With everything that does not fit, or is not the operator's to change.
    """
    given, problems = _checked(definition, values)
    if problems:
        raise InvalidInput("\n".join(problems))
    return given


def own_fields(definition: Definition) -> list[str]:
    """Return the fields that the operator may write."""
    return [n for n, f in definition.declaration.context.items() if OPERATOR in f.owner]


def _checked(definition: Definition, inputs: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the values that fit, as JSON data, and what is wrong with the others."""
    declared, own = definition.declaration.context, own_fields(definition)
    given: dict[str, Any] = {}
    problems: list[str] = []
    for name, value in inputs.items():
        if name not in own:
            why = f"is owned by {', '.join(declared[name].owner)}" if name in declared else "is not declared"
            problems.append(f"{name}: {why}; inputs are: {', '.join(own) or 'none'}{suggest(name, own)}")
            continue
        adapter = types.adapter(definition.types[name])
        try:
            given[name] = adapter.dump_python(adapter.validate_python(value), mode="json")
        except ValidationError as error:
            problems.append(f"{name}: not a {declared[name].type}: {error.errors()[0]['msg']}")
    return given, problems
