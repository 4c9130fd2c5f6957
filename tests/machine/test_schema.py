"""The JSON Schema that ships says what the model says of a machine's form."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from statemachine.errors import InvalidMachine
from statemachine.machine import schema
from statemachine.machine.source import parse_source

HERE = Path(__file__).parent
GOOD = sorted([*(HERE / "good").glob("*.yaml"), *(HERE.parents[1] / "machines").glob("*/*.yaml")])
WRONG = sorted((HERE / "wrong").glob("*.yaml"))
VALIDATOR = Draft202012Validator(json.loads(schema.FILE.read_text(encoding="utf-8")))


def data(file: Path) -> Any:
    return parse_source(file.read_text(), file.name).data


def test_the_shipped_schema_is_current() -> None:
    """``python -m statemachine.machine.schema`` writes it anew."""
    assert schema.FILE.read_text(encoding="utf-8") == schema.text()
    Draft202012Validator.check_schema(schema.schema())


def test_every_key_is_described() -> None:
    """Editors show a sentence for each key."""
    made = schema.schema()
    for part in [made, *made["$defs"].values()]:
        assert part["description"]
        assert all(key.get("description") for key in part["properties"].values())


@pytest.mark.parametrize("file", GOOD, ids=lambda file: file.stem)
def test_every_good_machine_fits_the_schema(file: Path) -> None:
    """All YAML machines of this repository do."""
    assert [error.message for error in VALIDATOR.iter_errors(data(file))] == []


BASE: dict[str, Any] = {"machine": "a", "version": "1", "initial": "a", "states": {"a": {"final": "failed"}}}


@pytest.mark.parametrize(
    "state",
    [
        {"on": {"go": "a"}},
        {"on": {"go": {"to": "a", "when": "true"}}},
        {"on": {"go": [{"to": "a", "when": "true"}, {"to": "a", "resets": ["a"]}]}},
        {"always": "a"},
        {"always": [{"to": "a"}]},
        {"wait": "1s"},
        {"wait": 2.5},
        {"wait": {"initial": "1s", "factor": 3, "cap": "1m"}},
        {"do": "t", "save": "f"},
        {"do": "t", "save": {"f": "output.x"}, "with": {"x": "f"}, "timeout": "1.5h"},
    ],
    ids=str,
)
def test_short_and_long_forms_fit(state: dict[str, Any]) -> None:
    """What the reader takes, the schema takes."""
    assert VALIDATOR.is_valid(BASE | {"states": {"a": state}})
    assert VALIDATOR.is_valid(BASE | {"context": {"f": {"type": "str", "owner": "a"}}})
    assert VALIDATOR.is_valid(
        BASE | {"context": {"f": {"type": "str", "owner": ["a", "b"], "default": None}}}
    )


def test_a_file_of_wrong_form_does_not_fit_the_schema() -> None:
    """Unknown keys, missing keys and wrong values are underlined while they are written.

    What the schema cannot say is left to loading: numbers JSON cannot hold, and words of a command.
    """
    beyond = {"default_infinite", "default_huge", "cost_infinite", "duration_not_a_number"}
    beyond |= {"duration_zero", "fresh_for_zero", "shell_unclosed_quote"}
    missed, seen = set[str](), 0
    for file in WRONG:
        codes = set(re.findall(r"^# expect: (SM\d+)", file.read_text(), re.MULTILINE))
        if codes & {"SM104", "SM105", "SM106"} and not codes & {"SM101", "SM102", "SM103"}:
            try:
                content = data(file)
            except InvalidMachine:
                continue
            seen += 1
            if VALIDATOR.is_valid(content):
                missed.add(file.stem.partition("_")[2])
    assert seen > 50
    assert missed == beyond
