"""SIGKILL and SIGSTOP before and after everything that is stored and every effect, and during recovery itself."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import psutil

from statemachine.store import Store
from tests.faults.process import DEADLINE, At, Order, ended, judged, new_world, spawn, wrong
from tests.faults.tally import Tally, side_by_side

LEASE = 2.0
"""Seconds that the lease of a process lasts that is to be paused for longer; more than any call may take."""

_LONG = 60.0
_SLACK = 0.3
_HOUR = 3600.0
_LEASED = 2
"""The point at which who resumes one run has taken its lease, and done nothing with it."""


class _Kill(NamedTuple):
    """Where a process is killed.

    Attributes:
        first: The point.
        second: The point at which who resumes its run is killed as well; 0 for never.
    """

    first: int
    second: int


def _points(folder: Path, laps: int = 1) -> list[str]:
    """Return the points that a process comes by when nothing strikes it."""
    for _ in range(5):
        world = new_world(folder)
        ended(spawn(Order(world.folder, laps=laps)))
        names = (world.folder / "points.txt").read_text().splitlines()
        if names.count("before look") == laps:
            return names
    # On a busy computer a tool may be too slow for its timeout, and then the run takes another way.
    raise RuntimeError(f"of five runs none has gone round {laps} times: give the harness a quieter computer")


def kill(
    folder: Path,
    *,
    long: bool = False,
    seed: int = 0,
    most: int = 40,
    mutant: str = "",
    at: At | None = None,
    laps: int = 1,
) -> Tally:
    """Kill a process at each point, and whoever resumes its run at another; then finish and check.

    ``at`` strikes at one point only. The long sweep goes on into a second lap.
    """
    tally, laps = Tally("kill"), 2 if long else laps
    names = [] if at else _points(folder / "count", laps)
    again = range(10) if long else (0, 2, 5)
    second_lap = names.index("before look", names.index("after look")) if long else len(names)
    kills = [_Kill(n, second) for n in range(1, second_lap + 1) for second in again]
    kills += [_Kill(n, 0) for n in range(second_lap + 1, len(names) + 1)]
    if at is not None:
        kills = [_Kill(0, 0)]
    elif not long:
        kills = sorted(random.Random(seed).sample(kills, min(most, len(kills))))

    def strike(place: Path, kill: _Kill) -> None:
        world = new_world(place)
        codes = [ended(spawn(Order(place, point=kill.first, at=at, mutant=mutant, laps=laps)))]
        if kill.second:
            codes.append(ended(spawn(Order(place, do="resume", point=kill.second, mutant=mutant))))
        name = at[0] if at else names[kill.first - 1]
        where = f"kill at point {at[1] if at else kill.first} ({name}), then at {kill.second} of the recovery"
        found = [what for code in codes for what in wrong(world, code, 0, -signal.SIGKILL)]
        tally.note(where, name, codes[0] < 0, found + judged(world, mutant))
        if kill.second:
            tally.note(where, "in recovery", codes[1] < 0, ())
        shutil.rmtree(place)

    side_by_side(folder, kills, strike)
    return tally


class _Stop(NamedTuple):
    """Where a process is stopped.

    Attributes:
        point: The point.
        lease: Seconds that its lease lasts.
        second: The point at which who takes over is stopped as well; 0 for never.
        skew: Seconds by which its clock is fast: where it is slow, only the fence keeps it out.
    """

    point: int
    lease: float = LEASE
    second: int = 0
    skew: float = 0.0


def stop(
    folder: Path, *, long: bool = False, seed: int = 0, most: int = 16, mutant: str = "", at: At | None = None
) -> Tally:
    """Stop a process at each point, let another try to take over, then let it go on.

    Stopped for longer than its lease, the other either drives the run to its end meanwhile, or is stopped as well, once
    it has the lease. Stopped for less, the other must leave the run alone. Before a commit one is stopped as well
    whose clock is an hour slow, so that it does not notice that its lease is over.
    """
    tally, names = Tally("stop"), [] if at else _points(folder / "count")
    stops = [
        stop
        for n in range(1, len(names) + 1)
        for stop in (_Stop(n), _Stop(n, second=_LEASED), _Stop(n, _LONG))
    ]
    stops += [
        _Stop(n, _LONG, skew=-_HOUR) for n, name in enumerate(names, start=1) if name == "before a commit"
    ]
    if at is not None:
        stops = [_Stop(0), _Stop(0, second=_LEASED), _Stop(0, _LONG)]
        stops += [_Stop(0, _LONG, skew=-_HOUR)] if at[0] == "before a commit" else []
    elif not long:
        stops = sorted(random.Random(seed).sample(stops, min(most, len(stops))))

    def strike(place: Path, stop: _Stop) -> None:
        world = new_world(place)
        order = Order(place, signal=signal.SIGSTOP, lease=stop.lease, mutant=mutant)
        first = spawn(replace(order, point=stop.point, at=at, skew=stop.skew))
        struck, taken, early = _stopped(first.pid or 0), [], stop.lease == _LONG and not stop.skew
        before = _epochs(world.db, owned=True) if struck else {}
        if struck and stop.lease == LEASE:
            time.sleep(LEASE + _SLACK)
        other = spawn(replace(order, do="resume", point=stop.second))
        if not (stop.second and _stopped(other.pid or 0)):
            ended(other)
        if struck:
            after = _epochs(world.db)
            if early:
                taken = [
                    f"{run} was taken over within its lease" for run in before if after[run] != before[run]
                ]
            os.kill(first.pid or 0, signal.SIGCONT)
        codes = [ended(first)]
        if other.exitcode is None:
            os.kill(other.pid or 0, signal.SIGCONT)
        codes.append(ended(other))
        bad = [what for code in codes for what in wrong(world, code, 0)]
        name = at[0] if at else names[stop.point - 1]
        how = "with a slow clock" if stop.skew else "within its lease" if early else ""
        how = how or ("and who takes over as well" if stop.second else "")
        where = f"stop at point {at[1] if at else stop.point} ({name})" + (f", {how}" if how else "")
        tally.note(where, how or name, struck, taken + bad + judged(world, mutant))
        shutil.rmtree(place)

    side_by_side(folder, stops, strike, width=8)
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


def _epochs(db: Path, *, owned: bool = False) -> dict[str, int]:
    with Store.open(db) as store:
        return {run.id: run.epoch for run in store.runs() if run.owner is not None or not owned}
