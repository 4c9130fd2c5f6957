"""A store as an auditor opens it: read as it stands at one moment, and never written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from sqlalchemy import Engine, create_engine, select
from sqlalchemy.pool import StaticPool

from statemachine.errors import StoreUnusable
from statemachine.store.anchor import read_anchor, refuse_other
from statemachine.store.database import locate, reported
from statemachine.store.migrate import stored_version
from statemachine.store.rows import StoredMachine
from statemachine.store.schema import VERSIONS, blobs, checkpoints, machines, records, runs
from statemachine.store.store import Store


class _OneMoment(sqlite3.Connection):
    """A connection whose one transaction lasts from opening to closing, whatever its users end."""

    def commit(self) -> None:
        """Go on."""

    def rollback(self) -> None:
        """Go on."""


class ReadOnlyStore(Store):
    """A SQLite store, all of it as it was when it was opened; what others write later is not seen.

    The database and its log are not changed: no tables are brought up to date, no log is moved, no anchor is
    written. Every method that would write raises StoreUnusable.
    """

    @classmethod
    def open(cls, where: str | Path, *, create: bool = False, busy_timeout: float = 30.0) -> Self:
        """Open a database for reading alone; ``create`` makes none here.

        Raises:
            StoreUnusable: It is not there, cannot be read, or its tables are not those of this code.
        """
        path = Path(locate(where)[1])
        if not path.is_file():
            raise StoreUnusable(f"there is no database {path}; name another one")
        unused = not _has_log(path)
        engine = create_engine(
            "sqlite://",
            creator=lambda: _connect(path, busy_timeout, unused=unused),
            poolclass=StaticPool,
            paramstyle="named",
        )
        with ExitStack() as undo, reported(engine, str(path), busy_timeout):
            undo.callback(engine.dispose)
            _refuse_other_tables(engine, path)
            store = cls(engine, str(path), busy_timeout)
            store._unused = unused
            undo.pop_all()
        return store

    _unused: bool

    def _hold(self) -> None:
        """Write no anchor."""

    def __enter__(self) -> Self:
        return self

    def unsettled(self) -> bool:
        """Return whether another program has begun to write to a database that nobody used when it was opened.

        What was read may then be of two moments.
        """
        return self._unused and _has_log(self._place)

    def heads(self) -> Iterator[tuple[str, int, str]]:
        """Yield id, sequence number and hash of the last record of every run, by id."""
        yield from self._stream(select(runs.c.id, runs.c.seq, runs.c.head).order_by(runs.c.id))

    def hash_at(self, run: str, seq: int) -> str | None:
        """Return the hash of a record; None when there is no such record."""
        found = self._ids(select(records.c.hash).where(records.c.run == run, records.c.seq == seq))
        return found[0] if found else None

    def orphans(self) -> list[str]:
        """Return ids that records have, and no run."""
        return self._ids(select(records.c.run).where(records.c.run.not_in(select(runs.c.id))).distinct())

    def pinned_machines(self) -> Iterator[StoredMachine]:
        """Yield every machine that is kept."""
        return (StoredMachine(*row) for row in self._stream(select(machines)))

    def kept_blobs(self) -> Iterator[tuple[str, bytes]]:
        """Yield every value that is kept apart, with the digest that it is kept by."""
        yield from self._stream(select(blobs))

    def snapshots(self, run: str) -> dict[int, str]:
        """Return the snapshots that were kept of a run on its way, by their record."""
        query = select(checkpoints.c.seq, checkpoints.c.snapshot).where(checkpoints.c.run == run)
        return {row.seq: row.snapshot for row in self._rows(query)}

    def faults(self) -> list[str]:
        """Return what SQLite itself finds wrong with the file, at most ten things."""
        with self._reported(), self._engine.connect() as connection:
            found = connection.exec_driver_sql("PRAGMA integrity_check(10)").scalars().all()
        return [] if found == ["ok"] else [str(line) for line in found]

    def rolled_back(self) -> str:
        """Return what speaks against this being the database that was here before; empty if nothing does.

        Asks the small file beside the database, see the module ``anchor``.
        """
        try:
            anchor = read_anchor(self._place)
            if anchor is not None:
                with self._reported(), self._engine.connect() as connection:
                    last = connection.exec_driver_sql("SELECT coalesce(max(rowid), 0) FROM records")
                    refuse_other(self._place, anchor, self.identity(), last.scalar_one())
        except StoreUnusable as error:
            return str(error)
        return ""

    def _stream(self, query: Any) -> Iterator[Any]:
        with self._reported(), self._engine.connect() as connection:
            yield from connection.execution_options(yield_per=500).execute(query)


def _connect(path: Path, busy_timeout: float, *, unused: bool) -> sqlite3.Connection:
    # Without a log nobody has it open, and SQLite is told so: else it would make a log and leave it.
    # https://www.sqlite.org/uri.html#uriimmutable
    how = "mode=ro&immutable=1" if unused else "mode=ro"
    connection = sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?{how}",
        uri=True,
        timeout=busy_timeout,
        isolation_level=None,
        check_same_thread=False,
        factory=_OneMoment,
    )
    connection.execute("PRAGMA query_only=1")
    connection.execute("BEGIN")
    return connection


def _has_log(path: Path) -> bool:
    path = path.resolve()
    return path.with_name(f"{path.name}-wal").exists()


def _refuse_other_tables(engine: Engine, path: Path) -> None:
    with engine.connect() as connection:
        version = stored_version(connection, str(path))
    if version is None:
        raise StoreUnusable(f"{path} is no store; name another database")
    if version != VERSIONS[-1]:
        raise StoreUnusable(
            f"{path} has tables of version {version}, this reads {VERSIONS[-1]}; a command that writes, "
            "such as `statemachine runs`, brings them up to date"
        )
