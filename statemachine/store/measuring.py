"""What is measured of a store: the runs that have not ended, and the records since the last look."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Select, case, func, literal_column, select

from statemachine.store.rows import UNFINISHED
from statemachine.store.schema import machines, records, runs

ROW: Any = literal_column("records.rowid")
"""Rises with every record, whichever run it is of: no record is ever removed, and there is one writer at a time."""


class OpenRun(NamedTuple):
    """A run that has not ended.

    Attributes:
        id: Its id.
        digest: Digest of its machine.
        machine: The machine's name.
        status: pending, running or waiting.
        waiting: What it waits for, in words; None when it does not.
        started: When it started, in seconds since the epoch.
        since: Since when it waits: when people were asked, else when it last moved.
    """

    id: str
    digest: str
    machine: str
    status: str
    waiting: str | None
    started: float
    since: float


class News(NamedTuple):
    """A record, as it is measured.

    Attributes:
        row: Its place among the records of all runs.
        run: The run.
        machine: Name of the run's machine.
        at: When, in seconds since the epoch.
        kind: What sort of thing.
        body: What exactly, as JSON text.
        seq: Its place in the run's journal.
    """

    row: int
    run: str
    machine: str
    at: float
    kind: str
    body: str
    seq: int


def open_runs(machine: str | None) -> Select[Any]:
    """Return the query for all runs that have not ended, of one machine or of all."""
    columns = (runs.c.id, runs.c.machine, machines.c.name, runs.c.status, runs.c.waiting, runs.c.started)
    # Telling people, or one of two who said yes, moves a run that waits on. The record lies near the last one.
    asked = (
        select(records.c.at)
        .where(records.c.run == runs.c.id, records.c.kind == "approval_requested")
        .order_by(records.c.seq.desc())
        .limit(1)
        .scalar_subquery()
    )
    since = case(
        (runs.c.waiting.startswith("approval of "), func.coalesce(asked, runs.c.updated)),
        else_=runs.c.updated,
    )
    query = select(*columns, since).join_from(runs, machines).where(runs.c.status.in_(UNFINISHED))
    return query if machine is None else query.where(machines.c.name == machine)


def news(after: int, until: int, kinds: tuple[str, ...], word: str) -> Select[Any]:
    """Return the query for records after one row to another: of some kinds, or transitions that say a ``word``."""
    said = (records.c.kind == "transition") & records.c.body.contains(f'"{word}"', autoescape=True)
    return (
        select(ROW, records.c.run, machines.c.name, *(records.c[n] for n in ("at", "kind", "body", "seq")))
        .join_from(records, runs, records.c.run == runs.c.id)
        .join(machines)
        .where(after < ROW, until >= ROW, records.c.kind.in_(kinds) | said)
        .order_by(ROW)
    )


LAST = select(func.coalesce(func.max(ROW), 0)).select_from(records)
"""The row of the newest record; 0 when there is none."""


def time_of(row: int) -> Select[Any]:
    """Return the query for the time of the first record at or after a row."""
    return select(records.c.at).where(row <= ROW).order_by(ROW).limit(1)


def row_of(run: str, seq: int) -> Select[Any]:
    """Return the query for the row of a run's record."""
    return select(ROW).select_from(records).where(records.c.run == run, records.c.seq == seq)
