"""Each break of the protocol is noticed: the checks check."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import syscalls
from tests.faults.mutants import MUTANTS, Check
from tests.faults.mutants.__main__ import noticed, tried

POINTS = {check: name for name, mutant in MUTANTS.items() for check in mutant.checks if check.at is not None}
"""Checks that strike at one point, each with a mutant that it is there for."""

# Noticed by the simulation within the first few seeds. The long run tries the others as well.
SOON = ("intent-after-effect", "commit-not-awaited", "unsafe-repeated", "counters-not-stored", "unchained")


@pytest.mark.parametrize("name", [*SOON, *(name for name, mutant in MUTANTS.items() if mutant.checks[0].at)])
def test_most_are_noticed(tmp_path: Path, name: str) -> None:
    """Those that a certain point shows, and those that the simulation notices soon."""
    assert noticed(name, tmp_path), f"{name} survives: {MUTANTS[name].what}"


@pytest.mark.parametrize("check", POINTS, ids=str)
def test_nothing_is_noticed_where_nothing_is_broken(tmp_path: Path, check: Check) -> None:
    """The same point without the mutant: it is the mutant that is noticed."""
    assert tried(check, tmp_path, "") == []


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", MUTANTS)
def test_all_are_noticed(tmp_path: Path, name: str) -> None:
    """All of them."""
    if "power" in {check.kind for check in MUTANTS[name].checks} and not syscalls.available():
        pytest.skip("needs strace, and leave to trace")
    assert noticed(name, tmp_path), f"{name} survives: {MUTANTS[name].what}"
