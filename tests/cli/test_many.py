"""Many runs at once, and workers: what the program prints, and the exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pexpect
import pytest

from tests.cli.conftest import HELLO, ROOT, Program


def test_times_starts_so_many_and_sums_up(program: Program, hello: Path) -> None:
    """Piped, a line for each run as it ends, then one for all."""
    done = program("run", hello, "-i", "name=a", "--times", "7", "--at-once", "3", expect=0)
    lines = done.out.splitlines()
    assert len(lines) == 8
    assert all(" succeeded in complete" in line for line in lines[:7])
    assert lines[7].startswith("7 runs: 7 succeeded; ")
    assert lines[7].endswith(" runs/s")


def test_inputs_starts_a_run_a_line(program: Program, hello: Path, tmp_path: Path) -> None:
    """JSON is a line a run and nothing else; the line's number tells which it was; the worst decides."""
    (tmp_path / "all.jsonl").write_text('{"name": "a"}\n\n{"count": 2, "name": "b"}\n{"file": "some/file"}\n')
    done = program("run", hello, "-i", "name=common", "--inputs", "all.jsonl", "--json", expect=3)
    told = {data["input"]: data for data in map(json.loads, done.out.splitlines())}
    assert {n: data["status"] for n, data in told.items()} == {1: "succeeded", 3: "waiting", 4: "succeeded"}
    assert told[1]["output"]["text"] == "hello a"
    assert told[4]["output"] == {"text": "hello common", "file": str(tmp_path / "some/file")}
    assert told[1]["path"] == ["greet", "complete"]
    done = program("run", hello, "-i", "name=a", "--inputs", "all.jsonl", expect=3)
    assert "waits for event answered" in done.out
    assert "3 runs: 2 succeeded, 1 waiting" in done.out


def test_a_failed_run_among_many_decides(program: Program, hello: Path) -> None:
    """What failed is told with its reason."""
    hello.write_text(HELLO.replace("tools.py:hello", "tools.py:leave"))
    done = program("run", hello, "-i", "name=a", "--times", "2", expect=1)
    assert done.out.count("sys.exit(9)") == 2


def test_every_wrong_line_is_told_and_nothing_starts(program: Program, hello: Path, tmp_path: Path) -> None:
    """With its number, at once, whatever is wrong with it."""
    (tmp_path / "all.jsonl").write_text('{"name": "a"}\n{"nam": 1, "count": "many"}\n[1]\n{"name": \n')
    done = program("run", hello, "--inputs", "all.jsonl", expect=2)
    for says in (
        ":2: nam: is not declared",
        ":2: count: not a int",
        ":2: name: missing",
        ":3: ",
        ":4: not JSON",
    ):
        assert f"all.jsonl{says}" in done.err
    assert "all.jsonl:1" not in done.err
    assert not (tmp_path / ".statemachine").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--inputs", "none.jsonl", "--times", "2"], "not both"),
        (["--inputs", "none.jsonl"], "none.jsonl cannot be read"),
        (["--inputs", "empty.jsonl"], "holds no inputs"),
        (["--inputs", "binary.jsonl"], "not text in UTF-8"),
        (["--times", "0"], "greater than or equal to 1"),
        (["--times", "2"], "name: missing"),
        (["--detach"], "name: missing"),
        (["--detach", "--follow"], "nothing to follow"),
    ],
)
def test_what_makes_no_sense_is_refused(
    program: Program, hello: Path, tmp_path: Path, words: list[str], says: str
) -> None:
    """Before there is a store."""
    (tmp_path / "empty.jsonl").write_text("\n")
    (tmp_path / "binary.jsonl").write_bytes(b"\xff\xfe{}\n")
    assert says in " ".join(program("run", hello, *words, expect=2).err.split())
    assert not (tmp_path / ".statemachine").exists()


def test_detached_runs_are_driven_by_a_worker(program: Program, hello: Path, tmp_path: Path) -> None:
    """Their ids are printed in the order of the lines; a worker tells how it leaves each and ends when idle."""
    one = program("run", hello, "-i", "name=a", "--detach", expect=0).out.split()
    (tmp_path / "all.jsonl").write_text('{"name": "b"}\n{"name": "c", "count": 2}\n')
    done = program("run", hello, "--inputs", "all.jsonl", "--detach", "--json", expect=0)
    others = [json.loads(line) for line in done.out.splitlines()]
    assert [(data["input"], data["status"], data["calls"]) for data in others] == [
        (1, "pending", 0),
        (2, "pending", 0),
    ]
    assert program("status", one[0], "--json", expect=0).data["status"] == "pending"
    done = program("worker", "--until-idle", "--json", expect=0)
    left = {data["run"]: data["status"] for data in map(json.loads, done.out.splitlines())}
    assert left == {one[0]: "succeeded", others[0]["run"]: "succeeded", others[1]["run"]: "waiting"}
    assert "no run" in program("worker", "--until-idle", expect=0).out
    assert "queued hello 1" in program("journal", one[0], expect=0).out


def test_a_worker_that_cannot_drive_a_run_says_so(program: Program, hello: Path, tmp_path: Path) -> None:
    """And drives the others."""
    (tmp_path / "else").mkdir()
    for name in ("hello.yaml", "tools.py"):
        (tmp_path / "else" / name).write_text((tmp_path / name).read_text().replace("name", "word"))
    program("run", "else/hello.yaml", "-i", "word=a", "--detach", expect=0)
    program("run", hello, "-i", "name=a", "--detach", expect=0)
    (tmp_path / "else" / "tools.py").unlink()
    done = program("worker", "--until-idle", expect=4)
    assert "succeeded in complete" in done.out
    assert "1 impossible" in done.out
    assert "else" in done.err


def test_a_worker_that_is_to_end_needs_a_store(program: Program) -> None:
    """A misspelt one is not made."""
    assert "there is no database" in program("worker", "--until-idle", "--db", "typo.db", expect=4).err


def test_interrupted_many_are_resumed(program: Program, hello: Path, tmp_path: Path) -> None:
    """Ctrl-C lets no more begin; what began goes on later, and what did not is told."""
    with (tmp_path / "tools.py").open("a") as tools:
        tools.write("\nasync def slow(name: str) -> str:\n    import asyncio\n    await asyncio.sleep(60)\n")
    hello.write_text(HELLO.replace("tools.py:hello", "tools.py:slow").replace("5s", "5m"))
    words = ["run", "hello.yaml", "-i", "name=a", "--times", "9", "--at-once", "4", "--db", "runs.db"]
    process = subprocess.Popen(
        [sys.executable, "-m", "statemachine", *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while len(program("runs", "--db", "runs.db", "--json").out.split('"running"')) < 5:
        assert time.monotonic() < deadline
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "5 runs were not started" in errors
    assert "4 runs: 4 running" in out
    (tmp_path / "tools.py").write_text("def slow(name: str) -> str:\n    return name\n")
    assert len(program("resume", "--all", "--db", "runs.db", "--json", expect=0).data) == 4


def test_a_terminal_shows_counts_and_rate(hello: Path, tmp_path: Path) -> None:
    """A bar while it goes on; a line for what did not succeed, and the sum."""
    words = ["-m", "statemachine", "run", str(hello), "-i", "name=a", "-i", "count=2", "--times", "3"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "120"}
    shown = pexpect.run(
        " ".join([sys.executable, *words]),
        cwd=str(tmp_path),
        env=environment,
        timeout=60,  # type: ignore[arg-type]
    ).decode()
    assert "3/3" in shown
    assert "runs/s" in shown
    assert shown.count("waits for event answered") == 3
    assert "3 runs: 3 waiting" in shown
