"""Stops: no call is made of what is stopped, nothing is lost, and what waited goes on."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from statemachine.errors import EventRefused
from statemachine.host.runtime import Runtime
from statemachine.host.worker import Worker
from statemachine.store import Scope
from tests.host.conftest import LOOP

Write = Callable[[str], Path]
RESTS = LOOP.replace("initial: act", "initial: rest\nevents: {go: {}}").replace(
    "states:\n", "states:\n  rest: {on: {go: act}}\n"
)


@pytest.mark.parametrize(
    ("scope", "name"), [("run", ""), ("machine", "loop"), ("tool", "write"), ("all", "")]
)
def test_a_stopped_run_makes_no_call_and_goes_on_when_it_is_started(
    machine: Write, scope: Scope, name: str
) -> None:
    """What leads to the call is taken and committed; only the call is not intended."""
    file = machine(RESTS)
    world = file.parent / "world.txt"

    async def go() -> None:
        async with Runtime(file.parent / "runs.db") as runtime:
            view = await runtime.start(file, {"world": str(world)})
            name_ = view.run if scope == "run" else name
            runtime.stops.set(scope, name_, "ann", "wait", 0.0)
            view = await runtime.send(view.run, "go")
            assert (view.status, view.state, view.calls, world.read_text()) == ("running", "act", 0, "")
            assert (await runtime.resume(view.run)).calls == 0
            runtime.stops.lift(scope, name_, 0.0)
            assert (await runtime.resume(view.run)).status == "succeeded"
            with pytest.raises(EventRefused, match="is not stopped"):
                runtime.stops.lift(scope, name_, 0.0)

    asyncio.run(go())


def test_a_stopped_machine_begins_no_run(machine: Write) -> None:
    """Nothing is left behind."""
    file = machine(LOOP)

    async def go() -> None:
        async with Runtime(file.parent / "runs.db") as runtime:
            runtime.stops.set("tool", "write", "ann", "it is broken", 0.0)
            with pytest.raises(EventRefused, match="tool write is stopped by ann: it is broken"):
                await runtime.start(file, {"world": str(file.parent / "world.txt")})
            assert runtime.store.runs() == []

    asyncio.run(go())


def test_a_run_in_the_middle_of_its_work_is_held_before_its_next_call_and_a_worker_takes_it_up_again(
    machine: Write,
) -> None:
    """Although nothing of it has changed since but the stop."""
    file = machine(RESTS)

    async def go() -> None:
        async with Runtime(file.parent / "runs.db") as runtime:
            view = await runtime.start(file, {"world": str(file.parent / "world.txt")})
            runtime.stops.set("all", "", "ann", "", 0.0)
            await runtime.send(view.run, "go")
            worker = Worker(runtime, poll=0.05, until_idle=True)
            left = [result async for result in worker.work()]
            assert [(r.status, r.state) for r in left if not isinstance(r, tuple)] == [("running", "act")]
        async with Runtime(file.parent / "runs.db") as runtime:
            again = Worker(runtime, poll=0.05)

            async def lift() -> None:
                await asyncio.sleep(0.5)
                async with Runtime(file.parent / "runs.db") as other:
                    other.stops.lift("all", "", 0.0)

            lifting = asyncio.create_task(lift())
            async for result in again.work():
                if not isinstance(result, tuple) and result.finished:
                    assert result.status == "succeeded"
                    break
            await lifting

    asyncio.run(go())


def test_the_commands(machine: Write) -> None:
    """Stop, list, be refused, start."""
    file = machine(LOOP)

    def say(*words: str, code: int = 0) -> str:
        command = [sys.executable, "-m", "statemachine", *words, "--db", str(file.parent / "runs.db")]
        done = subprocess.run(command, capture_output=True, text=True, cwd=file.parent)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    say("run", "machine.yaml", "-i", "world=world.txt")
    assert "statemachine start --machine loop" in say("stop", "--machine", "loop", "--reason", "audit")
    assert json.loads(say("stop", "--json"))[0]["reason"] == "audit"
    assert "machine loop is stopped" in say("run", "machine.yaml", "-i", "world=world.txt", code=2)
    assert "name one thing" in say("start", code=2)
    say("start", "--machine", "loop")
    assert "nothing is stopped" in say("stop")
