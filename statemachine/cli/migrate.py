"""The command that moves runs to another version of their machine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from statemachine.cli.terminal import Db, Json, MaybeRunId, say, say_json
from statemachine.host.owner import user

if TYPE_CHECKING:
    from statemachine.machine.definition import Definition
    from statemachine.store import Store


def migrate(
    to: Annotated[
        str, typer.Option("--to", help="The new version: a machine in YAML or Python.", metavar="FILE")
    ],
    run: MaybeRunId = None,
    every: Annotated[bool, typer.Option("--all", help="All unfinished runs of the machine.")] = False,
    machine: Annotated[
        str | None, typer.Option("--machine", help="With --all: only runs of this version (a digest).")
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Do it; without this it is only foretold.")] = False,
    db: Db = None,
    as_json: Json = False,
) -> None:
    """Move runs to a new version of their machine, or say what would become of them.

    What has no place in the new version is named, and the run stays as it is: its state, its counters, its fields,
    the call that is under way, a limit that it has reached already. The new version's `migrations:` may rename states
    and fields and fill new ones. Only runs that nobody drives are moved. The exit code is 0 if all can be moved, 2 if
    one cannot.

    Example: statemachine migrate --all --to renewal.yaml
    """
    if (run is None) != every:
        raise typer.BadParameter("name a run, or write --all")
    from statemachine.errors import LeaseLost, RunOwned
    from statemachine.host.migrating import foresee
    from statemachine.host.migrating import migrate as move
    from statemachine.host.places import default_db
    from statemachine.machine.load import load
    from statemachine.store import Store

    new = load(to)
    told: list[dict[str, Any]] = []
    with Store.open(db or default_db(), create=False) as store:
        for name in [store.find(run)] if run is not None else _affected(store, machine, new):
            before = store.load(name)
            try:
                found = (
                    move(store, name, new, time.time(), user())
                    if apply
                    else foresee(store, name, new, time.time())
                )
                moved, maps, problems = found.step is not None, found.maps, found.problems
            except (RunOwned, LeaseLost) as error:
                moved, maps, problems = False, (), (str(error),)
            told.append(
                {
                    "run": name,
                    "state": before.state,
                    "from": {"version": before.version, "digest": before.machine},
                    "to": {"version": new.declaration.version, "digest": new.digest},
                    "migrates": moved,
                    "applied": moved and apply,
                    "maps": list(maps),
                    "problems": list(problems),
                }
            )
    if as_json:
        say_json(told)
    else:
        _tell(told, apply)
    raise typer.Exit(0 if all(one["migrates"] for one in told) else 2)


def _affected(store: Store, machine: str | None, new: Definition) -> list[str]:
    found = store.runs(machine=machine or new.declaration.machine)
    return [run.id for run in found if run.finished is None and run.machine != new.digest]


def _tell(told: list[dict[str, Any]], apply: bool) -> None:
    for one in told:
        versions = f"{one['from']['version']} -> {one['to']['version']}"
        verdict = ("migrated" if apply else "can be migrated") if one["migrates"] else "stays as it is"
        say(f"run {one['run']} in {one['state']}, {versions}: {verdict}")
        for line in one["maps"]:
            say(f"    {line}")
        for line in one["problems"]:
            say(f"    refused: {line}")
    if not told:
        say("no unfinished run is on another version")
    elif not apply and any(one["migrates"] for one in told):
        say("nothing was changed; add --apply to do it")
