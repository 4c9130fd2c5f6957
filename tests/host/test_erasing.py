"""Erasing: no byte of what a run was given or got is left, its chain is whole, and whoever looks is told."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from statemachine.approvals.policy import Policy
from statemachine.diagrams import render_run
from statemachine.errors import EventRefused, NotErasable, NotReplayable
from statemachine.host import verifier
from statemachine.host.auditing import audit_runs
from statemachine.host.erasing import Erased, erase
from statemachine.host.explain import explain
from statemachine.host.exporting import COMPLIANCE, export_calls
from statemachine.host.forking import fork_run
from statemachine.host.pinned import declared
from statemachine.host.replay import replay_run
from statemachine.host.runtime import Runtime
from statemachine.host.trail import trail_of
from statemachine.host.view import RunView
from statemachine.journal import decode, genesis, tell
from statemachine.journal.erasing import GONE, skeleton, skeleton_of_snapshot
from statemachine.kernel import Snapshot
from statemachine.machine.definition import Definition
from statemachine.store import ReadOnlyStore, Store
from tests.kernel.strategies import Moves, runs

Write = Callable[[str], Path]
CANARY = "canary-7f3a-9b"
ENCODED = base64.b64encode(CANARY.encode()).decode()
TOOLS = """
import base64
from typing import Any
from statemachine import Call, ToolFailure

def fetch(customer: str, profile: dict[str, Any], call: Call) -> dict[str, Any]:
    (call.folder / "cache").write_text(customer)
    return {"url": f"https://host/?q={customer}", "big": customer * 9000, "deep": [{"in": {"b64": profile["b64"]}}], "ok": True}

def fail(customer: str, call: Call) -> str:
    if call.attempt < 3:
        raise ToolFailure("transient", f"no answer about {customer}")
    raise ConnectionResetError({"about": customer})

def find(number: int) -> str:
    return f"other-{number}"
"""
MACHINE = """
machine: canary
version: "1"
context:
  customer: {type: str, owner: operator}
  profile: {type: any, owner: operator}
  number: {type: int, owner: operator, default: 7}
  answer: {type: any, owner: fetch}
  found: {type: str, owner: find}
  note: {type: str, owner: ask}
events: {told: {note: str, more: any}}
tools:
  fetch: {python: "tools.py:fetch", effect: read, timeout: 5s, says: "Looked up {customer}"}
  fail:
    python: "tools.py:fail"
    effect: read
    timeout: 5s
    retry: {transient: {max: 2, initial: 1ms, cap: 1ms}}
  find: {python: "tools.py:find", effect: read, timeout: 5s}
initial: find
states:
  find: {do: find, save: found, on: {done: fetch, failed: end}}
  fetch: {do: fetch, save: answer, on: {done: [{to: end, when: 'customer == ""'}, {to: fail}], failed: end}}
  fail: {do: fail, on: {done: end, failed: ask}}
  ask: {save: {note: event.note}, timeout: 1h, on: {told: end, timeout: lost}}
  end: {final: succeeded, output: {customer: customer, answer: answer, found: found}, reason: '"about " + customer'}
  lost: {final: failed}
"""
PROFILE = {"mail": f"{CANARY}@host", "b64": ENCODED, CANARY: [CANARY]}


@pytest.fixture
def ended(tmp_path: Path) -> Callable[..., RunView]:
    """Make a run that knows canaries wherever a run can know anything, and that has ended."""
    (tmp_path / "tools.py").write_text(TOOLS)
    (tmp_path / "canary.yaml").write_text(MACHINE)

    def made(customer: str = CANARY, end: bool = True) -> RunView:
        async def work() -> RunView:
            async with Runtime(tmp_path / "runs.db") as runtime:
                view = await runtime.start(
                    tmp_path / "canary.yaml", {"customer": customer, "profile": PROFILE}
                )
                told = {"note": customer, "more": {"x": customer * 9000}}
                return await runtime.send(view.run, "told", told) if end else view

        return asyncio.run(work())

    return made


def erased(folder: Path, what: str, reason: str = "asked for", scrub: bool = True) -> Erased:
    """Erase as the command does."""
    with Store.open(folder / "runs.db") as store:
        found = erase(store, what, reason=reason, by="carl", now=2e9)
        if scrub:
            store.scrub()
        return found


def files_with(folder: Path, *needles: str) -> set[str]:
    """Return the names of files that hold any of these, but for the machine's own."""
    files = [
        file for file in folder.rglob("*") if file.is_file() and file.suffix not in (".py", ".yaml", ".pyc")
    ]
    return {file.name for file in files if any(needle.encode() in file.read_bytes() for needle in needles)}


