"""A run is amended from outside: while it waits, while it calls, and across a crash."""

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

from statemachine.errors import EventRefused, InvalidInput
from statemachine.host.pinned import pinned
from statemachine.host.runtime import Runtime
from statemachine.host.view import RunView
from statemachine.journal import tell, verify
from statemachine.journal.replay import replay
from statemachine.store import Store

Write = Callable[..., Path]

TOOLS = '''
import time
from datetime import datetime, timedelta, UTC
from pathlib import Path
from statemachine import Call, Reply

def look(vendor: str) -> Reply[str]:
    return Reply(f"contract of {vendor}", observed=datetime.now(UTC) - timedelta(days=3))

def update(world: Path, vendor: str, contract: str, call: Call) -> str:
    """Write, and stay for as long as the door is shut."""
    with open(world, "a") as file:
        file.write(f"{call.attempt} {vendor} {contract}\\n")
    while (world.parent / "shut").exists():
        time.sleep(0.02)
    return contract
'''
MACHINE = """
machine: renewal
version: "1"
context:
  world: {type: path, owner: operator}
  vendor: {type: str, owner: operator}
  contract: {type: str, owner: plan, fresh_for: 10d, derived_from: vendor}
  told: {type: str, owner: act, derived_from: contract}
events: {agreed: {}}
tools:
  look: {python: "renewal_tools.py:look", effect: read, timeout: 30s}
  update: {python: "renewal_tools.py:update", effect: write, reversibility: partial, idempotent: IDEMPOTENT, timeout: 30s}
initial: plan
on: {amended: plan, cancelled: fail}
states:
  plan: {do: look, save: contract, on: {done: act, failed: fail}}
  act: {do: update, save: told, on: {done: ask, failed: fail}}
  ask: {on: {agreed: complete}}
  complete: {final: succeeded, output: {told: told}}
  fail: {final: failed}
"""


@pytest.fixture
def renewal(machine: Write, folder: Path) -> Callable[..., Path]:
    """Write the machine, with its write idempotent or not."""

    def write(idempotent: bool = True) -> Path:
        (folder / "renewal_tools.py").write_text(TOOLS)
        return machine(MACHINE.replace("IDEMPOTENT", str(idempotent).lower()))

    return write


def inputs(file: Path) -> dict[str, str]:
    """Return what a run begins with."""
    return {"world": str(file.parent / "world.txt"), "vendor": "acme"}


def records(store: Store, run: str) -> list[tuple[str, dict[str, Any]]]:
    """Return kind and body of a run's records, after checking that they are a chain and a path of the machine."""
    stored = store.load(run)
    assert verify(store.records(run), stored.machine) is None
    written = [(r.seq, r.at, r.kind, json.loads(r.body)) for r in store.records(run)]
    assert replay(pinned(store, stored.machine), run, written).deviation is None
    return [(kind, body) for _, _, kind, body in written]


def test_a_run_that_waits_plans_anew(renewal: Callable[..., Path]) -> None:
    """The derived fields are gone, and made again for the new vendor."""

    async def go() -> None:
        async with Runtime(file.parent / "runs.db") as runtime:
            view = await runtime.start(file, inputs(file))
            assert (view.state, view.context["told"]) == ("ask", "contract of acme")
            view = await runtime.amend(view.run[:6], {"vendor": "zenith"}, by="ann")
            assert (view.state, view.context["told"]) == ("ask", "contract of zenith")
            told = records(runtime.store, view.run)
            (body,) = [body for kind, body in told if kind == "amended"]
            assert tell("amended", body) == (
                "amended by ann: vendor from acme to zenith; no longer known: contract, told"
            )

    file = renewal()
    asyncio.run(go())


