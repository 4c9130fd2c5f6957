"""Break everything that can break, and see what holds.

    python -m tests.faults [--long] [--seed N] [--only KIND] [--most N]

The short form takes some four minutes on two cores, the long one two hours.
Prints one line a kind: points tried, violations. Exits with 1 when there is any violation. What must hold is in
`tests/faults/invariants.py`; that a check would notice is what `python -m tests.faults.mutants` shows.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.faults import clock, keeping, kill, power, processes, races, simulate, syscalls
from tests.faults.tally import Tally

KINDS: dict[str, Callable[..., Tally]] = {
    "kill": kill.kill,
    "stop": kill.stop,
    "syscalls": syscalls.kill,
    "errors": syscalls.errors,
    "power": power.loss,
    "processes": processes.processes,
    "time": simulate.times,
    "clock": clock.jumps,
    "races": races.races,
    "keeping": keeping.kept,
    "simulation": simulate.seeds,
}


def main() -> int:
    """Run the sweeps and print what they found."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--long", action="store_true", help="every point, not a sample")
    parser.add_argument(
        "--seed", type=int, default=0, help="what the sample is drawn by; the first seed to simulate"
    )
    parser.add_argument("--most", type=int, help="at most so many points")
    parser.add_argument("--only", choices=KINDS, action="append", help="this kind; may be repeated")
    given = parser.parse_args()
    options = {"long": given.long, "seed": given.seed} | ({"most": given.most} if given.most else {})
    tallies = []
    for kind in given.only or KINDS:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            tallies.append(tally := KINDS[kind](Path(folder), **options))
        bad = len(tally.violations)
        print(
            f"{kind:12} {tally.points:7} points {bad:5} violations {time.monotonic() - began:7.0f} s",
            flush=True,
        )
        print("".join(f"    {fault}: {count}\n" for fault, count in sorted(tally.fired.items())), end="")
        for violation in tally.violations:
            print(f"  ! {violation}", file=sys.stderr)
    return 1 if any(tally.violations for tally in tallies) else 0


if __name__ == "__main__":
    sys.exit(main())
