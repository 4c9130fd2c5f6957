"""What a durable step costs: ours beside one bare SQLite insert per transaction, with the same pragmas.

    python -m tests.benchmarks.durable [--rounds N] [--json]

Both run in turn in one process, so that a disk that is slow for a while is slow for both. Disk syncs are
counted in a process of their own by strace, where that is installed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from statemachine.host.runtime import Runtime
from statemachine.machine.load import load

LAPS = 20
STATES = ("plan", "act", "validate", "diagnose", "retry")
STEPS = LAPS * len(STATES)
PAYLOAD = "x" * 420

MACHINE = """
machine: durable
version: "1"
context:
  laps: {{type: int, owner: operator}}
  note: {{type: str, owner: [{states}], default: ""}}
limits: {{steps: 1000000}}
tools:
  work: {{python: "tools.py:work", effect: read, timeout: 10s}}
initial: plan
states:
{body}
  complete: {{final: succeeded}}
  fail: {{final: failed}}
"""
TOOLS = """
async def work() -> str:
    return "x" * 200
"""


def machine(folder: Path) -> Path:
    """Write a loop of five states, each of which makes a call and saves its output."""
    lines = []
    for state, after in zip(STATES, (*STATES[1:], STATES[0]), strict=True):
        counted = "attempts: 1000000, exhausted: fail, " if state == "retry" else ""
        way = (
            f'[{{to: {after}, when: "attempts.retry < laps"}}, {{to: complete}}]'
            if state == "retry"
            else after
        )
        lines.append(f"  {state}: {{do: work, save: note, {counted}on: {{done: {way}, failed: fail}}}}")
    (folder / "tools.py").write_text(TOOLS)
    (folder / "durable.yaml").write_text(MACHINE.format(states=", ".join(STATES), body="\n".join(lines)))
    return folder / "durable.yaml"


def bare(folder: Path) -> sqlite3.Connection:
    """Open a database for bare inserts, with the pragmas that the store asserts."""
    database = sqlite3.connect(folder / "bare.db", isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "wal_autocheckpoint=4000"):
        database.execute(f"PRAGMA {pragma}")
    database.execute("CREATE TABLE IF NOT EXISTS steps (id INTEGER PRIMARY KEY, body TEXT)")
    return database


def insert(database: sqlite3.Connection, count: int) -> None:
    """Insert rows, one transaction each."""
    for _ in range(count):
        database.execute("BEGIN IMMEDIATE")
        database.execute("INSERT INTO steps (body) VALUES (?)", (PAYLOAD,))
        database.execute("COMMIT")


async def side_by_side(folder: Path, rounds: int) -> dict[str, Any]:
    """Return milliseconds a step of ours, of a bare insert, and of a hundred runs of ours at once."""
    definition, database = load(machine(folder)), bare(folder)
    ours, floor = [], []
    async with Runtime(folder / "runs.db") as runtime:
        for _ in range(rounds + 1):
            began = time.perf_counter()
            view = await runtime.start(definition, {"laps": LAPS})
            middle = time.perf_counter()
            insert(database, STEPS)
            ours.append((middle - began) / view.steps * 1000)
            floor.append((time.perf_counter() - middle) / STEPS * 1000)
        began = time.perf_counter()
        views = await asyncio.gather(*(runtime.start(definition, {"laps": LAPS}) for _ in range(100)))
        many = time.perf_counter() - began
        size = (folder / "runs.db").stat().st_size
    database.close()
    ratios = [a / b for a, b in zip(ours[1:], floor[1:], strict=True)]
    return {
        "ms_a_step": statistics.median(ours[1:]),
        "ms_bare_insert": statistics.median(floor[1:]),
        "ratio": statistics.median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
        "steps_a_second_of_100_runs": sum(v.steps for v in views) / many,
        "bytes_a_step": size / (view.steps * (rounds + 1) + sum(v.steps for v in views)),
    }


def syncs(what: str) -> float | None:
    """Return disk syncs a step of one kind of run, counted by strace; None where it is not installed."""
    if shutil.which("strace") is None:
        return None

    def counted(steps: int) -> int:
        with tempfile.TemporaryDirectory() as folder:
            words = [sys.executable, "-m", "tests.benchmarks.durable", "--only", what, "--steps", str(steps)]
            trace = Path(folder) / "trace"
            traced = ["strace", "-f", "-qq", "-e", "trace=fsync,fdatasync", "-o", str(trace), *words]
            subprocess.run([*traced, "--folder", folder], check=True, stdout=subprocess.DEVNULL)
            return len(re.findall(r"(?:fsync|fdatasync)\(", trace.read_text()))

    # The difference of a long and a short run leaves out what opening and closing costs.
    few, many = (2, 12) if what == "ours" else (10, 60)
    laps = len(STATES) if what == "ours" else 1
    if what == "group":
        return counted(20) / (100 * 20 * len(STATES))
    return (counted(many) - counted(few)) / ((many - few) * laps)


def only(what: str, folder: Path, steps: int) -> None:
    """Do one kind of work and nothing else, for strace."""

    async def ours(runs: int) -> None:
        definition = load(machine(folder))
        async with Runtime(folder / "runs.db") as runtime:
            await asyncio.gather(*(runtime.start(definition, {"laps": steps}) for _ in range(runs)))

    if what == "bare":
        database = bare(folder)
        insert(database, steps)
        database.close()
    else:
        asyncio.run(ours(100 if what == "group" else 1))


def main() -> None:
    """Run the benchmark and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15, help="runs of each kind")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", choices=["ours", "bare", "group"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, default=10, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        only(given.only, given.folder, given.steps)
        return
    with tempfile.TemporaryDirectory() as folder:
        result = asyncio.run(side_by_side(Path(folder), given.rounds))
    result |= {f"syncs_a_step_{kind}": syncs(kind) for kind in ("ours", "bare", "group")}
    if given.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        shown = (
            " to ".join(f"{v:.2f}" for v in value)
            if isinstance(value, list)
            else f"{value:.3f}"
            if value
            else "-"
        )
        print(f"{name:<30} {shown}")


if __name__ == "__main__":
    main()
