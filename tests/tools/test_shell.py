"""A shell tool: one command, no shell, its whole process group ends with it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import psutil
import pytest

from statemachine.machine.call import Call
from statemachine.machine.contract import Tool
from statemachine.machine.outcome import Outcome
from statemachine.machine.references import Folder
from statemachine.machine.signature import read_signature
from statemachine.tools.shell import call_shell


def run(folder: Path, command: object, **more: object) -> Outcome:
    """Run one command as a tool."""
    given = more.pop("given", {})
    tool = Tool.model_validate({"shell": command, "effect": "read", "timeout": "5s", **more})
    signature = read_signature(tool, Folder(folder))
    call = Call("r:3", "r", 3, 1, time.time() + 5, folder)
    return asyncio.run(call_shell(tool, signature, given, call, str(folder), {}))  # type: ignore[arg-type]


def test_standard_output_is_the_output(tmp_path: Path) -> None:
    """Without the line end; in the machine's folder; with the key in the environment."""
    assert run(tmp_path, "echo hello world").output == "hello world"
    assert run(tmp_path, "pwd").output == str(tmp_path.resolve())
    assert run(tmp_path, ["sh", "-c", "echo $STATEMACHINE_KEY $STATEMACHINE_RUN"]).output == "r:3 r"


def test_json_is_read_as_the_declared_type(tmp_path: Path) -> None:
    """Output that is not JSON, or not the type, breaks the contract."""
    assert run(tmp_path, ["echo", "[1, 2]"], output="list[int]").output == [1, 2]
    for text in ("[1, two]", '["a"]'):
        outcome = run(tmp_path, ["echo", text], output="list[int]")
        assert outcome.failure is not None
        assert outcome.failure.failure == "contract"


@pytest.mark.parametrize(
    "nasty", ["a; touch pwned", "$(touch pwned)", "`touch pwned`", "{other}", "-n", "a b\nc"]
)
def test_an_input_is_never_read_by_a_shell(tmp_path: Path, nasty: str) -> None:
    """It is one word, whatever it holds, and is not filled in a second time."""
    outcome = run(
        tmp_path,
        "printf %s {text}",
        input={"text": "str", "other": "str"},
        given={"text": nasty, "other": "x"},
    )
    assert outcome.output == nasty
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("command", "failures", "failure", "says"),
    [
        ("sh -c 'echo broken >&2; exit 4'", {}, "unknown", "status 4: broken"),
        ("sh -c 'exit 4'", {"4": "stale_data"}, "stale_data", "status 4"),
        ("sh -c 'exit 75'", {}, "transient", "status 75"),
        ("cat no-such-file", {}, "data_error", "No such file"),
        ("sh -c 'echo cp: x: No space left on device >&2; exit 1'", {}, "fatal", "No space"),
        ("sh -c 'echo nc: connection refused: unauthorized >&2; exit 1'", {}, "unknown", "refused"),
        ("sh -c 'kill -SEGV $$'", {}, "unknown", "SIGSEGV"),
        ("no-such-program-here", {}, "fatal", "not installed"),
    ],
)
def test_a_status_is_a_failure_of_one_class(
    tmp_path: Path, command: str, failures: dict[str, str], failure: str, says: str
) -> None:
    """By the tool's mapping, then sysexits.h, then a code in the last line of standard error, which is the message."""
    outcome = run(tmp_path, command, failures=failures)
    assert outcome.failure is not None
    assert outcome.failure.failure == failure
    assert says in outcome.failure.message


def test_a_command_that_hangs_ends_with_all_its_children(tmp_path: Path) -> None:
    """The timeout ends the process group, a child that ignores SIGTERM included."""
    script = "trap '' TERM; sh -c 'trap \"\" TERM; echo $$ > child; sleep 60' & wait"
    began = time.monotonic()
    outcome = run(tmp_path, ["sh", "-c", script], timeout="500ms")
    assert outcome.failure is not None
    assert outcome.failure.failure == "timeout"
    assert time.monotonic() - began < 5
    child = int((tmp_path / "child").read_text())
    time.sleep(0.2)
    # Where nobody reaps orphans an ended one stays behind as a zombie.
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_endless_output_is_refused(tmp_path: Path) -> None:
    """What is over the limit is neither stored nor kept in memory."""
    outcome = run(tmp_path, "head -c 30000000 /dev/zero")
    assert outcome.failure is not None
    assert outcome.failure.failure == "contract"
