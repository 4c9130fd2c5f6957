"""Runs as people read them: states in order, with what is repeated written once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_LONGEST = 64
"""States of the longest round that is looked for."""


@dataclass(frozen=True, slots=True)
class Round:
    """A part of a run that is repeated.

    Attributes:
        times: How often; infinite if nothing bounds it.
        run: What one round is.
    """

    times: float
    run: Run


Run = tuple["str | Round", ...]
"""The states of a run, with its rounds."""


def rounds(states: Sequence[str | Round]) -> Run:
    """Return a run in which what comes several times in a row is a round; the shortest are found first."""
    found = list(states)
    length = 1
    while length <= min(_LONGEST, len(found) // 2):
        folded = _fold(found, length)
        # Rounds of rounds: what was folded may make a shorter one.
        length = 1 if len(folded) < len(found) else length + 1
        found = folded
    return tuple(found)


def _fold(states: list[str | Round], length: int) -> list[str | Round]:
    found: list[str | Round] = []
    at = 0
    while at < len(states):
        times, round_ = 1, states[at : at + length]
        while states[at + times * length : at + (times + 1) * length] == round_:
            times += 1
        if times > 1 and len(round_) == length:
            found.append(Round(times, tuple(round_)))
            at += times * length
        else:
            found.append(states[at])
            at += 1
    return found


def shown(run: Run) -> str:
    """Return a run as text: ``plan → act → (retry → plan → act) × 5 → fail``."""
    parts = []
    for part in run:
        if isinstance(part, str):
            parts.append(part)
        else:
            times = "∞" if math.isinf(part.times) else f"{part.times:g}"
            inner = shown(part.run)
            parts.append(f"({inner}) × {times}" if len(part.run) > 1 else f"{inner} × {times}")
    return " → ".join(parts)
