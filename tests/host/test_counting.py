"""What a machine reads of its calls' history, over crashes in a real process."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from statemachine import Runtime
from statemachine.host.view import restore

TOOLS = '''
import os, signal
from pathlib import Path

def tire(world: Path) -> None:
    """Fail, but die the second time that it is called."""
    with open(world, "a") as file:
        file.write("called\\n")
    if len(world.read_text().splitlines()) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    raise PermissionError(13, "denied")
'''
MACHINE = """
machine: tired
version: "1"
context: {world: {type: path, owner: operator}}
tools: {tire: {python: "tools.py:tire", effect: write, reversibility: partial, idempotent: true, timeout: 5s}}
initial: act
states:
  act: {do: tire, on: {done: complete, failed: again}}
  again: {always: [{to: act, when: "history.failed.tire < 3 && history.failures.permission < 9"}, {to: fail}]}
  complete: {final: succeeded}
  fail: {final: failed}
"""


def test_counts_are_the_same_after_a_crash(tmp_path: Path) -> None:
    """Killed in its second call a run goes on with the first one counted; the call that never ended is not."""
    (tmp_path / "tools.py").write_text(TOOLS)
    (tmp_path / "tired.yaml").write_text(MACHINE)
    words, store = [sys.executable, "-m", "statemachine"], ["--db", str(tmp_path / "runs.db")]
    begun = [*words, "run", "tired.yaml", "-i", "world=world.txt", *store]
    assert subprocess.run(begun, cwd=tmp_path, capture_output=True).returncode == -signal.SIGKILL
    assert subprocess.run([*words, "resume", "--all", *store], capture_output=True).returncode == 1
    assert (tmp_path / "world.txt").read_text() == "called\n" * 4, "three calls failed, and one died"
    with Runtime(tmp_path / "runs.db").store as opened:
        snapshot = restore(opened, opened.load(opened.runs()[0].id))
    assert snapshot.history == {"failed.tire": 3, "failures.permission": 3}
    replayed = subprocess.run([*words, "replay", snapshot.run, *store], capture_output=True, text=True)
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
