"""The command replay: is a journal a path of its machine, and what would another machine make of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from statemachine.cli.terminal import Db, Json, MaybeRunId, lasting, say, say_json, say_json_line, stdout
from statemachine.errors import NotReplayable

if TYPE_CHECKING:
    from statemachine.host.replay import Replayed
    from statemachine.store import Store


def replay(
    run: MaybeRunId = None,
    every: Annotated[bool, typer.Option("--all", help="Replay every run.")] = False,
    against: Annotated[
        Path | None, typer.Option(help="A changed machine: which recorded decisions would it make otherwise?")
    ] = None,
    machine: Annotated[
        str | None,
        typer.Option(
            help="With --all: only runs of this machine (name or digest). With --against: of its name."
        ),
    ] = None,
    db: Db = None,
    as_json: Json = False,
) -> None:
    """Take a run's steps again from its journal, and say whether it is a path of its machine.

    No tool is loaded or called: what the world answered is in the journal. The chain of hashes, each record and
    the stored snapshot must be what the machine gives; else the first record that is not is shown. With --against,
    the recorded answers are given to a changed machine, and what it would decide otherwise is told in Markdown.

    Exit codes: 0 all is as recorded, 1 a run deviates or a decision would differ, 2 a run cannot be replayed.

    Example: statemachine replay 3f2a

    Example: statemachine replay --all --against renewal.yaml > review.md
    """
    from statemachine.host.places import default_db
    from statemachine.store import Store

    if (run is None) == (not every):
        raise typer.BadParameter("name a run, or write --all")
    if machine is not None and not every:
        raise typer.BadParameter("--machine goes with --all")
    stdout()
    with Store.open(db or default_db(), create=False) as store:
        runs = [store.find(run)] if run is not None else None
        if against is not None:
            raise typer.Exit(_against(store, runs, against, machine, as_json))
        if runs is not None:
            found = _quietly(store, runs[0])
            say_json(found.as_data()) if as_json else _tell(found)
            raise typer.Exit(0 if found.conforms else 1)
        raise typer.Exit(_all(store, machine, as_json))


def _quietly(store: Store, run: str) -> Replayed:
    from statemachine.host.replay import replay_run

    if not sys.stderr.isatty():
        return replay_run(store, run)
    from rich.console import Console

    with Console(stderr=True).status(f"replaying {store.load(run).seq} records"):
        return replay_run(store, run)


def _tell(found: Replayed) -> None:
    machine = f"{found.machine} {found.version} sha256:{found.digest[:12]}"
    counted = f"{found.steps} steps, {found.records} records over {lasting(found.seconds)}"
    if (wrong := found.deviation) is None:
        say(f"run {found.run}: a path of {machine}")
        say(f"  {counted}; {found.status} in {found.state}")
        say("  the chain of hashes is whole, and the snapshot is the one that the journal leads to")
        return
    say(f"run {found.run}: no path of {machine}")
    say(f"  {counted}; the first that does not conform is record {wrong.seq}: {wrong.why}")
    for title, entry in (("expected", wrong.expected), ("found", wrong.found)):
        if entry is not None:
            say(f"  {title + ':':<9} {entry[0]} {json.dumps(entry[1], ensure_ascii=False, default=dict)}")


def _all(store: Store, machine: str | None, as_json: bool) -> int:
    """Replay every run and return the exit code."""
    from statemachine.host.replay import replay_run

    counts = {"conform": 0, "deviate": 0, "cannot be replayed": 0}
    records = 0
    for run in _progress([found.id for found in store.runs(machine=machine)], as_json):
        try:
            found = replay_run(store, run)
        except NotReplayable as error:
            counts["cannot be replayed"] += 1
            if as_json:
                say_json_line({"run": run, "error": type(error).__name__, "message": str(error)})
            else:
                say(f"run {run}: {error}")
            continue
        records += found.records
        counts["conform" if found.conforms else "deviate"] += 1
        if as_json:
            say_json_line(found.as_data())
        elif not found.conforms:
            _tell(found)
    if not as_json:
        told = ", ".join(f"{count} {how}" for how, count in counts.items() if count)
        say(f"{sum(counts.values())} runs, {records} records: {told}" if told else "no run")
    return 1 if counts["deviate"] else 2 if counts["cannot be replayed"] else 0


def _against(store: Store, runs: list[str] | None, file: Path, machine: str | None, as_json: bool) -> int:
    """Hold runs against another machine and return the exit code."""
    from statemachine.cli.review import Review
    from statemachine.host.whatif import compare_run, other_code
    from statemachine.machine.load import load

    new = load(file)
    if runs is None:
        found = store.runs(machine=machine or new.declaration.machine)
        runs, digests = [one.id for one in found], {one.machine for one in found}
    else:
        digests = {store.load(run).machine for run in runs}
    review = Review(new, other_code(store, digests, new))
    told: list[dict[str, Any]] = []
    for run in _progress(runs, as_json):
        try:
            compared = compare_run(store, run, new)
        except NotReplayable as error:
            review.impossible(run, str(error))
            continue
        review.add(compared)
        if as_json and not (compared.same and not compared.waits):
            told.append(compared.as_data())
    if as_json:
        say_json({**review.as_data(), "told": told})
    else:
        say(review.markdown())
    return review.exit_code


def _progress(runs: list[str], as_json: bool) -> Iterable[str]:
    """Yield runs; in a terminal with a bar, on standard error so that results can be sent elsewhere."""
    if as_json or len(runs) < 2 or not sys.stderr.isatty():
        return runs
    from rich.console import Console
    from rich.progress import track

    return track(runs, "replaying", console=Console(stderr=True), transient=True)
