"""Break the protocol on purpose, and see which check notices.

    python -m tests.faults.mutants [NAME…]

Prints a line for each mutant: what it breaks, which check noticed it, where, and what it said. A mutant that nothing
notices is a check that is missing: the exit code is 1 then.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.__main__ import KINDS
from tests.faults.mutants import MUTANTS, Check

_MOST = {"simulation": 50, "kill": 24, "stop": 16, "power": 40, "keeping": 12}
_SEEDS = 3
"""Samples that a check at no certain point draws, each of ``_MOST`` points."""


class MutantFails(Exception):
    """A mutant is not what it should be: the break itself failed, so that nothing was tried."""


def noticed(name: str, folder: Path) -> tuple[Check, str] | None:
    """Return the check that notices a mutant, and what it says; None when the mutant survives."""
    for check in MUTANTS[name].checks:
        for seed in range(_SEEDS if check.at is None else 1):
            found = tried(check, folder / f"{check.kind}{seed}", name, seed)
            if found:
                _fails(name, found[0])
                return check, found[0]
    return None


def tried(check: Check, folder: Path, mutant: str, seed: int = 0) -> list[str]:
    """Return what a check finds, at its point or in a sample."""
    most = _MOST[check.kind]
    at = {} if check.at is None else {"at": check.at} | ({"laps": check.laps} if check.laps > 1 else {})
    return KINDS[check.kind](folder, seed=seed * most, most=most, mutant=mutant, **at).violations


def _fails(name: str, violation: str) -> None:
    """Raise if a violation is nothing but an exception in the mutant's own code."""
    frames = re.findall(r'File "([^"]*)"', violation)
    if frames and "tests/faults/mutants" in frames[-1]:
        raise MutantFails(f"{name}: {violation}")


def main() -> int:
    """Try the mutants and print which check notices each."""
    parser = argparse.ArgumentParser(
        description="Break the protocol on purpose, and see which check notices."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MUTANTS)}")
    names, survived, start = parser.parse_args().names or list(MUTANTS), 0, time.monotonic()
    for name in names:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
            found = noticed(name, Path(folder))
        survived += found is None
        kind, said = (found[0].kind, found[1]) if found else ("SURVIVED", ": nothing notices it")
        where, _, what = said.partition(": ")
        print(f"{name:22} {kind:10} {time.monotonic() - began:4.0f} s  {MUTANTS[name].what}", flush=True)
        print(f"    {what.strip().splitlines()[-1][:140]}\n    [{where}]", flush=True)
    print(f"{len(names)} mutants, {survived} survived, {time.monotonic() - start:.0f} s")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
