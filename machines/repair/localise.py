"""Spectrum-based fault localisation: which lines do failing tests run and passing tests not?"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping


def ochiai(covered: Mapping[str, Collection[int]], failing: Collection[str]) -> dict[int, float]:
    """Rank lines by Ochiai's coefficient, ``ef / sqrt((ef + nf) * (ef + ep))``.

    ``ef`` and ``ep`` count the failing and passing tests that run the line, ``nf`` the failing tests that do not
    (Abreu, Zoeteweij, van Gemund: An evaluation of similarity coefficients for software fault localization, 2006).

    Args:
        covered: The lines that each test ran.
        failing: The tests that failed; each of them is a key of `covered`.

    Returns:
        Suspiciousness above 0 and at most 1 of each line that some failing test ran, the most suspicious first.
    """
    scores: dict[int, float] = {}
    for line in sorted(set().union(*(covered[test] for test in failing))):
        ran = [test for test, lines in covered.items() if line in lines]
        ef = sum(test in failing for test in ran)
        scores[line] = ef / math.sqrt(len(failing) * len(ran))
    return dict(sorted(scores.items(), key=lambda item: (-item[1], item[0])))


def shared(covered: Mapping[str, Collection[int]], failing: Collection[str]) -> set[int]:
    """The lines that every failing test runs: no other line can, changed alone, repair them all."""
    return set.intersection(*(set(covered[test]) for test in failing)) if failing else set()