def test_what_cannot_be_amended_is_refused_with_what_to_do(renewal: Callable[..., Path]) -> None:
    """Another's field, a wrong value, the same value, a state without a route, a run that has ended."""

    async def go() -> None:
        async with Runtime(file.parent / "runs.db") as runtime:
            view = await runtime.start(file, inputs(file))
            for values, error, says in (
                ({"contract": "x"}, InvalidInput, "owned by plan; inputs are: "),
                ({"vendro": "x"}, InvalidInput, "did you mean `vendor`"),
                ({"vendor": 3}, InvalidInput, "not a str"),
                ({"vendor": "acme"}, EventRefused, "has these values already"),
            ):
                with pytest.raises(error, match=says):
                    await runtime.amend(view.run, values)
            await runtime.send(view.run, "agreed")
            with pytest.raises(EventRefused, match="has ended"):
                await runtime.amend(view.run, {"vendor": "zenith"})
            other = await runtime.start(routeless, inputs(file))
            with pytest.raises(EventRefused, match=r"on: \{amended: plan\}"):
                await runtime.amend(other.run, {"vendor": "zenith"})
            queued = await runtime.queue(file, inputs(file))
            with pytest.raises(EventRefused, match="has not begun"):
                await runtime.amend(queued.run, {"vendor": "zenith"})

    file = renewal()
    routeless = file.with_name("routeless.yaml")
    routeless.write_text(file.read_text().replace("amended: plan, ", ""))
    asyncio.run(go())


def test_an_amendment_during_a_write_is_taken_when_the_write_has_ended(renewal: Callable[..., Path]) -> None:
    """The values hold at once; what the write says is recorded, and neither saved nor followed."""

    async def go() -> None:
        world = file.parent / "world.txt"
        (file.parent / "shut").touch()
        async with Runtime(file.parent / "runs.db") as runtime:
            driven = asyncio.create_task(runtime.start(file, inputs(file)))
            while "acme" not in world.read_text():
                await asyncio.sleep(0.02)
            run = runtime.store.runs()[0].id
            await runtime.amend(run, {"vendor": "zenith"}, by="ann")
            while "contract" in (view := runtime.status(run)).context:
                await asyncio.sleep(0.02)
            assert (view.state, view.context["vendor"], view.pending["tool"]) == ("act", "zenith", "update")
            (file.parent / "shut").unlink()
            view = await driven
            assert (view.state, view.context["told"]) == ("ask", "contract of zenith")
            assert world.read_text() == "1 acme contract of acme\n1 zenith contract of zenith\n"
            told = records(runtime.store, run)
            assert [b.get("trusted", True) for k, b in told if k == "call_finished"] == [
                True,
                False,
                True,
                True,
            ]

    file = renewal()
    asyncio.run(go())


def _program(folder: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "statemachine", *words, "--db", str(folder / "runs.db")]


