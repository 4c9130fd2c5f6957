"""Commands for auditors: audit verify, anchor, export, erase, verifier."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from statemachine.cli.approve import KeyFile, PolicyFile
from statemachine.cli.terminal import Db, Json, say, say_json, say_under, stdout
from statemachine.legible import counted

if TYPE_CHECKING:
    from statemachine.approvals.policy import Policy
    from statemachine.host.auditing import RunAudit
    from statemachine.host.exporting import Stream
    from statemachine.store import ReadOnlyStore

audit = typer.Typer(
    help="For auditors: verify a store, note its state outside of it, erase payloads.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
AnchorFile = Annotated[
    Path | None,
    typer.Option(
        help="What `audit anchor` wrote, kept where whoever can write the store cannot.", metavar="FILE"
    ),
]


class Readers(StrEnum):
    """For whom calls are told."""

    compliance = "compliance"
    technical = "technical"


class Form(StrEnum):
    """What calls are written as."""

    jsonl = "jsonl"
    csv = "csv"
    cloudevents = "cloudevents"


@audit.command()
def verify(
    ids: Annotated[
        list[str] | None, typer.Argument(help="Ids of runs; without any, the whole store.")
    ] = None,
    anchor: AnchorFile = None,
    policy: PolicyFile = None,
    db: Db = None,
    as_json: Json = False,
) -> None:
    """Say whether the store holds what was written into it; nothing is written, loaded or called.

    Of each run: the chain of hashes, the end, the path of its machine, snapshots, signatures of decisions, and
    values kept apart. Of the store: the file, the machines, and, with --anchor, that nothing that was anchored was
    cut off, written anew or rolled back. The first bad record of a run is named.

    Exit codes: 0 all is as it was written, 1 something is not, 2 the anchor cannot be used, 4 the store cannot be
    read.

    Example: statemachine audit verify --anchor /mnt/worm/runs.anchors
    """
    from statemachine.host.anchoring import read_anchors
    from statemachine.host.auditing import Problem, audit_rest, audit_runs

    stdout()
    with _store(db) as store:
        trusted = _policy(store, policy)
        anchored = read_anchors(anchor, trusted) if anchor is not None else None
        runs = [store.find(one) for one in ids] if ids else None
        began, count, records = time.perf_counter(), 0, 0
        problems: list[Problem] = []
        notes: dict[str, str] = {}
        for found in _progress(audit_runs(store, trusted, runs, anchored), as_json):
            count, records = count + 1, records + found.records
            problems += found.problems
            if found.note:
                notes[found.run] = found.note
        if runs is None:
            problems += audit_rest(store, anchored)
        if problems and store.unsettled():
            raise _moved(store)
        seconds = time.perf_counter() - began
    told: dict[str, Any] = {
        "whole": not problems,
        "runs": count,
        "records": records,
        "seconds": round(seconds, 3),
        "anchored": len(anchored.heads) if anchored is not None else None,
        "signed_by": anchored.signers[-1] if anchored is not None and anchored.signers else "",
        "problems": [problem.as_data() for problem in problems],
        "notes": notes,
    }
    say_json(told) if as_json else _tell(told, problems)
    raise typer.Exit(1 if problems else 0)


@audit.command("anchor")
def add_anchor(
    file: Annotated[Path, typer.Argument(help="Where to: a file that is appended to.")],
    name: Annotated[
        str, typer.Option("--as", help="Your name in the policy, to sign it.", metavar="NAME")
    ] = "",
    key: KeyFile = None,
    policy: PolicyFile = None,
    db: Db = None,
    as_json: Json = False,
) -> None:
    """Append to a file how the store stands: the last hash of each run that changed, and one line on all.

    Keep it where whoever can write the store cannot. `audit verify --anchor FILE` then finds what no chain can tell:
    a journal that was cut, a run that was removed or written anew as a whole, a backup in the store's place.

    Example: statemachine audit anchor /mnt/worm/runs.anchors --as ann
    """
    from statemachine.approvals.keys import default_folder, load_key
    from statemachine.host.anchoring import add_anchor as add

    if key is not None and not name:
        raise typer.BadParameter("--key goes with --as NAME")
    stdout()
    private = load_key(key or default_folder() / f"{name}.key") if name else None
    with _store(db) as store:
        made, _ = add(store, file, _policy(store, policy), time.time(), name, private)
    if as_json:
        say_json(made)
        return
    signed = f", signed by {name}" if name else ""
    say(
        f"anchored {made['runs']} runs with {made['records']} records in {file}{signed}; {made['changed']} changed"
    )


@audit.command()
def export(
    ids: Annotated[list[str] | None, typer.Argument(help="Ids of runs; without any, all of them.")] = None,
    stream: Annotated[
        Readers, typer.Option(help="compliance: without payload; technical: with input, output and errors.")
    ] = Readers.compliance,
    form: Annotated[
        Form, typer.Option("--format", help="One JSON object a line, a table, or one CloudEvent 1.0 a line.")
    ] = Form.jsonl,
    db: Db = None,
    as_json: Json = False,
) -> None:
    """Tell of each call what it was, in a record for those who must answer for it or for those who repair it.

    Compliance holds fields from a fixed list: a sentence by the tool's `says`, what was read and modified, who or
    what authorised it, and the outcome. Of the input it tells only what the tool's declaration names.

    Example: statemachine audit export --stream compliance --format csv > calls.csv
    """
    import csv

    from statemachine.cli.terminal import say_json_line
    from statemachine.host.exporting import FIELDS, as_cells, as_event, export_calls

    if as_json and form is Form.csv:
        raise typer.BadParameter("--json goes with --format jsonl or cloudevents")
    chosen: Stream = stream.value
    table = csv.writer(stdout())
    if form is Form.csv:
        table.writerow(FIELDS[chosen])
    with _store(db) as store:
        here = store.identity()
        for run in [store.find(one) for one in ids] if ids else [run for run, _, _ in store.heads()]:
            for call in export_calls(store, run, chosen):
                if form is Form.csv:
                    table.writerow(as_cells(call))
                else:
                    say_json_line(as_event(call, chosen, here) if form is Form.cloudevents else call)


@audit.command()
def erase(
    what: Annotated[
        list[str],
        typer.Argument(
            help="Ids of runs, which may be shortened, or keys of calls (RUN:SEQ).", metavar="RUN|CALL…"
        ),
    ],
    reason: Annotated[str, typer.Option(help="Why, for the record; it stays.")],
    name: Annotated[
        str, typer.Option("--as", help="Your name in the policy, to sign it.", metavar="NAME")
    ] = "",
    key: KeyFile = None,
    db: Db = None,
    as_json: Json = False,
) -> None:
    """Erase what runs that have ended, or calls of them, were given and what they got; the chain stays whole.

    Out of records, snapshots and large values, and out of the database's file, which is written anew. What moved the
    run stays: states, tools, failure classes, times, who decided. That it was erased, by whom and why is recorded.
    Once more does no harm, and finishes one that was interrupted. Of a call, each equal value in the run goes too.

    Exit codes: 0 erased, 2 the run has not ended or there is none, 4 the file could not be written anew: give the
    command once more.

    Example: statemachine audit erase 3f2a --reason "asked for by the customer, ticket 812"
    """
    from statemachine.approvals.keys import default_folder, load_key
    from statemachine.cli.look import open_store
    from statemachine.host.erasing import erase as take_out
    from statemachine.host.owner import user

    if not reason.strip():
        raise typer.BadParameter("--reason says why; it must not be empty")
    if key is not None and not name:
        raise typer.BadParameter("--key goes with --as NAME")
    stdout()
    private = load_key(key or default_folder() / f"{name}.key") if name else None
    with open_store(db) as store:
        try:
            found = [
                take_out(store, one, reason=reason, by=name or user(), now=time.time(), key=private)
                for one in what
            ]
        finally:
            store.scrub()
    if as_json:
        say_json([one.as_data() for one in found])
        return
    for one in found:
        which = f"call {one.call}" if one.call else f"run {one.run}"
        say(f"{which}: erased {'before ' if one.already else ''}by {one.by}: records {one.records}")
        if one.guessable:
            say(f"  {one.guessable} of them have no salt: with their digests one can try out what they held")
        if one.copies:
            say(f"  copies of what the run knew are in: {', '.join(one.copies)}; erase them, too")


@audit.command()
def verifier() -> None:
    """Print a program of one file that verifies a store without this package: chains, ends, values, anchors, signatures.

    It needs Python's own library only, and can be read in a few minutes.

    Example: statemachine audit verifier > verify.py; python verify.py runs.db --policy policy.yaml
    """
    from importlib.resources import files

    program, arithmetic = (
        files("statemachine.host").joinpath(name).read_text(encoding="utf-8")
        for name in ("verifier.py", "ed25519.py")
    )
    _, _, arithmetic = arithmetic.partition("from __future__ import annotations\n\n")
    print(
        program.replace("from statemachine.host.ed25519 import verifies\n", arithmetic), end="", file=stdout()
    )


def _tell(told: dict[str, Any], problems: Iterable[object]) -> None:
    for problem in problems:
        say_under("", str(problem))  # of a store that somebody has changed it may quote anything
    for run, note in told["notes"].items():
        say_under("", f"run {run}: {note}")
    against = ""
    if told["anchored"] is not None:
        by = f" signed by {told['signed_by']}" if told["signed_by"] else ""
        against = f", against {told['anchored']} runs anchored{by}"
    how = "all is as it was written" if told["whole"] else f"{len(told['problems'])} not as written"
    # Of a few records the rate is that of the start.
    rate = f" ({told['records'] / told['seconds']:,.0f} records/s)" if told["seconds"] > 1 else ""
    say(f"{counted(told['runs'], 'run')}, {counted(told['records'], 'record')}{against}: {how}{rate}")


def _store(db: str | None) -> ReadOnlyStore:
    from statemachine.host.places import default_db
    from statemachine.store import ReadOnlyStore

    return ReadOnlyStore.open(db or default_db())


def _policy(store: ReadOnlyStore, file: Path | None) -> Policy:
    from statemachine.approvals.policy import read_policy
    from statemachine.host.places import policy_file

    return read_policy(file or policy_file(store.name))


def _moved(store: ReadOnlyStore) -> Exception:
    from statemachine.errors import StoreUnusable

    return StoreUnusable(f"another program began to use {store.name} while it was read; verify it once more")


def _progress(found: Iterable[RunAudit], as_json: bool) -> Iterable[RunAudit]:
    if as_json or not sys.stderr.isatty():
        return found
    from rich.console import Console
    from rich.progress import track

    return track(found, "verifying", console=Console(stderr=True), transient=True)
