"""Each break of the protocol is noticed: the checks check."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import syscalls
from tests.faults.mutants import MUTANTS
from tests.faults.mutants.__main__ import noticed

QUICK = [name for name, mutant in MUTANTS.items() if mutant.checks[0] == "simulation"]


@pytest.mark.parametrize("name", QUICK[::3])
def test_some_are_noticed(tmp_path: Path, name: str) -> None:
    """One in three of those that the simulation notices."""
    assert noticed(name, tmp_path), f"{name} survives: {MUTANTS[name].what}"


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", MUTANTS)
def test_all_are_noticed(tmp_path: Path, name: str) -> None:
    """All of them."""
    if "power" in MUTANTS[name].checks and not syscalls.available():
        pytest.skip("needs strace, and leave to trace")
    assert noticed(name, tmp_path), f"{name} survives: {MUTANTS[name].what}"
