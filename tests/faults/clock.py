"""A wall clock that really jumps, under a process that really runs: libfaketime stands between it and the system.

The process drives a run; at a point its clock is set back an hour and soon put right, or forward a day for good (a clock
that is set back again holds up waits until it has caught up). Only the wall clock jumps, as when it is set; the
monotonic clock, by which a process sleeps, does not.
"""

from __future__ import annotations

import os
import pickle
import random
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from tests.faults.kill import _points
from tests.faults.process import DEADLINE, Order, ended, judged, new_world, spawn, wrong
from tests.faults.tally import Tally, side_by_side

JUMPS = {"back": "-1h", "forward": "+1d"}
_DAY = 86400.0
_AWAY = 1.0
"""Seconds for which a clock is wrong: longer than every wait of the world's machine."""

_LEASE = 1.5
_TAKEN = "after leases are taken"


def _library() -> Path | None:
    package = find_spec("libfaketime")
    if package is None or package.origin is None:
        return None
    return Path(package.origin).with_name("vendor") / "libfaketime" / "src" / "libfaketime.so.1"


def available() -> bool:
    """Return whether clocks can be faked: libfaketime is there and works under this interpreter."""
    library = _library()
    if library is None or not library.exists():
        return False
    asked = [sys.executable, "-c", "import time; print(time.time())"]
    told = subprocess.run(asked, env=faked() | {"FAKETIME": "-1h"}, capture_output=True, check=False)
    return told.returncode == 0 and 3000 < time.time() - float(told.stdout) < 4200


def faked() -> dict[str, str]:
    """Return an environment in which the wall clock is libfaketime's; what it shows is still to be said."""
    fake = {"LD_PRELOAD": str(_library()), "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    return os.environ | fake


def jumps(folder: Path, *, long: bool = False, seed: int = 0, most: int = 12, mutant: str = "") -> Tally:
    """Let the clock jump at the first point of each name; finish with a right clock and check."""
    tally, folder = Tally("clock"), folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    names = list(dict.fromkeys([*_points(folder / "count"), _TAKEN]))
    points = [(name, way) for name in names for way in JUMPS]
    if not long:  # in back-off, lease and timeout always, and at some of the other points
        always = [point for point in points if point[0] in ("in back-off", _TAKEN, "after slow")]
        others = [point for point in points if point not in always]
        points = always + random.Random(seed).sample(others, min(len(others), most - len(always)))

    def strike(place: Path, point: tuple[str, str]) -> None:
        (name, way), world = point, new_world(place)
        order = Order(place, at=(name, 1), lease=_LEASE, mutant=mutant, jump=JUMPS[way])
        if name == _TAKEN:  # there is a lease to take only where another has been
            ended(spawn(Order(place, at=("after put", 1))))
            order = replace(order, do="resume")
        code, struck = _driven(order)
        tally.note(
            f"clock jumps {way} {name}",
            f"{way} {name}",
            struck,
            wrong(world, code, 0) + judged(world, mutant),
        )
        shutil.rmtree(place)

    side_by_side(folder, points, strike)
    return tally


def _driven(order: Order) -> tuple[int, bool]:
    """Let a process obey an order under a clock of its own; return its exit code and whether the clock jumped."""
    clock = order.folder / "clock.txt"
    clock.write_text("+0")
    program = "import pickle, sys; from tests.faults.process import obey; obey(pickle.load(sys.stdin.buffer))"
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env=faked() | {"FAKETIME_TIMESTAMP_FILE": str(clock)},
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
    )
    assert process.stdin is not None
    with process.stdin as given:
        pickle.dump(order, given)
    until = time.monotonic() + DEADLINE
    while process.poll() is None and clock.read_text() == "+0" and time.monotonic() < until:
        time.sleep(0.01)
    struck = clock.read_text() != "+0"
    if order.jump == JUMPS["back"]:
        time.sleep(_AWAY)
        clock.write_text("+0")
    return process.wait(DEADLINE), struck
