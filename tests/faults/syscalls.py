"""Faults inside the operating system, by strace: a kill, ENOSPC or EIO at the n-th call of one system call."""

from __future__ import annotations

import random
import re
import shutil
import signal
import subprocess
from pathlib import Path

from tests.faults.process import Order, ended, judged, new_world, spawn, wrong
from tests.faults.tally import Tally, side_by_side
from tests.faults.world import World

KILLED = (
    "pwrite64",
    "fdatasync",
    "fsync",
    "write",
    "ftruncate",
    "openat",
    "unlink",
    "fcntl",
    "pread64",
    "close",
)
"""System calls at which a process is killed; what there is none of has no points."""

REFUSED = (("pwrite64", "ENOSPC"), ("pwrite64", "EIO"), ("fdatasync", "EIO"), ("fdatasync", "ENOSPC"))
"""System calls that fail, and how; once, or from then on."""

_MOST = 60
"""Of one system call, the calls that the long sweep draws; there are many more, and much alike."""


def available() -> bool:
    """Return whether there is a strace that may trace."""
    try:
        probe = subprocess.run(["strace", "-e", "trace=none", "true"], capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return probe.returncode == 0


def traced(order: Order, *options: str) -> tuple[int, Path]:
    """Let a process obey an order under strace; return its exit code and strace's report.

    It is attached to once everything is loaded, so that calls count from the first that concerns a run.
    """
    report = order.folder.with_suffix(".strace")
    (order.folder / "go").unlink(missing_ok=True)
    process = spawn(order)
    strace = subprocess.Popen(
        ["strace", "-f", "-o", str(report), *options, "-p", str(process.pid)],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert strace.stderr is not None
    for line in strace.stderr:
        if "attached" in line:
            break
    else:
        process.kill()
        raise OSError(f"strace cannot trace here: {strace.wait()}")
    (order.folder / "go").touch()
    code = ended(process)
    strace.stderr.read()
    strace.wait()
    strace.stderr.close()
    return code, report


def _counts(folder: Path, *, fresh: bool) -> dict[str, int]:
    """Return how often each system call is made when nothing strikes."""
    world = new_world(folder, fresh=fresh)
    names = ",".join(dict.fromkeys([*KILLED, *(name for name, _ in REFUSED)]))
    _, report = traced(Order(world.folder, wait=True), "-e", f"trace={names}")
    return {name: made for name in names.split(",") if (made := _made(report, name))}


def _made(report: Path, name: str) -> int:
    """Return how often a system call was made."""
    return len(re.findall(rf"^\d+ +{name}\(", report.read_text(), re.MULTILINE))


def kill(folder: Path, *, long: bool = False, seed: int = 0, most: int = 30, mutant: str = "") -> Tally:
    """Kill a process at its n-th call of each system call; some of them while they make the database."""
    tally, chance = Tally("syscalls"), random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    points = []
    for fresh in (False, True):
        for name, count in sorted(_counts(folder / "count", fresh=fresh).items()):
            if name in KILLED:
                each = range(1, count + 1)
                most_of_it = (_MOST if not fresh else 12) if long else 2
                few = chance.sample(each, min(count, most_of_it))
                points += [(fresh, name, n) for n in few]
    if not long:
        points = chance.sample(points, min(most, len(points)))

    def strike(place: Path, point: tuple[bool, str, int]) -> None:
        fresh, name, n = point
        world = new_world(place, fresh=fresh)
        inject = f"inject={name}:signal=KILL:when={n}"
        code, report = traced(Order(place, wait=True, mutant=mutant), "-e", f"trace={name}", "-e", inject)
        found = wrong(world, code, 0, -signal.SIGKILL)
        where = f"killed at {name} {n}" + (" with a new database" if fresh else "")
        tally.note(where, name, code < 0, found + judged(world, mutant))
        earlier = min(n, _made(report, name)) // 2
        _forget(place, report)
        if code >= 0 and earlier:  # it went another way than the one that was counted, and made fewer
            strike(place, (fresh, name, earlier))

    side_by_side(folder, points, strike)
    return tally


def errors(folder: Path, *, long: bool = False, seed: int = 0, most: int = 24, mutant: str = "") -> Tally:
    """Let the n-th write or sync fail, once or from then on: a clear refusal, and all goes on when there is room."""
    tally, chance = Tally("errors"), random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    counts = _counts(folder / "count", fresh=False)
    points = [
        (name, error, f"{n}{sticky}")
        for name, error in REFUSED
        for n in chance.sample(range(1, counts.get(name, 0) + 1), min(counts.get(name, 0), _MOST))
        for sticky in ("", "+")
    ]
    if not long:
        points = chance.sample(points, min(most, len(points)))

    def strike(place: Path, point: tuple[str, str, str]) -> None:
        name, error, when = point
        world = new_world(place)
        inject = f"inject={name}:error={error}:when={when}"
        code, report = traced(Order(place, wait=True, mutant=mutant), "-e", f"trace={name}", "-e", inject)
        struck = "INJECTED" in report.read_text()
        found = _refusal(world, code)
        sort = f"{error} at {name}" + (" from then on" if when.endswith("+") else "")
        tally.note(f"{sort}, {when}", sort, struck, found + judged(world, mutant))
        earlier = min(int(when.rstrip("+")), _made(report, name)) // 2
        _forget(place, report)
        if not struck and earlier:
            strike(place, (name, error, f"{earlier}{'+' if when.endswith('+') else ''}"))

    side_by_side(folder, points, strike)
    return tally


def _refusal(world: World, code: int) -> list[str]:
    """Return what is wrong with how a process took it that the disk failed."""
    told = world.folder / "refused.txt"
    if code == 0:
        return []  # SQLite did without, as when the log could not be moved into the database
    if code != 4 or not told.exists():
        return wrong(world, code, 0, 4) or ["it says nothing"]
    text = told.read_text()
    clear = "the disk is full" in text or "cannot be read or written" in text or "cannot be opened" in text
    return [] if clear else [f"it is not clear what to do: {text}"]


def _forget(place: Path, report: Path) -> None:
    shutil.rmtree(place)
    report.unlink()
