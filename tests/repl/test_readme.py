"""The session in the README is a real one; `python -m tests.repl.test_readme` records it anew."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
BLOCK = re.compile(r"<!-- session -->\n```text\n\$ (statemachine repl [^\n]*)\n(.*?)```", re.DOTALL)
SAID = re.compile(r"^\(agent .*?\) (.+)$", re.MULTILINE)
LINES = ("break diagnose", "continue", "why", "back 3", "fork", "set words 10", "delete", "continue", "where")


def recorded(command: str, lines: list[str]) -> str:
    """Return what the program writes for some lines."""
    words = [sys.executable, "-m", *shlex.split(command)]
    with tempfile.TemporaryDirectory() as folder:
        words += ["--db", str(Path(folder) / "runs.db")]
        text = "\n".join(lines)
        done = subprocess.run(
            words, cwd=ROOT, input=text, capture_output=True, text=True, check=True, timeout=60
        )
    return done.stdout


def masked(text: str) -> str:
    """Return a session without what differs from one time to the next: ids, and times."""
    text = re.sub(r"\b[0-9a-f]{12}\b", "RUN", text)
    text = re.sub(r"\(agent [0-9a-f]{4} ", "(agent ID ", text)
    return re.sub(r" *\d+\.\d+s(-\d+\.\d+s)?|\d\d:\d\d:\d\d", " TIME", text)


def test_the_session_in_the_readme_is_real() -> None:
    """Line by line, but for ids and times."""
    found = BLOCK.search(README.read_text(encoding="utf-8"))
    assert found is not None
    command, session = found.groups()
    assert masked(recorded(command, SAID.findall(session))) == masked(session)


if __name__ == "__main__":
    whole = README.read_text(encoding="utf-8")
    block = BLOCK.search(whole)
    assert block is not None
    fresh = f"<!-- session -->\n```text\n$ {block[1]}\n{recorded(block[1], list(LINES))}```"
    README.write_text(whole.replace(block[0], fresh), encoding="utf-8")
