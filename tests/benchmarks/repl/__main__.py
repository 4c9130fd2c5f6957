"""How long a debugger takes to open a long run, to go back in it, and to show its path.

    python -m tests.benchmarks.repl [--records N] [--json]

The run is made by the kernel and committed in large transactions, so that most of the time is not the disk's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from statemachine.host.pinned import pin
from statemachine.host.sealing import sealed
from statemachine.journal import genesis
from statemachine.kernel import FINISH, Event, due, start, step
from statemachine.machine.load import load
from statemachine.machine.outcome import Outcome
from statemachine.repl.debugger import Debugger
from statemachine.repl.session import Session
from statemachine.store import NewRun, Store
from tests.benchmarks.durable.machine import write

RUN = "0123456789ab"
_AT_ONCE = 2000


def long_run(folder: Path, records: int) -> Path:
    """Store a run of so many records, gone round a loop of five calls, and return its database."""
    definition = load(write(folder))
    database = folder / "runs.db"
    made = start(definition, RUN, {"laps": records}, 1000.0)
    head, seq, commits = genesis(RUN, definition.digest), 0, []
    with Store.open(database) as store:
        while True:
            commit = sealed(definition, made, seq=seq, head=head, epoch=1, now=made.at)
            head, seq = commit.records[-1].hash, commit.records[-1].seq
            commits.append(commit if seq > len(made.entries) else NewRun(pin(definition), commit))
            if len(commits) == _AT_ONCE or seq >= records:
                assert not any(store.commit(commits))
                commits = []
            if seq >= records:
                return database
            snapshot, now = made.snapshot, made.at + 0.01
            timed = due(definition, snapshot)
            event = timed[1] if timed else Event(FINISH, outcome=Outcome("x" * 200), key=f"{RUN}:{seq}")
            made = step(definition, snapshot, event, now)


async def measure(database: Path) -> dict[str, float]:
    """Return the seconds of processor time that each verb takes, the first of its kind after opening."""
    found: dict[str, float] = {}

    async def timed(name: str, work: Callable[[], Awaitable[Any]]) -> None:
        began = time.process_time()
        await work()
        found[name] = time.process_time() - began

    async with Debugger(database) as debugger:
        debugger.runtime.store  # opened before: the store's own start-up is not the run's  # noqa: B018
        session = Session(debugger)
        await timed("open", lambda: debugger.open(RUN))
        for line in ("back", "back 10", "goto 50000", "back", "why", "goto end", "where", "diff 100 90000"):
            await timed(line if line not in found else f"{line} (there)", lambda line=line: session.say(line))
    return found


def main() -> None:
    """Build the run, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        database = long_run(Path(folder), given.records)
        built = time.perf_counter() - began
        found = asyncio.run(measure(database))
    if given.json:
        print(json.dumps({"records": given.records, "built": built, **found}))
        return
    print(f"a run of {given.records:,} records, made in {built:.1f} s")
    for name, seconds in found.items():
        print(f"{name:<16} {1000 * seconds:8.1f} ms")


if __name__ == "__main__":
    main()
