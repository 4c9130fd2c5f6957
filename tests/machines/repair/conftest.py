"""A folder with a program and its tests, the call that a tool serves, and the loop of the machine."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from machines.repair.models import Baseline, Diagnosis, Lessons, Patch, Verdict
from machines.repair.tools import apply, diagnose, plan, validate
from statemachine.machine.call import Call


@pytest.fixture
def call(tmp_path: Path) -> Call:
    """A call with a folder of its run."""
    return Call("run:1", "run", 1, 1, time.time() + 600, tmp_path / "run")


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Write ``prog.py`` and ``test_prog.py`` into a folder of the user's."""

    def write(program: str, tests: str) -> tuple[Path, Path]:
        folder = tmp_path / "user"
        folder.mkdir(exist_ok=True)
        paths = folder / "prog.py", folder / "test_prog.py"
        for path, text in zip(paths, (program, tests), strict=True):
            path.write_text(textwrap.dedent(text).lstrip())
        return paths

    return write


@dataclass
class Repair:
    """How a repair went."""

    baseline: Baseline
    tried: list[str]
    patch: Patch | None = None
    verdict: Verdict | None = None
    diagnosis: Diagnosis | None = None
    reason: str = ""


def loop(program: Path, tests: Path, call: Call, attempts: int = 200) -> Repair:
    """Plan, act, validate, diagnose, until the tests pass or there is no use in going on."""
    baseline, tried, lessons = None, list[str](), Lessons()
    while True:
        planned = plan(program, tests, attempts, baseline, tried, lessons, call)
        baseline, proposal = planned.baseline, planned.proposal
        verdict = (
            validate(baseline, proposal, apply(baseline, proposal, call), call) if proposal.patches else None
        )
        if proposal.already_passing:
            return Repair(baseline, tried, reason=proposal.reason)
        diagnosed = diagnose(proposal, verdict, attempts, tried, lessons)
        tried, lessons = diagnosed.tried, diagnosed.lessons
        if verdict is not None and verdict.passed:
            patch = next(patch for patch in proposal.patches if patch.id == verdict.winner)
            return Repair(baseline, tried, patch, verdict)
        if not diagnosed.diagnosis.recoverable:
            return Repair(baseline, tried, diagnosis=diagnosed.diagnosis, reason=diagnosed.diagnosis.reason)


@pytest.fixture
def repair(call: Call) -> Callable[..., Repair]:
    """Run the loop on a program."""
    return lambda program, tests, attempts=200: loop(program, tests, call, attempts)
