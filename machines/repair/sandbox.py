"""Run a program's tests away from the runtime: in a process of their own, with limits of time and memory."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .source import BadInput

Kind = Literal["passed", "failed", "timeout", "crash"]

FLOOR = 0.5  # seconds of processor time that a test is always given; more where it needed more before
START = 30.0  # for importing and collecting, while nothing is known
GRACE = 5.0  # seconds for the runner to end when nobody listens any more
MEMORY = 2 << 30  # bytes of address space
ARGUMENTS = [
    *("-p", "no:cacheprovider", "-p", "no:randomly"),  # nothing written beside the tests, one order
    *(
        "-o",
        "addopts=",
        "-W",
        "ignore::pytest.PytestConfigWarning",
    ),  # the project's settings, not its options
    *("-q", "-s", "--tb=line", "--no-header", "--no-summary"),
]


OURS = re.compile("PYTEST_(ADDOPTS|CURRENT_TEST|VERSION)|PYTEST_XDIST_.*|COVERAGE_.*|COV_CORE_.*")
"""Environment variables that speak to the pytest or coverage around this process, not to those inside."""


class RunnerFailed(RuntimeError):
    """The test process itself did not work, whatever the program; the message says what it wrote."""


@dataclass(frozen=True, slots=True)
class TestRun:
    """What one test did.

    Attributes:
        test: The test's pytest id.
        kind: How it ended.
        seconds: How long it took (`runner.took`).
        message: The type and first line of the exception, or how the process ended.
        lines: The program's lines that it ran; None where the process died with the answer.
    """

    __test__ = False

    test: str
    kind: Kind
    seconds: float
    message: str
    lines: frozenset[int] | None


@dataclass(frozen=True, slots=True)
class Observation:
    """One run of a whole test file.

    Attributes:
        runs: The tests that passed or failed, in the file's order.
        imported: The lines that ran when the program was imported.
        start: Seconds until the tests were collected.
    """

    runs: tuple[TestRun, ...]
    imported: frozenset[int]
    start: float


@dataclass(frozen=True, slots=True)
class Judgement:
    """How one version of a program did.

    Attributes:
        version: Its place in the versions given.
        kind: How its first failing test ended, or `passed`.
        test: The test that decided; None where the tests could not be collected, or all passed.
        message: The type and first line of the exception, or how the process ended.
        passed: How many tests passed before.
    """

    version: int
    kind: Kind
    test: str | None
    message: str
    passed: int


def cores() -> int:
    """How many processes can run at the same time here."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def limit(seconds: float) -> float:
    """Seconds of processor time to allow where `seconds` were enough before: ten times that, within bounds."""
    return max(FLOOR, min(10 * seconds, seconds + 60))


def observe(program: Path, tests: Path, folder: Path, patience: float) -> Observation:
    """Run every test once, with coverage of the program's lines per test.

    A test that takes longer than `patience` is a time-out; those behind it are given less.

    Args:
        program: The program's file, absolute.
        tests: The test file, absolute.
        folder: Where tests may leave temporary files; emptied afterwards.
        patience: Seconds of processor time that a test may take.

    Raises:
        BadInput: The tests cannot be collected, or there are none.
        RunnerFailed: pytest or coverage is missing or broken.
    """
    runs: dict[str, TestRun] = {}
    imported: frozenset[int] = frozenset()
    start = START
    request = {
        "observe": True,
        "versions": [str(program)],
        "patience": patience,
        "floor": FLOOR,
        "start": START,
    }
    for message in exchange(program, tests, folder, {**request, "cores": 1}):
        if "collected" in message:
            imported |= frozenset(message["lines"])
            start = message["seconds"]
        elif "end" in message:
            if message["outcome"] != "skipped":
                lines = frozenset(message["lines"]) if "lines" in message else None
                test, kind, seconds = message["end"], message["outcome"], message["seconds"]
                runs[test] = TestRun(test, kind, seconds, message["message"], lines)
        elif message["kind"] != "passed":
            reason = message["message"] or f"importing them took longer than {START:.0f} s"
            raise BadInput(f"tests {tests} cannot be collected: {reason}")
    if not runs:
        raise BadInput(f"tests {tests} hold no test that runs: all are skipped")
    return Observation(tuple(runs.values()), imported, start)


