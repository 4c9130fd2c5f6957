"""What a changed machine would decide otherwise, over 200 stored runs, against running all of them again."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from statemachine.host.many import run_many
from statemachine.host.runtime import Runtime
from statemachine.host.view import RunView
from statemachine.host.whatif import Compared, compare_run
from statemachine.machine.load import load
from statemachine.store import Store

RUNS = 200
TOOLS = '''
from pydantic import BaseModel
from statemachine import Call, Reply, ToolFailure

class Verdict(BaseModel):
    ok: bool
    score: float

def plan(n: int, round: int) -> int:
    return round + 1

def act(n: int, round: int, careful: bool, call: Call) -> Reply[int]:
    """Fails in some rounds, a few times in a row."""
    if (n + round) % 4 == 0 and call.attempt <= n % 5:
        raise ToolFailure("transient", f"try {call.attempt} of {n}")
    return Reply(n * round + careful, cost={"usd": 0.1 * (n % 3)})

def check(n: int, round: int) -> Verdict:
    score = (n * 7 + round * 13) % 20 / 20
    return Verdict(ok=score > 0.6, score=score)

def find(n: int, round: int) -> str:
    return "hopeless" if n % 17 == 0 else "again"
'''
MACHINE = """
machine: rounds
version: "1"
context:
  n: {type: int, owner: operator}
  careful: {type: bool, owner: operator, default: false}
  round: {type: int, owner: plan, default: 0}
  made: {type: int, owner: act}
  verdict: {type: "tools.py:Verdict", owner: validate}
  cause: {type: str, owner: diagnose}
limits: {steps: 60, calls: 60, cost: {usd: 5.0}}
tools:
  plan: {python: "tools.py:plan", effect: read, timeout: 10s}
  act:
    python: "tools.py:act"
    effect: write
    reversibility: full
    idempotent: true
    timeout: 10s
    retry: {transient: {max: 2, initial: 1ms, cap: 1ms}}
  check: {python: "tools.py:check", effect: read, timeout: 10s}
  find: {python: "tools.py:find", effect: read, timeout: 10s}
initial: plan
states:
  plan: {do: plan, save: round, on: {done: act, failed: fail}}
  act: {do: act, save: made, on: {done: validate, failed: diagnose}}
  validate:
    do: check
    save: verdict
    on: {done: [{to: complete, when: "verdict.ok && verdict.score >= 0.8"}, {to: diagnose}], failed: fail}
  diagnose: {do: find, save: cause, on: {done: [{to: retry, when: "cause != 'hopeless'"}, {to: fail}], failed: fail}}
  retry: {attempts: 4, exhausted: fail, wait: 1ms, on: {elapsed: plan}}
  complete: {final: succeeded, output: {made: made, score: verdict.score}}
  fail: {final: failed}
"""
CHANGES = {
    "guard": ("verdict.score >= 0.8", "verdict.score >= 0.9"),
    "attempts": ("attempts: 4", "attempts: 2"),
    "target": ("done: validate, failed: diagnose", "done: validate, failed: fail"),
    "limit": ("calls: 60", "calls: 14"),
    "cost": ("usd: 5.0", "usd: 0.35"),
    "retry": ("max: 2", "max: 3"),
    "input": ("default: false", "default: true"),
    "output": ("score: verdict.score", "score: verdict.score, rounds: round"),
    "wait": ("wait: 1ms", "wait: 2ms"),
    "nothing": ('version: "1"', 'version: "2"'),
}
SAMPLE = ("guard", "target", "limit")
"""The changes that every run of the tests tries."""


def drive(db: Path, file: Path) -> dict[int, str]:
    """Run the machine on all inputs, for real; return the id of each run."""

    machine = load(file)

    async def go() -> dict[int, str]:
        found = {}
        async with Runtime(db) as runtime:
            given = [(n, {"n": n}) for n in range(RUNS)]
            async for n, view in run_many(runtime, lambda i: runtime.start(machine, i), given, at_once=50):
                assert isinstance(view, RunView), view
                found[n] = view.run
        return found

    return asyncio.run(go())


def paths(db: Path, runs: dict[int, str]) -> dict[int, list[Any]]:
    """Return for each input what the run decided: its transitions, its calls and how it ended."""

    parts = {
        "transition": ("event", "from", "to", "instead"),
        "call_intended": ("tool", "input", "attempt"),
        "run_finished": ("status", "state", "output"),
    }
    with Store.open(db) as store:
        return {
            n: [
                [record.kind, *(json.loads(record.body).get(part) for part in parts[record.kind])]
                for record in store.records(run)
                if record.kind in parts
            ]
            for n, run in runs.items()
        }


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, str]]:
    """The runs of the old machine, in one store."""
    folder = tmp_path_factory.mktemp("recorded")
    (folder / "tools.py").write_text(TOOLS)
    (folder / "rounds.yaml").write_text(MACHINE)
    return folder, drive(folder / "runs.db", folder / "rounds.yaml")


@pytest.mark.parametrize(
    "change", [c if c in SAMPLE else pytest.param(c, marks=pytest.mark.long) for c in CHANGES]
)
def test_exactly_the_runs_are_told_that_running_again_changes(
    change: str, recorded: tuple[Path, dict[int, str]], tmp_path: Path
) -> None:
    """Neither one less nor one more; and what is told of them is what changed."""
    folder, runs = recorded
    before, after = CHANGES[change]
    assert MACHINE.count(before) == 1
    new = folder / f"{change}.yaml"
    new.write_text(MACHINE.replace(before, after))
    again = paths(tmp_path / "again.db", drive(tmp_path / "again.db", new))
    was = paths(folder / "runs.db", runs)
    with Store.open(folder / "runs.db") as store:
        other = load(new)
        told = {n: compare_run(store, run, other) for n, run in runs.items()}
    assert {n for n, found in told.items() if not found.same} == {n for n in runs if was[n] != again[n]}
    different = [found for found in told.values() if found.difference is not None]
    assert {found.deviation for found in told.values()} == {None}
    assert bool(different) == (change not in ("wait", "nothing"))
    assert any(found.waits for found in told.values()) == (change == "wait")
    _agrees_with(change, different)


def _agrees_with(change: str, different: list[Compared]) -> None:
    """Check the reasons that are given."""
    causes = {found.difference.cause for found in different if found.difference is not None}
    expected = {"cost": "limit", "output": "outcome"}.get(change, change)
    assert causes == ({expected} if different else set())
    whys = {
        "guard": "verdict.score = 0.8",
        "attempts": "retry was entered 2 times",
        "target": "`failed.transient` leads to fail, not to diagnose",
        "limit": "limit of 14 calls",
        "cost": "a cost of 0.35 usd",
        "retry": "after transient a call is made again 3 times, not 2 times",
        "input": "careful = true (was false)",
        "output": "rounds = ",
    }
    for found in different:
        assert found.difference is not None
        assert whys[change] in found.difference.why
