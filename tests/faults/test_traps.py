"""The known traps of durable execution, and for each the test that catches who falls into it.

- An exhausted retry on stale data that returns nothing and looks like success:
  tests/kernel/test_refresh.py::test_stale_to_the_end_is_a_typed_failure
- `TimeoutError()`, `ConnectionResetError`, 429 and 503 taken for fatal, `PermissionError(13, "denied")` too:
  tests/tools/test_classify.py::test_the_class_comes_from_type_errno_and_status,
  tests/tools/test_classify_order.py::test_a_status_is_found_where_each_client_puts_it
- "connection refused: unauthorized" taken for transient:
  tests/tools/test_classify_order.py::test_words_decide_nothing
- A charge that timed out after it was made, made three times:
  tests/faults/test_traps.py::test_a_charge_that_timed_out_after_it_was_made_is_made_once
- A step index that repeats after a restart:
  tests/faults/test_traps.py::test_no_key_comes_again_after_a_restart
- A snapshot that restores into a different machine or version:
  tests/faults/test_traps.py::test_a_run_goes_on_with_its_own_machine_whatever_became_of_the_file,
  tests/faults/test_traps.py::test_a_snapshot_of_another_machine_is_refused
- A delay armed before a crash that never fires after it:
  tests/faults/test_traps.py::test_a_delay_armed_before_a_crash_fires_after_it
- An outcome that arrives after the run was cancelled:
  tests/faults/test_traps.py::test_an_outcome_that_comes_after_the_run_was_cancelled_changes_nothing,
  tests/kernel/test_calls.py::test_an_outcome_that_comes_too_late_is_ignored
- A tool that finishes after its timeout was declared:
  tests/faults/test_traps.py::test_what_a_tool_gives_after_its_timeout_changes_nothing
- A worker paused (SIGSTOP) beyond its lease that then commits, or calls a tool:
  tests/faults/test_traps.py::test_who_was_paused_beyond_its_lease_neither_stores_nor_calls
- A database that opens cleanly but empty where there was one:
  tests/store/test_anchor.py::test_a_database_that_was_lost_is_refused
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from statemachine.errors import StoreUnusable
from statemachine.host.runtime import Runtime
from statemachine.store import Store
from tests.faults import kill
from tests.faults.process import Order, ended, judged, new_world, spawn
from tests.faults.world import EFFECTS, machine

ROOT = Path(__file__).parents[2]

TOOLS = """
import asyncio, time
from pathlib import Path
from statemachine import Call

def note(world: Path, text: str) -> None:
    with open(world, "a") as file:
        file.write(text + "\\n")

async def charge(world: Path, call: Call) -> int:
    note(world, call.key)
    await asyncio.sleep(60)
    return 1

def charge_in_thread(world: Path, call: Call) -> int:
    note(world, call.key)
    time.sleep(60)
    return 1

def happened(key: str) -> bool:
    return key in Path("WORLD").read_text()

def slow(world: Path) -> int:
    note(world, "begins")
    time.sleep(0.6)
    note(world, "ends")
    return 1

def quick(world: Path) -> int:
    note(world, "quick")
    return 1
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a machine with one tool beside its tools and return its file."""
    world = tmp_path / "world.txt"
    world.touch()
    (tmp_path / "tools.py").write_text(TOOLS.replace("WORLD", str(world)))

    def written(tool: str, contract: str, states: str, version: str = "1") -> Path:
        (tmp_path / "machine.yaml").write_text(f"""
machine: trap
version: "{version}"
context:
  world: {{type: path, owner: operator}}
  out: {{type: int, owner: act}}
tools:
  tool: {{python: "tools.py:{tool}", {contract}}}
  happened: {{python: "tools.py:happened", effect: read, timeout: 5s}}
events: {{go: {{}}}}
initial: act
on: {{cancelled: fail}}
states:
  act: {{do: tool, save: out, on: {{done: complete, failed: after}}}}
{states}
  complete: {{final: succeeded}}
  fail: {{final: failed}}
