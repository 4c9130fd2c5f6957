"""What a sweep tried and found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class Tally:
    """What one kind of fault led to.

    Attributes:
        kind: The kind.
        points: Points at which a fault struck.
        violations: What did not hold, each with where it struck.
        fired: How often each sort of fault struck.
    """

    kind: str
    points: int = 0
    violations: list[str] = field(default_factory=list)
    fired: Counter[str] = field(default_factory=Counter)

    def note(self, where: str, fault: str, struck: bool, found: Iterable[str]) -> None:
        """Add the result of one point."""
        self.points += struck
        if fault and struck:
            self.fired[fault] += 1
        self.violations += [f"{where}: {what}" for what in found]

    def add(self, other: Tally) -> None:
        """Add the results of another tally."""
        self.points += other.points
        self.violations += other.violations
        self.fired += other.fired


def side_by_side(folder: Path, points: Iterable[T], work: Callable[[Path, T], None], width: int = 6) -> None:
    """Do the work at each point, several at a time (they mostly wait), each in a folder of its own."""
    with ThreadPoolExecutor(width) as pool:
        for done in [pool.submit(work, folder / str(n), point) for n, point in enumerate(points)]:
            done.result()
