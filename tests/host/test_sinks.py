"""The compliance stream goes to a file while runs go on: each call once, whatever crashes, and never a payload."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from statemachine.errors import InvalidInput
from statemachine.host.exporting import COMPLIANCE, export_calls
from statemachine.host.runtime import Runtime
from statemachine.host.sinks import ComplianceFile
from statemachine.store import Store
from tests.benchmarks.replay.__main__ import define, write
from tests.host.conftest import one_tool

RUNS = ("a" * 12, "b" * 12, "c" * 12)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store with one run."""
    with Store.open(tmp_path / "runs.db") as opened:
        write(opened, define(), 60, RUNS[0])
        yield opened


def told(file: Path) -> list[dict[str, Any]]:
    """Return the lines of a file."""
    return [json.loads(line) for line in file.read_text().splitlines()]


def exported(store: Store) -> list[dict[str, Any]]:
    """Return what `audit export` says of the calls that have ended, run by run."""
    calls = [call for run in sorted(store.unfinished()) for call in export_calls(store, run, "compliance")]
    return [call for call in calls if call["ended_at"] is not None]


def look(store: Store, file: Path) -> None:
    """Write what is new, as a process that begins and ends."""
    with closing(ComplianceFile(store, file)) as sink:
        sink.look(last=True)


def test_the_file_holds_what_the_export_says(store: Store, tmp_path: Path) -> None:
    """From the first call of the store on; runs that go on later are told on."""
    file = tmp_path / "calls.jsonl"
    sink = ComplianceFile(store, file)
    sink.look()
    assert told(file) == exported(store)
    assert {tuple(call) for call in told(file)} == {COMPLIANCE}
    write(store, define(), 60, RUNS[1])
    sink.look()
    sink.look(last=True)
    assert told(file) == exported(store)
    sink.close()


def test_each_call_is_there_once_wherever_it_was_cut(store: Store, tmp_path: Path) -> None:
    """Half a line is taken away; whole ones are not written again, though nobody noted that they were."""
    file, place = tmp_path / "calls.jsonl", tmp_path / "calls.jsonl.place"
    look(store, file)
    noted, first = place.read_bytes(), file.read_bytes()
    write(store, define(), 60, RUNS[1])
    look(store, file)
    whole = file.read_bytes()
    for cut in range(len(first), len(whole), 97):
        file.write_bytes(whole[:cut])
        place.write_bytes(noted)
        look(store, file)
        assert file.read_bytes() == whole


def test_the_file_may_be_moved_away(store: Store, tmp_path: Path) -> None:
    """As those do who keep a file a day: the next one goes on where that one ended."""
    file = tmp_path / "calls.jsonl"
    sink = ComplianceFile(store, file)
    sink.look()
    file.rename(tmp_path / "yesterday.jsonl")
    write(store, define(), 60, RUNS[1])
    sink.look()
    sink.close()
    assert told(tmp_path / "yesterday.jsonl") + told(file) == exported(store)


def test_one_of_several_processes_writes(store: Store, tmp_path: Path) -> None:
    """Another goes on when that has ended."""
    file = tmp_path / "calls.jsonl"
    one, other = ComplianceFile(store, file), ComplianceFile(store, file)
    one.look()
    other.look()
    one.close()
    write(store, define(), 60, RUNS[1])
    other.look(last=True)
    other.close()
    assert told(file) == exported(store)


def test_a_file_of_something_else_is_left_alone(store: Store, tmp_path: Path) -> None:
    """Of another store, or with other lines."""
    file = tmp_path / "calls.jsonl"
    look(store, file)
    with Store.open(tmp_path / "other.db") as other, pytest.raises(InvalidInput, match="is of store"):
        look(other, file)
    notes = tmp_path / "notes.txt"
    for text in ("buy milk\n", '{"run": "dddddddddddd", "as_of": 1}\n', "{}\n", "no end", "x" * 2_000_000):
        notes.write_text(text)
        with pytest.raises(InvalidInput, match="name another file"):
            look(store, notes)
        assert notes.read_text() == text


DOUBTFUL = one_tool(
    "hang_async", "effect: write, reversibility: partial, idempotent: false, timeout: 200ms, says: Wrote it"
)


def test_doubt_and_what_became_of_it_are_told(machine: Callable[[str], Path], tmp_path: Path) -> None:
    """A call that outlived its timeout; then that a person decided on it. The output is payload, as is the world's name."""
    file, lines = tmp_path / "calls.jsonl", list[list[dict[str, Any]]]()
    exports: list[list[dict[str, Any]]] = []

    async def work() -> None:
        async with Runtime(tmp_path / "runs.db") as runtime:
            sink = ComplianceFile(runtime.store, file)
            view = await runtime.start(machine(DOUBTFUL), {"world": str(tmp_path / "world.txt")})
            sink.look()
            lines.append(told(file))
            exports.append(list(export_calls(runtime.store, view.run, "compliance")))
            await runtime.resolve(view.run, True, 417_417, by="ann")
            sink.look(last=True)
            lines.append(told(file))
            exports.append(list(export_calls(runtime.store, view.run, "compliance")))
            sink.close()

    asyncio.run(work())
    first, second = lines
    assert [(call["outcome"], call["sentence"]) for call in first] == [
        ("failed: timeout", "Wrote it"),
        ("in doubt", "Wrote it"),
    ]
    assert second[:2] == first
    assert [call["outcome"] for call in second[2:]] == [
        "in doubt; ann said that it happened",
        "success; was in doubt; ann said that it happened",
    ]
    assert len({(call["key"], call["attempt"]) for call in second}) == 1
    assert sorted(call["as_of"] for call in second) == [call["as_of"] for call in second]
    assert exports == [[first[-1]], [second[-1]]]  # the export has a record a call, the last word on it
    assert str(tmp_path) not in file.read_text()
    assert "417417" not in file.read_text()
