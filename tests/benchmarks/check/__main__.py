"""How long it takes to judge machines, and where the time goes.

Machines of a few and of many states, side by side: `load` reads one from its file, `check` applies every rule, and so
finds how far each loop goes. Of the two chains of a thousand states, one has few enough counts for every state to be
visited, and of the other the structure is judged. Times are this process's own on its core; calls of functions do not drift.
Run: ``python -m tests.benchmarks.check [--json] [--rounds N]``.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from statemachine.check import check
from statemachine.machine.load import load

T = TypeVar("T")

_MACHINES = Path(__file__).parents[3] / "machines"
_PARTS = ("load", "check")

_CHAIN = """machine: chain
version: "1"
limits: {steps: 1000000}
tools: {look: {shell: "true", effect: read, timeout: 1s}}
initial: s0
states:"""


def chain(states: int, attempts: int, counters: int) -> str:
    """Return a chain of calls with so many states in all, every tenth of which may lead back to a counter, and each
    counter to the start of its part."""
    names = [f"s{n}" for n in range(states - counters - 2)]
    lines = []
    for at, name in enumerate(names):
        failed = f"r{at * counters // len(names)}" if at % 10 == 9 else "fail"
        after = names[at + 1] if at + 1 < len(names) else "end"
        lines.append(f"  {name}: {{do: look, on: {{done: {after}, failed: {failed}}}}}")
    for n in range(counters):
        first = names[n * len(names) // counters]
        lines.append(f"  r{n}: {{attempts: {attempts}, exhausted: fail, always: {first}}}")
    return "\n".join([_CHAIN, *lines, "  end: {final: succeeded}", "  fail: {final: failed}", ""])


def calls(work: Callable[[], T]) -> tuple[T, int]:
    """Do some work; return its result, and how many functions were called."""
    profile = cProfile.Profile()
    profile.enable()
    try:
        result = work()
    finally:
        profile.disable()
    return result, sum(entry.callcount for entry in profile.getstats())


def judge(file: Path) -> dict[str, float]:
    """Return the milliseconds that each part takes for a machine."""
    at = [time.process_time()]
    definition = load(file)
    at.append(time.process_time())
    check(definition)
    at.append(time.process_time())
    return {part: 1000 * (after - before) for part, before, after in zip(_PARTS, at, at[1:], strict=False)}


def measure(rounds: int) -> dict[str, dict[str, float]]:
    """Return of each machine the medians of some rounds in milliseconds, and the calls of one."""
    with tempfile.TemporaryDirectory() as folder:
        files = {name: _MACHINES / name / f"{name}.yaml" for name in ("agent", "renewal")}
        for name, states, attempts in (
            ("100 states", 100, 2),
            ("1000 states", 1000, 2),
            ("1000, 10^10 counts", 1000, 400),
        ):
            files[name] = Path(folder) / f"{states}-{attempts}.yaml"
            files[name].write_text(chain(states, attempts, 3))
        taken: dict[str, list[dict[str, float]]] = {name: [] for name in files}
        for _ in range(rounds):
            for name, file in files.items():
                taken[name].append(judge(file))
        return {
            name: {part: statistics.median(one[part] for one in rows) for part in _PARTS}
            | {"calls": calls(lambda file=files[name]: judge(file))[1]}  # type: ignore[misc]
            for name, rows in taken.items()
        }


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    options.add_argument("--json", action="store_true", help="print JSON")
    options.add_argument("--rounds", type=int, default=5, help="how often each is measured (default: 5)")
    given = options.parse_args()
    found = measure(given.rounds)
    if given.json:
        print(json.dumps({"python": platform.python_version(), "results": found}))
        return
    print(f"{'machine':20}" + "".join(f"{part + ' ms':>12}" for part in _PARTS) + f"{'calls':>14}")
    for name, row in found.items():
        print(f"{name:20}" + "".join(f"{row[part]:12.1f}" for part in _PARTS) + f"{row['calls']:14,.0f}")


if __name__ == "__main__":
    main()
