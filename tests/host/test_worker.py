"""Workers share a database: each run has one owner at a time, and all of them end."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from statemachine.errors import InvalidMachine
from statemachine.host.owner import new_owner
from statemachine.host.runtime import Runtime
from statemachine.host.view import RunView
from statemachine.host.worker import Worker
from statemachine.journal import verify
from tests.host.conftest import LOOP, one_tool

Write = Callable[[str], Path]

WAITING = """
machine: waiting
version: "1"
events: {answered: {}, ignored: {}}
initial: nap
states:
  nap: {wait: 300ms, on: {elapsed: ask}}
  ask: {timeout: 1h, on: {answered: complete, timeout: fail}}
  later: {on: {ignored: complete}}
  complete: {final: succeeded}
  fail: {final: failed}
"""

# What a database does to note who had a run when: it is outside of the code that is under test.
WITNESS = """
CREATE TABLE leases (run, epoch, owner);
CREATE TRIGGER leased AFTER UPDATE OF owner ON runs WHEN new.owner IS NOT NULL
  BEGIN INSERT INTO leases VALUES (new.id, new.epoch, new.owner); END;
CREATE TABLE written (run, seq, epoch, owner);
CREATE TRIGGER wrote AFTER INSERT ON records
  BEGIN INSERT INTO written SELECT new.run, new.seq, epoch, owner FROM runs WHERE id = new.run; END;
