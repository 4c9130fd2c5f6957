"""Moving stored runs to a new version from the command line: foretold, refused with the reason, done."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from statemachine.host.migrating import migrate
from statemachine.host.runtime import Runtime
from statemachine.host.view import RunView
from statemachine.machine.load import load
from statemachine.store import Store
from tests.cli.conftest import Program

FIRST = """
machine: mover
version: "1"
context:
  n: {type: int, owner: operator, default: 1}
  note: {type: str, owner: operator, default: first}
events: {go: {}}
tools:
  slow: {shell: "sleep 30", effect: write, reversibility: partial, idempotent: false, timeout: 100ms}
initial: pick
states:
  pick: {always: [{to: act, when: n > 1}, {to: ask}]}
  act: {do: slow, on: {done: ask, failed: fail}}
  ask: {on: {go: complete}}
  complete: {final: succeeded, output: {note: note}}
  fail: {final: failed}
"""
SECOND = FIRST.replace('"1"', '"2"')
RENAMED = SECOND.replace("ask:", "wait:").replace("to: ask", "to: wait").replace("done: ask", "done: wait")
MOVING = RENAMED + 'migrations: {"1": {states: {ask: wait}, set: {note: "\'was \' + note"}}}\n'


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], str]:
    """Write a version into the working folder and return its name."""

    def write(name: str, text: str) -> str:
        (tmp_path / name).write_text(text)
        return name

    return write


@pytest.fixture
def runs(tmp_path: Path, write: Callable[[str, str], str]) -> tuple[str, str]:
    """Start a run that waits for an event, and one whose write is in doubt."""
    first = tmp_path / write("first.yaml", FIRST)

    async def start() -> list[RunView]:
        async with Runtime(tmp_path / ".statemachine" / "runs.db") as runtime:
            return [await runtime.start(first, {"n": n}) for n in (1, 2)]

    waits, calls = asyncio.run(start())
    assert (waits.state, calls.state, calls.pending["phase"]) == ("ask", "act", "doubt")
    return waits.run, calls.run


def stored(folder: Path) -> list[Any]:
    """Return all records and snapshots of a store."""
    with Store.open(folder / ".statemachine" / "runs.db", create=False) as store:
        return [(store.load(run.id).snapshot, list(store.records(run.id))) for run in store.runs()]


def test_all_are_foretold_and_only_those_with_a_place_are_moved(
    program: Program, runs: tuple[str, str], write: Callable[[str, str], str], tmp_path: Path
) -> None:
    """One that is refused stops no other; exit code 2 says that there is one. Without --apply nothing is written."""
    waits, calls = runs
    before, renamed = stored(tmp_path), write("renamed.yaml", RENAMED)
    done = program("migrate", "--all", "--to", renamed, expect=2)
    assert f"run {calls} in act, 1 -> 2: can be migrated" in done.out
    assert f"run {waits} in ask, 1 -> 2: stays as it is\n    refused: its state `ask` is gone" in done.out
    assert done.out.endswith("nothing was changed; add --apply to do it\n")
    assert stored(tmp_path) == before

    told = program("migrate", "--all", "--to", renamed, "--apply", "--json", expect=2).data
    assert {one["run"]: (one["migrates"], one["applied"]) for one in told} == {
        waits: (False, False),
        calls: (True, True),
    }
    assert [row["id"] for row in program("runs", "--old", "--json", expect=0).data] == [waits]
    (moved,) = program(
        "migrate", waits[:6], "--to", write("moving.yaml", MOVING), "--apply", "--json", expect=0
    ).data
    assert moved["maps"] == ["state ask is wait now", "field note is 'was first' (migration)"]
    assert program("send", waits, "go", "--json", expect=0).data["output"] == {"note": "was first"}
    assert program("replay", waits, "--json", expect=0).data["conforms"] is True
    assert "wait" in program("resolve", calls, "--happened", "--output", '""', expect=3).out


PYTHON = """
from pydantic import BaseModel
from statemachine import Final, Machine

class Context(BaseModel):
    name: str
    text: str

machine = Machine("greeter", version="1", context=Context, events={"go": {}})

@machine.state(initial=True, effect="read", save="text", on={"done": "ask", "failed": "fail"})
def greet(name: str) -> str:
    return f"hello {name}"

machine.add("ask", on={"go": "complete"})
machine.add("complete", Final.succeeded, output={"text": "text"})
machine.add("fail", Final.failed)
"""


def test_a_python_machine_whose_code_has_changed_goes_on_and_is_warned_of(
    program: Program, write: Callable[[str, str], str]
) -> None:
    """Its declaration is pinned, and has the same digest; the code of its tools is another."""
    file = write("greeter.py", PYTHON)
    view = program("run", file, "-i", "name=ann", "--json", expect=3).data
    write("greeter.py", PYTHON.replace("hello", "good day"))
    done = program("send", view["run"], "go", "--json", expect=0)
    assert "the code of the tools of greeter 1 has changed since the run began" in done.err
    assert (done.data["digest"], done.data["output"]) == (view["digest"], {"text": "hello ann"})


REFUSED = {
    "of slow has no place in act": SECOND.replace("do: slow", "do: other").replace("slow:", "other:"),
    "its input `s` does not fit": SECOND.replace('"sleep 30"', '"sleep {s}", input: {s: int}').replace(
        "do: slow", 'do: slow, with: {s: "30"}'
    ),
    "the run reached its limit of 1 call": SECOND + "limits: {calls: 1}",
    "the run reached its limit of 1ms": SECOND + "limits: {elapsed: 1ms}",
    "its field `n` is no bool": SECOND.replace("type: int", "type: bool")
    .replace("n > 1", "n")
    .replace("default: 1", "default: true"),
    "its field `note` is gone": SECOND.replace(
        "  note: {type: str, owner: operator, default: first}\n", ""
    ).replace(", output: {note: note}", ""),
    "it is a run of mover, not of other": SECOND.replace("mover", "other"),
    "it is on this version already": FIRST,
}


def test_what_has_no_place_leaves_the_run_as_it_is(
    program: Program, runs: tuple[str, str], write: Callable[[str, str], str], tmp_path: Path
) -> None:
    """Each with its reason: the call under way, its input, limits, fields; the command says it with exit code 2."""
    calls, before = runs[1], stored(tmp_path)
    with Store.open(tmp_path / ".statemachine" / "runs.db", create=False) as store:
        for says, text in REFUSED.items():
            new = load(tmp_path / write("new.yaml", text))
            found = migrate(store, calls, new, time.time())
            assert found.step is None
            assert any(says in problem for problem in found.problems), (says, found.problems)
    assert stored(tmp_path) == before
    limited = write("limited.yaml", SECOND + "limits: {calls: 1}")
    done = program("migrate", calls, "--to", limited, "--apply", expect=2)
    assert "stays as it is\n    refused: the run reached its limit of 1 call" in done.out


def test_a_mistake_in_the_call_is_told_with_exit_code_2(
    program: Program, runs: tuple[str, str], write: Callable[[str, str], str]
) -> None:
    """A file that is wrong or not there, a run that is not there, neither a run nor --all."""
    waits, wrong = runs[0], write("wrong.yaml", SECOND.replace("to: ask", "to: aks"))
    assert "error[SM110]: there is no state `aks`" in program("migrate", waits, "--to", wrong, expect=2).err
    second = write("second.yaml", SECOND)
    assert "no run" in program("migrate", "ffffff", "--to", second, expect=2).err
    for words in ((), (waits, "--all")):
        assert "name a run, or write --all" in program("migrate", *words, "--to", second, expect=2).err
