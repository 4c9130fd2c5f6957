"""Whatever strikes, and whenever: what `invariants.py` states holds. CI tries a sample, `-m long` all of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import clock, syscalls
from tests.faults.__main__ import KINDS
from tests.faults.tally import Tally

ENOUGH = {
    "kill": (40, 1000),
    "stop": (8, 150),
    "syscalls": (25, 350),
    "errors": (15, 250),
    "power": (40, 1000),
    "processes": (15, 60),
    "time": (35, 180),
    "clock": (10, 60),
    "races": (140, 12_000),
    "keeping": (15, 30),
    "simulation": (1000, 100_000),
}
"""Points that must have been struck: in CI, and in the long run."""
MUST_FIRE = {
    "processes": {"SIGKILL", "SIGSTOP"},
    "kill": {"in recovery", "before a commit", "after a commit"},
    "clock": {
        f"{way} {name}"
        for way in ("back", "forward")
        for name in ("in back-off", "after slow", "after leases are taken")
    },
    "keeping": {
        f"{when} {what}"
        for when in ("before", "after")
        for what in ("a checkpoint", "a run is erased", "the file is scrubbed")
    },
    "time": {"clock back in back-off", "clock forward in back-off"},
    "simulation": {
        *("fails", "refused", "broken", "late", "hangs", "acted", "unsent", "probe fails", "cancel", "crash"),
        *("clock back", "clock forward", "second process", "LeaseLost", "StoreUnusable"),
        *(f"store {how} {what}" for how in ("refuses to", "fails after") for what in ("commit", "claim")),
    },
}


STRACE = {"syscalls", "errors", "power"}


def _needs(kind: str) -> None:
    if kind in STRACE and not syscalls.available():
        pytest.skip("needs strace, and leave to trace")
    if kind == "clock" and not clock.available():
        pytest.skip("needs libfaketime")


def _holds(tally: Tally, enough: int) -> None:
    assert not tally.violations, "\n".join(tally.violations)
    assert tally.points >= enough
    assert not MUST_FIRE.get(tally.kind, set()) - set(tally.fired), tally.fired


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", KINDS)
def test_sample(tmp_path: Path, kind: str) -> None:
    """At a sample of points no invariant is broken, and every sort of fault has struck."""
    _needs(kind)
    _holds(KINDS[kind](tmp_path), ENOUGH[kind][0])


@pytest.mark.long
@pytest.mark.timeout(24 * 3600)
@pytest.mark.parametrize("kind", KINDS)
def test_everywhere(tmp_path: Path, kind: str) -> None:
    """The same at every point."""
    _needs(kind)
    _holds(KINDS[kind](tmp_path, long=True), ENOUGH[kind][1])
