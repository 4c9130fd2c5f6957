"""Durations as people write them: ``10s``, ``1.5h``, ``250ms``."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainSerializer

UNITS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_LONGEST = 3650 * UNITS["d"]
_SPELLING = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def seconds(text: object) -> float:
    """Return the duration in seconds; raise ValueError unless it is a positive number with one unit."""
    if isinstance(text, float | int) and not isinstance(text, bool):
        text = f"{text}s"
    match = _SPELLING.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise ValueError("a duration is a number with one unit (ms, s, m, h, d), such as 30s or 1.5h")
    milliseconds = Decimal(match[1]) * UNITS[match[2]]
    if milliseconds != int(milliseconds) or not 0 < milliseconds <= _LONGEST:
        raise ValueError("a duration is at least 1ms, at most 3650d, in whole milliseconds")
    return int(milliseconds) / 1000


def spell(duration: float) -> str:
    """Return the shortest exact spelling of ``duration`` seconds, such as ``10m``."""
    milliseconds = round(duration * 1000)
    for unit, size in UNITS.items():
        if milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    raise ValueError(f"not a duration: {duration}")


Duration = Annotated[
    float,
    BeforeValidator(
        seconds,
        json_schema_input_type=Annotated[str, Field(pattern=f"^{_SPELLING.pattern}$")]
        | Annotated[float, Field(gt=0)],
    ),
    PlainSerializer(spell, return_type=str),
]
