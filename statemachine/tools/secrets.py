"""Secrets: read from the environment when a call is made, and taken out of whatever it gives or says."""

from __future__ import annotations

import base64
import html
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus

from statemachine.machine.contract import Tool
from statemachine.machine.names import variable_of
from statemachine.machine.outcome import Outcome
from statemachine.tools.output import broken

SHORTEST = 6
"""Characters of a secret; a shorter one could not be told from other text that tools give."""

_Redact = Callable[[str], str]


class NotGiven(Exception):
    """A variable that a tool takes a secret from is not set, or cannot hold one."""


class _AsNumber(Exception):
    """A number spells a secret: nothing of its type can stand in its place."""


def secrets_of(tool: Tool) -> Mapping[str, str]:
    """Return a tool's secrets by the names under which it takes them, as they are now.

    Raises:
        NotGiven: A variable is not set, or is too short; the message does not tell its value.
    """
    found = {}
    for name, secret in tool.secrets.items():
        variable = variable_of(secret)
        value = os.environ.get(variable, "")
        if not value:
            raise NotGiven(
                f"the environment variable {variable} is not set, which `{name}` is taken from; set it where runs are driven"
            )
        if len(value) < SHORTEST:
            raise NotGiven(
                f"the environment variable {variable} has fewer than {SHORTEST} characters: "
                "such a secret could not be recognised in what the tool gives"
            )
        found[name] = value
    return found


def redacted(outcome: Outcome, variables: Iterable[str]) -> Outcome:
    """Return an outcome in which the value of each of these environment variables is ``[redacted: env:NAME]``.

    As it is, and as base64, URL-quoted, JSON or Python text, HTML or hexadecimal digits would have it.
    """
    values = [(name, value) for name in variables if len(value := os.environ.get(name, "")) >= SHORTEST]
    redact, tail = _redaction(tuple(values))
    try:
        failure = outcome.failure
        if failure is not None:
            # A message may have been cut within a secret.
            failure = replace(failure, message=tail(redact(failure.message)))
        cost = outcome.cost and {redact(unit): amount for unit, amount in outcome.cost.items()}
        return replace(
            outcome,
            output=_walked(outcome.output, redact),
            cost=cost,
            done=tuple(map(redact, outcome.done)),
            not_done=tuple(map(redact, outcome.not_done)),
            failure=failure,
        )
    except _AsNumber:
        return broken("the output holds a secret as a number; nothing of its type can stand in its place")


def _walked(value: Any, redact: _Redact) -> Any:
    match value:
        case str():
            return redact(value)
        case dict():
            return {redact(key): _walked(part, redact) for key, part in value.items()}
        case list() | tuple():
            return [_walked(part, redact) for part in value]
        case int() | float() if redact(text := str(value)) != text:
            raise _AsNumber
    return value


@lru_cache(maxsize=32)
def _redaction(values: tuple[tuple[str, str], ...]) -> tuple[_Redact, _Redact]:
    """Return what takes secrets out of a text, and what takes the beginning of one from a text's end."""
    spelled = [
        (f"[redacted: env:{name}]", sorted(set(_forms(value)), key=len, reverse=True))
        for name, value in values
    ]
    patterns = [(mark, re.compile("|".join([*map(re.escape, forms), *_wrapped(value)])))
                for (mark, forms), (_, value) in zip(spelled, values, strict=True)]  # fmt: skip

    def redact(text: str) -> str:
        for mark, pattern in patterns:
            text = pattern.sub(mark, text)
        return text

    def tail(text: str) -> str:
        for mark, forms in spelled:
            for form in forms:
                for length in range(len(form) - 1, SHORTEST - 1, -1):
                    if text.endswith(form[:length]):
                        return text[:-length] + mark
        return text

    return redact, tail


def _forms(value: str) -> Iterator[str]:
    """Yield the ways in which a value may be spelled out, but for base64 within other data."""
    data = value.encode(errors="surrogateescape")
    lines = [line.strip() for line in value.splitlines()] if "\n" in value else []
    for text in (value, value.strip(), " ".join(value.split()), *lines):
        if len(text) < SHORTEST:
            continue
        yield text
        for escaped in (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], repr(text)[1:-1]):
            yield from (escaped, json.dumps(escaped)[1:-1])
        for quoted in (
            quote(text, safe="", errors="replace"),
            quote(text, errors="replace"),
            quote_plus(text, errors="replace"),
        ):
            lower = re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), quoted)
            yield from (quoted, lower, quote(quoted, safe=""))
        yield html.escape(text)
    yield repr(data)[2:-1]
    yield from (data.hex(), data.hex().upper())
    for encoded in (base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()):
        yield from (encoded, quote(encoded, safe=""))


def _wrapped(value: str) -> Iterator[str]:
    """Yield patterns for a value within base64 of more than it: at each of three offsets, over the ends of lines."""
    data = value.encode(errors="surrogateescape")
    for offset in range(3):
        text = base64.b64encode(b"\0" * offset + data).decode()
        # Only these characters are of the value alone; those around them are of its neighbours as well.
        inner = text[(8 * offset + 5) // 6 : 8 * (offset + len(data)) // 6]
        for spelled in {inner, inner.translate(str.maketrans("+/", "-_"))}:
            yield r"(?:\r?\n|\\n)?".join(map(re.escape, spelled))
