"""Each break of the protocol is noticed: the checks check."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import syscalls
from tests.faults.mutants import MUTANTS
from tests.faults.mutants.__main__ import noticed

# Noticed within the first few seeds. Others need a rarer moment: the long run is what tries those.
QUICK = (
    *(
        "intent-after-effect",
        "key-changes",
        "doubt-happened",
        "unsafe-repeated",
        "probe-denies",
        "probe-affirms",
    ),
    *("counters-not-stored", "full-disk-ignored", "unchained"),
)


@pytest.mark.parametrize("name", QUICK)
def test_some_are_noticed(tmp_path: Path, name: str) -> None:
    """Those that the simulation notices soon."""
    assert noticed(name, tmp_path), f"{name} survives: {MUTANTS[name].what}"


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", MUTANTS)
def test_all_are_noticed(tmp_path: Path, name: str) -> None:
    """All of them."""
    if "power" in MUTANTS[name].checks and not syscalls.available():
        pytest.skip("needs strace, and leave to trace")
    assert noticed(name, tmp_path), f"{name} survives: {MUTANTS[name].what}"
