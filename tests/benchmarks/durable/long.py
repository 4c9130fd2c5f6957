"""Ours alone: what a step and an opening cost late in a long run, and what recovery of many runs takes."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from statemachine.host.runtime import Runtime
from statemachine.host.view import RunView
from statemachine.machine.definition import Definition
from statemachine.machine.load import load
from statemachine.store import Store
from tests.benchmarks.durable.machine import write

STRETCH = 100
_ROUNDS = 7


@dataclass(frozen=True, slots=True)
class Late:
    """A long run beside short ones.

    Attributes:
        steps: Steps of the long run.
        ms_first: Milliseconds a step of a run's first hundred.
        ms_late: The same of the long run's last hundreds.
        ratio: How many times as much the late ones cost, the median of rounds in turn.
        open_short: Milliseconds to read a run of a hundred steps so that it can go on.
        open_long: The same of the long run.
        records: Records of the long run.
    """

    steps: int
    ms_first: float
    ms_late: float
    ratio: float
    open_short: float
    open_long: float
    records: int


@dataclass(frozen=True, slots=True)
class Recovery:
    """Runs that were under way when their process was killed, resumed by another.

    Attributes:
        runs: How many.
        seconds: Until all had ended; each had five more steps to go.
        peak: Peak memory of the process that resumed them, in bytes.
    """

    runs: int
    seconds: float
    peak: int


async def _stretch(db: Path, definition: Definition, run: str | None, steps: int) -> tuple[str, float]:
    """Drive a run, or a new one, for so many steps; return its id and the milliseconds that each took."""
    times: list[float] = []

    def seen(*_: object) -> None:
        times.append(time.perf_counter())
        if len(times) == steps + 1:
            runtime.stop()

    async with Runtime(db, observer=seen) as runtime:
        if run is None:
            view = await runtime.start(definition, {"laps": 1_000_000})
        else:
            view = await runtime.resume(run)
    return view.run, (times[steps] - times[0]) / steps * 1000


async def _openings(db: Path, runs: tuple[str, ...]) -> list[float]:
    """Return the milliseconds that reading each run takes so far that it could go on, the median of many."""
    taken: dict[str, list[float]] = {run: [] for run in runs}
    async with Runtime(db, create=False) as runtime:
        for _ in range(100):
            for run in runs:
                began = time.perf_counter()
                runtime.status(run)
                taken[run].append((time.perf_counter() - began) * 1000)
    return [statistics.median(taken[run]) for run in runs]


def late(steps: int) -> Late:
    """Measure a run that has made so many steps, in turn with new ones."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        db, definition = folder / "runs.db", load(write(folder))
        long, _ = asyncio.run(_stretch(db, definition, None, steps))
        first: list[float] = []
        last: list[float] = []
        short = ""
        for _ in range(_ROUNDS):
            short, ms = asyncio.run(_stretch(db, definition, None, STRETCH))
            first.append(ms)
            last.append(asyncio.run(_stretch(db, definition, long, STRETCH))[1])
        open_short, open_long = asyncio.run(_openings(db, (short, long)))
        with Store.open(db) as store:
            records = store.load(long).seq
    ratio = statistics.median(b / a for a, b in zip(first, last, strict=True))
    return Late(
        steps, statistics.median(first), statistics.median(last), ratio, open_short, open_long, records
    )


def recovery(runs: int) -> Recovery:
    """Kill a process with so many runs under way, and measure another that resumes them all."""
    with tempfile.TemporaryDirectory() as place:
        words = [sys.executable, "-m", "tests.benchmarks.durable.long"]
        hanging = os.environ | {"BENCHMARK_HANGS": "1"}
        killed = subprocess.Popen([*words, place, "start", str(runs)], env=hanging, stdout=subprocess.PIPE)
        assert killed.stdout is not None
        killed.stdout.readline()
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        told = subprocess.run([*words, place, "resume"], check=True, capture_output=True, text=True).stdout
        seconds, peak, ended = told.split()
        assert int(ended) == runs
    return Recovery(runs, float(seconds), int(peak))


async def _start(folder: Path, runs: int) -> None:
    definition = load(write(folder))
    under_way = asyncio.Event()
    count = 0

    def seen(*_: object) -> None:
        nonlocal count
        count += 1
        if count == runs:
            under_way.set()

    runtime = Runtime(folder / "runs.db", observer=seen)
    started = [asyncio.ensure_future(runtime.start(definition, {"laps": 1})) for _ in range(runs)]
    await under_way.wait()
    print("under way", flush=True)
    await asyncio.wait(started)  # until this process is killed


async def _resume(folder: Path) -> None:
    began, ended = time.perf_counter(), 0
    async with Runtime(folder / "runs.db", create=False) as runtime:
        async for result in runtime.resume_all():
            ended += isinstance(result, RunView) and result.status == "succeeded"
    seconds = time.perf_counter() - began
    print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, ended)


if __name__ == "__main__":
    place, what, *count = sys.argv[1:]
    asyncio.run(_start(Path(place), int(count[0])) if what == "start" else _resume(Path(place)))