def verified(folder: Path) -> list[str]:
    """Return what auditors find wrong, by both programs."""
    with ReadOnlyStore.open(folder / "runs.db") as store:
        problems = [str(problem) for run in audit_runs(store, Policy()) for problem in run.problems]
    return problems + (["verify.py"] if verifier.main([str(folder / "runs.db")]) else [])


def test_no_byte_of_a_run_is_left(tmp_path: Path, ended: Callable[..., RunView]) -> None:
    """Inputs, outputs, events, messages, values kept apart, snapshots, the row, the log, the run's folder."""
    run = ended().run
    (tmp_path / "runs.db.work" / run).mkdir(parents=True)  # as a crash may leave it
    (tmp_path / "runs.db.work" / run / "cache").write_text(CANARY)
    assert {"runs.db", "cache"} <= files_with(tmp_path, CANARY)
    with closing(
        sqlite3.connect(tmp_path / "runs.db")
    ) as reader:  # whoever looks in meanwhile holds nothing up
        reader.execute("select count(*) from records").fetchone()
        done = erased(tmp_path, run[:6])
        assert files_with(tmp_path, CANARY, ENCODED, "other-7") == set()
    assert (done.run, done.already, done.guessable, done.copies) == (run, False, 0, ())
    assert verified(tmp_path) == []


def test_whoever_looks_is_told(tmp_path: Path, ended: Callable[..., RunView]) -> None:
    """Status, journal, explanation, picture, exports and the audit say so; what needs the payload is refused."""
    run = ended().run
    erased(tmp_path, run)
    told = "erased on 2033-05-18 03:33 UTC by carl, because asked for"

    async def work() -> None:
        async with Runtime(tmp_path / "runs.db") as runtime:
            store, view = runtime.store, runtime.status(run)
            assert (view.reason, view.erased, view.status, view.state) == (told, told, "succeeded", "end")
            assert view.context["customer"] == view.output["customer"] == GONE
            assert store.runs()[0].reason == told
            lines = [tell(r.kind, decode(r.body, store.blob)) for r in store.records(run)]
            assert "was erased by carl" in lines[-1]
            assert "because asked for" in lines[-1]
            assert sum("(erased, see record" in line for line in lines) > 5
            assert told in explain(store, run).why
            assert trail_of(store, run).reason == told
            assert b"erased on" in render_run(declared(store, view.digest), trail_of(store, run), "svg")
            calls = list(export_calls(store, run, "technical"))
            assert [call["tool"] for call in calls] == ["find", "fetch", "fail", "fail", "fail"]
            assert {call["erased"] for call in calls} == {told}
            assert list(export_calls(store, run, "compliance"))[1]["sentence"] == f"Looked up {GONE}"
            for refused in (lambda: replay_run(store, run), lambda: asyncio.run(fork_run(runtime, run, 3))):
                with pytest.raises(NotReplayable, match=told):
                    await asyncio.to_thread(refused)
            with pytest.raises(EventRefused, match=told):
                await runtime.undo(run)

    asyncio.run(work())
    with ReadOnlyStore.open(tmp_path / "runs.db") as store:
        (found,) = audit_runs(store, Policy())
    assert told in found.note
    assert found.note.endswith("is not signed")


def test_a_run_that_goes_on_is_not_erased(tmp_path: Path, ended: Callable[..., RunView]) -> None:
    """It needs what it knows; the message says what to do first. Nor is a call that nobody made."""
    waiting, over = ended(end=False).run, ended().run
    for what in (waiting, f"{waiting}:3"):
        with pytest.raises(NotErasable, match=f"has not ended .*statemachine cancel {waiting}"):
            erased(tmp_path, what)
    with pytest.raises(NotErasable, match="made no call"):
        erased(tmp_path, f"{over}:2")
    assert verified(tmp_path) == []


