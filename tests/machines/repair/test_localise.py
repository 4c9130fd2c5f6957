"""Which lines are suspicious."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from machines.repair.localise import ochiai, shared

SPECTRA = st.dictionaries(st.text("abcdef", min_size=1), st.frozensets(st.integers(1, 20)), min_size=1)


def test_hand_computed_coefficients() -> None:
    """Two tests fail and two pass: ef / sqrt(failing x covering) for each line."""
    covered = {"f1": {1, 2, 3}, "f2": {1, 3}, "p1": {1, 2}, "p2": {1, 4}}
    assert ochiai(covered, {"f1", "f2"}) == pytest.approx(
        {3: 2 / math.sqrt(2 * 2), 1: 2 / math.sqrt(2 * 4), 2: 1 / math.sqrt(2 * 2)}
    )


def test_the_most_suspicious_line_comes_first() -> None:
    """Lines are in falling order, equal ones by number."""
    assert list(ochiai({"f": {9, 2, 5}, "p": {5}}, {"f"})) == [2, 9, 5]


@given(SPECTRA, st.data())
def test_scores_are_bounded(covered: dict[str, frozenset[int]], data: st.DataObject) -> None:
    """A score lies above 0 and at most at 1; a line that no failing test runs has none."""
    failing = data.draw(st.sets(st.sampled_from(sorted(covered)), min_size=1))
    scores = ochiai(covered, failing)
    assert all(0 < score <= 1 + 1e-9 for score in scores.values())
    assert set(scores) == {line for test in failing for line in covered[test]}


@given(SPECTRA)
def test_shared_lines_are_run_by_each_failing_test(covered: dict[str, frozenset[int]]) -> None:
    """A single edit outside of them leaves some failing test as it is."""
    assert all(shared(covered, covered) <= set(lines) for lines in covered.values())
    assert shared(covered, ()) == set()
