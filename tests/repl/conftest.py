"""A debugger over a machine whose writes land in a file; every journal that a test leaves behind conforms."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from statemachine.host.pinned import pinned
from statemachine.host.view import restore
from statemachine.journal import decode, verify
from statemachine.journal.replay import replay
from statemachine.store import Store
from tests.host.conftest import LOOP, TOOLS

WAITS = """
machine: waits
version: "1"
context:
  world: {type: path, owner: operator}
  note: {type: str, owner: [operator, ask], default: "none"}
  lines: {type: int, owner: act}
events: {answered: {yes: bool, note: str}, stopped: {}}
tools:
  write: {python: "tools.py:write", effect: write, reversibility: partial, idempotent: false, timeout: 5s}
initial: ask
on: {cancelled: fail}
states:
  ask: {save: {note: event.note}, on: {answered: [{to: nap, when: event.yes}, {to: fail}], stopped: fail}}
  nap: {wait: 100ms, on: {elapsed: act}}
  act: {do: write, save: lines, on: {done: complete, failed: ask}}
  complete: {final: succeeded}
  fail: {final: failed}
"""


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine in an event loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    asyncio.run(
        pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames})
    )
    return True


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two machines and their tools; the world begins empty."""
    (tmp_path / "tools.py").write_text(TOOLS)
    (tmp_path / "loop.yaml").write_text(LOOP)
    (tmp_path / "waits.yaml").write_text(WAITS)
    (tmp_path / "world.txt").touch()
    return tmp_path


@pytest.fixture
def database(folder: Path) -> Iterator[Path]:
    """Where runs lie; afterwards each is a path of its machine, and leads to the snapshot that is stored."""
    yield folder / "runs.db"
    if not (folder / "runs.db").exists():
        return
    with Store.open(folder / "runs.db") as store:
        for summary in store.runs():
            records = list(store.records(summary.id))
            assert verify(records, summary.machine) is None
            written = [(r.seq, r.at, r.kind, decode(r.body, store.blob)) for r in records]
            found = replay(pinned(store, summary.machine), summary.id, written)  # type: ignore[arg-type]
            assert found.deviation is None, found.deviation
            stored = restore(store, store.load(summary.id))
            assert found.snapshot is not None
            assert found.snapshot.as_data() == stored.as_data()


def world(folder: Path) -> list[str]:
    """What the writes did: a line each, the call's key."""
    return (folder / "world.txt").read_text().splitlines()
