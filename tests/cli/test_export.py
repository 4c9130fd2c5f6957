"""`audit export` tells of calls in three forms, for two kinds of readers."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.formats.json import JSONFormat

from statemachine.host.exporting import COMPLIANCE, TECHNICAL
from tests.cli.conftest import Program

CANARY = "canary-91e5"


@pytest.fixture
def export(program: Program, hello: Path) -> Callable[..., str]:
    """Return what a store with two runs, whose inputs hold a canary, is exported as."""
    for name in ("a", "b"):
        program("run", hello, "-i", f"name={CANARY} {name}", expect=0)
    return lambda *words: program("audit", "export", *words, expect=0).out


def test_a_line_is_a_call(export: Callable[..., str]) -> None:
    """Compliance has its fields and no payload; the technical stream has input and output."""
    told = [json.loads(line) for line in export().splitlines()]
    assert [tuple(call) for call in told] == [COMPLIANCE] * 2
    assert {(call["tool"], call["outcome"], call["sentence"]) for call in told} == {
        ("hello", "success", "Called hello")
    }
    assert CANARY not in json.dumps(told)
    technical = [json.loads(line) for line in export("--stream", "technical").splitlines()]
    assert [tuple(call) for call in technical] == [TECHNICAL] * 2
    assert {call["output"] for call in technical} == {f"hello {CANARY} {name}" for name in ("a", "b")}
    (one,) = export(told[1]["run"][:6]).splitlines()
    assert json.loads(one) == told[1]


@pytest.mark.parametrize(("stream", "fields"), [("compliance", COMPLIANCE), ("technical", TECHNICAL)])
def test_a_table_holds_the_same(export: Callable[..., str], stream: str, fields: tuple[str, ...]) -> None:
    """With a head of names, and each value as text."""
    head, *rows = csv.reader(io.StringIO(export("--stream", stream, "--format", "csv")))
    assert tuple(head) == fields
    told = [json.loads(line) for line in export("--stream", stream).splitlines()]
    assert [row[fields.index("run")] for row in rows] == [call["run"] for call in told]
    assert [float(row[fields.index("ended_at")]) for row in rows] == [call["ended_at"] for call in told]
    assert (CANARY in str(rows)) == (stream == "technical")


@pytest.mark.parametrize("stream", ["compliance", "technical"])
def test_cloud_events_are_ones(export: Callable[..., str], stream: str) -> None:
    """The reference implementation of the specification reads and validates each; ids are their own."""
    lines = export("--stream", stream, "--format", "cloudevents").splitlines()
    told: list[Any] = [json.loads(line) for line in export("--stream", stream).splitlines()]
    events = [JSONFormat().read(None, line) for line in lines]
    assert [event.get_data() for event in events] == told
    assert len({(event.get_source(), event.get_id()) for event in events}) == len(events) == 2
    for event, call in zip(events, told, strict=True):
        assert event.get_type() == f"statemachine.call.{stream}"
        assert event.get_time() == datetime.fromtimestamp(call["ended_at"], UTC)
        assert event.get_subject() == call["key"]
        assert str(event.get_source()).startswith("/statemachine/stores/")


def test_what_cannot_be_is_told(program: Program, hello: Path) -> None:
    """A form or a stream that is none, CSV as JSON, a run or a store that is not there."""
    program("audit", "export", expect=4)
    program("run", hello, "-i", "name=a", expect=0)
    for wrong in (("--format", "xml"), ("--stream", "all"), ("--format", "csv", "--json")):
        program("audit", "export", *wrong, expect=2)
    assert "there is no run" in program("audit", "export", "zzz", expect=2).err