def test_once_more_changes_nothing(tmp_path: Path, ended: Callable[..., RunView]) -> None:
    """Neither for the run, nor for a call of a run that was erased; the first reason stays."""
    run = ended().run
    first = erased(tmp_path, run)
    for what in (run, f"{run}:3"):
        again = erased(tmp_path, what, "another reason")
        assert (again.already, again.reason, again.records) == (True, "asked for", first.records)
    with Store.open(tmp_path / "runs.db") as store:
        assert len(store.bodies(run, "run_erased")) == 1


def test_a_call_goes_with_its_values_wherever_they_lie(tmp_path: Path, ended: Callable[..., RunView]) -> None:
    """Its own records, and equal values in the context, in guards, in later calls, events and the end; others stay."""
    run = ended().run
    with Store.open(tmp_path / "runs.db") as store:
        calls = {call["tool"]: call["key"] for call in export_calls(store, run, "technical")}
    done = erased(tmp_path, calls["fetch"])
    assert done.call == calls["fetch"]
    assert files_with(tmp_path, CANARY, ENCODED) == set()
    assert files_with(tmp_path, "other-7") == {"runs.db"}
    with Store.open(tmp_path / "runs.db") as store:
        told = {call["tool"]: call for call in export_calls(store, run, "technical")}
        assert (told["find"]["output"], told["find"]["erased"]) == ("other-7", "")
        assert (told["fetch"]["output"], told["fetch"]["input"]["customer"]) == (GONE, GONE)
    erased(tmp_path, calls["find"], "that too")
    assert files_with(tmp_path, "other-7") == set()
    assert verified(tmp_path) == []
    assert erased(tmp_path, run, "all of it").records.startswith("1, ")
    assert verified(tmp_path) == []


def test_what_another_run_refers_to_stays(tmp_path: Path, ended: Callable[..., RunView]) -> None:
    """Large values are kept once for all runs; with the last run that has one it goes."""
    one, other = ended().run, ended().run
    erased(tmp_path, one)
    assert verified(tmp_path) == []
    assert files_with(tmp_path, CANARY) == {"runs.db"}
    with Store.open(tmp_path / "runs.db") as store:
        assert replay_run(store, other).conforms
    erased(tmp_path, other)
    assert files_with(tmp_path, CANARY) == set()


def test_copies_are_named(tmp_path: Path, ended: Callable[..., RunView]) -> None:
    """A fork knows what its parent knew at its record, until it is erased as well."""
    run = ended().run

    async def forked() -> str:
        async with Runtime(tmp_path / "runs.db") as runtime:
            made = await fork_run(runtime, run, 4)
            await runtime.cancel(made.snapshot.run)
            return made.snapshot.run

    fork = asyncio.run(forked())
    assert erased(tmp_path, run).copies == (fork,)
    assert files_with(tmp_path, CANARY) == {"runs.db"}
    assert erased(tmp_path, fork).copies == ()
    assert files_with(tmp_path, CANARY) == set()
    assert verified(tmp_path) == []


KILLED = """
import os, signal, sys
from statemachine.host.erasing import erase
from statemachine.store import Store, erasing

def die(*_): os.kill(os.getpid(), signal.SIGKILL)

where, file, run = sys.argv[1:]
if where == "within":
    erasing._alive = die
elif where == "before the file":
    erasing.scrub = die
elif where == "in the file":
    def half(engine, name):
        engine.raw_connection().cursor().execute("VACUUM")
        die()
    erasing.scrub = half
with Store.open(file) as store:
    erase(store, run, reason="asked for", by="carl", now=2e9)
    store.scrub()
"""


