"""Durations in buckets: eight to a doubling, so that a percentile is at most 9 % too long, whatever was counted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

PER_DOUBLING = 8
_SHORTEST = -10 * PER_DOUBLING
"""The bucket of what took a millisecond or less."""


def bucket(seconds: float) -> int:
    """Return the bucket of a duration: the smallest ``n`` with ``seconds <= 2 ** (n / 8)``."""
    if seconds <= 2.0**-10:
        return _SHORTEST
    return math.ceil(round(math.log2(seconds) * PER_DOUBLING, 9))


@dataclass(frozen=True, slots=True)
class Durations:
    """How long things took.

    Attributes:
        buckets: How many took how long, by bucket.
        seconds: The sum of all.
    """

    buckets: Mapping[int, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.buckets.values())

    def percentile(self, share: float) -> float | None:
        """Return the seconds within which a ``share`` of them ended; None when there were none."""
        wanted, seen = share * self.count, 0
        for number in sorted(self.buckets):
            seen += self.buckets[number]
            if seen >= wanted:
                return float(2.0 ** (number / PER_DOUBLING))
        return None

    def within(self, bounds: Iterable[int]) -> list[tuple[float, int]]:
        """Return for each power of two, in order, its seconds and how many took no longer."""
        return [
            (2.0**power, sum(n for number, n in self.buckets.items() if number <= power * PER_DOUBLING))
            for power in bounds
        ]

    def as_data(self) -> dict[str, float | int | None]:
        """Return what people ask of durations, as plain data."""
        return {"count": self.count, "p50": self.percentile(0.5), "p95": self.percentile(0.95)}
