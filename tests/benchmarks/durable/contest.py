"""Ours beside its peers and the floor: each in a process of its own, in turn, so that the disk is the same for all."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

STEPS = 100
AT_ONCE = 100
_PEERS = Path(__file__).with_name("peers")
_SYNCS = "fsync,fdatasync,msync,sync_file_range"


@dataclass(frozen=True, slots=True)
class Contestant:
    """Something that keeps steps.

    Attributes:
        name: Its name in the table.
        words: The script below ``peers`` and what it is told.
        packages: What its environment needs; nothing means that it runs in ours.
        many: Whether it can drive many runs at once in one process.
    """

    name: str
    words: tuple[str, ...]
    packages: tuple[str, ...] = ()
    many: bool = True


OURS = Contestant("ours", ("ours.py",))
BARE = Contestant("bare insert", ("bare.py",), many=False)
_LANGGRAPH = ("langgraph", "langgraph-checkpoint-sqlite")
PEERS = (
    Contestant("langgraph sync", ("langgraph_sqlite.py", "sync"), _LANGGRAPH),
    Contestant("langgraph default", ("langgraph_sqlite.py",), _LANGGRAPH),
    Contestant("burr", ("burr_sqlite.py",), ("burr",), many=False),
    Contestant("dbos", ("dbos_sqlite.py",), ("dbos",)),
)


@dataclass(frozen=True, slots=True)
class Result:
    """What was measured of a contestant.

    Attributes:
        name: Its name.
        ms: Milliseconds a step, of each round.
        many: Steps a second of a hundred runs at once; None when it cannot.
        syncs: Disk syncs a step; None when they cannot be counted.
        many_syncs: The same of a hundred runs at once.
        size: Bytes a step on disk.
    """

    name: str
    ms: tuple[float, ...]
    many: float | None
    syncs: float | None
    many_syncs: float | None
    size: float


def cache() -> Path:
    """Return the folder where the peers' environments are kept."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "agent-statemachine" / f"benchmark-{sys.version_info.major}.{sys.version_info.minor}"


def python_of(contestant: Contestant) -> str:
    """Return the Python that a contestant is run by; make its environment first if there is none."""
    if not contestant.packages:
        return sys.executable
    folder = cache() / contestant.packages[0]
    python, made = folder / "bin" / "python", folder / "made"
    if not made.exists():
        print(f"making {folder} with {', '.join(contestant.packages)}", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
        uv = shutil.which("uv")
        if uv:
            words = [[uv, "venv", "-q", "--python", sys.executable, folder]]
            words.append([uv, "pip", "install", "-q", "--python", python, *contestant.packages])
        else:
            words = [[sys.executable, "-m", "venv", folder]]
            words.append([python, "-m", "pip", "install", "-q", *contestant.packages])
        for command in words:
            subprocess.run(command, check=True)
        made.touch()
    return str(python)


def version_of(contestant: Contestant) -> str:
    """Return the version of what a contestant runs; empty for what is not a package."""
    if not contestant.packages:
        return ""
    code = f"from importlib.metadata import version; print(version({contestant.packages[0]!r}))"
    ran = subprocess.run([python_of(contestant), "-c", code], check=True, capture_output=True, text=True)
    return ran.stdout.strip()


class Running:
    """A contestant's process, which answers questions; see ``peers/serve.py``."""

    def __init__(self, contestant: Contestant, folder: Path, before: Sequence[str] = ()) -> None:
        script, *told = contestant.words
        words = [*before, python_of(contestant), str(_PEERS / script), str(folder), *told]
        root = str(Path(__file__).parents[3])
        environment = os.environ | {"PYTHONPATH": "" if contestant.packages else root}
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self._answer("ready")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)

    def ask(self, question: str) -> None:
        """Ask for something to be done."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{question}\n")
        self._process.stdin.flush()

    def seconds(self) -> float:
        """Return how long what was asked for took."""
        return float(json.loads(self._answer()))

    def _answer(self, wanted: str = "") -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.strip() == wanted or (not wanted and re.fullmatch(r"[\d.e-]+", line.strip())):
                return line
        raise RuntimeError(f"{self._process.args} ended with status {self._process.wait()}")


def contest(contestants: Sequence[Contestant], rounds: int, *, few: bool = False) -> list[Result]:
    """Let all run in turn, ``rounds`` times, and then each with a hundred runs at once.

    Args:
        contestants: Who takes part.
        rounds: How often each runs its hundred steps, after once to warm up.
        few: Ten runs at once instead of a hundred, and no counting of syncs.
    """
    ms: dict[str, list[float]] = {one.name: [] for one in contestants}
    many: dict[str, float] = {}
    size: dict[str, float] = {}
    at_once = 10 if few else AT_ONCE
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        folders = {one.name: Path(place) / str(number) for number, one in enumerate(contestants)}
        running: dict[str, Running] = {}
        for one in contestants:
            folders[one.name].mkdir()
            running[one.name] = stack.enter_context(Running(one, folders[one.name]))
        for lap in range(rounds + 1):
            for one in contestants:
                running[one.name].ask("run")
                seconds = running[one.name].seconds()
                ms[one.name] += [seconds * 1000 / STEPS] if lap else []
        for one in contestants:
            if one.many:
                running[one.name].ask(f"many {at_once}")
                many[one.name] = at_once * STEPS / running[one.name].seconds()
        stack.close()  # what is still in a log goes into its database
        for one in contestants:
            steps = STEPS * (rounds + 1 + (at_once if one.many else 0))
            size[one.name] = sum(f.stat().st_size for f in folders[one.name].rglob("*.db")) / steps
    return [
        Result(
            one.name,
            tuple(ms[one.name]),
            many.get(one.name),
            None if few else syncs(one, "run"),
            None if few or one.name != OURS.name else syncs(one, f"many {AT_ONCE}"),
            size[one.name],
        )
        for one in contestants
    ]


def syncs(contestant: Contestant, question: str) -> float | None:
    """Return the disk syncs a step of what is asked for, counted by strace; None where that is not there."""
    if shutil.which("strace") is None:
        return None

    def counted(times: int) -> int:
        with tempfile.TemporaryDirectory() as folder:
            trace = Path(folder) / "trace"
            before = ["strace", "-f", "-qq", "-e", f"trace={_SYNCS}", "-o", str(trace)]
            with Running(contestant, Path(folder), before) as running:
                for _ in range(times):
                    running.ask(question)
                    running.seconds()
            return len(re.findall(rf"(?:{_SYNCS.replace(',', '|')})\(", trace.read_text()))

    # The difference of a longer and a shorter life leaves out what opening and closing costs.
    runs = int(question.partition(" ")[2] or 1)
    return (counted(2) - counted(1)) / (STEPS * runs)


def together(processes: int) -> float:
    """Return the steps a second of a hundred runs of ours, in several processes on one database."""
    runs = AT_ONCE // processes
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        folder = Path(place)
        running = [stack.enter_context(Running(OURS, folder)) for _ in range(processes)]
        for question in ("run", f"many {runs}"):
            for one in running:
                one.ask(question)
            seconds = max(one.seconds() for one in running)
    return runs * processes * STEPS / seconds
