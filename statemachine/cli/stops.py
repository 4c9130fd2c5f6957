"""Commands that stop and start calls: stop, start."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from statemachine.cli.terminal import Db, Json, MaybeRunId, say, say_json, stdout, when

if TYPE_CHECKING:
    from statemachine.host.stopping import Stops
    from statemachine.store import Scope, Store

Machine = Annotated[str | None, typer.Option("--machine", help="Every run of the machine of this name.")]
Tool = Annotated[str | None, typer.Option("--tool", help="Every call of the tool of this name.")]
All = Annotated[bool, typer.Option("--all", help="Every call of every run.")]


def stop(
    run: MaybeRunId = None,
    machine: Machine = None,
    tool: Tool = None,
    every: All = False,
    reason: Annotated[str, typer.Option("--reason", help="Why, for those who wait.")] = "",
    db: Db = None,
    as_json: Json = False,
) -> None:
    """Let no call be made, of a run, a machine, a tool, or at all, until `start`; with no words, list the stops.

    A call that is under way is not interrupted, and approved calls are held too. Runs stay resumable; another
    process knows of a stop within a fifth of a second.

    Example: statemachine stop --tool mail.send --reason "the address book is wrong"
    """
    from statemachine.host.owner import user

    stdout()
    with _store(db) as store:
        if run is None and machine is None and tool is None and not every:
            found = store.stops()
            if as_json:
                say_json([_data(one) for one in found])
                return
            for one in found:
                say(f"{one} (since {when(one.at)})")
            if not found:
                say("nothing is stopped")
            return
        scope, name = _scope(store, run, machine, tool, every)
        made = _stops(store).set(scope, name, user(), reason, time.time())
    if as_json:
        say_json(_data(made))
    else:
        say(f"{made}\nlift it with: statemachine start {_words(scope, name)}")


def start(
    run: MaybeRunId = None,
    machine: Machine = None,
    tool: Tool = None,
    every: All = False,
    db: Db = None,
    as_json: Json = False,
) -> None:
    """Lift a stop, in the words with which it was set. Workers go on by themselves; `resume --all` else.

    Example: statemachine start --tool mail.send
    """
    stdout()
    with _store(db) as store:
        scope, name = _scope(store, run, machine, tool, every)
        _stops(store).lift(scope, name, time.time())
    if as_json:
        say_json({"started": {"scope": scope, "name": name}})
    else:
        say("started again; where no worker runs, go on with: statemachine resume --all")


def _scope(
    store: Store, run: str | None, machine: str | None, tool: str | None, every: bool
) -> tuple[Scope, str]:
    given: list[tuple[Scope, str]] = []
    given += [("run", store.find(run))] if run is not None else []
    given += [("machine", machine)] if machine is not None else []
    given += [("tool", tool)] if tool is not None else []
    given += [("all", "")] if every else []
    if len(given) != 1:
        raise typer.BadParameter("name one thing: a run, --machine, --tool, or --all")
    return given[0]


def _words(scope: str, name: str) -> str:
    return {"run": name, "all": "--all"}.get(scope, f"--{scope} {name}")


def _data(stop: Any) -> dict[str, Any]:
    return {name: getattr(stop, name) for name in type(stop).__slots__}


def _stops(store: Store) -> Stops:
    from statemachine.host.stopping import Stops

    return Stops(store)


def _store(db: str | None) -> Store:
    from statemachine.host.places import default_db
    from statemachine.store import Store

    return Store.open(db or default_db(), create=False)