"""


def work(database: Path, **options: Any) -> list[Any]:
    """Let one worker in this process work until it is idle."""

    async def go() -> list[Any]:
        async with Runtime(database, create=False) as runtime:
            return [result async for result in Worker(runtime, until_idle=True, **options).work()]

    return asyncio.run(asyncio.wait_for(go(), 60))


def queue(machine: Path, count: int = 1, **inputs: object) -> list[RunView]:
    """Leave runs to workers."""

    async def go() -> list[RunView]:
        async with Runtime(machine.parent / "runs.db") as runtime:
            return await asyncio.gather(*(runtime.queue(machine, inputs) for _ in range(count)))

    return asyncio.run(go())


def test_a_worker_drives_what_was_queued(machine: Write, folder: Path) -> None:
    """A queued run does nothing by itself; a worker takes it from its first state to its end."""
    file = machine(LOOP)
    views = queue(file, 5, world=str(folder / "world.txt"), want=1)
    assert {(v.status, v.state, v.owner, v.calls) for v in views} == {("pending", "act", None, 0)}
    assert (folder / "world.txt").read_text() == ""
    done = work(folder / "runs.db", at_once=2)
    assert {(v.status, v.state) for v in done} == {("succeeded", "complete")}
    assert {v.run for v in done} == {v.run for v in views}
    assert len((folder / "world.txt").read_text().split()) == 5


def test_a_queued_run_can_be_cancelled_before_anything_is_done(machine: Write, folder: Path) -> None:
    """The order to cancel comes before the first call."""
    (view,) = queue(machine(LOOP), world=str(folder / "world.txt"))

    async def go() -> str:
        async with Runtime(folder / "runs.db") as runtime:
            return (await runtime.cancel(view.run)).status

    assert asyncio.run(go()) == "cancelled"
    assert (folder / "world.txt").read_text() == ""


def test_a_worker_leaves_what_waits_and_finds_it_again(machine: Write, folder: Path) -> None:
    """A timer that is due, or an event that was sent, brings a run back; one that cannot be taken yet does not."""
    (view,) = queue(machine(WAITING))
    left = work(folder / "runs.db", poll=0.05)
    # Left while it waited for time, then found when the time had come.
    assert [(v.status, v.state) for v in left] == [("waiting", "nap"), ("waiting", "ask")]
    with Runtime(folder / "runs.db").store as store:
        epoch = store.load(view.run).epoch
        store.post(view.run, "ignored", {"payload": {}, "by": ""}, time.time())
        store.post(view.run, "answered", {"payload": {}, "by": ""}, time.time())
    (ended,) = work(folder / "runs.db", poll=0.05)
    assert (ended.status, ended.state) == ("succeeded", "complete")
    with Runtime(folder / "runs.db").store as store:
        assert store.load(view.run).epoch == epoch + 1


def _queue_elsewhere(machine: Path, given: str) -> str:
    """Queue a run in another process: this one would remember the tools."""
    words = ["run", str(machine), "--detach", "-i", given, "--db", str(machine.parent / "runs.db")]
    command = [sys.executable, "-m", "statemachine", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_a_worker_does_not_spin(machine: Write, folder: Path) -> None:
    """An event that a run cannot take, and a run that cannot be driven, are tried once and then left."""
    (stuck,) = queue(machine(WAITING))
    work(folder / "runs.db", poll=0.05)
    broken = _queue_elsewhere(machine(one_tool("write_async")), f"world={folder / 'world.txt'}")
    (folder / "tools.py").write_text("")
    with Runtime(folder / "runs.db").store as store:
        store.post(stuck.run, "ignored", {"payload": {}, "by": ""}, time.time())
        before = [store.load(run).epoch for run in (stuck.run, broken)]

    async def go() -> list[Any]:
        results = []
        async with Runtime(folder / "runs.db") as runtime:
            asyncio.get_running_loop().call_later(1.0, runtime.stop)
            async for result in Worker(runtime, poll=0.01).work():
                results.append(result)
        return results

    results = asyncio.run(go())
    ((run, error),) = [result for result in results if isinstance(result, tuple)]
    assert run == broken
    assert isinstance(error, InvalidMachine)
    assert [view.run for view in results if isinstance(view, RunView)] == [stuck.run]
    with Runtime(folder / "runs.db").store as store:
        assert [store.load(run).epoch for run in (stuck.run, broken)] == [n + 1 for n in before]
        assert [store.load(run).owner for run in (stuck.run, broken)] == [None, None]
    # What cannot be driven does not keep others from being idle.
    assert len(work(folder / "runs.db", poll=0.01)) == 2


def test_a_run_of_a_living_owner_is_waited_for(machine: Write, folder: Path) -> None:
    """Until its lease is over it is not touched, and a worker that is to end only when all is done stays."""
    file = machine(LOOP)
    (view,) = queue(file, world=str(folder / "world.txt"), want=1)
    with Runtime(folder / "runs.db").store as store:
        assert store.acquire(view.run, new_owner(), time.time(), 1.0, lambda _: False) == 2
        until = store.load(view.run).lease_until
    (done,) = work(folder / "runs.db", poll=0.05)
    assert done.status == "succeeded"
    assert until is not None
    assert done.updated >= until


def _worker(folder: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "statemachine", "worker", "--db", str(folder / "runs.db"), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


SLOW = LOOP.replace("tools.py:write", "tools.py:slow").replace("idempotent: false", "idempotent: true")


def test_three_workers_end_sixty_runs_though_one_is_killed(machine: Write, folder: Path) -> None:
    """Nothing is lost, nothing that is finished is done again, and an epoch has one owner."""
    with (folder / "tools.py").open("a") as tools:
        tools.write(
            "\nasync def slow(world: Path, call: Call) -> int:\n"
            "    await asyncio.sleep(0.05)\n    return note(world, call.key)\n"
        )
    file = machine(SLOW.replace("lines >= want", "lines >= 0"))
    views = queue(file, 60, world=str(folder / "world.txt"), want=1)
    world = folder / "world.txt"
    with sqlite3.connect(folder / "runs.db") as database:
        database.executescript(WITNESS)
    database.close()
    workers = [_worker(folder, "--until-idle", "--at-once", "8", "--poll", "0.1") for _ in range(3)]
    deadline = time.monotonic() + 60
    while len(world.read_text().split()) < 15:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    with closing(sqlite3.connect(folder / "runs.db")) as database:
        owners = database.execute("SELECT owner FROM runs WHERE owner > ''").fetchall()
    busiest = Counter(owner.split(":")[1] for (owner,) in owners).most_common(1)[0][0]
    killed = next(worker for worker in workers if str(worker.pid) == busiest)
    os.kill(killed.pid, signal.SIGKILL)
    for worker in workers:
        out, errors = worker.communicate(timeout=60)
        assert worker is killed or worker.returncode == 0, out + errors
    with Runtime(folder / "runs.db").store as store:
        assert store.counts() == dict.fromkeys(store.counts(), 0) | {"succeeded": 60}
        for view in views:
            assert verify(store.records(view.run), view.digest) is None
    keys = Counter(world.read_text().split())
    assert {key.split(":")[0] for key in keys} == {view.run for view in views}
    assert sum(n - 1 for n in keys.values()) <= 8, "only what the killed worker had under way is done again"
    with sqlite3.connect(folder / "runs.db") as database:
        owners = "SELECT count(DISTINCT owner) FROM leases GROUP BY run, epoch"
        assert {n for (n,) in database.execute(owners)} == {1}
        strangers = "SELECT count(*) FROM written w JOIN leases l USING (run, epoch) WHERE w.owner <> l.owner"
        assert database.execute(strangers).fetchone() == (0,)
        taken_over = (
            "SELECT count(*) FROM (SELECT 1 FROM leases GROUP BY run HAVING count(DISTINCT owner) > 1)"
        )
        assert 0 < database.execute(taken_over).fetchone()[0] <= 8
        assert database.execute("SELECT count(DISTINCT owner) FROM leases").fetchone() == (3,)
    database.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_a_worker_at_a_safe_point(machine: Write, folder: Path, number: int) -> None:
    """A call that may not be left is waited for; the runs are free for another worker at once."""
    with (folder / "tools.py").open("a") as tools:
        tools.write(
            "\nasync def slow(world: Path, call: Call) -> int:\n"
            "    note(world, call.key)\n    await asyncio.sleep(1)\n    return 1\n"
        )
    file = machine(LOOP.replace("tools.py:write", "tools.py:slow"))
    queue(file, 3, world=str(folder / "world.txt"), want=1)
    worker = _worker(folder)
    deadline = time.monotonic() + 60
    while len((folder / "world.txt").read_text().split()) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    worker.send_signal(number)
    _, errors = worker.communicate(timeout=60)
    assert worker.returncode == 128 + number, errors
    with Runtime(folder / "runs.db").store as store:
        assert [(run.status, run.state, run.owner) for run in store.runs()] == [
            ("running", "validate", None)
        ] * 3
    assert {view.status for view in work(folder / "runs.db")} == {"succeeded"}
    assert len((folder / "world.txt").read_text().split()) == 3
