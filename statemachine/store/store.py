"""The one door to what is kept of runs; each method is one transaction and one answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Self

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    false,
    func,
    insert,
    literal_column,
    select,
    tuple_,
    union,
    update,
)

from statemachine.errors import (
    DiskFailed,
    EventRefused,
    InvalidInput,
    LeaseLost,
    RunOwned,
    StoreUnusable,
    UnknownRun,
)
from statemachine.journal import Record, decode, encode
from statemachine.store import measuring
from statemachine.store import stops as stopping
from statemachine.store.anchor import read_anchor, refuse_other, write_anchor
from statemachine.store.database import WRITING, connect, pragmas, reported
from statemachine.store.measuring import News, OpenRun
from statemachine.store.migrate import bring_up_to_date
from statemachine.store.rows import (
    FINAL,
    STATUSES,
    UNFINISHED,
    Commit,
    NewRun,
    Posted,
    Ready,
    RunSummary,
    Scope,
    Stop,
    StoredMachine,
    StoredRun,
)
from statemachine.store.schema import blobs, checkpoints, identity, inbox, machines, records, runs
from statemachine.store.writer import Writer, blob_rows, insert_new

# Records read at a time, so that reading a long journal neither fills memory nor holds up the log.
_PAGE = 500

# Seconds after which the anchor is brought up to date: rare enough to cost nothing a step.
_HOLD_AGAIN = 60.0

_SUMMARY = [c for c in runs.c if c.name != "snapshot"]
_SUMMARY[2:2] = [machines.c.name, machines.c.version]


class Store(AbstractContextManager["Store"]):
    """Runs, their journals and their machines in a database; safe to use from several threads and processes.

    Every method raises StoreUnusable when the database refuses; nothing is half done then, and the store can
    still be used.
    """

    def __init__(self, engine: Engine, name: str, busy_timeout: float) -> None:
        self.name = name
        self._place = Path(name).absolute()  # for SQLite: whoever uses the store may change its folder
        self._engine = engine
        self._writing = engine.execution_options(**{WRITING: True})
        self._busy_timeout = busy_timeout
        self._writer = Writer(engine)
        # Threads of this process queue here, where waiting costs nothing, and not at the database's lock.
        self._one_writer = Lock()
        self._held = time.monotonic()

    @classmethod
    def open(cls, where: str | Path, *, create: bool = True, busy_timeout: float = 30.0) -> Self:
        """Open a database, made if need be, and make sure that it keeps what it acknowledges.

        Args:
            where: A SQLite file's path, or an SQLAlchemy URL.
            create: Whether a SQLite file that is not there (with its folder), or is empty, may be filled.
            busy_timeout: Seconds to wait for another program's lock.

        Raises:
            StoreUnusable: It cannot be used; the message says why and what to do.
        """
        engine, name = connect(where, create, busy_timeout)
        with ExitStack() as undo, reported(engine, name, busy_timeout):
            undo.callback(engine.dispose)
            bring_up_to_date(engine, name)
            store = cls(engine, name, busy_timeout)
            store._hold()
            undo.pop_all()
        return store

    def close(self) -> None:
        """Give all connections back."""
        try:
            self._hold()
        finally:
            self._writer.close()
            self._engine.dispose()

    def _hold(self) -> None:
        """Hold the database against its anchor, and let the anchor tell of what the database has by now.

        Raises:
            StoreUnusable: The database is not the one that was here before, or is an older copy of it.
        """
        self._held = time.monotonic()
        if self._engine.dialect.name != "sqlite":
            return
        anchor = read_anchor(self._place)
        # No record is ever removed, so that the last row's number is the number of rows; and cheap to find.
        last = select(func.max(literal_column("rowid"))).select_from(records).scalar_subquery()
        ((store, count),) = self._rows(select(identity.c.store, func.coalesce(last, 0)))
        if anchor is not None:
            refuse_other(self._place, anchor, store, count)
        try:
            if anchor is None or anchor.records < count:
                write_anchor(self._place, store, count)
        except DiskFailed:
            # An older anchor still holds, and on a full disk one must be able to see how runs stand.
            if anchor is None:
                raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def pragmas(self) -> dict[str, str | int]:
        """Return how connections are set, read back from one; empty for another database than SQLite."""
        if self._engine.dialect.name != "sqlite":
            return {}
        with self._reported(), self._engine.connect() as connection:
            return pragmas(connection)

    # Writing

    def commit(self, commits: Sequence[Commit | NewRun]) -> list[LeaseLost | InvalidInput | None]:
        """Store steps of any runs, and runs that begin, in one transaction and with one disk sync.

        A step is stored only when the run still is at the step's ``expected_seq`` and ``epoch`` and has the
        hash that its records follow; a run begins only when there is none of its id. If not, it is refused
        as a whole, and the others are stored.

        Returns:
            For each, in order, None when it is stored or the error that says why it is not.
        """
        if time.monotonic() - self._held > _HOLD_AGAIN:
            self._hold()
        with self._one_writer, self._reported():
            return self._writer.store(commits)

    def post(self, run: str, event: str, payload: object, at: float) -> int:
        """Put an event into a run's inbox and return its id.

        Raises:
            UnknownRun: There is no such run.
            EventRefused: The run has ended.
            InvalidValue: The payload is not plain JSON data.
        """
        text, large = encode(payload)
        with self._write() as connection:
            status = connection.scalar(select(runs.c.status).where(runs.c.id == run))
            if status is None:
                raise _unknown(run)
            if status in FINAL:
                ended = f"{'was' if status == 'cancelled' else 'has'} {status}"
                raise EventRefused(f"run {run} {ended} and takes no more events")
            if large:
                connection.execute(insert_new(self._engine.dialect.name, blobs), blob_rows(large))
            posted = connection.execute(insert(inbox).values(run=run, event=event, payload=text, at=at))
            return int(posted.inserted_primary_key[0])  # type: ignore[index]  # one row was inserted

    def stop(self, stop: Stop) -> None:
        """Stop a run, a machine, a tool, or everything: no call of it is made until it is started again."""
        with self._write() as connection:
            stopping.add(connection, stop)

    def start(self, scope: Scope, name: str) -> bool:
        """Lift a stop; return whether there was one."""
        with self._write() as connection:
            return stopping.remove(connection, scope, name)

    def stops(self) -> list[Stop]:
        """Return what is stopped, the oldest stop first."""
        return [Stop(*row) for row in self._rows(stopping.ALL)]

    # Leases

    def acquire(
        self, run: str, owner: str, now: float, lease_seconds: float, is_dead: Callable[[str], bool]
    ) -> int:
        """Take a run and return the epoch that fences off whoever had it before.

        Args:
            run: Its id.
            owner: Who takes it.
            now: The time, in seconds since the epoch.
            lease_seconds: For how long.
            is_dead: Whether an owner is known to be gone; must be quick, because nobody can write meanwhile.

        Raises:
            UnknownRun: There is no such run.
            RunOwned: Another owner, not known to be gone, has a lease that has not run out.
        """
        with self._write() as connection:
            lease = select(runs.c.owner, runs.c.lease_until, runs.c.epoch).where(runs.c.id == run)
            found = connection.execute(lease.with_for_update()).one_or_none()
            if found is None:
                raise _unknown(run)
            holder, until, epoch = found
            if holder not in (None, owner) and until > now and not is_dead(holder):
                ends = datetime.fromtimestamp(until, UTC).isoformat(" ", "seconds")
                raise RunOwned(f"run {run} is owned by {holder} until {ends}; wait, or end that process")
            connection.execute(
                update(runs)
                .where(runs.c.id == run)
                .values(owner=owner, lease_until=now + lease_seconds, epoch=epoch + 1)
            )
            return int(epoch) + 1

    def claim(
        self, ready: Sequence[Ready], owner: str, now: float, lease_seconds: float, gone: Sequence[str] = ()
    ) -> dict[str, int]:
        """Take, in one transaction, those runs that nobody has taken since they were found ready.

        Args:
            ready: What :meth:`ready` gave.
            owner: Who takes them.
            now: The time, in seconds since the epoch.
            lease_seconds: For how long.
            gone: Owners that are known to be dead, as for :meth:`ready`.

        Returns:
            The epoch of each run that was taken.
        """
        found_so = tuple_(runs.c.id, runs.c.epoch).in_([(run.id, run.epoch) for run in ready])
        with self._write() as connection:
            taken = connection.execute(
                update(runs)
                .where(found_so, runs.c.status.in_(UNFINISHED), _free(now, gone))
                .values(owner=owner, lease_until=now + lease_seconds, epoch=runs.c.epoch + 1)
                .returning(runs.c.id, runs.c.epoch)
            )
            return {row.id: row.epoch for row in taken}

    def renew(self, owner: str, now: float, lease_seconds: float) -> int:
        """Extend the leases of all runs that an owner has and that have not ended; return how many."""
        with self._write() as connection:
            return connection.execute(
                update(runs)
                .where(runs.c.status.in_(UNFINISHED), runs.c.owner == owner)
                .values(lease_until=now + lease_seconds)
            ).rowcount

    def release(self, run: str, epoch: int) -> bool:
        """Give a run back; return whether this epoch still had it."""
        with self._write() as connection:
            released = connection.execute(
                update(runs)
                .where(runs.c.id == run, runs.c.epoch == epoch)
                .values(owner=None, lease_until=None)
            )
            return released.rowcount == 1

    # Reading

    def load(self, run: str) -> StoredRun:
        """Return a run by its full id, with its snapshot; raise UnknownRun when there is none."""
        found = self._rows(
            select(*_SUMMARY, runs.c.snapshot).join_from(runs, machines).where(runs.c.id == run)
        )
        if not found:
            raise _unknown(run)
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
        raise _unknown(prefix, get_close_matches(prefix, recent, n=3))

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

    def ready(self, now: float, gone: Sequence[str], limit: int) -> list[Ready]:
        """Return runs that can move and that nobody owns, oldest first.

        A run can move when it is pending or running, when its timer is due, or when an event lies in its inbox.

        Args:
            now: The time, in seconds since the epoch; a lease that ends before is over.
            gone: Owners whose leases are over because they are known to be dead.
            limit: At most so many.
        """
        # Each part of the union is found by an index; the many runs that wait or have ended are not looked at.
        moving = select(runs.c.id).where(runs.c.status.in_(("pending", "running")))
        movable = union(moving, select(runs.c.id).where(runs.c.due <= now), select(inbox.c.run))
        newest = select(func.max(inbox.c.id)).where(inbox.c.run == runs.c.id).scalar_subquery()
        timed = func.coalesce(runs.c.due <= now, false())
        query = (
            select(runs.c.id, runs.c.epoch, runs.c.seq, newest, timed)
            .where(runs.c.id.in_(movable), runs.c.finished.is_(None), _free(now, gone))
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
        columns = [records.c[name] for name in Record.__slots__]
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

    def inbox(self, run: str) -> list[Posted]:
        """Return the events that a run has not dealt with, oldest first."""
        with self._one_writer, self._reported():  # each driver looks several times a second, mostly in vain
            if not self._writer.has_mail(run):
                return []
        columns = (inbox.c.id, inbox.c.run, inbox.c.event, inbox.c.payload, inbox.c.at)
        return [
            Posted(id, run, event, decode(payload, self.blob), at)
            for id, run, event, payload, at in self._rows(
                select(*columns).where(inbox.c.run == run).order_by(inbox.c.id)
            )
        ]

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

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with self._one_writer, self._reported(), self._writing.begin() as connection:
            yield connection

    def _rows(self, query: Select[Any]) -> Sequence[Any]:
        with self._reported(), self._engine.connect() as connection:
            return connection.execute(query).all()

    def _ids(self, query: Select[tuple[str]]) -> list[str]:
        return [row[0] for row in self._rows(query)]


def _free(now: float, gone: Sequence[str]) -> ColumnElement[bool]:
    return runs.c.owner.is_(None) | (runs.c.lease_until <= now) | runs.c.owner.in_(gone)


def _unknown(run: str, near: Sequence[str] = ()) -> UnknownRun:
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    return UnknownRun(f"there is no run {run!r}; {hint}`statemachine runs` lists them all")
