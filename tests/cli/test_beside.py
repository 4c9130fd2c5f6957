"""Beside the runs a command notes their heads outside, signed, and appends each call to a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Program


def test_a_worker_anchors_and_tells_while_it_works(program: Program, hello: Path, tmp_path: Path) -> None:
    """What it leaves is what `audit verify --anchor` holds the store against, and what `audit export` says."""
    program("run", hello, "-i", "name=canary-77aa", "--times", "2", "--detach", expect=0)
    public = program("key", "new", "worker", "--in", tmp_path / "keys", "--json", expect=0).data["public"]
    (tmp_path / ".statemachine/policy.yaml").write_text(f'signers:\n  worker: {{key: "{public}"}}\n')
    signing = ("--as", "worker", "--key", tmp_path / "keys" / "worker.key")
    asked = ("--anchor", "anchors", "--anchor-every", "1h", "--anchor-records", "5", *signing)
    sent = ("--anchor-command", f"sh -c 'cat >> {tmp_path / 'sent'}'", "--compliance", "calls.jsonl")
    program("worker", "--until-idle", *asked, *sent, expect=0)
    verified = program("audit", "verify", "--anchor", "anchors", "--json", expect=0).data
    assert (verified["anchored"], verified["signed_by"]) == (2, "worker")
    assert (tmp_path / "sent").read_bytes() == (tmp_path / "anchors").read_bytes()
    told = [json.loads(line) for line in (tmp_path / "calls.jsonl").read_text().splitlines()]
    exported = [json.loads(line) for line in program("audit", "export", expect=0).out.splitlines()]
    assert sorted(told, key=lambda call: call["run"]) == exported
    assert "canary" not in (tmp_path / "calls.jsonl").read_text()


@pytest.mark.parametrize(
    "words", [("run", "hello.yaml", "-i", "name=a"), ("run", "hello.yaml", "-i", "name=a", "--times", "2")]
)
def test_runs_that_a_person_starts_are_noted_like_those_of_a_worker(
    program: Program, hello: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    """Also what ended before: the checkpoint is one on the whole store, and the file tells of each call from the first on."""
    program("run", hello, "-i", "name=earlier", expect=0)
    program(*words, "--anchor", "anchors", "--compliance", "calls.jsonl", expect=0)
    verified = program("audit", "verify", "--anchor", "anchors", "--json", expect=0).data
    assert verified["anchored"] == verified["runs"] == len(program("runs", "--json").data)
    told = [json.loads(line) for line in (tmp_path / "calls.jsonl").read_text().splitlines()]
    exported = [json.loads(line) for line in program("audit", "export", expect=0).out.splitlines()]
    assert sorted(told, key=lambda call: call["run"]) == exported


@pytest.mark.parametrize("every", [True, False])
def test_runs_that_are_resumed_are_noted_too(
    program: Program, hello: Path, tmp_path: Path, every: bool
) -> None:
    """One by its id, or all of them."""
    run = program("run", hello, "-i", "name=a", "--detach", expect=0).out.strip()
    asked = ("--anchor", "anchors", "--compliance", "calls.jsonl")
    program("resume", "--all" if every else run, *asked, expect=0)
    assert program("audit", "verify", "--anchor", "anchors", "--json", expect=0).data["anchored"] == 1
    (call,) = (json.loads(line) for line in (tmp_path / "calls.jsonl").read_text().splitlines())
    assert (call["run"], call["outcome"]) == (run, "success")


def test_what_does_not_go_together_is_told(program: Program, hello: Path, tmp_path: Path) -> None:
    """Before anything is driven."""
    for wrong in (
        ("--as", "ann"),
        ("--anchor", "a", "--key", "k"),
        ("--anchor", "a", "--anchor-every", "often"),
    ):
        program("worker", *wrong, expect=2)
        program("run", hello, "-i", "name=a", *wrong, expect=2)
        program("resume", "--all", *wrong, expect=2)
    for undriven in ("--detach", "--step"):
        program("run", hello, "-i", "name=a", undriven, "--anchor", "a", expect=2)
    (tmp_path / "notes").write_text("buy milk\n")
    told = program("run", hello, "-i", "name=a", "--compliance", "notes", expect=2).err
    assert "name another file" in told
    assert program("runs", "--json", expect=0).data == []
    program("run", hello, "-i", "name=a", "--detach", expect=0)
    assert "name another file" in program("worker", "--until-idle", "--compliance", "notes", expect=2).err
    assert "notes:1: no line" in program("worker", "--until-idle", "--anchor", "notes", expect=2).err
    assert program("runs", "--json", expect=0).data[0]["status"] == "pending"
