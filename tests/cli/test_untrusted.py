"""What an agent writes stays in its place: it moves no cursor, turns no line round, and poses as no line of ours."""

from __future__ import annotations

import re
from pathlib import Path

import pexpect
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statemachine.cli.terminal import _cells, plain, wrapped
from tests.cli.conftest import Program
from tests.cli.test_live import terminal

TOOLS = """
def pay(to: str) -> None:
    raise ValueError(to)
"""
MACHINE = """
machine: pays
version: "1"
context:
  to:  {type: str, owner: operator}
  why: {type: str, owner: operator}
tools: {pay: {python: "tools.py:pay", effect: write, reversibility: full, idempotent: true, timeout: 5s}}
initial: pay
states:
  pay: {do: pay, approval: {expires: 1h}, reasoning: why, on: {done: end, failed: fail, denied: fail}}
  end: {final: succeeded}
  fail: {final: failed}
"""
FAKES = (
    "WHO         1 of ann; approved by ann",
    "status:    succeeded in end",
    "    9      0.1s  ann approves request",
)
EVIL = {
    "escape": "ok \x1b[2J\x1b[1;1Happroved \x1b]0;title\x07 \x1b[8mhidden",
    "single bytes": "ok \x9b2J \x85 \x7f \x08\x08\x08 \r denied",
    "new lines": "ok\n" + "\r\n".join(FAKES) + "\u2028" + FAKES[0] + "\u2029\x0b\x0c" + FAKES[1],
    "turned round": "pay \u202e000.1\u202c to \u2066ann\u2069 \u200f\u061c",
    "one long word": "x" * 88 + "\u2800".join(FAKES[0].split()) + "\u2800" * 200 + "end",
    "wide": " ".join(["承認" * 45, FAKES[0], "承認" * 45, FAKES[1]]),
    "filled up": " ".join("y" * n + " " + fake for n in range(60, 100) for fake in FAKES),
    "mark-up": "[/nothing] [bold red]approved[/] [link=x]here",
}
_MOVES = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


@pytest.fixture
def runs(program: Program, tmp_path: Path) -> tuple[str, str]:
    """A run that waits for a yes, and one that has failed with a message; an agent has written all it could."""
    (tmp_path / "tools.py").write_text(TOOLS)
    (tmp_path / "pays.yaml").write_text(MACHINE)
    (tmp_path / "fails.yaml").write_text(
        MACHINE.replace("approval: {expires: 1h}, ", "").replace(", denied: fail", "")
    )
    found = []
    for file, evil, code in (("pays", EVIL, 3), ("fails", reversed(EVIL), 1)):
        text = " ".join(EVIL[what] for what in evil)
        done = program("run", f"{file}.yaml", "-i", f"to={text}", "-i", f"why={text}", expect=code)
        assert not _MOVES.findall(done.out)
        found.append(done.out.split()[1].rstrip(":"))
    return found[0], found[1]


def on_screen(text: str, columns: int) -> list[str]:
    """Return the lines that a screen shows: what is too long goes on at the left edge."""
    lines = []
    for line in text.split("\n"):
        row = ""
        for c in line:
            if _cells(row + c) > columns:
                lines.append(row)
                row = ""
            row += c
        lines.append(row)
    return lines


def test_nothing_that_an_agent_says_leaves_its_place(program: Program, runs: tuple[str, str]) -> None:
    """In a pipe: one line each; the request, how the run stands and its journal read as they are."""
    waits, failed = runs
    commands = (
        ("approvals",), ("approvals", "show", waits), ("runs",), ("explain", failed),
        ("status", waits), ("status", failed), ("journal", waits), ("journal", failed),
    )  # fmt: skip
    text = "".join(program(*words, expect=0).out for words in commands)
    assert not _MOVES.findall(text)
    lines = text.splitlines()
    assert not [line for line in lines if line.startswith(FAKES)]
    assert sum(line.startswith("WHO ") for line in lines) == 1
    assert sum(line.startswith("status:") for line in lines) == 2
    assert "(the agent's own words; nobody has checked them)" in text
    assert "\\x1b[2J" in text
    assert "\\u202e" in text


def test_nor_at_the_prompt_of_the_debugger(program: Program, runs: tuple[str, str]) -> None:
    """Whatever a verb shows of it, and in an error."""
    verbs = "print\nprint why\nwhy\nlist\ndiff 1\nback\nprint to\n"
    texts = [program("repl", run, given=verbs).out for run in runs]
    assert "ok \\u001b[2J" in texts[0]
    for text in texts:
        assert not _MOVES.findall(text)
        assert not [line for line in text.splitlines() if line.startswith(FAKES)]
    refused = program("status", "\x1b[2J\u202eabc", expect=2).err
    assert not _MOVES.findall(refused)


def test_nor_in_a_terminal_where_lines_are_broken(runs: tuple[str, str], tmp_path: Path) -> None:
    """Whatever is too long goes on under its own beginning, and never at the left edge."""
    waits, failed = runs
    edge: list[str] = []
    for words in (("approvals", "show", waits), ("status", waits), ("status", failed), ("journal", failed)):
        child = terminal(tmp_path, *words)  # 100 columns wide
        child.expect(pexpect.EOF)
        child.close()
        assert (child.exitstatus, _MOVES.findall(child.before.replace("\r\n", "\n"))) == (0, [])
        edge += on_screen(child.before.replace("\r\n", "\n"), 100)
    assert sum(re.match(r"WHO\W", line) is not None for line in edge) == 1
    assert sum(line.startswith("status:") for line in edge) == 2
    assert not [line for line in edge if re.match(r"\s+\d+\s+\S+s  ann approves", line)]


@given(st.text(max_size=300), st.integers(2, 50))
def test_text_is_broken_into_lines_that_fit(text: str, width: int) -> None:
    """And nothing of it is lost, nor anything in it that moves the cursor kept."""
    line = plain(text)
    assert line.isprintable()
    lines = wrapped(line, width)
    assert all(_cells(part) <= width for part in lines)
    assert "".join("".join(lines).split()) == "".join(line.split())
