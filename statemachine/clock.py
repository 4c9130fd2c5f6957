"""Time as an argument: whoever drives a run reads a clock; everything below is told the time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """Something that tells the time in seconds since the epoch (UTC)."""

    def now(self) -> float:
        """Return the time in seconds since the epoch."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Return ``time.time()``."""
        return time.time()


@dataclass(slots=True)
class SimulatedClock:
    """A clock that moves only when told to.

    Attributes:
        at: The time, in seconds since the epoch.
    """

    at: float = 0.0

    def now(self) -> float:
        """Return the simulated time."""
        return self.at

    def advance(self, seconds: float) -> None:
        """Move the clock by ``seconds``, which may be negative."""
        self.at += seconds


def instant(seconds: float) -> float:
    """Return a time to the microsecond, as the journal keeps it: what is finer could not be replayed."""
    return round(float(seconds), 6)
