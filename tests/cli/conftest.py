"""The program as users start it: a process, its output and its exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


Program = Callable[..., Done]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Run the program in a working folder of its own; no command may ever end in a traceback."""

    def run(
        *words: object, env: dict[str, str] | None = None, expect: int | None = None, given: str | None = None
    ) -> Done:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("STATEMACHINE")} | (env or {})
        done = subprocess.run(
            [sys.executable, "-m", "statemachine", *map(str, words)],
            cwd=tmp_path,
            env=environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "Traceback" not in done.stderr + done.stdout, done.stderr
        if expect is not None:
            assert done.returncode == expect, done.stdout + done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    return run


TOOLS = """
import sys

def hello(name: str) -> str:
    print("noise on standard output")
    return f"hello {name}"

def leave(name: str) -> str:
    sys.exit(9)
"""

HELLO = """
machine: hello
version: "1"
context:
  name: {type: str, owner: operator}
  count: {type: int, owner: operator, default: 1}
  file: {type: "path | None", owner: operator, default: null}
  text: {type: str, owner: greet}
events: {answered: {yes: bool}}
tools:
  hello: {python: "tools.py:hello", effect: read, timeout: 5s}
initial: greet
states:
  greet: {do: hello, save: text, on: {done: [{to: ask, when: "count > 1"}, {to: complete}], failed: fail}}
  ask: {timeout: 1h, on: {answered: [{to: complete, when: event.yes}, {to: fail}], timeout: fail}}
  complete: {final: succeeded, output: {text: text, file: file}}
  fail: {final: failed}
"""


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    """A small machine in the working folder."""
    (tmp_path / "tools.py").write_text(TOOLS)
    (tmp_path / "hello.yaml").write_text(HELLO)
    return tmp_path / "hello.yaml"