def _said(folder: Path, *words: str) -> str:
    done = subprocess.run(_program(folder, *words), capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout


def _told(folder: Path, *words: str) -> Any:
    return json.loads(_said(folder, *words, "--json"))


@pytest.mark.parametrize("idempotent", [True, False])
def test_a_crash_in_the_middle_of_it_loses_nothing(renewal: Callable[..., Path], idempotent: bool) -> None:
    """Killed after the amendment and before the write's end: what is in doubt is settled first, then it plans anew."""
    file = renewal(idempotent)
    folder, world = file.parent, file.parent / "world.txt"
    (folder / "shut").touch()
    given = [part for name, value in inputs(file).items() for part in ("-i", f"{name}={value}")]
    process = subprocess.Popen(
        _program(folder, "run", str(file), *given), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _until(lambda: "acme" in world.read_text())
        with Store.open(folder / "runs.db", create=False) as store:
            run = store.runs()[0].id
            said = _said(folder, "amend", run[:6], "vendor=zenith")
            assert said == f"run {run}: running in act\nanother process drives it\n"
            _until(lambda: "amended" in [r.kind for r in store.records(run)])
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    (folder / "shut").unlink()

    async def go_on() -> RunView:
        async with Runtime(folder / "runs.db") as runtime:
            view = runtime.status(run)
            assert (view.state, view.context["vendor"]) == ("act", "zenith")
            assert view.pending is not None
            view = await runtime.resume(run)
            if not idempotent:
                assert (view.state, view.pending["phase"]) == ("act", "doubt")
                view = await runtime.resolve(run, True, "contract of acme", by="ann")
            return view

    view = asyncio.run(go_on())
    assert view.state == "ask"
    again = ["2 acme contract of acme"] if idempotent else []
    assert world.read_text().splitlines() == [
        "1 acme contract of acme",
        *again,
        "1 zenith contract of zenith",
    ]
    with Store.open(folder / "runs.db", create=False) as store:
        path = [body["to"] for kind, body in records(store, run) if kind == "transition"]
    assert path == ["plan", "act", "plan", "act", "ask"]


def _until(holds: Callable[[], bool]) -> None:
    ends = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_status_shows_what_is_known_with_source_age_and_freshness(renewal: Callable[..., Path]) -> None:
    """A tool said when its answer was so; the operator's words are fresh for ever; what was amended away is unknown."""
    file = renewal()
    file.write_text(file.read_text().replace("10d", "2d"))
    told = _told(
        file.parent, "run", str(file), "-i", f"world={file.parent / 'world.txt'}", "-i", "vendor=acme"
    )
    assert (told["status"], told["state"]) == ("failed", "fail"), "what was read is older than it may be"
    known = _told(file.parent, "status", told["run"])["facts"]
    contract, vendor = known["contract"], known["vendor"]
    assert (contract["by"], contract["of"], round(contract["age"] / 86400)) == ("plan", "look", 3)
    assert (contract["fresh"], vendor["fresh"], vendor["fresh_for"], vendor["of"]) == (
        False,
        True,
        None,
        "input",
    )
    assert contract["age"] > contract["fresh_for"] == 2 * 86400
    said = _said(file.parent, "status", told["run"])
    assert 'contract = "contract of acme" (by plan from look, ' in said
    assert "STALE: fresh for 2d" in said
    assert "unknown:   told" in said


HISTORY = """
import json
from pathlib import Path
from statemachine import Call

def fails(call: Call) -> int:
    if call.attempt < 2:
        raise ConnectionResetError("peer went away")
    return 1

def tells(world: Path, call: Call) -> str:
    world.write_text(json.dumps([(p.tool, p.state, p.effect, p.attempts, p.ended) for p in call.history]))
    return call.so_far
"""
TELLING = """
machine: telling
version: "1"
context:
  world: {type: path, owner: operator}
  text: {type: str, owner: tell}
tools:
  fails: {python: "history_tools.py:fails", effect: read, retry: {transient: {max: 1, initial: 1ms}}, timeout: 5s}
  tells: {python: "history_tools.py:tells", effect: write, reversibility: partial, idempotent: true, timeout: 5s}
initial: look
states:
  look: {attempts: 21, exhausted: tell, do: fails, on: {done: look, failed: tell}}
  tell: {do: tells, save: text, on: {done: complete, failed: fail}}
  complete: {final: succeeded, output: {text: text}}
  fail: {final: failed}
"""


def test_a_tool_sees_what_the_run_has_done_so_far(machine: Write, folder: Path) -> None:
    """The last 20 calls with their attempts and how they ended, also as text; the call itself is not among them."""
    (folder / "history_tools.py").write_text(HISTORY)
    file = machine(TELLING)

    async def go() -> None:
        async with Runtime(folder / "runs.db") as runtime:
            view = await runtime.start(file, {"world": str(folder / "world.txt")})
            seen = json.loads((folder / "world.txt").read_text())
            assert seen == [["fails", "look", "read", 2, "success"]] * 20
            lines = view.output["text"].splitlines()
            assert lines == ["look: read fails succeeded at try 2"] * 20

    asyncio.run(go())
