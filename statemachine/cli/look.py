"""Commands that look at runs: runs, status, journal."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from statemachine.cli.terminal import (
    Db,
    Json,
    RunId,
    lasting,
    plain,
    say,
    say_json,
    say_json_line,
    say_under,
    stdout,
    when,
)

if TYPE_CHECKING:
    from statemachine.host.explain import CallAccount
    from statemachine.host.facts import Fact
    from statemachine.journal import Record
    from statemachine.store import Store

_POLL = 0.25
"""Seconds between two looks at a run that is followed."""


class Status(StrEnum):
    """The statuses of a run."""

    pending = "pending"
    running = "running"
    waiting = "waiting"
    succeeded = "succeeded"
    failed = "failed"
    cancelled = "cancelled"


def open_store(db: str | None) -> Store:
    """Open the store that a command is about; looking never makes one."""
    from statemachine.host.places import default_db
    from statemachine.store import Store

    return Store.open(db or default_db(), create=False)


def runs(
    status: Annotated[Status | None, typer.Option(help="Only runs of this status.")] = None,
    machine: Annotated[str | None, typer.Option(help="Only runs of this machine (name or digest).")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest first.")] = 50,
    old: Annotated[
        bool,
        typer.Option("--old", help="Only unfinished runs on an older version than the newest in the store."),
    ] = False,
    db: Db = None,
    as_json: Json = False,
) -> None:
    """List runs, the newest first.

    Example: statemachine runs --status waiting
    """
    from dataclasses import asdict

    from statemachine.host.versions import newest

    with open_store(db) as store:
        found = store.runs(status.value if status else None, machine, None if old else limit)
        latest = newest(store)
        outdated = {row.id for row in found if row.finished is None and latest[row.name] != row.machine}
        if old:
            found = [row for row in found if row.id in outdated][:limit]
        if as_json:
            say_json([{**asdict(summary), "old": summary.id in outdated} for summary in found])
            return
        counts = ", ".join(f"{n} {name}" for name, n in store.counts().items() if n)
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("run", "machine", "status", "state", "started", "took", "note"):
        table.add_column(
            column, overflow="fold" if column == "note" else "ellipsis", no_wrap=column != "note"
        )
    for row in found:
        took = lasting((row.finished or time.time()) - row.started)
        note = f"waits for {row.waiting}" if row.waiting else row.reason or ""
        table.add_row(
            row.id,
            f"{row.name} {row.version}{' (old)' if row.id in outdated else ''}",
            row.status,
            row.state,
            when(row.started),
            took,
            Text(plain(note)),  # which is not to be read as mark-up
        )
    console = Console(file=stdout(), width=None if stdout().isatty() else 160)
    if found:
        console.print(table)
    say(counts or "no run yet; start one with `statemachine run FILE`")


def status(run: RunId, db: Db = None, as_json: Json = False) -> None:
    """Say how a run stands, and why it does not move: what it waits for, since when, until when, and who can act.

    Example: statemachine status 3f2a
    """
    from statemachine.cli.asked import untold
    from statemachine.host.approving import Desk
    from statemachine.host.facts import facts
    from statemachine.host.pinned import declared
    from statemachine.host.places import policy_file
    from statemachine.host.standstill import standstill
    from statemachine.host.view import path_of, restore, view_of

    now = time.time()
    with open_store(db) as store:
        stored = store.load(store.find(run))
        snapshot = restore(store, stored)
        view = view_of(stored, snapshot)
        path = path_of(store, view.run)
        fields = declared(store, stored.machine).context
        still = standstill(Desk(store, policy_file(store.name)), stored, snapshot, now)
    known = facts(fields, snapshot, now)
    if as_json:
        told = {fact.name: fact.as_data() for fact in known}
        why = {"standstill": still and still.as_data()}
        say_json({**view.as_data(), **why, "context": view.context, "facts": told, "path": path})
        return
    lines = {
        "run": view.run,
        "machine": f"{view.machine} {view.version} sha256:{view.digest[:12]}",
        "status": f"{view.status} in {view.state}",
        "waits for": still.says if still else "",
        "since": f"{when(still.since)} ({lasting(now - still.since)} ago)" if still else "",
        "until": f"{when(still.until)}; {still.then}" if still and still.until else "",
        "who": f"{still.who}{still.act and f': {still.act}'}" if still else "",
        "also": still.also if still else "",
        "reason": view.reason,
        "call": _call(view.pending),
        "amended": "its outcome is recorded, but not trusted" if snapshot.amended else "",
        "attempts": ", ".join(f"{state} {n}" for state, n in view.attempts.items()),
        "used": f"{view.steps} steps, {view.calls} calls, "
        + ", ".join(
            [lasting((view.finished or now) - view.started), *(f"{n:g} {u}" for u, n in view.cost.items())]
        ),
        "driven by": view.owner or "",
        "edited": f"{', '.join(view.edited)} (by hand)" if view.edited else "",
        "forked": f"off {view.parent}" if view.parent else "",
        "path": _folded(path),
        "output": json.dumps(view.output, ensure_ascii=False) if view.output else "",
    }
    for name, text in lines.items():
        if text:
            say_under(f"{name + ':':<10} ", text)
    for text in untold(still.as_data()["untold"] if still else ()):
        say_under(f"{'not told:':<10} ", text)
    for place, fact in enumerate(known):
        say_under(f"{'' if place else 'knows:':<10} ", _fact(fact))
    if unknown := [name for name in fields if name not in {fact.name for fact in known}]:
        say(f"{'unknown:':<10} {', '.join(unknown)}")


def _fact(fact: Fact) -> str:
    from statemachine.machine.duration import spell

    value = json.dumps(fact.value, ensure_ascii=False)
    shown = value if len(value) <= 60 else f"{value[:60]}…"
    stale = f", STALE: fresh for {spell(fact.fresh_for)}" if not fact.fresh and fact.fresh_for else ""
    gave = f" from {fact.of}" if fact.of else ""
    return f"{fact.name} = {shown} (by {fact.by}{gave}, {lasting(fact.age)} old{stale})"


def explain(run: RunId, db: Db = None, as_json: Json = False) -> None:
    """Say what a run has done, what may be repeated, what cannot be undone, what is kept, and what to do now.

    Example: statemachine explain 3f2a
    """
    from statemachine.host.explain import explain as account

    with open_store(db) as store:
        told = account(store, run)
    if as_json:
        say_json(told.as_data())
        return
    say(f"run {told.run}: {told.status} in {told.state}")
    reads = sum(call.effect == "read" and call.completed for call in told.calls)
    _list("completed", [c for c in told.calls if c.completed and c.effect == "write"], f"{reads} reads")
    # The same call with the same input, made in several rounds, is one thing to repeat.
    again = {(c.tool, json.dumps(c.input)): c for c in told.calls if c.repeatable and not c.completed}
    _list("safe to repeat", list(again.values()), "nothing")
    _list("irreversible", [c for c in told.calls if c.completed and c.reversibility == "none"], "nothing")
    if undone := [c for c in told.calls if c.undone]:
        _list("undone", undone, "nothing")
    _list("in doubt", [c for c in told.calls if c.ended == "in doubt"], "nothing")
    say(f"persisted:       all up to record {told.seq}, {when(told.saved_at)}, hash {told.head[:12]}")
    if told.off_course is not None:
        off = told.off_course
        say_under("off course:      ", f"at record {off.seq}: {off.what}")
        say(f"                 then {_folded(list(off.path)) or 'nowhere'}")
    say_under("advice:          ", f"{told.advice}: {told.why}")
    if told.command:
        say(f"                 {told.command}")


def _effect(call: CallAccount) -> str:
    return {"full": "reversible", "partial": "partly reversible", "none": "irreversible"}.get(
        call.reversibility or "", call.effect
    )


def _list(title: str, calls: list[CallAccount], none: str) -> None:
    lines = [
        f"{c.tool} (key {c.key}, {_effect(c)}{', ' + c.ended if c.ended not in ('success', '') else ''})"
        for c in calls
    ]
    if title == "completed":
        lines.append(none)
    say(f"{title + ':':<16} " + "\n                 ".join(lines or [none]))


def _call(pending: Any) -> str:
    if pending is None:
        return ""
    if pending["phase"] == "approval":
        granted = f", approved by {', '.join(pending['granted'])}" if pending["granted"] else ""
        request = pending["request"]
        return f"{pending['tool']} (request {request}{granted}): see statemachine approvals show {request}"
    phases = {
        "sent": "sent",
        "backoff": "to be made again",
        "probe": "in doubt",
        "doubt": "in doubt",
    }
    given = json.dumps(pending["input"], ensure_ascii=False)
    shown = given if len(given) <= 200 else f"{given[:200]}…"
    return f"{pending['tool']} (key {pending['key']}, try {pending['attempt']}, {phases[pending['phase']]}): {shown}"


def _folded(path: list[str], most: int = 30) -> str:
    return " ".join(path) if len(path) <= most else f"{' '.join(path[:5])} … {' '.join(path[5 - most :])}"


def journal(
    run: RunId,
    after: Annotated[int, typer.Option(min=0, help="Only records after this sequence number.")] = 0,
    follow: Annotated[
        bool, typer.Option("--follow", help="Stay until the run has ended, and tell what happens as it does.")
    ] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Check the hash chain as well.")] = False,
    db: Db = None,
    as_json: Json = False,
) -> None:
    """Tell what happened to a run, record by record; with --json one JSON object a line.

    Example: statemachine journal 3f2a --follow
    """

    from statemachine.errors import StoreUnusable
    from statemachine.host.pinned import first_digest
    from statemachine.journal import decode, tell
    from statemachine.journal import verify as first_bad

    with open_store(db) as store:
        name = store.find(run)
        started = store.load(name).started
        for record in _followed(store, name, after) if follow else store.records(name, after):
            body: Any = decode(record.body, store.blob)
            if as_json:
                say_json_line({**record._asdict(), "body": body})
            else:
                say_under(f"{record.seq:>5}  {lasting(record.at - started):>8}  ", tell(record.kind, body))
        if verify:
            bad = first_bad(store.records(name), first_digest(store, name))
            if bad is not None:
                raise StoreUnusable(
                    f"record {bad.seq} of run {name} is not what was written; the journal was changed"
                )
            if not as_json:
                say("the chain of hashes is whole")


def _followed(store: Store, run: str, after: int) -> Iterator[Record]:
    """Yield a run's records as they come, until it has ended; waiting costs one look at an index each time."""
    while True:
        # Looked at before its records are read: of a run that has ended by now, none comes later.
        ended = store.load(run).finished is not None
        for record in store.records(run, after):
            after = record.seq
            yield record
        if ended:
            return
        time.sleep(_POLL)
