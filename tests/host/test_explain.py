"""`explain` answers for any run: completed, safe to repeat, irreversible, persisted, and what to do."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from statemachine.host.explain import Explanation, explain
from statemachine.host.runtime import Runtime
from tests.host.conftest import LOOP, one_tool

Write = Callable[[str], Path]
UNSAFE = "effect: write, reversibility: partial, idempotent: false, timeout: 1m"
UNDOABLE = "effect: write, reversibility: full, idempotent: true, timeout: 1m, undo: back"


def ran(file: Path) -> Explanation:
    """Run a machine and explain how it went."""

    async def go() -> Explanation:
        async with Runtime(file.parent / "runs.db") as runtime:
            view = await runtime.start(file, {"world": str(file.parent / "world.txt")})
            return explain(runtime.store, view.run)

    return asyncio.run(go())


def test_a_run_that_succeeded_needs_nothing(machine: Write) -> None:
    """What it wrote and stands is listed, each with its key."""
    told = ran(machine(LOOP))
    assert (told.advice, told.off_course) == ("stop", None)
    stands = told.as_data()["stands"]
    assert [c["key"] for c in stands] == (machine(LOOP).parent / "world.txt").read_text().split()


def test_a_failed_run_names_the_record_that_put_it_off_course(machine: Write) -> None:
    """And the path from there; a failure that changed nothing can be left alone."""
    told = ran(machine(one_tool("leave")))
    assert (told.status, told.advice) == ("failed", "stop")
    assert told.off_course is not None
    assert (told.off_course.seq, told.off_course.path) == (4, ("fail",))
    assert "sys.exit(3)" in told.off_course.what
    assert [c["ended"] for c in told.as_data()["safe_to_repeat"]] == ["fatal"]


@pytest.mark.parametrize(
    ("contract", "advice", "says"),
    [(UNDOABLE, "roll back", "tool ("), (UNSAFE, "escalate", "no tool undoes it")],
)
def test_what_was_written_decides_what_to_do(machine: Write, contract: str, advice: str, says: str) -> None:
    """A failed run whose writes can be undone is rolled back; any other needs a person."""
    told = ran(machine(one_tool("write", contract, on="done: fail, failed: fail")))
    assert (told.status, told.advice) == ("failed", advice)
    assert says in told.why


def test_a_missing_permission_goes_to_a_person(machine: Write) -> None:
    """No other credential is tried."""
    told = ran(machine(one_tool("denied")))
    assert (told.advice, "denied" in told.why) == ("escalate", True)


def test_a_call_that_a_crash_left_open_is_in_doubt(machine: Write) -> None:
    """After kill -9 in the middle of an unsafe write a person decides; until then nothing else leads out."""
    file = machine(one_tool("hang", UNSAFE))
    words = [sys.executable, "-m", "statemachine"]
    store = ["--db", str(file.parent / "runs.db")]
    inputs = ["-i", f"world={file.parent / 'world.txt'}"]
    process = subprocess.Popen([*words, "run", str(file), *inputs, *store], stdout=subprocess.DEVNULL)
    while not (file.parent / "world.txt").read_text():
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = subprocess.run([*words, "resume", "--all", *store], capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    with Runtime(file.parent / "runs.db").store as opened:
        told = explain(opened, opened.runs()[0].id)
    assert (told.advice, told.status) == ("escalate", "waiting")
    assert told.command.startswith(f"statemachine resolve {told.run}")
    assert [c["tool"] for c in told.as_data()["in_doubt"]] == ["tool"]
    refused = subprocess.run(
        [*words, "cancel", told.run, *store], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert "decide that first" in refused.stderr
    settled = [*words, "resolve", told.run, "--happened", "--output", "1", *store]
    assert subprocess.run(settled, capture_output=True, check=False).returncode == 0
    assert (file.parent / "world.txt").read_text() == "hang\n", "the effect happened once"
