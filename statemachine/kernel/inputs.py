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
    declared, problems, given = definition.declaration.context, [], {}
    own = [n for n, f in declared.items() if OPERATOR in f.owner]
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
    for name in own:
        optional = declared[name].has_default or types.required(definition.types[name])[1]
        if name not in inputs and not optional and len(declared[name].owner) == 1:
            problems.append(f"{name}: missing; give it as {name}=…")
    if problems:
        raise InvalidInput("\n".join(problems))
    return given
