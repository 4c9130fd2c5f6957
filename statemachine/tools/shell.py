"""Tools that are commands. No shell reads them: an input is always one whole word, or part of one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from statemachine.machine.call import Call
from statemachine.machine.contract import FailureClass, Tool
from statemachine.machine.outcome import Failure, Outcome
from statemachine.machine.signature import Signature
from statemachine.machine.types import adapter
from statemachine.tools.classify import classify, spoken
from statemachine.tools.output import LARGEST_OUTPUT, broken, checked

_STOPPING = 1.0
"""Seconds between asking a process group to end and killing it."""

# The exit statuses of <sysexits.h>.
_EXITS: Mapping[int, FailureClass] = {
    64: "fatal",
    65: "data_error",
    66: "data_error",
    69: "transient",
    75: "transient",
    77: "permission",
    126: "permission",
    127: "fatal",
}


async def call_shell(
    tool: Tool,
    signature: Signature,
    given: Mapping[str, Any],
    call: Call,
    folder: str,
    secrets: Mapping[str, str],
) -> Outcome:
    """Run a command in the machine's folder and return its checked outcome.

    The command finds its key in ``STATEMACHINE_KEY``, and its secrets under their names. Its whole process group
    ends with it, with its timeout, and with the call.
    """
    values: dict[str, str] = {}
    for name, parameter in signature.input.items():
        try:
            value = adapter(parameter.type).validate_python(given.get(name))
        except ValidationError as error:
            return broken(f"input `{name}`: {error.errors(include_url=False)[0]['msg']}")
        values[name] = (
            value
            if isinstance(value, str)
            else _spelled(adapter(parameter.type).dump_python(value, mode="json"))
        )
    words = [_filled(word, values) for word in signature.command]
    if any("\0" in word for word in words):
        return broken("an input holds a NUL character, which no command can take")
    environment = os.environ | dict(secrets) | {"STATEMACHINE_KEY": call.key, "STATEMACHINE_RUN": call.run}
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            return Outcome(failure=Failure("fatal", f"`{words[0]}` is not installed"))
        return Outcome(failure=classify(error, tool))
    try:
        output, errors = await asyncio.wait_for(_read(process), tool.timeout)
    except TimeoutError:
        return Outcome(failure=Failure("timeout", f"`{words[0]}` did not end within {tool.timeout:g} s"))
    finally:
        await _end(process)
    if len(output) > LARGEST_OUTPUT:
        return broken(f"`{words[0]}` printed more than {LARGEST_OUTPUT:,} bytes")
    if process.returncode:
        return Outcome(failure=_failed(words[0], process.returncode, errors, tool))
    text = output.decode(errors="replace")
    if signature.output is str:
        return checked(text.rstrip("\n"), str)
    try:
        return checked(json.loads(text or "null"), signature.output)
    except ValueError as error:
        return broken(f"`{words[0]}` printed no JSON: {error}")


def _spelled(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _filled(word: str, values: Mapping[str, str]) -> str:
    # One pass over the template: what an input holds is never read as a placeholder again.
    parts = word.split("{")
    filled = parts[0]
    for part in parts[1:]:
        name, closed, rest = part.partition("}")
        filled += values[name] + rest if closed and name in values else "{" + part
    return filled


async def _read(process: Process) -> tuple[bytes, bytes]:
    assert process.stdout is not None
    assert process.stderr is not None
    output, errors, _ = await asyncio.gather(
        _read_some(process.stdout, LARGEST_OUTPUT + 1), _read_some(process.stderr, 64 << 10), process.wait()
    )
    return output, errors


async def _read_some(stream: asyncio.StreamReader, most: int) -> bytes:
    """Return the first ``most`` bytes; read on to the end so that the writer is not held up."""
    kept = bytearray()
    while chunk := await stream.read(1 << 16):
        kept += chunk[: most - len(kept)]
    return bytes(kept)


async def _end(process: Process) -> None:
    """End what is left of the process group, gently first."""
    if process.returncode is None:
        _signal(process, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _STOPPING)
    _signal(process, signal.SIGKILL)
    if process.returncode is None:
        await process.wait()


def _signal(process: Process, number: signal.Signals) -> None:
    # The group may outlive the process that leads it; only an empty group is gone.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _failed(command: str, status: int, errors: bytes, tool: Tool) -> Failure:
    lines = errors.decode(errors="replace").strip().splitlines()
    said = f": {lines[-1][:500]}" if lines else ""
    if status < 0:
        name = signal.Signals(-status).name
        mapped = tool.failures.get(name)
        return Failure(mapped or "unknown", f"`{command}` was ended by {name}{said}")
    mapped = tool.failures.get(str(status)) or _EXITS.get(status)
    if mapped is None and lines:
        mapped = spoken(lines[-1], tool, printed=True)
    return Failure(mapped or "unknown", f"`{command}` ended with status {status}{said}")
