"""Eight processes on one store, stopped, let go on and killed at random."""

from __future__ import annotations

import os
import random
import signal
import time
from dataclasses import replace
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from statemachine.store import Store
from tests.faults.process import Order, ended, judged, new_world, spawn, wrong
from tests.faults.tally import Tally

PROCESSES = 8
LEASE = 2.0
"""Seconds; more than twice the longest call, so that a lease outlasts it."""


def processes(folder: Path, *, long: bool = False, seed: int = 0, most: int = 0, mutant: str = "") -> Tally:
    """Let them work while signals strike, then let the last ones work undisturbed; finish and check."""
    tally, chance = Tally("processes"), random.Random(seed)
    count, seconds = (25, 60.0) if long else (4, 6.0)
    world = new_world(folder / "world")
    order = Order(world.folder, do="work", laps=2, lease=LEASE, mutant=mutant)
    working = [spawn(replace(order, runs=count)) for _ in range(PROCESSES)]
    until = time.monotonic() + seconds
    stopped: dict[int, float] = {}
    while time.monotonic() < until:
        time.sleep(chance.uniform(0.0, 0.15))
        for n, process in enumerate(working):
            if n in stopped and stopped[n] < time.monotonic():
                _signal(process, signal.SIGCONT)
                del stopped[n]
        n = chance.randrange(PROCESSES)
        if n in stopped or working[n].exitcode is not None:
            continue
        if chance.random() < 0.25:
            tally.note("", "SIGKILL", _signal(working[n], signal.SIGKILL), ())
            missing = PROCESSES * count - _started(world.db)  # what was killed before it had started its runs
            working[n] = spawn(replace(order, runs=max(0, min(count, missing))))
        else:
            tally.note("", "SIGSTOP", _signal(working[n], signal.SIGSTOP), ())
            stopped[n] = time.monotonic() + chance.uniform(0.0, 2 * LEASE)
    for process in working:
        _signal(process, signal.SIGCONT)
    codes = [ended(process) for process in working]
    strange = [what for code in codes for what in wrong(world, code, 0)]
    tally.note(f"seed {seed}", "", False, strange + judged(world, mutant))
    tally.fired["runs"] = _started(world.db)
    tally.fired["effects"] = len(world.lines())
    return tally


def _started(db: Path) -> int:
    with Store.open(db) as store:
        return len(store.runs())


def _signal(process: ForkServerProcess, number: int) -> bool:
    """Send a signal to a process that still lives; return whether it does."""
    if process.exitcode is not None or process.pid is None:
        return False
    try:
        os.kill(process.pid, number)
    except ProcessLookupError:  # it has just ended
        return False
    return True
