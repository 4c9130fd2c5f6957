"""How fast a stored run is replayed, and where the time goes.

One run of the benchmark's loop (a call in each of two states, its answer saved and judged by a guard) is written into a
store on disk, as a host would have written it. Then it is read, and replayed, over and over: `store` only reads the
records, `chain` checks their hashes as well, `kernel` takes the steps from records in memory, `replay` is all
that `statemachine replay ID` does, `against` holds the run against a machine of another digest.
Rates are by this process's own time on its core, so that others on the machine do not count.
Run: ``python -m tests.benchmarks.replay [--json] [--records N] [--rounds N]``.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
import tracemalloc
from collections import deque
from collections.abc import Callable
from pathlib import Path

from ruamel.yaml import YAML

from statemachine.host.pinned import pin
from statemachine.host.replay import Journal, replay_run
from statemachine.host.sealing import sealed
from statemachine.host.whatif import compare_run
from statemachine.journal import genesis, verify
from statemachine.journal.replay import replay
from statemachine.kernel import FINISH, Event, start, step
from statemachine.machine.definition import Definition
from statemachine.machine.model import Declaration
from statemachine.machine.outcome import Outcome
from statemachine.machine.resolve import resolve
from statemachine.store import Commit, NewRun, Store
from tests.benchmarks.kernel.__main__ import CALLS
from tests.kernel.driving import FOLDER

_AT_ONCE = 500
"""Steps that are stored in one transaction."""


def define(text: str = CALLS) -> Definition:
    """Return the loop's machine."""
    return resolve(Declaration.model_validate(YAML(typ="safe").load(text)), FOLDER)


def write(store: Store, definition: Definition, records: int, run: str = "0123456789ab") -> str:
    """Store a run of so many records, and return its id."""
    now = 1000.0
    made = start(definition, run, {}, now)
    first = sealed(definition, made, seq=0, head=genesis(run, definition.digest), epoch=1, now=now)
    store.commit([NewRun(pin(definition), first, "me", 1e12)])
    head, waiting = first.records[-1].hash, list[Commit]()
    while made.snapshot.seq < records:
        assert made.call is not None
        now, before = now + 0.001, made.snapshot.seq
        outcome = Outcome({"ok": True, "score": 0.9, "size": made.snapshot.seq})
        made = step(definition, made.snapshot, Event(FINISH, outcome=outcome, key=made.call.key), now)
        waiting.append(sealed(definition, made, seq=before, head=head, epoch=1, now=made.at))
        head = waiting[-1].records[-1].hash
        if len(waiting) == _AT_ONCE or made.snapshot.seq >= records:
            _expect(store.commit(waiting) == [None] * len(waiting))
            waiting = []
    return run


def _expect(holds: bool) -> None:
    if not holds:
        raise RuntimeError("the benchmark's own run is not as it should be: the figures would mean nothing")


def measure(records: int, rounds: int) -> dict[str, float]:
    """Return records a second of each part, the median of some rounds, and the most memory that replay holds."""
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder) / "runs.db") as store:
        definition = define()
        run = write(store, definition, records)
        stored = store.load(run)
        other = define(CALLS.replace("0.5", "0.6"))
        written = list(Journal(store, stored).written())
        parts: dict[str, Callable[[], object]] = {
            "store": lambda: deque(store.records(run), maxlen=0),
            "chain": lambda: _expect(verify(store.records(run), stored.machine) is None),
            "kernel": lambda: _expect(replay(definition, run, written).conforms),
            "replay": lambda: _expect(replay_run(store, run).conforms),
            "against": lambda: _expect(compare_run(store, run, other).same),
        }
        taken: dict[str, list[float]] = {name: [] for name in parts}
        for _ in range(rounds):
            for name, part in parts.items():
                begun = time.process_time()
                part()
                taken[name].append(stored.seq / (time.process_time() - begun))
        found = {name: statistics.median(rates) for name, rates in taken.items()}
        tracemalloc.start()
        replay_run(store, run)
        found["replay_megabytes"] = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
        return found


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    options.add_argument("--json", action="store_true", help="print JSON")
    options.add_argument("--records", type=int, default=20_000, help="records of the run (default: 20000)")
    options.add_argument("--rounds", type=int, default=5, help="how often each is measured (default: 5)")
    given = options.parse_args()
    found = measure(given.records, given.rounds)
    if given.json:
        print(json.dumps({"python": platform.python_version(), "records": given.records, "results": found}))
        return
    memory = found.pop("replay_megabytes")
    for name, rate in found.items():
        print(f"{name:8} {rate:9,.0f} records/s {1e6 / rate:6.1f} us a record")
    print(f"replay holds {memory:.1f} MB at most")


if __name__ == "__main__":
    main()
