"""SIGKILL and SIGSTOP before and after everything that is stored and every effect, and during recovery itself."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import psutil

from statemachine.store import Store
from tests.faults.process import DEADLINE, Order, ended, judged, new_world, spawn, wrong
from tests.faults.tally import Tally, side_by_side

LEASE = 2.0
"""Seconds that the lease of a process lasts that is to be paused for longer; more than any call may take."""

_SLACK = 0.3
_LEASED = 2
"""The point at which who resumes one run has taken its lease, and done nothing with it."""


def _points(folder: Path, mutant: str = "") -> list[str]:
    """Return the points that a process comes by when nothing strikes it."""
    world = new_world(folder)
    ended(spawn(Order(world.folder, mutant=mutant)))
    return (world.folder / "points.txt").read_text().splitlines()


def kill(folder: Path, *, long: bool = False, seed: int = 0, most: int = 40, mutant: str = "") -> Tally:
    """Kill a process at each point, and whoever resumes its run at another; then finish and check."""
    tally, names = Tally("kill"), _points(folder / "count", mutant)
    again = range(10) if long else (0, 2, 5)
    pairs = [(first, second) for first in range(1, len(names) + 1) for second in again]
    if not long:
        pairs = sorted(random.Random(seed).sample(pairs, min(most, len(pairs))))

    def strike(place: Path, pair: tuple[int, int]) -> None:
        world, (first, second) = new_world(place), pair
        codes = [ended(spawn(Order(place, point=first, mutant=mutant)))]
        if second:
            codes.append(ended(spawn(Order(place, do="resume", point=second, mutant=mutant))))
        where = f"kill at point {first} ({names[first - 1]}), then at {second} of the recovery"
        found = [what for code in codes for what in wrong(world, code, 0, -signal.SIGKILL)]
        tally.note(where, names[first - 1], codes[0] < 0, found + judged(world, mutant))
        if second:
            tally.note(where, "in recovery", codes[1] < 0, ())
        shutil.rmtree(place)

    side_by_side(folder, pairs, strike)
    return tally


def stop(folder: Path, *, long: bool = False, seed: int = 0, most: int = 16, mutant: str = "") -> Tally:
    """Stop a process at each point for longer than its lease, let another take over, then let it go on.

    The other either drives the run to its end meanwhile, or is stopped as well, once it has the lease.
    """
    tally, names = Tally("stop"), _points(folder / "count", mutant)
    pairs = [(point, second) for point in range(1, len(names) + 1) for second in (0, _LEASED)]
    if not long:
        pairs = sorted(random.Random(seed).sample(pairs, min(most, len(pairs))))

    def strike(place: Path, pair: tuple[int, int]) -> None:
        world, (point, second) = new_world(place), pair
        order = Order(place, signal=signal.SIGSTOP, lease=LEASE, mutant=mutant)
        first = spawn(replace(order, point=point))
        struck, taken = _stopped(first.pid or 0), []
        if struck:  # while the lease lasts nobody else may have the run
            before = _leases(world.db)
            ended(spawn(replace(order, do="resume")))
            now, after = time.time(), _leases(world.db)
            early = [run for run, (epoch, until) in before.items() if now < until and after[run][0] != epoch]
            taken = [f"{run} was taken over within its lease" for run in early]
        time.sleep(LEASE + _SLACK)
        other = spawn(replace(order, do="resume", point=second))
        if not (second and _stopped(other.pid or 0)):
            ended(other)
        if struck:
            os.kill(first.pid or 0, signal.SIGCONT)
        codes = [ended(first)]
        if other.exitcode is None:
            os.kill(other.pid or 0, signal.SIGCONT)
        codes.append(ended(other))
        bad = [what for code in codes for what in wrong(world, code, 0)]
        where = f"stop at point {point} ({names[point - 1]})" + (
            ", and who takes over as well" if second else ""
        )
        tally.note(where, names[point - 1], struck, taken + bad + judged(world, mutant))
        shutil.rmtree(place)

    side_by_side(folder, pairs, strike, width=8)
    return tally


def _stopped(pid: int) -> bool:
    """Wait until a process has stopped; return False when it has ended instead."""
    until = time.monotonic() + DEADLINE
    while time.monotonic() < until:
        try:
            status = psutil.Process(pid).status()
        except psutil.NoSuchProcess:
            return False
        if status in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE):
            return bool(status == psutil.STATUS_STOPPED)
        time.sleep(0.005)
    return False


def _leases(db: Path) -> dict[str, tuple[int, float]]:
    with Store.open(db) as store:
        return {run.id: (run.epoch, run.lease_until or 0.0) for run in store.runs()}
