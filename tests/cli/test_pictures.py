"""Pictures of runs and of differences, and a journal that is followed while its run goes on."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import HELLO, Program

BEGINS = {
    "svg": b"<?xml",
    "png": b"\x89PNG\r\n",
    "pdf": b"%PDF-1",
    "dot": b"digraph hello",
    "mmd": b"stateDiagram-v2\n",
}


@pytest.fixture
def waiting(program: Program, hello: Path) -> str:
    """The id of a run that waits for an event; its machine's file is gone."""
    run: str = program("run", hello, "-i", "name=a", "-i", "count=2", "--json", expect=3).data["run"]
    hello.unlink()
    return run


def test_a_run_is_drawn_in_every_format(program: Program, waiting: str, tmp_path: Path) -> None:
    """By the ending of the file, from the machine that it is pinned to; else as machine-run.svg."""
    for ending, begin in BEGINS.items():
        program("render", "--run", waiting[:5], "-o", f"out.{ending}", expect=0)
        assert (tmp_path / f"out.{ending}").read_bytes().startswith(begin)
    assert program("render", "--run", waiting, expect=0).out == f"wrote hello-{waiting}.svg\n"
    assert "Greet to Ask: 2: done [count &gt; 1]" in (tmp_path / f"hello-{waiting}.svg").read_text()


def test_a_run_is_shown_in_the_terminal(program: Program, waiting: str) -> None:
    """With its place, its turns and what it waits for, also after it has ended; as JSON for programs."""
    text = program("render", "--run", waiting, "-f", "text", expect=0).out
    assert f"run {waiting}: waiting in ask" in text
    assert "waits for event answered" in text
    assert ">   ask  now here" in text
    assert "done [count > 1] -> ask  (2)" in text
    program("send", waiting, "answered", "yes=true", expect=0)
    told = program("render", "--run", waiting, "-f", "text", "--json", expect=0).data
    assert (told["status"], told["state"], told["steps"]) == ("succeeded", "complete", 3)
    assert told["passages"][0] | {"turns": [2]} == told["passages"][0]
    assert told["text"].startswith("hello v1")


def test_a_difference_is_drawn_and_told(program: Program, hello: Path, tmp_path: Path) -> None:
    """As a picture, as Markdown and as text on standard output, and as data."""
    (tmp_path / "new.yaml").write_text(HELLO.replace("count > 1", "count > 2").replace("1h", "2h"))
    for ending, begin in BEGINS.items():
        program("render", "new.yaml", "--against", hello, "-o", f"out.{ending}", expect=0)
        assert (tmp_path / f"out.{ending}").read_bytes().startswith(begin)
    assert program("render", "new.yaml", "--against", hello, expect=0).out == "wrote hello-changes.svg\n"
    markdown = program("render", "new.yaml", "--against", hello, "-f", "markdown", expect=0).out
    assert "| ~ | `greet: done -> ask` | when | `count > 1` | `count > 2` |" in markdown
    text = program("render", "new.yaml", "--against", hello, "-f", "text", expect=0).out
    assert "  ~ ask\n      timeout 1h -> 2h\n" in text
    told = program("render", "new.yaml", "--against", hello, "-f", "text", "--json", expect=0).data
    assert [(c["kind"], c["part"], c["name"]) for c in told["changes"]] == [
        ("changed", "state", "ask"),
        ("changed", "transition", "greet: done -> ask"),
    ]
    assert told["text"] == text


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--run", "3f2a", "hello.yaml"), "name no other"),
        (("--run", "3f2a", "--against", "hello.yaml"), "name no other"),
        (("--run", "3f2a", "--check"), "--check compares the pictures of all machines"),
        (("--against", "hello.yaml"), "name the new one"),
        (("hello.yaml", "--against", "none.yaml"), "there is no such file"),
        (("hello.yaml", "-f", "markdown"), "no format `markdown`; write one of svg"),
        (
            ("hello.yaml", "--against", "hello.yaml", "-f", "gif"),
            "svg, png, pdf, dot, mermaid, text, markdown",
        ),
    ],
)
def test_what_cannot_be_drawn_is_said(
    program: Program, hello: Path, words: tuple[str, ...], says: str
) -> None:
    """With exit code 2 and what to write instead."""
    assert hello.exists()
    done = program("render", *words, expect=2)
    assert says in " ".join(done.err.replace("│", "").split())


def test_an_unknown_run_is_said(program: Program, waiting: str) -> None:
    """With what to look at."""
    assert waiting
    assert "statemachine runs" in program("render", "--run", "zzz", expect=2).err


def follow(folder: Path, run: str, *words: str) -> subprocess.Popen[str]:
    """Start to follow a run's journal."""
    command = [sys.executable, "-m", "statemachine", "journal", run, "--follow", *words]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_live_run_is_followed_to_its_end(program: Program, hello: Path, tmp_path: Path) -> None:
    """What happens after the start of following is told as it happens, then it ends; with --json by lines."""
    run = program("run", hello, "-i", "name=a", "-i", "count=2", "--json", expect=3).data["run"]
    with follow(tmp_path, run) as story, follow(tmp_path, run, "--json") as lines:
        assert story.stdout
        assert lines.stdout
        while "greet -> ask on done" not in (line := story.stdout.readline()):
            assert line, story.stderr and story.stderr.read()
        program("send", run, "answered", "yes=true", expect=0)
        rest = story.stdout.read()
        assert re.search(r"event answered .*\n.*ask -> complete on answered.*\n.*succeeded in complete", rest)
        records = [json.loads(line) for line in lines.stdout]
        assert [record["seq"] for record in records] == list(range(1, len(records) + 1))
        assert records[-1]["kind"] == "run_finished"
    assert (story.returncode, lines.returncode) == (0, 0)


def test_following_a_finished_run_prints_it_and_ends(program: Program, hello: Path) -> None:
    """The same lines as without."""
    run = program("run", hello, "-i", "name=a", "--json", expect=0).data["run"]
    assert program("journal", run, "--follow", expect=0).out == program("journal", run, expect=0).out


def test_ctrl_c_ends_following(tmp_path: Path, waiting: str) -> None:
    """At once, with the exit code of an interrupt and no traceback; waiting costs next to nothing."""
    with follow(tmp_path, waiting) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        began = time.perf_counter()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        assert time.perf_counter() - began < 5
        assert "Traceback" not in process.stderr.read()
