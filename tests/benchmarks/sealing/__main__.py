"""What auditing costs: of a durable step, and of verifying.

    python -m tests.benchmarks.sealing [--rounds N] [--laps N] [--json]

The same run, five states in a loop on a real store, three ways in turns: as it is; without the chain of hashes, which is
taken out here and nowhere else; and with the compliance stream written to a file beside it. By this process's time on
its core, all threads together, so that others on the machine and the disk do not count. Then `audit verify` on a store.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from statemachine.approvals.policy import Policy
from statemachine.host import sealing
from statemachine.host.auditing import audit_runs
from statemachine.host.background import Background
from statemachine.host.runtime import Runtime
from statemachine.host.sinks import ComplianceFile
from statemachine.journal import Record, encode
from statemachine.machine.load import load
from statemachine.store import ReadOnlyStore, Store
from tests.benchmarks.durable import machine
from tests.benchmarks.replay.__main__ import define, write

GOAL = 0.25
"""The share of a step that the chain and the compliance record may add."""

RATE = 20_000
"""Records a second that are verified at least."""


def _unsealed(
    run: str, head: str, seq: int, at: float, entries: Sequence[tuple[str, Mapping[str, object]]]
) -> tuple[tuple[Record, ...], dict[str, bytes]]:
    """Do what ``seal`` does but for the hashes."""
    at, blobs, records = round(float(at), 6), dict[str, bytes](), list[Record]()
    for number, (kind, value) in enumerate(entries, seq + 1):
        body, large = encode(value)
        blobs.update(large)
        records.append(Record(run, number, at, kind, body, head, head))
    return tuple(records), blobs


@contextmanager
def _nothing(store: Store, folder: Path) -> Iterator[None]:
    yield


@contextmanager
def _without(store: Store, folder: Path) -> Iterator[None]:
    with patch.object(sealing, "seal", _unsealed):
        yield


@contextmanager
def _beside(store: Store, folder: Path) -> Iterator[None]:
    with Background([ComplianceFile(store, folder / "calls.jsonl")], print):
        yield


WAYS = {"as it is": _nothing, "without hashes": _without, "with the compliance stream": _beside}


def step(way: str, laps: int) -> float:
    """Return the milliseconds of CPU time that a step takes."""

    async def work(folder: Path) -> float:
        definition = load(machine.write(folder))
        async with Runtime(folder / "runs.db") as runtime:
            with WAYS[way](runtime.store, folder):
                began = time.process_time()
                view = await runtime.start(definition, {"laps": laps})
            assert view.status == "succeeded", view.reason
            return (time.process_time() - began) / view.steps * 1e3

    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(work(Path(folder)))


def verified(records: int) -> float:
    """Return how many records `audit verify` does in a second."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "runs.db"
        with Store.open(place) as store:
            write(store, define(), records)
        with ReadOnlyStore.open(place) as read:
            began = time.process_time()
            (found,) = audit_runs(read, Policy())
            assert not found.problems, found.problems
            return found.records / (time.process_time() - began)


def main() -> None:
    """Run the benchmark and print what it found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7, help="runs of each (default 7)")
    parser.add_argument(
        "--laps", type=int, default=100, help="rounds of the loop, of five steps (default 100)"
    )
    parser.add_argument("--records", type=int, default=20_000, help="records to verify (default 20,000)")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    took: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(given.rounds):
        for way in WAYS:
            took[way].append(step(way, given.laps))
    bare = took["without hashes"]
    added = {
        way: statistics.median(a / b for a, b in zip(ms, bare, strict=True)) - 1 for way, ms in took.items()
    }
    told = {
        "ms": {way: statistics.median(ms) for way, ms in took.items()},
        "added": added,
        "verified": verified(given.records),
    }
    if given.json:
        print(json.dumps(told))
        return
    for way, ms in told["ms"].items():
        print(f"{way:<28}{ms:>8.3f} ms of CPU a step   {added[way]:>+7.1%}")
    most = added["with the compliance stream"]
    print(f"hashes and compliance add {most:.1%}   goal <= {GOAL:.0%} {'met' if most <= GOAL else 'MISSED'}")
    rate = told["verified"]
    print(f"verified {rate:,.0f} records/s   goal >= {RATE:,} {'met' if rate >= RATE else 'MISSED'}")


if __name__ == "__main__":
    main()
