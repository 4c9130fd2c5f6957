"""In a terminal a run shows its path while it runs; Ctrl-C there leaves a run that can be resumed."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pexpect
import pytest

from tests.cli.conftest import HELLO, Program

SLOW = """
import time

def hello(name: str) -> str:
    print("noise of a tool")
    time.sleep(1.5)
    return f"hello {name}"
"""


@pytest.fixture
def slow(hello: Path) -> Path:
    """The small machine with a tool that takes its time, in a loop that counts."""
    (hello.parent / "tools.py").write_text(SLOW)
    hello.write_text(HELLO.replace("save: text,", "save: text, attempts: 3, exhausted: fail,"))
    return hello


def terminal(folder: Path, *words: str) -> pexpect.spawn[str]:
    """Start the program in a terminal of 30 lines by 100 columns."""
    command = ["-m", "statemachine", *words]
    return pexpect.spawn(
        sys.executable, command, cwd=folder, dimensions=(30, 100), encoding="utf-8", timeout=30
    )


def test_the_path_is_shown_live(slow: Path) -> None:
    """State, attempt n of max, what it does and for how long; at the end the result stays on the screen."""
    child = terminal(slow.parent, "run", "hello.yaml", "-i", "name=a")
    child.expect(r"proved: at most \d+ steps, \d+ calls?, ")
    child.expect("greet, attempt 1 of 3: calling hello, ")
    child.expect(r"0\.\d+s")
    child.expect("succeeded in complete")
    child.expect("hello a")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_ctrl_c_stops_and_says_how_to_go_on(slow: Path, program: Program) -> None:
    """The exit code is that of an interrupt; the words that it prints finish the run."""
    child = terminal(slow.parent, "run", "hello.yaml", "-i", "name=a")
    child.expect("calling hello")
    child.sendintr()
    child.expect("stopping at the next safe point")
    child.expect(r"go on with: statemachine resume (\w+)")
    assert isinstance(child.match, re.Match)
    run = child.match[1]
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    assert program("resume", run, "--json", expect=0).data["status"] == "succeeded"
