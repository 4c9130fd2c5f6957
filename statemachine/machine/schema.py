"""The JSON Schema of a machine in YAML, for editors: what the model says of form, with its own words.

``python -m statemachine.machine.schema`` writes the file that ships with the package.
"""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from statemachine.machine import contract, model
from statemachine.machine.duration import spell

FILE = Path(__file__).with_name("machine.schema.json")
"""Where the schema lies in the package."""


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a machine in YAML."""
    made = model.Declaration.model_json_schema(by_alias=True)
    parts = made.pop("$defs")
    # A guard that is a function exists only in Python.
    del parts["PythonGuard"]
    parts["Transition"]["properties"]["when"] = parts["Transition"]["properties"]["when"]["anyOf"][0]
    for name, part in [("Declaration", made), *parts.items()]:
        _describe(part, getattr(contract, name, None) or getattr(model, name))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A machine of agent-statemachine",
        **_tidy(made),
        "$defs": _tidy(parts),
    }


def text() -> str:
    """Return the schema as the file holds it."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def _describe(part: dict[str, Any], of: type[BaseModel]) -> None:
    """Add the model's own descriptions, which stand in its docstrings."""
    words = {
        key: value
        for base in reversed(of.__mro__)
        if issubclass(base, contract.Part)
        for key, value in _docs(base)
    }
    names = {field.alias or name: name for name, field in of.model_fields.items()}
    part["description"] = inspect.cleandoc(of.__doc__ or "").split("\n\n")[0].replace("``", "`")
    for key, value in part["properties"].items():
        value["description"] = words[names[key]]


def _docs(of: type[BaseModel]) -> list[tuple[str, str]]:
    _, _, attributes = inspect.cleandoc(of.__doc__ or "").partition("Attributes:\n")
    found = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", attributes, re.MULTILINE)
    return [(name, re.sub(r"\s+", " ", said).replace("``", "`")) for name, said in found]


def _tidy(value: Any) -> Any:
    """Return generated schema as people read it: without titles, nulls and defaults that say nothing."""
    if isinstance(value, list):
        return [_tidy(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    tidy = {k: _tidy(v) for k, v in value.items() if not (k == "title" and isinstance(v, str))}
    if tidy.get("default", 0) in (None, {}) or "$ref" in tidy:
        tidy.pop("default", None)
    # Null says nothing where it is what is meant by leaving the key out.
    silent = "default" in value and value["default"] is None
    options = [option for option in tidy.pop("anyOf", ()) if not (silent and option == {"type": "null"})]
    if len(options) == 1:
        tidy = options[0] | tidy
    elif options:
        if tidy.pop("minLength", None):
            options = [o | {"minItems": 1} if o.get("type") == "array" else o for o in options]
        tidy["anyOf"] = options
        if isinstance(tidy.get("default"), float):
            tidy["default"] = spell(tidy["default"])
    if "patternProperties" in tidy:
        tidy["additionalProperties"] = False
    return tidy


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
