"""Break the protocol on purpose, and see which check notices.

    python -m tests.faults.mutants [NAME…]

A mutant that nothing notices is a check that is missing: the exit code is 1 then.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.__main__ import KINDS
from tests.faults.mutants import MUTANTS


def noticed(name: str, folder: Path) -> tuple[str, str] | None:
    """Return the check that notices a mutant, and what it says; None when the mutant survives."""
    for kind in MUTANTS[name].checks:
        for seed in range(3):
            most = {"simulation": 50, "kill": 24, "stop": 16, "power": 40, "errors": 16}[kind]
            tally = KINDS[kind](folder / f"{kind}{seed}", seed=seed * most, most=most, mutant=name)
            if tally.violations:
                return kind, tally.violations[0]
    return None


def main() -> int:
    """Try the mutants and print which check notices each."""
    parser = argparse.ArgumentParser(
        description="Break the protocol on purpose, and see which check notices."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MUTANTS)}")
    survived = 0
    for name in parser.parse_args().names or MUTANTS:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
            found = noticed(name, Path(folder))
        survived += found is None
        where, _, what = found[1].partition(": ") if found else ("", "", "nothing notices it")
        kind = found[0] if found else "SURVIVED"
        print(
            f"{name:22} {kind:11} {time.monotonic() - began:4.0f} s  {what.strip().splitlines()[-1][:130]}  [{where}]",
            flush=True,
        )
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
