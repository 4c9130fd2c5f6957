"""Commands that move runs: run, resume, send, cancel, resolve."""

from __future__ import annotations

import asyncio
import getpass
import json
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from statemachine.cli.declare import File
from statemachine.cli.terminal import Db, Json, RunId, say, say_json, stdout
from statemachine.errors import InvalidInput

if TYPE_CHECKING:
    from statemachine.host.runtime import Runtime
    from statemachine.host.view import RunView
    from statemachine.machine.definition import Definition

Inputs = Annotated[
    list[str] | None,
    typer.Option("--input", "-i", help="An input: NAME=VALUE, or @FILE.json with several. May be repeated."),
]
_EXITS = {"succeeded": 0, "failed": 1, "cancelled": 1, "waiting": 3}


def run(
    file: File,
    inputs: Inputs = None,
    db: Db = None,
    follow: Annotated[bool, typer.Option("--follow", help="Stay while the run waits for an event.")] = False,
    as_json: Json = False,
) -> None:
    """Start a run and drive it until it ends or waits for an event or a person.

    Example: statemachine run machines/agent/agent.yaml --input words=12 --input text="…"
    """
    from statemachine.machine.load import load

    stdout()
    definition = load(file)
    given = _inputs(definition, inputs or [])
    _drive(db, as_json, lambda runtime: runtime.start(definition, given), create=True, follow=follow)


def resume(
    run: Annotated[str | None, typer.Argument(help="Id of a run; it may be shortened.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Resume every run that nobody drives.")] = False,
    db: Db = None,
    follow: Annotated[bool, typer.Option("--follow", help="Stay while a run waits for an event.")] = False,
    as_json: Json = False,
) -> None:
    """Go on with a run that was interrupted, or with all of them; what is completed is not done again.

    Example: statemachine resume --all
    """
    if (run is None) == (not every):
        raise typer.BadParameter("name a run, or write --all")
    stdout()
    if run is not None:
        _drive(db, as_json, lambda runtime: runtime.resume(run), follow=follow)
        return
    _resume_all(db, as_json, follow)


def send(
    run: RunId,
    event: Annotated[str, typer.Argument(help="Name of an event that the machine declares.")],
    payload: Annotated[
        list[str] | None, typer.Argument(help="What it carries: NAME=VALUE …", metavar="NAME=VALUE")
    ] = None,
    db: Db = None,
    as_json: Json = False,
) -> None:
    """Send an event to a run and, unless another process drives it, go on with it.

    Example: statemachine send 3f2a answered text="restart it" by=ann
    """
    stdout()
    given = dict(_pair(text) for text in payload or [])

    async def sending(runtime: Runtime) -> RunView:
        return await runtime.send(run, event, _read_as(runtime.payload_types(run, event), given), by=_user())

    _drive(db, as_json, sending)


def cancel(run: RunId, db: Db = None, as_json: Json = False) -> None:
    """Cancel a run, wherever it is.

    Example: statemachine cancel 3f2a
    """
    stdout()
    _drive(db, as_json, lambda runtime: runtime.cancel(run, by=_user()), cancelled_is_success=True)


def resolve(
    run: RunId,
    happened: Annotated[
        bool | None, typer.Option("--happened/--not-happened", help="Did the call in doubt happen?")
    ] = None,
    output: Annotated[str | None, typer.Option(help="What it gave, as JSON.", metavar="JSON")] = None,
    db: Db = None,
    as_json: Json = False,
) -> None:
    """Decide on a call of which it is not known whether it happened, and go on.

    Example: statemachine resolve 3f2a --not-happened
    """
    if happened is None:
        raise typer.BadParameter("write --happened or --not-happened")
    stdout()
    try:
        given = json.loads(output) if output is not None else None
    except ValueError as error:
        raise InvalidInput(f"--output is not JSON: {error}") from None
    _drive(db, as_json, lambda runtime: runtime.resolve(run, happened, given, by=_user()))


