"""Why is this run not moving? `status` says what it waits for, since when, until when, and who can act."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from statemachine.host.leasing import LEASE
from statemachine.host.runtime import Runtime
from statemachine.host.standstill import Standstill, standstill
from statemachine.host.view import restore
from tests.host.conftest import one_tool
from tests.host.test_approvals import MACHINE, NOW, Clock, Office

Write = Callable[[str], Path]
WAITS = """
machine: waits
version: "1"
events: {answered: {}, refused: {}}
context: {world: {type: path, owner: operator}}
tools: {write: {python: "tools.py:write", effect: write, reversibility: partial, idempotent: false, timeout: 5s}}
initial: nap
states:
  nap: {wait: 10m, on: {elapsed: ask}}
  ask: {timeout: 1h, on: {answered: act, refused: fail, timeout: fail}}
  act: {do: write, on: {done: complete, failed: fail}}
  complete: {final: succeeded}
  fail: {final: failed}
"""


def why(runtime: Runtime, run: str, now: float) -> Standstill:
    """Return why a run does not move."""
    stored = runtime.store.load(run)
    found = standstill(runtime.desk, stored, restore(runtime.store, stored), now)
    assert found is not None
    return found


def test_time_then_an_event(machine: Write, tmp_path: Path) -> None:
    """Which ones, until when, and that somebody must be there when time has come."""
    file, clock = machine(WAITS), Clock()

    async def go() -> None:
        async with Runtime(tmp_path / "runs.db", clock=clock, patience=0) as runtime:
            run = (await runtime.start(file, {"world": str(tmp_path / "world.txt")})).run
            found = why(runtime, run, NOW)
            assert (found.what, found.since, found.until) == ("time", NOW, NOW + 600)
            late = why(runtime, run, NOW + 700)
            assert (late.what, late.since, late.who) == ("worker", NOW + 600, "any worker")
            assert "its time has come" in late.says
            clock.at = NOW + 600
            await runtime.resume(run)
            found = why(runtime, run, NOW + 700)
            assert (found.what, found.since, found.until) == ("event", NOW + 600, NOW + 4200)
            assert found.says == "event answered or refused"
            assert f"send {run} answered" in found.act
            assert f"send {run} refused" in found.act
            runtime.stops.set("tool", "write", "ann", "it is broken", NOW + 650)
            assert why(runtime, run, NOW + 700).also == ""  # its next call is not known
            await runtime.send(run, "answered")
            found = why(runtime, run, NOW + 700)
            assert (found.what, found.since) == ("stop", NOW + 650)
            assert "stopped by ann: it is broken" in found.says
            assert found.act == "statemachine start --tool write"

    asyncio.run(go())


def test_approval_names_those_who_may(machine: Write) -> None:
    """Not the one who started the run, nor who has left; and what happens if nobody answers."""
    office = Office(machine(MACHINE))

    async def go(starter: str) -> Standstill:
        async with office.runtime(starter) as runtime:
            view = await runtime.start(office.file, {"world": str(office.folder / "world.txt")})
            return why(runtime, view.run, NOW + 60)

    found = asyncio.run(go("carl"))
    assert (found.what, found.since, found.until, found.who) == ("approval", NOW, NOW + 3600, "ann")
    assert found.says == "approval of pay by legal"
    assert found.then == "it counts as denied"
    assert "--as ann" in found.act
    found = asyncio.run(go("ann"))
    assert found.who.startswith("nobody yet")


def test_a_freeze_names_its_end_and_who_may_break_the_glass(machine: Write) -> None:
    """An approved call that must not be made yet."""
    policy = "break_glass: [legal, sales]\nfreeze:\n  - {from: '2027-01-01', until: '2027-02-01', because: holidays}\n"
    office = Office(machine(MACHINE.replace("expires: 1h", "expires: 60d")), policy)

    async def go() -> Standstill:
        async with office.runtime() as runtime:
            view = await runtime.start(office.file, {"world": str(office.folder / "world.txt")})
            view = await runtime.decide(office.sign(runtime, view))
            assert view.waiting.startswith("a freeze")
            return why(runtime, view.run, NOW + 60)

    found = asyncio.run(go())
    assert (found.what, found.until) == ("freeze", 1_801_440_000.0)
    assert found.who == "two of ann, bob, out of turn"
    assert "--break-glass" in found.act


def test_a_yes_that_a_stop_holds_back_waits_for_the_stop(machine: Write) -> None:
    """Nobody has to answer any more: who stopped it, why, and until when the yes is there."""
    office = Office(machine(MACHINE.replace("[legal], ", "[legal, sales], needed: 2, ")))

    async def go() -> None:
        async with office.runtime() as runtime:
            view = await runtime.start(office.file, {"world": str(office.folder / "world.txt")})
            runtime.stops.set("tool", "pay", "eve", "the bank is down", NOW + 5)
            first = await runtime.decide(office.sign(runtime, view, until=NOW + 9000))
            assert first.status == "waiting"
            found = why(runtime, view.run, NOW + 60)
            assert (found.what, found.who, found.also) == (
                "approval", "bob", "tool pay is stopped by eve: the bank is down"
            )  # fmt: skip
            nonsense = {"payload": {"verdict": "approve"}, "by": "x"}
            runtime.store.post(view.run, "approval.decided", nonsense, NOW)
            office.clock.at = NOW + 20
            await runtime.decide(office.sign(runtime, view, "bob", until=NOW + 300))
            found = why(runtime, view.run, NOW + 60)
            assert (found.what, found.since, found.until) == ("stop", NOW + 20, NOW + 300)
            assert found.says == (
                "the stop to be lifted, to call pay, which ann and bob approved: "
                "tool pay is stopped by eve: the bank is down"
            )
            assert (found.then, found.act) == ("the approval counts no more", "statemachine start --tool pay")
            assert (
                why(runtime, view.run, NOW + 301).what == "approval"
            )  # bob's is over, and others may still answer
            runtime.stops.lift("tool", "pay", NOW + 60)
            assert (await runtime.resume(view.run)).status == "succeeded"

    asyncio.run(go())


def test_a_stop_after_a_freeze_holds_what_is_approved(machine: Write) -> None:
    """Also then nobody is asked."""
    freeze = 'freeze:\n  - {from: "2027-01-15T07:00", until: "2027-01-15T08:30"}\n'
    office = Office(machine(MACHINE), freeze)

    async def go() -> Standstill:
        async with office.runtime() as runtime:
            runtime.patience = 0
            view = await runtime.start(office.file, {"world": str(office.folder / "world.txt")})
            await runtime.decide(office.sign(runtime, view, until=NOW + 9000))
            runtime.stops.set("all", "", "eve", "", NOW + 5)
            assert why(runtime, view.run, NOW + 60).also == "everything is stopped by eve"
            office.clock.at = NOW + 1801
            await runtime.resume(view.run)
            return why(runtime, view.run, NOW + 1802)

    found = asyncio.run(go())
    assert (found.what, found.until) == ("stop", NOW + 9000)
    assert "which ann approved" in found.says


def test_doubt_asks_for_a_decision(machine: Write, tmp_path: Path) -> None:
    """By whoever can find out."""
    unsafe = "effect: write, reversibility: partial, idempotent: false, timeout: 200ms"

    async def go() -> Standstill:
        async with Runtime(tmp_path / "runs.db") as runtime:
            view = await runtime.start(
                machine(one_tool("hang_async", unsafe)), {"world": str(tmp_path / "world.txt")}
            )
            return why(runtime, view.run, time.time())

    found = asyncio.run(go())
    assert (found.what, found.until) == ("decision", None)
    assert "resolve" in found.act
    assert "of tool, which may have happened" in found.says


def test_who_drives_it_is_named(machine: Write, tmp_path: Path) -> None:
    """Nobody, a process in a call, one that is paused, one that is dead."""
    file = machine(one_tool("hang", "effect: read, timeout: 50s"))

    async def queued() -> str:
        async with Runtime(tmp_path / "runs.db") as runtime:
            run = (await runtime.queue(file, {"world": str(tmp_path / "world.txt")})).run
            found = why(runtime, run, time.time())
            assert (found.what, found.who) == ("worker", "any worker")
            assert "statemachine worker" in found.act
            return run

    run = asyncio.run(queued())
    words = [sys.executable, "-m", "statemachine"]
    driving = subprocess.Popen([*words, "resume", run, "--db", "runs.db"], cwd=tmp_path)
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "world.txt").read_text() and time.monotonic() < deadline:
            time.sleep(0.1)

        async def look(now: float) -> Standstill:
            async with Runtime(tmp_path / "runs.db") as runtime:
                return why(runtime, run, now)

        found = asyncio.run(look(time.time()))
        assert (found.what, found.then) == ("call", "it counts as timed out")
        assert f":{driving.pid}:" in found.who
        assert found.until == pytest.approx(found.since + 50)
        driving.send_signal(signal.SIGSTOP)
        paused = asyncio.run(look(time.time() + 2 * LEASE))
        assert (paused.what, paused.who) == ("owner", "any worker, which takes it over")
        assert "paused" in paused.says
    finally:
        os.kill(driving.pid, signal.SIGKILL)
        driving.wait()
    dead = asyncio.run(look(time.time()))
    assert dead.what == "worker"
    assert "interrupted" in dead.says
    words += ["status", run, "--db", "runs.db"]
    shown = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    for line in (
        "waits for: a worker: it was interrupted",
        "since:",
        "who:       any worker: statemachine worker",
    ):
        assert line in shown
    told: Any = json.loads(
        subprocess.run([*words, "--json"], cwd=tmp_path, capture_output=True, check=True).stdout
    )
    assert told["standstill"]["what"] == "worker"
    assert told["standstill"]["act"].endswith(f"resume {run}")
