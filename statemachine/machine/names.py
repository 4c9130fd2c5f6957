"""The words that a declaration is made of: names, texts, types, counts and JSON values."""

from __future__ import annotations

import re
from typing import Annotated, Any

import rfc8785
from pydantic import AfterValidator, Field, WithJsonSchema

from statemachine.machine.types import tidy_type

UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
"""What no text of a machine holds: control characters and lone surrogates."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_DOTTED = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError("a name is lower case letters, digits and _, and begins with a letter")
    return text


def _dotted(text: str) -> str:
    if not _DOTTED.fullmatch(text):
        raise ValueError("a name is lower case words of letters, digits and _, joined by dots")
    return text


def _event(text: str) -> str:
    return text if text == "*" else _dotted(text)


def _text(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    return _printable(text)


def _printable(text: str) -> str:
    if UNPRINTABLE.search(text):
        raise ValueError("the text holds a control character or half a character")
    return text


def _json(value: Any) -> Any:
    try:
        rfc8785.dumps(value)
    except (ValueError, RecursionError) as error:  # its own errors are ValueErrors
        raise ValueError(f"no JSON value that every reader reads alike: {error}") from None
    return value


def _pattern(pattern: re.Pattern[str]) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": f"^(?:{pattern.pattern})$"})


VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""The name of an environment variable."""

_SECRET = re.compile(rf"\$\{{env:({VARIABLE.pattern})\}}")


def _variable(text: str) -> str:
    if not VARIABLE.fullmatch(text):
        raise ValueError("a name is letters, digits and _, and begins with a letter or _")
    return text


def _secret(text: str) -> str:
    if not _SECRET.fullmatch(text):
        raise ValueError(
            "write ${env:NAME}, the environment variable that holds it: no secret belongs in a file"
        )
    return text


def variable_of(secret: str) -> str:
    """Return the environment variable that a reference to a secret names."""
    return secret.removeprefix("${env:").removesuffix("}")


Variable = Annotated[str, AfterValidator(_variable), _pattern(VARIABLE)]
Secret = Annotated[str, AfterValidator(_secret), _pattern(_SECRET)]
"""A secret by reference: ``${env:NAME}``."""
Name = Annotated[str, AfterValidator(_name), _pattern(_NAME)]
DottedName = Annotated[str, AfterValidator(_dotted), _pattern(_DOTTED)]
EventName = Annotated[
    str, AfterValidator(_event), WithJsonSchema({"type": "string", "pattern": rf"^(?:\*|{_DOTTED.pattern})$"})
]
Text = Annotated[str, AfterValidator(_text), WithJsonSchema({"type": "string", "pattern": r"\S"})]
TypeText = Annotated[Text, AfterValidator(tidy_type)]
Word = Annotated[str, AfterValidator(_printable)]
Json = Annotated[Any, AfterValidator(_json)]
Count = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]