""")
        return tmp_path / "machine.yaml"

    return written


def records(db: Path, kind: str = "") -> list[tuple[int, str, dict[str, Any]]]:
    """Return sequence number, kind and body of the records of one kind, or of all."""
    try:
        with closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True, timeout=10)) as database:
            rows = database.execute("SELECT seq, kind, body FROM records ORDER BY seq").fetchall()
    except sqlite3.OperationalError:
        return []  # not there yet
    return [(seq, each, json.loads(body)) for seq, each, body in rows if kind in ("", each)]


@pytest.mark.parametrize("tool", ["charge", "charge_in_thread"])
@pytest.mark.parametrize("probe", ["", "probe: happened, "])
def test_a_charge_that_timed_out_after_it_was_made_is_made_once(
    write: Callable[..., Path], tool: str, probe: str
) -> None:
    """However often its policy would retry a timeout: the world is asked, or a person."""
    contract = f"{probe}effect: write, reversibility: partial, idempotent: false, timeout: 200ms"
    file = write(tool, contract + ", retry: {timeout: {max: 3, initial: 10ms}}", "  after: {always: fail}")

    async def go() -> None:
        async with Runtime(file.with_name("runs.db")) as runtime:
            view = await runtime.start(file, {"world": str(file.with_name("world.txt"))})
            if probe:
                assert view.finished is not None
            else:
                assert view.waiting.startswith("a decision on call")

    asyncio.run(go())
    assert len(file.with_name("world.txt").read_text().splitlines()) == 1


def test_no_key_comes_again_after_a_restart(tmp_path: Path) -> None:
    """Killed after its first effects, a run goes on counting where it was, in the next lap as well."""
    world = new_world(tmp_path / "world")
    assert ended(spawn(Order(world.folder, at=("after pay", 1), laps=2))) == -signal.SIGKILL
    before = {body["key"] for _, _, body in records(world.db, "call_intended")}
    assert judged(world) == []
    intents = records(world.db, "call_intended")
    first = [(seq, body["key"], body["tool"]) for seq, _, body in intents if body["attempt"] == 1]
    assert [key.partition(":")[2] for _, key, _ in first] == [str(seq) for seq, _, _ in first]
    assert len({key for _, key, _ in first}) == len(first) > len(before) == 3
    assert len({tool for _, key, tool in first if key in before}) == 3


def test_a_run_goes_on_with_its_own_machine_whatever_became_of_the_file(tmp_path: Path) -> None:
    """Edited between a crash and the restart, removed, or another machine by now: what was started goes on."""
    for n, text in enumerate((machine(EFFECTS[:1]), machine(EFFECTS[::-1]).replace('"1"', '"2"'), None)):
        world = new_world(tmp_path / f"world{n}")
        assert ended(spawn(Order(world.folder, at=("after put", 1)))) == -signal.SIGKILL
        if text is None:
            world.machine.unlink()
        else:
            world.machine.write_text(text)
        assert ended(spawn(Order(world.folder, do="resume"))) == 0
        with Store.open(world.db) as store:
            (run,) = store.runs()
            assert run.version == "1"
            # The person of this world says no to one request in eight.
            assert run.status == "succeeded" or (run.reason or "").startswith("ann denied wire")
            path = [body["to"] for _, _, body in records(world.db, "transition")]
            assert path[: len(EFFECTS)] == [effect.name for effect in EFFECTS]
        world.machine.touch()
        assert judged(world) == []


@pytest.mark.damages_journals
def test_a_snapshot_of_another_machine_is_refused(write: Callable[..., Path]) -> None:
    """A store in which a run and its snapshot name different machines is damaged, and nothing is called."""
    file = write("quick", "effect: read", "  after: {always: fail}")
    db, world = file.with_name("runs.db"), file.with_name("world.txt")

    async def start(file: Path) -> str:
        async with Runtime(db) as runtime:
            return (await runtime.queue(file, {"world": str(world)})).run

    async def resume(run: str) -> None:
        async with Runtime(db) as runtime:
            with pytest.raises(StoreUnusable, match=f"run {run} .* another machine"):
                await runtime.resume(run)

    one = asyncio.run(start(file))
    other = asyncio.run(start(write("slow", "effect: read", "  after: {always: fail}", version="2")))
    with closing(sqlite3.connect(db)) as database, database:
        database.execute(
            "UPDATE runs SET machine = (SELECT machine FROM runs WHERE id = ?) WHERE id = ?", (other, one)
        )
    asyncio.run(resume(one))
    assert world.read_text() == ""


@pytest.mark.parametrize("seconds", [0.5, 3.0])
def test_a_delay_armed_before_a_crash_fires_after_it(write: Callable[..., Path], seconds: float) -> None:
    """Whether it is due by the restart or later: once, and not before its time."""
    file = write("quick", "effect: read", "")
    text = file.read_text().replace("done: complete", "done: nap")
    file.write_text(
        text.replace("  complete:", f"  nap: {{wait: {seconds}s, on: {{elapsed: complete}}}}\n  complete:")
    )
    file.write_text(file.read_text().replace("failed: after", "failed: fail"))
    db = file.with_name("runs.db")
    program = [sys.executable, "-m", "statemachine"]
    inputs = ["-i", f"world={file.with_name('world.txt')}"]
    process = subprocess.Popen([*program, "run", file, *inputs, "--db", db], stdout=subprocess.DEVNULL)
    while not records(db, "timer_set"):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    ((_, _, timer),) = records(db, "timer_set")
    assert not [body for _, _, body in records(db, "transition") if body["event"] == "elapsed"]
    done = subprocess.run(
        [*program, "resume", "--all", "--db", db], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    fired = [body for _, _, body in records(db, "transition") if body["event"] == "elapsed"]
    assert len(fired) == 1
    assert time.time() >= timer["due"]
    assert file.with_name("world.txt").read_text() == "quick\n"


def _until(world: Path, text: str) -> Any:
    async def waiting() -> None:
        while text not in world.read_text():
            await asyncio.sleep(0.01)

    return asyncio.wait_for(waiting(), 10)


def test_an_outcome_that_comes_after_the_run_was_cancelled_changes_nothing(
    write: Callable[..., Path],
) -> None:
    """The thread that was left behind still ends, while the host lives on; its run stays as it was."""
    file = write("slow", "effect: read, timeout: 10s", "  after: {always: fail}")
    db, world = file.with_name("runs.db"), file.with_name("world.txt")

    async def go() -> None:
        async with Runtime(db) as runtime:
            run = asyncio.create_task(runtime.start(file, {"world": str(world)}))
            await _until(world, "begins")
            (stored,) = runtime.store.runs()
            await runtime.cancel(stored.id)
            assert (await run).status == "cancelled"
            before = records(db)
            await _until(world, "ends")
            await asyncio.sleep(0.3)
            assert records(db) == before
            assert runtime.status(stored.id).status == "cancelled"
        assert not [body for _, kind, body in records(db) if kind == "call_finished"]

    asyncio.run(go())


def test_what_a_tool_gives_after_its_timeout_changes_nothing(write: Callable[..., Path]) -> None:
    """A thread cannot be stopped; what it gives after its timeout is not an outcome of its run any more."""
    file = write("slow", "effect: read, timeout: 100ms", "  after: {on: {go: complete}}")
    db, world = file.with_name("runs.db"), file.with_name("world.txt")

    async def go() -> None:
        async with Runtime(db) as runtime:
            view = await runtime.start(file, {"world": str(world)})
            assert (view.state, view.waiting) == ("after", "event go")
            before = records(db)
            await _until(world, "ends")
            await asyncio.sleep(0.3)
            assert records(db) == before
            view = await runtime.send(view.run, "go")
            assert view.status == "succeeded"

    asyncio.run(go())
    assert [body["class"] for _, _, body in records(db, "call_finished")] == ["timeout"]


@pytest.mark.parametrize("at", [("before a commit", 2), ("before pay", 1), ("after pay", 1)])
def test_who_was_paused_beyond_its_lease_neither_stores_nor_calls(
    tmp_path: Path, at: tuple[str, int]
) -> None:
    """SIGSTOP before it stores, before it calls, and in the middle of the call; another takes over meanwhile."""
    tally = kill.stop(tmp_path, at=at)
    assert (tally.points >= 2, tally.violations) == (True, [])


def test_each_trap_names_a_test_that_is_there() -> None:
    """The list above is true."""
    assert __doc__ is not None
    named = re.findall(r"(tests/[\w/]+\.py)::(\w+)", __doc__)
    missing = [f"{file}::{name}" for file, name in named if f"def {name}(" not in (ROOT / file).read_text()]
    assert (missing, len(named) >= __doc__.count("\n- ")) == ([], True)
