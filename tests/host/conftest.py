"""A small machine with real tools whose effects land in a file outside of the store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

TOOLS = '''
import asyncio, sys, time
from pathlib import Path
from pydantic import BaseModel
from statemachine import Call, Reply, ToolFailure

class Verdict(BaseModel):
    ok: bool
    score: float

def note(world: Path, text: str) -> int:
    """Append a line to the world and return how many there are."""
    with open(world, "a") as file:
        file.write(text + "\\n")
    return len(Path(world).read_text().splitlines())

def write(world: Path, call: Call) -> int:
    return note(world, call.key)

async def write_async(world: Path, call: Call) -> int:
    return note(world, call.key)

def erase(world: Path, key: str) -> None:
    """Take what the call with a key wrote out of the world."""
    world.write_text("".join(line for line in world.read_text().splitlines(True) if line.strip() != key))

def stuck(world: Path, key: str) -> None:
    if not (world.parent / "open").exists():
        raise PermissionError(13, "locked")
    erase(world, key)

def happened(key: str) -> bool:
    return False

def judge(world: Path, want: int) -> Verdict:
    lines = len(world.read_text().splitlines())
    return Verdict(ok=lines >= want, score=min(1.0, lines / want))

def hang(world: Path) -> int:
    note(world, "hang")
    time.sleep(60)
    return 1

async def hang_async(world: Path) -> int:
    note(world, "hang")
    await asyncio.sleep(60)
    return 1

def flaky(world: Path, call: Call) -> int:
    if note(world, call.key) < 3:
        raise ConnectionResetError("peer went away")
    return 1

def leave(world: Path) -> int:
    sys.exit(3)

def talk(world: Path) -> int:
    print("{this is not json")
    return 1

def lie(world: Path) -> int:
    return "not a number"

def huge(world: Path) -> str:
    return "x" * 100_000_000

def nan(world: Path) -> float:
    return float("nan")

def partly(world: Path) -> Reply[int]:
    return Reply(1, cost={"usd": 0.5}, done=("a",), not_done=("b",))

def priced(world: Path) -> Reply[int]:
    return Reply(1, cost={"usd": 0.5})

def denied(world: Path) -> int:
    raise PermissionError(13, "denied")

def busy(world: Path) -> int:
    raise ToolFailure("rate_limited", "slow down", retry_after=0.2)
'''

LOOP = """
machine: loop
version: "1"
context:
  world: {type: path, owner: operator}
  want: {type: int, owner: operator, default: 3}
  lines: {type: int, owner: act}
  verdict: {type: "tools.py:Verdict", owner: validate}
limits: {steps: 100}
tools:
  write: {python: "tools.py:write", effect: write, reversibility: partial, idempotent: false, timeout: 5s}
  judge: {python: "tools.py:judge", effect: read, timeout: 5s}
initial: act
on: {cancelled: fail}
states:
  act: {do: write, save: lines, on: {done: validate, failed: fail}}
  validate:
    do: judge
    save: verdict
    on: {done: [{to: complete, when: verdict.ok}, {to: retry}], failed: fail}
  retry: {attempts: 5, exhausted: fail, always: act}
  complete: {final: succeeded, output: {lines: lines, score: verdict.score}}
  fail: {final: failed}
"""


def one_tool(name: str, contract: str = "effect: read, timeout: 1s", **changes: str) -> str:
    """Return a machine with one state that calls one tool and ends by what it gives."""
    parts = {
        "more": "",
        "on": "done: complete, failed: fail",
        "limits": "{}",
        "save": "save: out, ",
    } | changes
    return f"""
machine: one
version: "1"
context:
  world: {{type: path, owner: operator}}
  out: {{type: any, owner: act}}
limits: {parts["limits"]}
tools:
  tool: {{python: "tools.py:{name}", {contract}}}
  back: {{python: "tools.py:erase", effect: write, reversibility: full, idempotent: true, timeout: 5s}}
initial: act
states:
  act: {{do: tool, {parts["save"]}on: {{{parts["on"]}}}{parts["more"]}}}
  complete: {{final: succeeded, output: {{out: out}}}}
  fail: {{final: failed}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the tools; the world begins empty."""
    (tmp_path / "tools.py").write_text(TOOLS)
    (tmp_path / "world.txt").touch()
    return tmp_path


@pytest.fixture
def machine(folder: Path) -> Callable[[str], Path]:
    """Write a machine beside the tools and return its file."""

    def write(text: str, name: str = "machine.yaml") -> Path:
        (folder / name).write_text(dedent(text))
        return folder / name

    return write
