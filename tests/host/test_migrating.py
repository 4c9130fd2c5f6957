"""Stored runs are moved to a new version of their machine, from the command line."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from statemachine.errors import RunOwned
from statemachine.host.explain import explain
from statemachine.host.migrating import foresee, migrate
from statemachine.host.pinned import first_digest, pinned
from statemachine.host.runtime import Runtime
from statemachine.host.versions import newest
from statemachine.journal import verify
from statemachine.journal.replay import replay
from statemachine.machine.load import load
from statemachine.store import Store

Write = Callable[..., Path]
FIRST = """
machine: mover
version: "9"
context:
  world: {type: path, owner: operator}
  lines: {type: int, owner: act}
events: {go: {}}
tools:
  write: {python: "tools.py:write", effect: write, reversibility: full, idempotent: true, undo: erase, timeout: 5s}
  erase: {python: "tools.py:erase", effect: write, reversibility: full, idempotent: true, timeout: 5s}
initial: act
states:
  act: {do: write, save: lines, on: {done: ask, failed: fail}}
  ask: {on: {go: complete}}
  complete: {final: succeeded, output: {lines: lines}}
  fail: {final: failed}
"""
SECOND = (
    FIRST.replace('"9"', '"10"')
    .replace("write:", "append:")
    .replace("do: write", "do: append")
    .replace("lines", "count")
    .replace("  ask: {on: {go: complete}}", "  wait: {on: {go: [{to: complete, when: twice > 1}]}}")
    .replace("done: ask", "done: wait")
    .replace("events:", "  twice: {type: int, owner: act}\nevents:")
    + 'migrations: {"9": {states: {ask: wait}, fields: {lines: count}, set: {twice: lines * 2}}}\n'
)


def test_a_run_is_moved_and_goes_on_as_the_new_version(machine: Write, folder: Path) -> None:
    """Foretold without a change, then done in one commit; its journal conforms across the switch, its chain is whole."""

    async def go() -> None:
        async with Runtime(folder / "runs.db") as runtime:
            store = runtime.store
            view = await runtime.start(first, {"world": str(folder / "world.txt")})
            assert (view.state, newest(store)) == ("ask", {"mover": view.digest})
            told = foresee(store, view.run, new, 0)
            assert told.maps == (
                "state ask is wait now",
                "field lines is count now",
                "field twice is 2 (migration)",
            )
            assert runtime.status(view.run).digest == view.digest
            moved = migrate(store, view.run, new, runtime.clock.now(), "ann")
            assert moved.problems == ()
            assert newest(store) == {"mover": new.digest}, "10 is newer than 9"
            view = await runtime.send(view.run, "go")
            assert (view.status, view.digest, view.output) == ("succeeded", new.digest, {"count": 1})
            _conforms(store, view.run)
            calls = explain(store, view.run).calls
            assert [call.tool for call in calls] == ["write"]
            assert runtime.standing(view.run) == {"write": 1}

    first, new = machine(FIRST), load(machine(SECOND, "second.yaml"))
    asyncio.run(go())


def _conforms(store: Store, run: str) -> None:
    first = first_digest(store, run)
    assert verify(store.records(run), first) is None
    written = [(r.seq, r.at, r.kind, json.loads(r.body)) for r in store.records(run)]
    found = replay(pinned(store, first), run, written, lambda digest: pinned(store, digest))
    assert found.deviation is None


def test_a_run_that_is_driven_is_left_alone(machine: Write, folder: Path) -> None:
    """Only runs that nobody drives are moved."""

    async def go() -> None:
        async with Runtime(folder / "runs.db") as runtime:
            view = await runtime.start(first, {"world": str(folder / "world.txt")})
            runtime.store.acquire(view.run, "elsewhere:1:1:1", runtime.clock.now(), 60, lambda _: False)
            with pytest.raises(RunOwned):
                migrate(runtime.store, view.run, new, runtime.clock.now())
            assert runtime.status(view.run).digest == view.digest

    first, new = machine(FIRST), load(machine(SECOND, "second.yaml"))
    asyncio.run(go())


def test_a_changed_file_changes_no_run_and_other_code_of_its_tools_is_warned_of(
    machine: Write, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The machine is pinned; the tools' code is not, and a fingerprint tells."""

    async def go() -> None:
        async with Runtime(folder / "runs.db") as runtime:
            view = await runtime.start(first, {"world": str(folder / "world.txt")})
            first.write_text(SECOND)
            assert (await runtime.resume(view.run)).digest == view.digest
            assert not caplog.records
            tools = (folder / "tools.py").read_text()
            (folder / "tools.py").write_text(f"{tools}\n# changed\n")
            stored = pinned(runtime.store, view.digest)
            stored.__dict__.pop("code")  # as a process sees it that starts now
            assert (await runtime.resume(view.run)).state == "ask"
            assert "the code of the tools of mover 9 has changed" in caplog.text

    first = machine(FIRST)
    with caplog.at_level(logging.WARNING, "statemachine"):
        asyncio.run(go())
