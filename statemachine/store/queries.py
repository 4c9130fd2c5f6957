"""What is asked of a store; each method is one answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from difflib import get_close_matches
from hashlib import sha256
from typing import Any

from sqlalchemy import ColumnElement, Engine, Select, bindparam, false, func, select, union

from statemachine.errors import StoreUnusable, UnknownRun
from statemachine.journal import Record
from statemachine.store import measuring
from statemachine.store import stops as stopping
from statemachine.store.database import reported
from statemachine.store.measuring import News, OpenRun
from statemachine.store.rows import (
    STATUSES,
    UNFINISHED,
    Ready,
    RunSummary,
    Stop,
    StoredMachine,
    StoredRun,
)
from statemachine.store.schema import blobs, checkpoints, identity, inbox, machines, records, runs

# Records read at a time, so that reading a long journal neither fills memory nor holds up the log.
_PAGE = 500

_SUMMARY = [c for c in runs.c if c.name != "snapshot"]
_SUMMARY[2:2] = [machines.c.name, machines.c.version]
# Asked at the end of every run: to build it each time would cost as much as to ask.
_LOAD = select(*_SUMMARY, runs.c.snapshot).join_from(runs, machines).where(runs.c.id == bindparam("run"))


class Queries:
    """What can be read of runs, their journals and their machines.

    Every method raises StoreUnusable when the database cannot be read.
    """

    def __init__(self, engine: Engine, name: str, busy_timeout: float) -> None:
        self.name = name
        self._engine = engine
        self._busy_timeout = busy_timeout

    def identity(self) -> str:
        """Return which store this is; empty if it does not say."""
        found = self._ids(select(identity.c.store))
        return found[0] if found else ""

    def load(self, run: str) -> StoredRun:
        """Return a run by its full id, with its snapshot; raise UnknownRun when there is none."""
        found = self._rows(_LOAD, run=run)
        if not found:
            raise unknown(run)
        return StoredRun(*found[0])

    def find(self, prefix: str) -> str:
        """Return the full id of the one run that begins with ``prefix``.

        Raises:
            UnknownRun: None does, or several do; the message names them, or what is close.
        """
        begins = runs.c.id.startswith(prefix, autoescape=True)
        found = self._ids(select(runs.c.id).where(begins).order_by(runs.c.id).limit(6))
        if len(found) == 1 or (found and found[0] == prefix):
            return found[0]
        if found:
            more = ", …" if found[5:] else ""
            raise UnknownRun(
                f"{prefix!r} begins more than one run: {', '.join(found[:5])}{more}; write more of it"
            )
        recent = self._ids(select(runs.c.id).order_by(runs.c.started.desc()).limit(1000))
        raise unknown(prefix, get_close_matches(prefix, recent, n=3))

    def runs(
        self, status: str | None = None, machine: str | None = None, limit: int | None = None
    ) -> list[RunSummary]:
        """Return runs, newest first; of one status, of one machine (by name or digest), at most ``limit``."""
        query = select(*_SUMMARY).join_from(runs, machines).order_by(runs.c.started.desc(), runs.c.id.desc())
        if status is not None:
            query = query.where(runs.c.status == status)
        if machine is not None:
            query = query.where((machines.c.name == machine) | (machines.c.digest == machine))
        return [RunSummary(*row) for row in self._rows(query.limit(limit))]

    def unfinished(self) -> list[str]:
        """Return the ids of all runs that have not ended, oldest first."""
        return self._ids(
            select(runs.c.id).where(runs.c.status.in_(UNFINISHED)).order_by(runs.c.started, runs.c.id)
        )

    def owners(self) -> list[str]:
        """Return who owns runs now."""
        return self._ids(select(runs.c.owner).where(runs.c.owner.is_not(None)).distinct())

    def ready(
        self, now: float, gone: Sequence[str], limit: int | None = None, *, waiting: bool = False
    ) -> list[Ready]:
        """Return runs that can move and that nobody owns, oldest first.

        A run can move when it is pending or running, when its timer is due, or when an event lies in its inbox.

        Args:
            now: The time, in seconds since the epoch; a lease that ends before is over.
            gone: Owners whose leases are over because they are known to be dead.
            limit: At most so many.
            waiting: Whether to return those that wait as well: all that have not ended.
        """
        # Each part of the union is found by an index; the many runs that wait or have ended are not looked at.
        moving = select(runs.c.id).where(runs.c.status.in_(UNFINISHED if waiting else ("pending", "running")))
        movable = union(moving, select(runs.c.id).where(runs.c.due <= now), select(inbox.c.run))
        newest = select(func.max(inbox.c.id)).where(inbox.c.run == runs.c.id).scalar_subquery()
        timed = func.coalesce(runs.c.due <= now, false())
        query = (
            select(runs.c.id, runs.c.epoch, runs.c.seq, newest, timed)
            .where(runs.c.id.in_(movable), runs.c.finished.is_(None), free(now, gone))
            .order_by(runs.c.started, runs.c.id)
            .limit(limit)
        )
        return [Ready(*row) for row in self._rows(query)]

    def restless(self, limit: int) -> list[str]:
        """Return at most ``limit`` ids of runs that will go on by themselves: all but ended and parked ones."""
        moving = runs.c.status.in_(("pending", "running"))
        by_time = (runs.c.status == "waiting") & runs.c.waiting.startswith("time")
        return self._ids(select(runs.c.id).where(moving | by_time).limit(limit))

    def due(self, now: float) -> list[str]:
        """Return the ids of runs whose timer should have fired by ``now``, most overdue first."""
        return self._ids(select(runs.c.id).where(runs.c.due <= now).order_by(runs.c.due, runs.c.id))

    def counts(self) -> dict[str, int]:
        """Return how many runs there are of each status."""
        found = dict.fromkeys(STATUSES, 0)
        found.update(self._rows(select(runs.c.status, func.count()).group_by(runs.c.status)))
        return found

    def records(
        self, run: str, after: int = 0, until: int | None = None, kind: str | None = None
    ) -> Iterator[Record]:
        """Yield a run's records in order, a page at a time; after ``after``, to ``until``, of one ``kind``."""
        columns = [records.c[name] for name in Record._fields]
        while True:
            query = select(*columns).where(records.c.run == run, records.c.seq > after)
            if until is not None:
                query = query.where(records.c.seq <= until)
            if kind is not None:
                query = query.where(records.c.kind == kind)
            page = [Record(*row) for row in self._rows(query.order_by(records.c.seq).limit(_PAGE))]
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1].seq

    def checkpoint(self, run: str, until: int) -> str | None:
        """Return the newest snapshot that was kept of a run at or before a record, as text; None without one."""
        kept = select(checkpoints.c.snapshot).where(checkpoints.c.run == run, checkpoints.c.seq <= until)
        found = self._ids(kept.order_by(checkpoints.c.seq.desc()).limit(1))
        return found[0] if found else None

    def checkpoints(self, run: str) -> list[int]:
        """Return the records of a run at which its snapshot was kept, in order."""
        return [
            row.seq
            for row in self._rows(
                select(checkpoints.c.seq).where(checkpoints.c.run == run).order_by(checkpoints.c.seq)
            )
        ]

    def bodies(self, run: str, kind: str, until: int | None = None) -> Sequence[tuple[int, float, str]]:
        """Return sequence number, time and body of a run's records of one kind, in order."""
        query = select(records.c.seq, records.c.at, records.c.body)
        query = query.where(records.c.run == run, records.c.kind == kind)
        if until is not None:
            query = query.where(records.c.seq <= until)
        return self._rows(query.order_by(records.c.seq))

    def stops(self) -> list[Stop]:
        """Return what is stopped, the oldest stop first."""
        return [Stop(*row) for row in self._rows(stopping.ALL)]

    # Measuring

    def open_runs(self, machine: str | None = None) -> list[OpenRun]:
        """Return all runs that have not ended; of one machine, by its name."""
        return [OpenRun(*row) for row in self._rows(measuring.open_runs(machine))]

    def last_row(self) -> int:
        """Return the place of the newest record among those of all runs; 0 when there is none."""
        return int(self._rows(measuring.LAST)[0][0])

    def news(self, after: int, until: int, kinds: tuple[str, ...], word: str) -> list[News]:
        """Return records after one place to another: of some kinds, or transitions in which a word stands."""
        return [News(*row) for row in self._rows(measuring.news(after, until, kinds, word))]

    def place_of(self, run: str, seq: int) -> int | None:
        """Return the place of a run's record among those of all runs; None when there is no such record."""
        found = self._rows(measuring.row_of(run, seq))
        return int(found[0][0]) if found else None

    def row_before(self, at: float) -> int:
        """Return the place of the last record before a time, found by halving: clocks rise with the places."""
        low, high = 0, self.last_row()
        while low < high:
            middle = (low + high + 1) // 2
            if self._rows(measuring.time_of(middle))[0][0] < at:
                low = middle
            else:
                high = middle - 1
        return low

    def machine(self, digest: str) -> StoredMachine | None:
        """Return a machine that runs were started with, or None."""
        found = self._rows(select(machines).where(machines.c.digest == digest))
        return StoredMachine(*found[0]) if found else None

    def versions(self) -> list[tuple[str, str, str]]:
        """Return digest, name and version of every machine, those with the newest runs last."""
        newest = func.max(runs.c.started)
        query = select(machines.c.digest, machines.c.name, machines.c.version).outerjoin(runs)
        return [tuple(row) for row in self._rows(query.group_by(machines.c.digest).order_by(newest))]

    def blob(self, digest: str) -> bytes:
        """Return the bytes with this SHA-256; raise StoreUnusable when they are gone or are others."""
        found = self._rows(select(blobs.c.data).where(blobs.c.digest == digest))
        if not found or sha256(found[0][0]).hexdigest() != digest:
            what = "has other bytes" if found else "is missing"
            raise StoreUnusable(f"{self.name} is damaged: blob {digest} {what}; restore a backup")
        return bytes(found[0][0])

    def _reported(self) -> AbstractContextManager[None]:
        return reported(self._engine, self.name, self._busy_timeout)

    def _rows(self, query: Select[Any], **parameters: object) -> Sequence[Any]:
        with self._reported(), self._engine.connect() as connection:
            return connection.execute(query, parameters).all()

    def _ids(self, query: Select[tuple[str]]) -> list[str]:
        return [row[0] for row in self._rows(query)]


def free(now: float, gone: Sequence[str]) -> ColumnElement[bool]:
    return runs.c.owner.is_(None) | (runs.c.lease_until <= now) | runs.c.owner.in_(gone)


def unknown(run: str, near: Sequence[str] = ()) -> UnknownRun:
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    return UnknownRun(f"there is no run {run!r}; {hint}`statemachine runs` lists them all")
