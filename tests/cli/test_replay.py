"""`replay` says whether a run is a path of its machine, and what another machine would have decided."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from tests.cli.conftest import HELLO, Program

GUARDED = """
from pydantic import BaseModel
from statemachine import Final, Machine, To

class Context(BaseModel):
    n: int

def large(n: int) -> bool:
    return n > 5

guarded = Machine("guarded", version="1", context=Context)
guarded.add("begin", initial=True, always=[To("much", when=large), To("little")])
guarded.add("much", Final.succeeded)
guarded.add("little", Final.failed)
"""
FILLED = """
machine: filled
version: "1"
context: {name: {type: str, owner: operator}, more: {type: "tools.py:More", owner: act}}
tools: {loose: {python: "tools.py:loose", effect: read, timeout: 5s}}
initial: act
states:
  act: {do: loose, save: more, on: {done: complete, failed: fail}}
  complete: {final: succeeded, output: {note: more.note}}
  fail: {final: failed}
"""
MORE = """
from pydantic import BaseModel

class More(BaseModel):
    note: str = "filled in"

def loose(name: str) -> dict:
    return {}
"""


def test_a_run_replays_without_its_tools(program: Program, hello: Path, tmp_path: Path) -> None:
    """Nothing of them is loaded: they may be gone, or fail to load."""
    run = program("run", hello, "-i", "name=a", "--json", expect=0).data["run"]
    (tmp_path / "tools.py").write_text("raise SystemExit('loaded')")
    done = program("replay", run[:5], expect=0)
    assert f"run {run}: a path of hello 1" in done.out
    assert "2 steps, 6 records" in done.out
    (tmp_path / "tools.py").unlink()
    hello.unlink()
    data = program("replay", run, "--json", expect=0).data
    assert (data["conforms"], data["deviation"], data["steps"], data["records"]) == (True, None, 2, 6)


@pytest.mark.damages_journals
def test_the_first_record_that_is_not_as_it_should_be_is_shown(
    program: Program, hello: Path, tmp_path: Path
) -> None:
    """With what belongs there; the exit code is 1, for one run and for all."""
    good, bad = (
        program("run", hello, "-i", f"name={name}", "--json", expect=0).data["run"]
        for name in ("good", "bad")
    )
    with sqlite3.connect(tmp_path / ".statemachine" / "runs.db") as database:
        database.execute(
            "update records set body = replace(body, 'complete', 'fail') where run = ? and kind = 'transition'",
            [bad],
        )
    database.close()
    done = program("replay", bad, expect=1)
    assert "record 5: it is not what was written here: the chain of hashes breaks" in done.out
    assert '"to": "complete"' in next(line for line in done.out.splitlines() if "expected" in line)
    assert '"to": "fail"' in next(line for line in done.out.splitlines() if "found" in line)
    assert program("replay", bad, "--json", expect=1).data["deviation"]["expected"]["kind"] == "transition"
    told = program("replay", "--all", expect=1).out
    assert "2 runs, 12 records: 1 conform, 1 deviate" in told
    lines = program("replay", "--all", "--json", expect=1).out.splitlines()
    assert {data["run"]: data["conforms"] for data in map(json.loads, lines)} == {good: True, bad: False}
    assert "no run" in program("replay", "--all", "--machine", "other", expect=0).out


def test_guards_in_python_need_their_file(program: Program, tmp_path: Path) -> None:
    """They decide anew; when their file is gone it is named, and nothing is said of the run."""
    (tmp_path / "guarded.py").write_text(GUARDED)
    run = program("run", "guarded.py", "-i", "n=7", "--json", expect=0).data["run"]
    program("replay", run, expect=0)
    (tmp_path / "guarded.py").rename(tmp_path / "gone.py")
    done = program("replay", run, expect=2)
    assert "guards that are Python functions" in done.err
    assert "there is no `guarded.py` beside the machine" in done.err
    assert "1 cannot be replayed" in program("replay", "--all", expect=2).out
    (tmp_path / "gone.py").rename(tmp_path / "guarded.py")


def test_types_that_fill_something_in_are_read_if_need_be(program: Program, tmp_path: Path) -> None:
    """What a class adds to a value only its code knows; without it a deviation says that it was missing."""
    (tmp_path / "tools.py").write_text(MORE)
    (tmp_path / "filled.yaml").write_text(FILLED)
    data = program("run", "filled.yaml", "-i", "name=a", "--json", expect=0).data
    assert data["output"] == {"note": "filled in"}
    program("replay", data["run"], expect=0)
    (tmp_path / "tools.py").rename(tmp_path / "gone.py")
    told = program("replay", data["run"], expect=1).out
    assert "judged without the code of its tools" in told
    assert "there is no `tools.py` beside the machine" in told
    (tmp_path / "gone.py").rename(tmp_path / "tools.py")


def test_a_changed_machine_is_reviewed_in_markdown(program: Program, hello: Path, tmp_path: Path) -> None:
    """Which decisions differ, in how many runs, why, and an example; the exit code is 1."""
    (tmp_path / "inputs.jsonl").write_text("".join(f'{{"name": "n{n}"}}\n' for n in range(5)))
    program("run", hello, "--inputs", "inputs.jsonl", expect=0)
    program("run", hello, "-i", "name=other", "-i", "count=0", expect=0)
    new = tmp_path / "new.yaml"
    new.write_text(HELLO.replace("count > 1", "count > 0 || name == 'x'").replace('"1"', '"2"', 1))
    told = program("replay", "--all", "--against", new, expect=1).out
    assert told.startswith("### 5 of 6 recorded runs would decide otherwise on `hello` 2 (sha256:")
    (row,) = [line for line in told.splitlines() if line.startswith("| `greet` on `done`")]
    assert "| 5 | to complete | to ask |" in row
    assert "guard: `count > 0 \\|\\| name == 'x'` true" in row
    assert "it was `count > 1` false (count = 1)" in row
    assert "1 run would take the same path." in told
    data = program("replay", "--all", "--against", new, "--json", expect=1).data
    assert (data["runs"], data["different"], len(data["told"])) == (6, 5, 5)
    assert data["told"][0]["difference"]["was"]["body"]["to"] == "complete"
    run = data["told"][0]["run"]
    assert program("replay", run, "--against", new, expect=1).out.startswith(
        "### The recorded run would decide"
    )
    assert "No recorded run" in program("replay", run, "--against", hello, expect=0).out


def test_what_makes_no_sense_is_refused(program: Program, hello: Path) -> None:
    """One run or all; a machine to choose by only with all."""
    assert "name a run, or write --all" in program("replay", expect=2).err
    assert "--machine goes with --all" in program("replay", "abc", "--machine", "hello", expect=2).err
    program("run", hello, "-i", "name=a", expect=0)
    assert "there is no run" in program("replay", "zzz", expect=2).err
