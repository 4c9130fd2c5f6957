"""Rolling back real runs: from Python, from the command line, and after a crash in the middle."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from statemachine.errors import EventRefused
from statemachine.host.explain import explain
from statemachine.host.runtime import Runtime
from statemachine.host.view import RunView

Write = Callable[[str], Path]
CHAIN = """
machine: chain
version: "1"
context:
  world: {type: path, owner: operator}
  ends: {type: bool, owner: operator, default: true}
tools:
  write: {python: "tools.py:write", effect: write, reversibility: full, idempotent: true, undo: erase, timeout: 5s}
  late:  {python: "tools.py:write", effect: write, reversibility: partial, idempotent: false, undo: free, timeout: 5s}
  erase: {python: "tools.py:erase", effect: write, reversibility: full, idempotent: true, timeout: 5s}
  free:  {python: "tools.py:stuck", effect: write, reversibility: full, idempotent: true, timeout: 5s}
  mail:  {python: "tools.py:write", effect: write, reversibility: partial, idempotent: false, timeout: 5s}
events: {go: {}}
initial: first
states:
  first:  {do: write, on: {done: second}}
  second: {do: late, on: {done: third}}
  third:  {do: write, on: {done: rest}}
  rest:   {on: {go: mail}}
  mail:   {do: mail, on: {done: [{to: complete, when: ends}, {to: fail}]}}
  complete: {final: succeeded}
  fail: {final: failed}
"""


async def started(runtime: Runtime, file: Path, **inputs: Any) -> RunView:
    """Run the chain up to where it rests: three writes stand."""
    view = await runtime.start(file, {"world": str(file.parent / "world.txt"), **inputs})
    assert view.state == "rest"
    return view


def world(file: Path) -> list[str]:
    """Return the keys of what stands in the world."""
    return (file.parent / "world.txt").read_text().split()


def test_a_failing_compensation_stops_the_roll_back_and_a_second_one_goes_on_from_there(
    machine: Write,
) -> None:
    """The newest is undone, the stuck one and what is older stand; the run says so and can be rolled back on."""
    file = machine(CHAIN)

    async def go() -> None:
        async with Runtime(file.parent / "runs.db") as runtime:
            view = await started(runtime, file)
            keys = world(file)
            view = await runtime.undo(view.run, by="ann")
            assert (view.status, view.state) == ("failed", "rest")
            assert "free failed in rest (permission): PermissionError: [Errno 13] locked" in view.reason
            assert view.reason.endswith("undone: write; not undone: late, write")
            assert world(file) == keys[:2]
            told = explain(runtime.store, view.run)
            assert (told.advice, told.command) == ("escalate", f"statemachine undo {view.run}")
            assert [c["key"] for c in told.as_data()["stands"]] == keys[:2]
            assert [c["key"] for c in told.as_data()["undone"]] == keys[2:]
            (file.parent / "open").touch()
            view = await runtime.undo(view.run, by="ann")
            assert (view.status, world(file), runtime.standing(view.run)) == ("failed", [], {})
            assert view.reason.endswith("undone: late, write")
            assert explain(runtime.store, view.run).advice == "stop"
            with pytest.raises(EventRefused, match="nothing that can be undone"):
                await runtime.undo(view.run)

    asyncio.run(go())


def test_the_command_says_what_is_left(machine: Write) -> None:
    """Exit code 1 while anything stands: nothing undoes a mail; and 2 when there is nothing to undo."""
    file = machine(CHAIN)
    (file.parent / "open").touch()

    async def go() -> str:
        async with Runtime(file.parent / "runs.db") as runtime:
            view = await started(runtime, file)
            return (await runtime.send(view.run, "go")).run

    run = asyncio.run(go())
    words = [sys.executable, "-m", "statemachine"]
    store = ["--db", str(file.parent / "runs.db")]
    undone = subprocess.run([*words, "undo", run, *store, "--json"], capture_output=True, text=True)
    told = json.loads(undone.stdout)
    assert (undone.returncode, told["status"]) == (1, "cancelled")
    assert told["reason"] == "undone: late, write ×2; not undone: mail"
    assert len(world(file)) == 1
    again = subprocess.run([*words, "undo", run, *store], capture_output=True, text=True)
    assert again.returncode == 2
    assert "written nothing that can be undone; not undone: mail" in again.stderr
    story = subprocess.run(
        [*words, "journal", run, "--verify", *store], capture_output=True, text=True
    ).stdout
    assert "rolled back: undone: late, write ×2; not undone: mail" in story
    assert story.count("undoes") == 3


def test_a_roll_back_survives_a_kill_at_any_record(machine: Write) -> None:
    """Whatever it was about to do is done by whoever resumes it; each write is undone once."""
    file = machine(CHAIN)
    (file.parent / "open").touch()
    script = """
import asyncio, os, sys
from statemachine.host.runtime import Runtime
from statemachine.store import Store
real = Store.commit
left = [int(sys.argv[3])]
def commit(self, commits):
    done = real(self, commits)
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), 9)
    return done
Store.commit = commit
async def go():
    async with Runtime(sys.argv[1]) as runtime:
        await runtime.undo(sys.argv[2])
asyncio.run(go())
"""

    async def go(runtime: Runtime) -> RunView:
        return await started(runtime, file)

    async def resumed(runtime: Runtime, run: str) -> RunView:
        return await runtime.resume(run)

    async def within(use: Callable[[Runtime], Any]) -> Any:
        async with Runtime(file.parent / "runs.db") as runtime:
            return await use(runtime)

    kills = 0
    for commits in range(1, 20):
        (file.parent / "world.txt").write_text("")
        run = asyncio.run(within(go)).run
        arguments = [str(file.parent / "runs.db"), run, str(commits)]
        if subprocess.run([sys.executable, "-c", script, *arguments]).returncode == 0:
            break
        kills += 1
        view = asyncio.run(within(lambda runtime, run=run: resumed(runtime, run)))
        assert (view.status, view.reason) == (
            "cancelled",
            "a roll back was asked for; undone: late, write ×2",
        )
        assert world(file) == []
    assert kills >= 5
