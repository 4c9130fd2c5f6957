"""The shipped samples: each is repaired, but for the one that cannot be."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from machines.repair import tools

SAMPLES = Path(tools.__file__).parent / "samples"
NAMES = sorted(path.name for path in SAMPLES.iterdir() if path.is_dir() and path.name != "unrepairable")
QUICK = {"primes", "levenshtein", "vigenere", "durations"}


def paths(name: str) -> tuple[Path, Path]:
    return SAMPLES / name / f"{name}.py", SAMPLES / name / f"test_{name}.py"


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.long) for name in NAMES]
)
def test_a_sample_is_repaired(name: str, repair: Callable[..., Any], tmp_path: Path) -> None:
    """Within 60 patches and 30 seconds, and pytest agrees on the patched file."""
    program, tests = paths(name)
    before = program.read_bytes()
    began = time.monotonic()
    done = repair(program, tests, 60)
    seconds = time.monotonic() - began
    assert done.verdict is not None, done.reason
    print(f"{name}: {len(done.tried)} patches, {seconds:.1f} s, {done.patch.description}")
    assert seconds < 30
    assert program.read_bytes() == before
    for path in (program, tests):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    subprocess.run(["patch", "-p0"], input=done.verdict.diff.encode(), cwd=tmp_path, check=True)
    subprocess.run([sys.executable, "-m", "pytest", "-q", tmp_path / tests.name], cwd=tmp_path, check=True)


def test_two_faults_are_not_repaired_by_one_edit(repair: Callable[..., Any]) -> None:
    """The search ends with the reason when the attempts are used up."""
    done = repair(*paths("unrepairable"), 20)
    assert done.verdict is None
    assert len(done.tried) == 20
    assert done.reason.endswith("all 20 patches are used up")


@pytest.mark.long
def test_the_search_space_of_a_hopeless_case_is_finite(repair: Callable[..., Any]) -> None:
    """With all the attempts in the world, the candidates come to an end."""
    done = repair(*paths("unrepairable"), 10_000)
    assert done.verdict is None
    assert "possible single edits" in done.reason


def test_every_sample_is_listed() -> None:
    """The table of the samples names them all."""
    table = (SAMPLES / "README.md").read_text()
    assert all(f"| {name} |" in table for name in [*NAMES, "unrepairable"])
