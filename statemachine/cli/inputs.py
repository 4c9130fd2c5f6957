"""What a person gives on the command line for fields of a machine: NAME=VALUE, or a file of JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from statemachine.errors import InvalidInput

if TYPE_CHECKING:
    from statemachine.machine.definition import Definition

Inputs = Annotated[
    list[str] | None,
    typer.Option("--input", "-i", help="An input: NAME=VALUE, or @FILE.json with several. May be repeated."),
]


def pair(text: str) -> tuple[str, str]:
    """Return the name and the value that a text gives; raises InvalidInput if it is not NAME=VALUE."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InvalidInput(f"`{text}` is not NAME=VALUE")
    return name, value


def given_inputs(definition: Definition, texts: list[str]) -> dict[str, Any]:
    """Return the inputs given on the command line, each read as its field's type."""
    from statemachine.host.given import read_as

    given: dict[str, Any] = {}
    plain: dict[str, str] = {}
    for text in texts:
        if text.startswith("@"):
            given |= _from_file(Path(text[1:]))
        else:
            name, value = pair(text)
            plain[name] = value
    return given | read_as(definition.types, plain)


def _from_file(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise InvalidInput(f"{path} is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise InvalidInput(f"{path} holds no JSON object")
    return data
