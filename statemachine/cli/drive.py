"""Commands that move runs: run, resume, send, amend, cancel, undo, resolve."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from statemachine.cli.beside import (
    NOTHING,
    Anchor,
    AnchorCommand,
    AnchorEvery,
    AnchorRecords,
    Beside,
    Compliance,
    SignAs,
    SigningKey,
    beside,
)
from statemachine.cli.declare import File
from statemachine.cli.inputs import Inputs, given_inputs, pair
from statemachine.cli.many import AtOnce
from statemachine.cli.signals import stop_on_signals
from statemachine.cli.terminal import Db, Json, MaybeRunId, RunId, complain, say, say_json, say_under, stdout
from statemachine.errors import InvalidInput
from statemachine.host.owner import user

if TYPE_CHECKING:
    from statemachine.host.runtime import Runtime
    from statemachine.host.view import RunView

_EXITS = {"succeeded": 0, "failed": 1, "cancelled": 1, "waiting": 3}


def run(
    file: File,
    inputs: Inputs = None,
    db: Db = None,
    follow: Annotated[bool, typer.Option("--follow", help="Stay while the run waits for an event.")] = False,
    times: Annotated[int | None, typer.Option(min=1, help="Start so many runs with these inputs.")] = None,
    lines: Annotated[
        str | None,
        typer.Option(
            "--inputs",
            help="Start a run for each line, a JSON object of inputs; - reads them.",
            metavar="FILE.jsonl",
        ),
    ] = None,
    at_once: AtOnce = 100,
    detach: Annotated[
        bool, typer.Option("--detach", help="Only make the run, for a worker to drive, and print its id.")
    ] = False,
    step: Annotated[
        bool, typer.Option("--step", help="Step the run at a prompt, as `repl FILE` does.")
    ] = False,
    anchor: Anchor = None,
    anchor_every: AnchorEvery = "10m",
    anchor_records: AnchorRecords = 10_000,
    anchor_command: AnchorCommand = None,
    name: SignAs = "",
    key: SigningKey = None,
    compliance: Compliance = None,
    as_json: Json = False,
) -> None:
    """Start a run and drive it until it ends or waits for an event or a person.

    With --times or --inputs it starts many, of which --at-once go on at a time. The lines of --inputs are all
    checked before anything starts; a value in one replaces that of --input. A line is printed for each run as it
    ends or waits, then a summary; --json prints one JSON object a line for each run (as for a single run, and
    `input`, the number of its line), and nothing else. The exit code is that of the worst run: 4 could not be driven, 1
    failed, 3 waits, 0. Interrupted, runs that were made go on with `resume --all`; those that were not yet made are
    not known to it, so use --detach to make them all at once.

    Beside the runs it can note the heads of all runs of the store (--anchor) and append a record of each call to a file
    (--compliance), as `worker` does.

    Example: statemachine run machines/agent/agent.yaml --input words=12 --input text="…"

    Example: statemachine run machines/agent/agent.yaml --inputs texts.jsonl --anchor /mnt/worm/runs.anchors --compliance calls.jsonl

    Example: statemachine run machines/agent/agent.yaml --input words=12 --input text="…" --step
    """
    from statemachine.cli import many
    from statemachine.kernel.inputs import checked_inputs
    from statemachine.machine.load import load

    if times is not None and lines is not None:
        raise typer.BadParameter("write --times or --inputs, not both")
    if detach and follow:
        raise typer.BadParameter(
            "--detach leaves the run to a worker, so that --follow has nothing to follow"
        )
    asked = Beside(anchor, anchor_every, anchor_records, anchor_command, name, key, compliance)
    if (detach or step) and asked != NOTHING:
        raise typer.BadParameter("--anchor and --compliance go with runs that this command drives")
    if step:
        if times is not None or lines is not None or detach or follow:
            raise typer.BadParameter("--step is for one run, held between two steps: write it alone")
        from statemachine.cli.repl import step_new

        step_new(file, inputs, db, as_json)
    stdout()
    definition = load(file)
    given = given_inputs(definition, inputs or [])
    if times is None and lines is None and not detach:
        drive(
            db,
            as_json,
            lambda runtime: runtime.start(definition, given),
            create=True,
            follow=follow,
            asked=asked,
        )
    if lines is not None:
        all_of_them = many.read_lines(definition, lines, given)
    else:
        checked_inputs(definition, given)
        all_of_them = [(number, given) for number in range(1, (times or 1) + 1)]
    if detach:
        many.detach_all(definition, all_of_them, db, single=times is None and lines is None, as_json=as_json)
    else:
        many.run_all(
            definition, all_of_them, db, at_once=at_once, follow=follow, as_json=as_json, asked=asked
        )


def resume(
    run: MaybeRunId = None,
    every: Annotated[bool, typer.Option("--all", help="Resume every run that nobody drives.")] = False,
    db: Db = None,
    follow: Annotated[bool, typer.Option("--follow", help="Stay while a run waits for an event.")] = False,
    anchor: Anchor = None,
    anchor_every: AnchorEvery = "10m",
    anchor_records: AnchorRecords = 10_000,
    anchor_command: AnchorCommand = None,
    name: SignAs = "",
    key: SigningKey = None,
    compliance: Compliance = None,
    as_json: Json = False,
) -> None:
    """Go on with a run that was interrupted, or with all of them; what is completed is not done again.

    Beside the runs it can note the heads of all runs of the store (--anchor) and append a record of each call to a file
    (--compliance), as `worker` does.

    Example: statemachine resume --all --compliance calls.jsonl
    """
    asked = Beside(anchor, anchor_every, anchor_records, anchor_command, name, key, compliance)
    if (run is None) == (not every):
        raise typer.BadParameter("name a run, or write --all")
    stdout()
    if run is not None:
        drive(db, as_json, lambda runtime: runtime.resume(run), follow=follow, asked=asked)
        return
    _resume_all(db, as_json, follow, asked)


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
    from statemachine.host.given import read_as

    stdout()
    given = dict(pair(text) for text in payload or [])

    async def sending(runtime: Runtime) -> RunView:
        return await runtime.send(run, event, read_as(runtime.payload_types(run, event), given), by=user())

    drive(db, as_json, sending)


def amend(
    run: RunId,
    values: Annotated[list[str], typer.Argument(help="The new values: NAME=VALUE …", metavar="NAME=VALUE")],
    db: Db = None,
    as_json: Json = False,
) -> None:
    """Change what the operator gave a run, in the middle of it; what is derived from that is no longer known.

    The run takes its machine's transition for the event `amended` and, unless another process drives it, goes on.
    A read that is under way is dropped; a write is waited for, and its outcome recorded but not trusted.

    Example: statemachine amend 3f2a vendor=ACME
    """
    from statemachine.host.given import read_as

    stdout()
    given = dict(pair(text) for text in values)

    async def amending(runtime: Runtime) -> RunView:
        return await runtime.amend(run, read_as(runtime.input_types(run), given), by=user())

    drive(db, as_json, amending)


def cancel(run: RunId, db: Db = None, as_json: Json = False) -> None:
    """Cancel a run, wherever it is.

    Example: statemachine cancel 3f2a
    """
    stdout()
    drive(
        db,
        as_json,
        lambda runtime: runtime.cancel(run, by=user()),
        succeeded=lambda _, view: view.status == "cancelled",
    )


def undo(run: RunId, db: Db = None, as_json: Json = False) -> None:
    """Roll a run back: undo its finished writes with the tools declared for that, the newest first, and end it.

    A run that goes on is ended by it, unless its machine says where the event `undo` leads. The exit code is 0
    when nothing is left that the run wrote, 1 when something is, 3 when a person has to decide on a call.

    Example: statemachine undo 3f2a
    """
    stdout()

    async def undoing(runtime: Runtime) -> RunView:
        return await runtime.undo(run, by=user())

    drive(db, as_json, undoing, succeeded=lambda runtime, view: not runtime.standing(view.run))


def resolve(
    run: RunId,
    happened: Annotated[
        bool | None, typer.Option("--happened/--not-happened", help="Did the call in doubt happen?")
    ] = None,
    undo: Annotated[
        bool, typer.Option("--undo", help="Whether it did or not: undo it, and take it for failed.")
    ] = False,
    output: Annotated[str | None, typer.Option(help="What it gave, as JSON.", metavar="JSON")] = None,
    db: Db = None,
    as_json: Json = False,
) -> None:
    """Decide on a call of which it is not known whether it happened, and go on.

    Example: statemachine resolve 3f2a --not-happened
    """
    if (happened is None) != undo:
        raise typer.BadParameter("write one of --happened, --not-happened and --undo")
    stdout()
    try:
        given = json.loads(output) if output is not None else None
    except ValueError as error:
        raise InvalidInput(f"--output is not JSON: {error}") from None
    drive(db, as_json, lambda runtime: runtime.resolve(run, happened or (undo and "undo"), given, by=user()))


def drive(
    db: str | None,
    as_json: bool,
    work: Callable[[Runtime], Awaitable[RunView]],
    *,
    create: bool = False,
    follow: bool = False,
    policy: Path | None = None,
    asked: Beside = NOTHING,
    succeeded: Callable[[Runtime, RunView], bool] = lambda _, view: view.status == "succeeded",
) -> None:
    """Run one command on a runtime, with its progress, its result and its exit code.

    ``succeeded`` says of a run that has ended whether that is what was asked for.
    """
    from statemachine.cli.progress import progress
    from statemachine.host.runtime import Runtime
    from statemachine.host.view import path_of

    stopped: list[int] = []

    async def working() -> tuple[RunView, list[str], bool]:
        with progress(quiet=as_json) as observer:
            async with Runtime(db, observer=observer, create=create, follow=follow, policy=policy) as runtime:
                stop_on_signals(runtime, stopped)
                with beside(runtime, asked):
                    view = await work(runtime)
                done = view.finished is not None and succeeded(runtime, view)
                return view, path_of(runtime.store, view.run), done

    view, path, done = asyncio.run(working())
    if as_json:
        say_json({**view.as_data(), "path": path})
    else:
        _tell(view)
    if view.finished is None and stopped:
        raise typer.Exit(128 + stopped[0])
    raise typer.Exit(0 if done else _EXITS.get(view.status, 0) or int(view.finished is not None))


def _resume_all(db: str | None, as_json: bool, follow: bool, asked: Beside) -> None:
    from statemachine.host.runtime import Runtime
    from statemachine.host.view import RunView, path_of

    stopped: list[int] = []

    async def work() -> list[dict[str, Any]]:
        results = []
        async with Runtime(db, create=False, follow=follow) as runtime:
            stop_on_signals(runtime, stopped)
            with beside(runtime, asked):
                async for result in runtime.resume_all():
                    if isinstance(result, RunView):
                        results.append({**result.as_data(), "path": path_of(runtime.store, result.run)})
                        if not as_json:
                            _tell(result)
                    else:
                        run, error = result
                        results.append({"run": run, "error": type(error).__name__, "message": str(error)})
                        if not as_json:
                            complain(f"{run}: {error}")
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


def _tell(view: RunView) -> None:
    """Say how a run stands, and what can be done next."""
    from statemachine.host.owner import is_dead

    reason = f": {view.reason}" if view.reason and view.finished else ""
    say_under("", f"run {view.run}: {view.status} in {view.state}{reason}")
    for name, value in view.output.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        say(f"{name}:\n{text.rstrip()}" if "\n" in text else f"{name}: {text}")
    if view.status == "waiting":
        say(f"it waits for {view.waiting or 'time'}")
        if view.waiting.startswith("event "):
            say(f"go on with: statemachine send {view.run} {view.waiting.split()[1]}")
        elif view.waiting.startswith("approval of"):
            say(f"look at it with: statemachine approvals show {view.run}")
        elif view.waiting.startswith("a decision"):
            say(f"go on with: statemachine resolve {view.run} --happened | --not-happened")
    if view.finished is None and not view.waiting.startswith(("event ", "a decision", "approval of")):
        driven = view.owner is not None and not is_dead(view.owner)
        say("another process drives it" if driven else f"go on with: statemachine resume {view.run}")
