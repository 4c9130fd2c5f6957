"""What a state keeps of a tool's output, or of what an event carries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from statemachine.machine import types
from statemachine.machine.definition import Definition, Save


def saved(
    definition: Definition, saves: Iterable[Save], source: Any, by: str, *, check_all: bool = False
) -> tuple[dict[str, Any], str]:
    """Return the values of the fields that are saved into, and why the first that may not be cannot be.

    Args:
        definition: The machine.
        saves: The fields and the paths of their values.
        source: The output, or what the event carries.
        by: The state that saves; only an owner of a field may.
        check_all: Check each value against its field's type, not only those whose types differ.
    """
    values: dict[str, Any] = {}
    for name, path, differs in saves:
        if by not in definition.declaration.context[name].owner:
            return {}, f"`{by}` does not own `{name}`"
        value = source
        for part in path:
            value = value.get(part) if isinstance(value, Mapping) else None
        if differs or check_all:
            adapter = types.adapter(definition.types[name])
            try:
                value = adapter.dump_python(adapter.validate_python(value), mode="json")
            except ValidationError as error:
                wanted = definition.declaration.context[name].type
                return (
                    {},
                    f"the output is no {wanted} for `{name}`: {error.errors(include_url=False)[0]['msg']}",
                )
        values[name] = value
    return values, ""