def _drive(
    db: str | None,
    as_json: bool,
    drive: Callable[[Runtime], Awaitable[RunView]],
    *,
    create: bool = False,
    follow: bool = False,
    cancelled_is_success: bool = False,
) -> None:
    """Run one command on a runtime, with its progress, its result and its exit code."""
    from statemachine.cli.progress import progress
    from statemachine.host.runtime import Runtime
    from statemachine.host.view import path_of

    stopped: list[int] = []

    async def work() -> tuple[RunView, list[str]]:
        with progress(quiet=as_json) as observer:
            async with Runtime(db, observer=observer, create=create, follow=follow) as runtime:
                _stop_on_signals(runtime, stopped)
                view = await drive(runtime)
                return view, path_of(runtime.store, view.run)

    view, path = asyncio.run(work())
    if as_json:
        say_json({**view.as_data(), "path": path})
    else:
        _tell(view)
    if view.finished is None and stopped:
        raise typer.Exit(128 + stopped[0])
    if cancelled_is_success and view.status == "cancelled":
        raise typer.Exit(0)
    raise typer.Exit(_EXITS.get(view.status, 0))


def _resume_all(db: str | None, as_json: bool, follow: bool) -> None:
    from statemachine.host.runtime import Runtime
    from statemachine.host.view import RunView, path_of

    stopped: list[int] = []

    async def work() -> list[dict[str, Any]]:
        results = []
        async with Runtime(db, create=False, follow=follow) as runtime:
            _stop_on_signals(runtime, stopped)
            async for result in runtime.resume_all():
                if isinstance(result, RunView):
                    results.append({**result.as_data(), "path": path_of(runtime.store, result.run)})
                    if not as_json:
                        _tell(result)
                else:
                    run, error = result
                    results.append({"run": run, "error": type(error).__name__, "message": str(error)})
                    if not as_json:
                        print(f"{run}: {error}", file=sys.stderr)
        return results

    results = asyncio.run(work())
    if as_json:
        say_json(results)
    elif not results:
        say("no run is unfinished")
    if stopped:
        raise typer.Exit(128 + stopped[0])
    if any("error" in r for r in results):
        raise typer.Exit(4)
    # The most that anyone has to do decides: look at what failed, then at what waits.
    statuses = {r["status"] for r in results}
    raise typer.Exit(1 if statuses & {"failed", "cancelled"} else 3 if "waiting" in statuses else 0)


def _stop_on_signals(runtime: Runtime, stopped: list[int]) -> None:
    """Stop at a safe point on the first Ctrl-C or SIGTERM; leave at once on the second."""
    loop = asyncio.get_running_loop()

    def stop(number: int) -> None:
        if stopped:
            raise KeyboardInterrupt
        stopped.append(number)
        runtime.stop()
        print("\nstopping at the next safe point; once more to leave at once", file=sys.stderr)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)


def _tell(view: RunView) -> None:
    """Say how a run stands, and what can be done next."""
    say(
        f"run {view.run}: {view.status} in {view.state}"
        + (f": {view.reason}" if view.reason and view.finished else "")
    )
    for name, value in view.output.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        say(f"{name}:\n{text.rstrip()}" if "\n" in text else f"{name}: {text}")
    if view.status == "waiting":
        say(f"it waits for {view.waiting or 'time'}")
        if view.waiting.startswith("event "):
            say(f"go on with: statemachine send {view.run} {view.waiting.split()[1]}")
        elif view.waiting.startswith("a decision"):
            say(f"go on with: statemachine resolve {view.run} --happened | --not-happened")
    if view.finished is None and not view.waiting.startswith(("event ", "a decision")):
        say(f"go on with: statemachine resume {view.run}")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InvalidInput(f"`{text}` is not NAME=VALUE")
    return name, value


def _inputs(definition: Definition, texts: list[str]) -> dict[str, Any]:
    """Return the inputs given on the command line, each read as its field's type."""
    given: dict[str, Any] = {}
    plain: dict[str, str] = {}
    for text in texts:
        if text.startswith("@"):
            given |= _from_file(Path(text[1:]))
        else:
            name, value = _pair(text)
            plain[name] = value
    return given | _read_as(definition.types, plain)


def _from_file(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise InvalidInput(f"{path} is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise InvalidInput(f"{path} holds no JSON object")
    return data


def _read_as(types_: Any, plain: dict[str, str]) -> dict[str, Any]:
    """Return text values as what their types want: text as it is, anything else as JSON if it is some."""
    from statemachine.machine import types

    def read(name: str, value: str) -> Any:
        if name not in types_ or types.kind(types_[name]) == "str":
            return value
        try:
            return json.loads(value)
        except ValueError:
            return value

    return {name: read(name, value) for name, value in plain.items()}