def judge(
    program: Path,
    tests: Path,
    folder: Path,
    versions: Sequence[Path],
    order: Sequence[str],
    limits: Mapping[str, float],
    start: float,
) -> list[Judgement]:
    """Run the tests against versions of a program, in parallel, each until its first failure.

    A version that passes in the order given is run once more in the file's own order. The versions behind the first
    that passes both are not judged.

    Args:
        program: The program's file, absolute, in whose place each version is loaded.
        tests: The test file, absolute.
        folder: Where tests may leave temporary files; emptied afterwards.
        versions: Files with the versions.
        order: Ids of the tests to run, the most telling first.
        limits: Seconds of processor time for each of these tests; the order of its keys is the file's own.
        start: Seconds of processor time for importing and collecting.

    Raises:
        RunnerFailed: pytest is missing or broken.
    """
    request = {
        "observe": False,
        "versions": [str(version) for version in versions],
        "order": list(order),
        "natural": list(limits),
        "limits": dict(limits),
        "start": start,
        "cores": cores(),
    }
    found = [Judgement(**message) for message in exchange(program, tests, folder, request)]
    return sorted(found, key=lambda judgement: judgement.version)


def exchange(program: Path, tests: Path, folder: Path, request: dict[str, Any]) -> list[dict[str, Any]]:
    """Start the runner, ask it one thing, and give its answers."""
    if not hasattr(os, "fork"):
        raise RunnerFailed("the sandbox forks its test processes, which this operating system cannot")
    folder.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="tests-", dir=folder))
    request |= {
        "program": str(program),
        "tests": str(tests),
        "path": [str(tests.parent), *import_roots(program)],
        "arguments": [*ARGUMENTS, f"--rootdir={tests.parent}"],
        "memory": MEMORY,
        "scratch": str(scratch),
    }
    environment = {name: value for name, value in os.environ.items() if not OURS.fullmatch(name)} | {
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "HYPOTHESIS_STORAGE_DIRECTORY": str(scratch / "hypothesis"),
    }
    with tempfile.TemporaryFile() as complaints:
        runner = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).with_name("runner.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            cwd=tests.parent,
            env=environment,
            start_new_session=True,
        )
        assert runner.stdin is not None
        assert runner.stdout is not None
        try:
            with contextlib.suppress(BrokenPipeError):  # its exit code says more
                runner.stdin.write(json.dumps(request).encode() + b"\n")
                runner.stdin.flush()
            answers = [json.loads(line) for line in runner.stdout]
            if runner.wait() != 0:
                complaints.seek(0)
                last = (complaints.read().decode(errors="replace").strip().splitlines() or ["nothing"])[-1]
                missing = "; install agent-statemachine[repair]" if "No module named" in last else ""
                raise RunnerFailed(f"the test process ended with code {runner.returncode}: {last}{missing}")
            return answers
        finally:
            with contextlib.suppress(BrokenPipeError):
                runner.stdin.close()  # which ends it and all tests
            try:
                runner.wait(GRACE)
            except subprocess.TimeoutExpired:
                runner.kill()
                runner.wait()
            runner.stdout.close()
            # What tests made unremovable goes with the run's folder.
            shutil.rmtree(scratch, ignore_errors=True)


def import_roots(program: Path) -> list[str]:
    """The folders to import the program from: its own, and for a module in a package the one above the package."""
    root = program.parent
    while (root / "__init__.py").exists():
        root = root.parent
    return list(dict.fromkeys([str(program.parent), str(root)]))
