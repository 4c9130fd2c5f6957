"""Commands that step runs and branch off them: repl, fork."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from statemachine.cli.inputs import Inputs, given_inputs
from statemachine.cli.terminal import Db, Json, RunId, run_ids, say, say_json, stdout

if TYPE_CHECKING:
    from statemachine.repl.debugger import Debugger


def repl(
    what: Annotated[
        str,
        typer.Argument(
            help="A machine's file, for a new run, or the id of a stored one.",
            metavar="FILE|ID",
            autocompletion=run_ids,
        ),
    ],
    inputs: Inputs = None,
    db: Db = None,
    as_json: Json = False,
) -> None:
    """Step a run at a prompt: a new one of a machine, or a stored one, whether it goes on or has ended.

    `help` at the prompt lists the verbs. In a terminal, Tab completes, the arrow keys find earlier lines, Ctrl-C stops
    the run at a safe point, Ctrl-D leaves; the run stays resumable. Lines may be piped in; with --json each gives one
    JSON object. A run that another process drives can be looked at and forked, not moved.

    Example: statemachine repl machines/agent/agent.yaml --input words=12 --input text="…"
    """
    if _is_file(what):
        step_new(what, inputs, db, as_json)
    if inputs:
        raise typer.BadParameter("--input is for a new run; `set` at the prompt changes a stored one")
    _talk(lambda debugger: debugger.open(what), db, as_json, create=False)


def step_new(file: str, inputs: list[str] | None, db: str | None, as_json: bool) -> NoReturn:
    """Start a run, and step it at a prompt."""
    from statemachine.machine.load import load

    stdout()
    definition = load(file)
    given = given_inputs(definition, inputs or [])

    async def begin(debugger: Debugger) -> None:
        debugger.file = Path(file)
        await debugger.start(definition, given)

    _talk(begin, db, as_json, create=True)


def _talk(
    begin: Callable[[Debugger], Awaitable[object]], db: str | None, as_json: bool, *, create: bool
) -> NoReturn:
    from statemachine.repl.prompt import talk

    raise typer.Exit(asyncio.run(talk(begin, db, stdout(), create=create, as_json=as_json)))


def _is_file(what: str) -> bool:
    name = what.rpartition(":")[0] or what
    return Path(name).suffix in (".yaml", ".yml", ".py") or Path(what).exists()


def fork(
    run: RunId,
    at: Annotated[
        int, typer.Option("--at", min=1, help="The record to go on from, as `journal` numbers them.")
    ],
    repeat_writes: Annotated[
        bool, typer.Option("--repeat-writes", help="The new run may make writes again that the old one made.")
    ] = False,
    db: Db = None,
    as_json: Json = False,
) -> None:
    """Make a new run that goes on from a record of another one, which stays as it is; print its id.

    The new run is held before its next call: `repl` steps it, `resume` or a worker drives it. If the old one made
    writes after that record, they are named and nothing is made, unless --repeat-writes allows it.

    Example: statemachine fork 3f2a --at 14
    """
    from statemachine.host.forking import fork_run
    from statemachine.host.owner import user
    from statemachine.host.runtime import Runtime

    stdout()

    async def work() -> tuple[str, str, str]:
        async with Runtime(db, create=False) as runtime:
            made = await fork_run(runtime, run, at, repeat_writes=repeat_writes, by=user())
            return made.snapshot.run, made.snapshot.parent, made.snapshot.state

    made, parent, state = asyncio.run(work())
    if as_json:
        old, _, seq = parent.rpartition(":")
        say_json({"run": made, "parent": {"run": old, "seq": int(seq)}, "state": state})
    else:
        say(
            f"run {made} goes on from record {parent.rpartition(':')[2]} of {parent.rpartition(':')[0]}, in {state}"
        )
        say(f"go on with: statemachine repl {made}, or: statemachine resume {made}")