@pytest.mark.parametrize("where", ["within", "before the file", "in the file"])
def test_killed_in_the_middle_it_is_finished_by_the_next(
    tmp_path: Path, ended: Callable[..., RunView], where: str
) -> None:
    """Within the transaction nothing was done; after it, the file is still to be written anew."""
    run = ended().run
    words = [sys.executable, "-c", KILLED, where, str(tmp_path / "runs.db"), run]
    assert subprocess.run(words, cwd=os.getcwd(), check=False).returncode == -signal.SIGKILL
    assert verified(tmp_path) == []
    assert erased(tmp_path, run).already == (where != "within")
    assert files_with(tmp_path, CANARY) == set()
    assert verified(tmp_path) == []


def test_a_store_of_old_is_read_and_erased(tmp_path: Path, ended: Callable[..., RunView]) -> None:
    """Its records have no salts, stay as they are, and verify; when they are erased it is told what that leaves."""
    run = ended().run
    with closing(sqlite3.connect(tmp_path / "runs.db")) as database:
        rows = database.execute("select seq, at, kind, body from records order by seq").fetchall()
        head = genesis(run, json.loads(rows[0][3])["digest"])
        for seq, at, kind, body in rows:
            text = verifier.hash_of(run, seq, at, kind, body, head)
            database.execute("update records set prev = ?, hash = ? where seq = ?", [head, text, seq])
            head = text
        database.execute("update runs set head = ?", [head])
        database.execute("alter table records drop column salt")
        database.execute("update statemachine_version set version_num = '0004'")
        database.commit()
    assert verifier.main([str(tmp_path / "runs.db")]) == 0
    newer = ended().run
    assert verified(tmp_path) == []
    with Store.open(tmp_path / "runs.db") as store:
        assert {record.salt for record in store.records(run)} == {""}
        assert all(len(record.salt) == 32 for record in store.records(newer))
        assert replay_run(store, run).conforms
    assert erased(tmp_path, run).guessable > 5
    assert erased(tmp_path, newer).guessable == 0
    assert files_with(tmp_path, CANARY) == set()
    assert verified(tmp_path) == []


WORDS = {"kind", "class", "key", "tool", "state", "name", "event", "from", "to", "status"}


def _canaries(value: Any) -> Any:
    """Return data with each text and number in it made into a canary."""
    if isinstance(value, dict):
        return {key: _canaries(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_canaries(part) for part in value] or [CANARY]
    return CANARY


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(runs())
def test_of_no_record_is_payload_left(made: tuple[Definition, Moves]) -> None:
    """Whatever the kernel writes: values of the context, of calls and of events go, and what is left can be told."""
    payload = ("inputs", "input", "output", "payload", "values", "was", "message", "error", "reasoning", "expects",
               "agent_says", "last_failure", "done", "not_done")  # fmt: skip
    _, moves = made
    for step in (step for _, _, step in moves):
        for kind, body in step.entries:
            plain = json.loads(json.dumps(dict(body)))
            for name in payload:
                if name in plain:
                    plain[name] = _canaries(plain[name])
            for tried in plain.get("tried", ()):
                tried |= {name: _canaries(tried[name]) for name in ("values", "error") if name in tried}
            if kind == "run_finished":
                plain["reason"] = CANARY
            left = skeleton(kind, plain)
            assert CANARY not in json.dumps(left)
            assert {name: left[name] for name in WORDS & set(left)} == {
                name: plain[name] for name in WORDS & set(left)
            }
            assert tell(kind, left)
        data = json.loads(json.dumps(step.snapshot.as_data()))
        data |= {"context": _canaries(data["context"]), "because": CANARY, "salt": CANARY}
        after = Snapshot.from_data(skeleton_of_snapshot(data))
        assert CANARY not in json.dumps(after.as_data())
        assert (after.state, after.status, after.seq) == (
            step.snapshot.state,
            step.snapshot.status,
            step.snapshot.seq,
        )


def test_compliance_holds_its_fields_and_no_other(tmp_path: Path, ended: Callable[..., RunView]) -> None:
    """Of a run that is not erased, too: no value but the inputs that the tool's own sentence names."""
    run = ended().run
    with Store.open(tmp_path / "runs.db") as store:
        for call in export_calls(store, run, "compliance"):
            assert tuple(call) == COMPLIANCE
            text = json.dumps({name: value for name, value in call.items() if name != "sentence"})
            assert not any(needle in text for needle in (CANARY, ENCODED, "other-7"))
