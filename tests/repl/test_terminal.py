"""The prompt in a real terminal: completion, history, Ctrl-C and Ctrl-D, and tools that print."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from tests.repl.conftest import world

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "machines/repair/samples/intervals"
UP = "\x1b[A"


class Terminal:
    """A session in a terminal of 40 lines by 120 columns, with a home of its own."""

    def __init__(self, folder: Path, *words: object, command: str = "repl") -> None:
        env = {k: v for k, v in os.environ.items() if not k.startswith("STATEMACHINE")}
        env |= {"XDG_STATE_HOME": str(folder / "home"), "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
        self.child = pexpect.spawn(
            sys.executable,
            ["-m", "statemachine", command, *map(str, words)],
            cwd=folder,
            env=env,
            dimensions=(40, 120),
            encoding="utf-8",
            timeout=30,
        )

    def say(self, line: str, *answers: str) -> None:
        """Type a line, and wait for what it must lead to, in order."""
        self.child.send(f"{line}\r")
        self.see(*answers)

    def tab(self, begun: str, rest: str) -> None:
        """Begin a word, press Tab, and wait for the rest of it."""
        self.child.send(f"{begun}\t")
        self.see(rest)

    def see(self, *answers: str) -> None:
        """Wait for texts, in order."""
        for answer in answers:
            self.child.expect_exact(answer)

    def leave(self) -> int:
        """Press Ctrl-D and return the exit code."""
        self.child.send("\x04")
        self.child.expect(pexpect.EOF)
        self.child.close()
        assert isinstance(self.child.exitstatus, int)
        return self.child.exitstatus


@pytest.fixture
def repair(tmp_path: Path) -> Terminal:
    """The repair machine in step mode."""
    machine, program = ROOT / "machines/repair/repair.yaml", SAMPLE / "intervals.py"
    tests = SAMPLE / "test_intervals.py"
    words = (machine, "-i", f"program={program}", "-i", f"tests={tests}", "--step")
    return Terminal(tmp_path, *words, command="run")


def test_a_session(repair: Terminal, tmp_path: Path) -> None:
    """Break on diagnose, see why, change a field, go back three, fork, continue to complete, draw the picture."""
    repair.see("about to call propose (read)", "(repair ", "plan → propose)")
    repair.tab("br", "eak")
    repair.tab(" dia", "gnose")
    repair.say("", "breakpoint 1: diagnose")
    repair.say("c", "plan --done--> act", "breakpoint 1: diagnose", "about to call learn (read)")
    repair.say(
        "why", "done in validate → diagnose", "done → complete  when verdict.passed", "verdict.passed = false"
    )
    repair.tab("set pati", "ence")
    repair.say(" 0.5", "patience = 0.5, by hand", "edited)")
    repair.say("back 3", "plan → act", "past 6 act")
    repair.say("fork", "a write after record 6", "Fork all the same?", "[y/N]")
    repair.say("y", "goes on from record 6", "about to call apply (write, reversible, idempotent)")
    repair.say("delete", "deleted breakpoint 1: diagnose")
    repair.say("continue", "validate --done--> complete", "succeeded in complete")
    repair.say("where", "forked off", "validate", "complete  on done")
    repair.say("diagram", "repair v1", ">   complete")
    repair.say("diagram run.svg", "wrote run.svg")
    repair.child.send(f"{UP}{UP}{UP}\r")
    repair.see("where")
    assert repair.leave() == 0
    assert (tmp_path / "run.svg").read_text().startswith("<?xml")
    history = tmp_path / "home/statemachine/history"
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    again = Terminal(tmp_path, run_of(tmp_path, "succeeded"))
    again.see("succeeded in complete", "complete succeeded)")
    again.child.send(f"{UP}{UP}\r")  # the last line of the session before is `where`, found with the arrow
    again.see("wrote run.svg")
    again.say("back 2", "past")
    assert again.leave() == 0


def run_of(folder: Path, status: str) -> str:
    """The run of a status."""
    words = ["runs", "--status", status, "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "statemachine", *words], cwd=folder, capture_output=True, text=True, check=True
    )
    (run,) = json.loads(done.stdout)
    return str(run["id"])


def test_ctrl_c_returns_to_the_prompt(folder: Path) -> None:
    """The run stops at a safe point and goes on from there; at the prompt Ctrl-C gives the line up."""
    (folder / "tools.py").write_text(
        (folder / "tools.py").read_text().replace("return note(world, call.key)", SLOW)
    )
    terminal = Terminal(folder, "loop.yaml", "-i", "world=world.txt")
    terminal.see("about to call write (write, partly reversible, not idempotent)")
    terminal.child.send("nonsense\x03")
    terminal.say("c")
    while not world(folder):
        terminal.child.expect(pexpect.TIMEOUT, timeout=0.05)
    terminal.child.sendintr()
    terminal.see("stopping at the next safe point; once more to leave at once")
    terminal.see("act --done--> validate", "stopped at a safe point", "(loop ", "validate → judge)")
    terminal.say("c", "succeeded in complete")
    assert terminal.leave() == 0
    assert len(world(folder)) == 3


SLOW = 'note(world, call.key); print("noise of a tool"); time.sleep(1); return 1'


def test_a_tool_that_prints_does_not_garble_the_prompt(folder: Path) -> None:
    """What it prints, and its children, stands on lines of its own, with a mark."""
    noisy = 'import subprocess; subprocess.run(["echo", "noise of a child"]); return note(world, call.key)'
    tools = (folder / "tools.py").read_text()
    (folder / "tools.py").write_text(tools.replace("return note(world, call.key)", noisy, 1))
    terminal = Terminal(folder, "loop.yaml", "-i", "world=world.txt")
    terminal.see("act → write)")
    terminal.say("s", "validate → judge)")
    assert "act --done--> validate\r\n" in terminal.child.before
    assert "| noise of a child\r\n" in terminal.child.before
    assert terminal.leave() == 0


def test_another_process_drives_the_run(folder: Path) -> None:
    """The second terminal says who, completes its id, and can look and fork."""
    first = Terminal(folder, "loop.yaml", "-i", "world=world.txt")
    first.see("act → write)")
    run = run_of(folder, "running")
    second = Terminal(folder, run[:6])
    second.see(f"driven by process {first.child.pid} on", "it can only be looked at", "read-only act)")
    second.say("s", f"is driven by process {first.child.pid}")
    second.say("fork", "goes on from record 2", "act → write)")
    second.tab(f"open {run[:5]}", run[5:])
    second.say("", f"driven by process {first.child.pid} on")
    assert first.leave() == 0
    second.say(f"open {run[:8]}", "about to call write")
    assert second.leave() == 0
    assert world(folder) == []


def test_ctrl_d_leaves_a_run_that_can_be_resumed(folder: Path) -> None:
    """The words that are printed go on with it."""
    terminal = Terminal(folder, "loop.yaml", "-i", "world=world.txt")
    terminal.say("s", "validate → judge)")
    terminal.child.send("\x04")
    terminal.child.expect(r"or: statemachine resume (\w+)")
    assert isinstance(terminal.child.match, re.Match)
    run = terminal.child.match[1]
    terminal.child.expect(pexpect.EOF)
    words = ["resume", run, "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "statemachine", *words], cwd=folder, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["status"] == "succeeded"
    assert len(world(folder)) == 3
