"""The one door to what is kept of runs; each method is one transaction and one answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, Engine, func, insert, literal, literal_column, select, tuple_, update
from sqlalchemy.sql.dml import ReturningUpdate

from statemachine.errors import DiskFailed, EventRefused, InvalidInput, LeaseLost, RunOwned
from statemachine.journal import decode, encode
from statemachine.store import erasing, queries
from statemachine.store import stops as stopping
from statemachine.store.anchor import read_anchor, refuse_other, write_anchor
from statemachine.store.database import WRITING, connect, pragmas, reported
from statemachine.store.migrate import bring_up_to_date
from statemachine.store.queries import Queries, unknown
from statemachine.store.rows import FINAL, UNFINISHED, Change, Posted, Ready, Scope, Stop
from statemachine.store.schema import blobs, identity, inbox, records, runs
from statemachine.store.writer import Writer, blob_rows, insert_new

# Seconds after which the anchor is brought up to date: rare enough to cost nothing a step.
_HOLD_AGAIN = 60.0


class Store(Queries, AbstractContextManager["Store"]):
    """Runs, their journals and their machines in a database; safe to use from several threads and processes.

    Every method raises StoreUnusable when the database refuses; nothing is half done then, and the store can
    still be used.
    """

    def __init__(self, engine: Engine, name: str, busy_timeout: float) -> None:
        super().__init__(engine, name, busy_timeout)
        self._place = Path(name).absolute()  # for SQLite: whoever uses the store may change its folder
        self._writing = engine.execution_options(**{WRITING: True})
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

    def commit(self, changes: Sequence[Change]) -> list[LeaseLost | InvalidInput | None]:
        """Store steps of any runs, runs that begin, and runs given back, in one transaction with one disk sync.

        A step is stored only when the run still is at the step's ``expected_seq`` and ``epoch`` and has the
        hash that its records follow; a run begins only when there is none of its id. If not, it is refused
        as a whole, and the others are stored. A run that was taken over stays with its new owner.

        Returns:
            For each, in order, None when it is stored or the error that says why it is not.
        """
        if time.monotonic() - self._held > _HOLD_AGAIN:
            self._hold()
        with self._one_writer, self._reported():
            return self._writer.store(changes)

    def post(self, run: str, event: str, payload: object, at: float) -> int:
        """Put an event into a run's inbox and return its id.

        Raises:
            UnknownRun: There is no such run.
            EventRefused: The run has ended.
            InvalidValue: The payload is not plain JSON data.
        """
        with self._write() as connection:
            status = connection.scalar(select(runs.c.status).where(runs.c.id == run))
            if status is None:
                raise unknown(run)
            if status in FINAL:
                ended = f"{'was' if status == 'cancelled' else 'has'} {status}"
                raise EventRefused(f"run {run} {ended} and takes no more events")
            text = self._kept(connection, payload)
            posted = connection.execute(insert(inbox).values(run=run, event=event, payload=text, at=at))
            return int(posted.inserted_primary_key[0])  # type: ignore[index]  # one row was inserted

    def post_to_all(self, event: str, payload: object, at: float) -> None:
        """Put an event into the inbox of every run that has not ended; else as :meth:`post`."""
        with self._write() as connection:
            text = self._kept(connection, payload)
            rows = select(runs.c.id, literal(event), literal(text), literal(at))
            rows = rows.where(runs.c.status.in_(UNFINISHED))
            connection.execute(insert(inbox).from_select(["run", "event", "payload", "at"], rows))

    def _kept(self, connection: Connection, payload: object) -> str:
        """Return plain data as the text that is kept of it; what is large in it is kept apart."""
        text, large = encode(payload)
        if large:
            connection.execute(insert_new(self._engine.dialect.name, blobs), blob_rows(large))
        return text

    def stop(self, stop: Stop) -> None:
        """Stop a run, a machine, a tool, or everything: no call of it is made until it is started again."""
        with self._write() as connection:
            stopping.add(connection, stop)

    def start(self, scope: Scope, name: str) -> bool:
        """Lift a stop; return whether there was one."""
        with self._write() as connection:
            return stopping.remove(connection, scope, name)

    # Erasing

    def erase(self, erased: erasing.ErasedRun) -> None:
        """Put what is left of a run that has ended in its place, in one transaction; raise LeaseLost if it has gone on.

        Its old bytes lie in the file until :meth:`scrub`.
        """
        with self._write() as connection:
            erasing.erase(connection, erased)

    def scrub(self) -> None:
        """Take out of a SQLite file all bytes that are no part of a row any more; takes as long as copying the file."""
        with self._one_writer, self._reported():
            erasing.scrub(self._engine, self.name)

    def forks(self, run: str) -> list[str]:
        """Return the runs that were forked off a run."""
        with self._reported(), self._engine.connect() as connection:
            return erasing.forks(connection, run)

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
            held = select(runs.c.owner, runs.c.lease_until).where(runs.c.id == run).with_for_update()
            found = connection.execute(held).one_or_none()
            if found is None:
                raise unknown(run)
            holder, until = found
            over = holder is not None and (holder == owner or (until > now and is_dead(holder)))
            mine = runs.c.id == run, queries.free(now, [holder] if over else ())
            taken = connection.execute(leased(owner, now + lease_seconds).where(*mine)).one_or_none()
            if taken is None:
                ends = datetime.fromtimestamp(until, UTC).isoformat(" ", "seconds")
                raise RunOwned(f"run {run} is owned by {holder} until {ends}; wait, or end that process")
            return int(taken.epoch)

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
            still = found_so, runs.c.status.in_(UNFINISHED), queries.free(now, gone)
            taken = connection.execute(leased(owner, now + lease_seconds).where(*still))
            return {row.id: row.epoch for row in taken}

    def renew(self, owner: str, now: float, lease_seconds: float) -> int:
        """Extend the leases of all runs that an owner has and that have not ended; return how many."""
        with self._write() as connection:
            return connection.execute(
                update(runs)
                .where(runs.c.status.in_(UNFINISHED), runs.c.owner == owner)
                .values(lease_until=now + lease_seconds)
            ).rowcount

    # The inbox

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

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with self._one_writer, self._reported(), self._writing.begin() as connection:
            yield connection


def leased(owner: str, until: float) -> ReturningUpdate[tuple[str, int]]:
    """Return what gives runs to an owner, in a new epoch that fences off whoever had them before."""
    given = update(runs).values(owner=owner, lease_until=until, epoch=runs.c.epoch + 1)
    return given.returning(runs.c.id, runs.c.epoch)
