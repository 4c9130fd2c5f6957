"""What a durable step costs: ours beside its peers and beside one bare SQLite insert per transaction.

    python -m tests.benchmarks.durable [--peers] [--long] [--rounds N] [--json]

Five states, twenty rounds, 420 bytes a step. All take turns, so that a disk that is slow for a while is slow for
all. Each peer (LangGraph, Burr, DBOS) gets a virtual environment of its own in the user's cache folder, made by the
first run with --peers; that needs the package index. Disk syncs are counted by strace, where that is installed.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import NamedTuple

from tests.benchmarks.durable.contest import BARE, OURS, PEERS, Result, contest, together, version_of
from tests.benchmarks.durable.long import Late, Recovery, late, recovery


class Goal(NamedTuple):
    """Something that was aimed at: what, the figure, the limit, and whether the limit is the least or the most."""

    what: str
    figure: float
    limit: float
    least: bool = False

    @property
    def met(self) -> bool:
        """Whether it is reached."""
        return self.figure >= self.limit if self.least else self.figure <= self.limit


def ratio(one: Result, other: Result) -> float:
    """Return how many times as long one takes as the other, the median of the rounds."""
    return statistics.median(a / b for a, b in zip(one.ms, other.ms, strict=True))


def goals(results: Sequence[Result], two: float | None, long: Late | None) -> Iterator[Goal]:
    """Yield the goals that the figures can tell of."""
    by_name = {result.name: result for result in results}
    ours = by_name[OURS.name]
    yield Goal("times a bare insert", ratio(ours, by_name[BARE.name]), 1.5)
    if ours.syncs is not None:
        # To begin is a commit as well: a hundred steps are a hundred and one.
        yield Goal("syncs a step", ours.syncs, 1.015)
    if ours.many_syncs is not None:
        yield Goal("syncs a step of 100 runs", ours.many_syncs, 0.1)
    if "langgraph sync" in by_name:
        yield Goal("LangGraph sync takes times as long", ratio(by_name["langgraph sync"], ours), 4, True)
    assert ours.many is not None
    yield Goal("steps/s of 100 runs, one process", ours.many, 10_000, True)
    if two is not None:
        yield Goal("steps/s of 100 runs, two processes on one database", two, 10_000, True)
    if long is not None:
        yield Goal(f"step {long.steps:,} against a run's first hundred", long.ratio, 1.2)
        yield Goal(
            f"opening {long.records:,} records against a short run", long.open_long / long.open_short, 1.1
        )


def table(results: Sequence[Result]) -> Iterator[str]:
    """Yield the lines of the table."""
    yield f"{'':<24}{'ms/step':>9} {'min..max':>16} {'x bare':>7} {'syncs':>7} {'100 runs, steps/s':>18} {'bytes':>7}"
    bare = next(result for result in results if result.name == BARE.name)
    for one in results:
        span = f"{min(one.ms):.3f}..{max(one.ms):.3f}"
        syncs = "-" if one.syncs is None else f"{one.syncs:.2f}"
        many = "-" if one.many is None else f"{one.many:,.0f}"
        yield (
            f"{one.name:<24}{statistics.median(one.ms):>9.3f} {span:>16} {ratio(one, bare):>7.2f} {syncs:>7} "
            f"{many:>18} {one.size:>7,.0f}"
        )


def main() -> None:
    """Run the benchmark and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", action="store_true", help="LangGraph, Burr and DBOS too")
    parser.add_argument(
        "--long", action="store_true", help="a run of 100,000 steps, and recovery of 10,000 runs"
    )
    parser.add_argument("--rounds", type=int, default=15, help="runs of each (default 15)")
    parser.add_argument("--steps", type=int, default=100_000, help="steps of the long run")
    parser.add_argument("--runs", type=int, default=10_000, help="runs to recover")
    parser.add_argument("--few", action="store_true", help="ten runs at once, and syncs are not counted")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    contestants = [OURS, BARE, *(PEERS if given.peers else ())]
    results = contest(contestants, given.rounds, few=given.few)
    two = None if given.few else together(2)
    long: Late | None = late(given.steps) if given.long else None
    recovered: Recovery | None = recovery(given.runs) if given.long else None
    aims = list(goals(results, two, long))
    if given.json:
        said = {
            "results": [
                asdict(one) | {"version": version_of(c)} for one, c in zip(results, contestants, strict=True)
            ],
            "long": long and asdict(long),
            "recovery": recovered and asdict(recovered),
            "goals": [aim._asdict() | {"met": aim.met} for aim in aims],
        }
        print(json.dumps(said))
        return
    print(*table(results), sep="\n")
    print()
    for aim in aims:
        limit = f"{'>=' if aim.least else '<='} {aim.limit:,g}"
        print(f"{aim.what:<55}{aim.figure:>12,.3f}   goal {limit:<10} {'met' if aim.met else 'MISSED'}")
    if long is not None:
        print(
            f"\na run's first hundred: {long.ms_first:.3f} ms/step, its {long.steps:,}th: {long.ms_late:.3f}; "
            f"opening a short run: {long.open_short:.2f} ms, the long one: {long.open_long:.2f}"
        )
    if recovered is not None:
        print(
            f"recovery of {recovered.runs:,} runs, each with five more steps to go: {recovered.seconds:.1f} s, "
            f"peak memory {recovered.peak / 2**20:.0f} MiB"
        )
    versions = [f"{one.name} {version_of(one)}" for one in contestants if one.packages]
    if versions:
        print("; ".join(versions))


if __name__ == "__main__":
    main()
