"""Connections: what each is set to, that it really is, and what its errors mean to a user."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from statemachine.errors import DiskFailed, StoreUnusable
from statemachine.store.anchor import Anchor, make_folder, read_anchor, refuse_lost
from statemachine.store.schema import VERSION_TABLE

#: Execution option: the transaction writes, so it takes the one write lock before it reads.
WRITING = "statemachine_writing"

# WAL with FULL loses nothing that was acknowledged, even at power loss; one sync a commit.
# https://www.sqlite.org/pragma.html#pragma_synchronous
_PRAGMAS: dict[str, str | int] = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}

# Pages of 4 KiB in the log before they are moved into the database. More make the syncs of moving rarer, and
# a page that every step writes is moved once for all of them; 16 MiB is still read in a moment after a crash.
_CHECKPOINT_PAGES = 4000

_MEANINGS = {
    sqlite3.SQLITE_NOTADB: "{name} is not a database; name another one, or move that file away",
    sqlite3.SQLITE_READONLY: "{name} is read-only; make the file and its folder writable, or name another",
    sqlite3.SQLITE_CANTOPEN: "{name} cannot be opened; its folder must be there and be writable",
    sqlite3.SQLITE_PERM: "{name} may not be opened; make the file and its folder writable",
    sqlite3.SQLITE_BUSY: "{name} has been locked by another program for more than {timeout:g} s; "
    "wait for that program or end it, then try again",
    sqlite3.SQLITE_FULL: "{name}: the disk is full; nothing of this step was stored; make room, then resume",
    sqlite3.SQLITE_IOERR: "{name} cannot be read or written ({error}) and nothing of this step was stored; "
    "check the disk and its free space, then resume",
    sqlite3.SQLITE_CORRUPT: "{name} is damaged ({error}); restore a backup, or save what can be read "
    'with `sqlite3 "{name}" .recover`',
}


def locate(where: str | Path) -> tuple[URL, str]:
    """Return where a database is as a URL, and its file's name, which may be there or not.

    Raises:
        StoreUnusable: It is no URL of a known kind, or names no file.
    """
    try:
        is_url = isinstance(where, str) and "://" in where
        url = make_url(str(where)) if is_url else URL.create("sqlite", database=str(where))
    except ArgumentError as error:
        raise StoreUnusable(f"{where} is not a database URL: {error}") from error
    if url.get_backend_name() != "sqlite":
        raise StoreUnusable(f"{url.get_backend_name()} is not supported yet; name a SQLite file")
    name = url.database or ""
    if name in ("", ":memory:"):
        raise StoreUnusable("a database in memory keeps no runs; name a file")
    if Path(name).is_dir():
        raise StoreUnusable(f"{name} is a folder; name a file in it, such as {Path(name) / 'runs.db'}")
    return url, name


def connect(where: str | Path, create: bool, busy_timeout: float) -> tuple[Engine, str]:
    """Return an engine for a path or an SQLAlchemy URL, and the database's name for messages.

    Args:
        where: A SQLite file's path, or a URL.
        create: Whether a SQLite file that is not there (with its folder), or is empty, may be filled.
        busy_timeout: Seconds to wait for another program's lock.

    Raises:
        StoreUnusable: It is no file that could be read and written, or no URL of a known kind.
    """
    url, name = locate(where)
    # Read before the database is looked at: whoever makes one writes its anchor afterwards.
    anchor = read_anchor(Path(name))
    _check_file(Path(name), create, anchor)
    engine = create_engine(url, paramstyle="named")
    _prepare(engine, name, create, busy_timeout, anchor)
    return engine, name


def _check_file(path: Path, create: bool, anchor: Anchor | None) -> None:
    if not path.exists():
        refuse_lost(path, anchor, "is gone")
        if not create:
            raise StoreUnusable(f"there is no database {path}; start a run to make one, or name another")
        try:
            make_folder(path.parent)
        except OSError as error:
            raise StoreUnusable(f"the folder of {path} cannot be made: {error.strerror}") from error
    effective = os.access in os.supports_effective_ids
    for target in (path.parent, path):  # the log is written beside the file
        if target.exists() and not os.access(target, os.W_OK, effective_ids=effective):
            raise StoreUnusable(f"{target} is read-only; make it writable, or name another than {path}")


def _prepare(engine: Engine, name: str, create: bool, busy_timeout: float, anchor: Anchor | None) -> None:
    """Set up every connection of a SQLite engine, by the events that SQLAlchemy documents for it."""

    wanted = _PRAGMAS | {"busy_timeout": round(busy_timeout * 1000), "wal_autocheckpoint": _CHECKPOINT_PAGES}

    @event.listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, _record: object) -> None:
        with ExitStack() as undo:
            undo.callback(connection.close)
            connection.isolation_level = None  # the driver begins nothing by itself
            connection.execute(f"PRAGMA busy_timeout={wanted['busy_timeout']}")
            _check_tables(connection, name, create, anchor)
            _switch_to_wal(connection, time.monotonic() + busy_timeout)
            for pragma, value in wanted.items():
                connection.execute(f"PRAGMA {pragma}={value}").fetchall()
                found = connection.execute(f"PRAGMA {pragma}").fetchone()[0]
                if found != value:
                    raise StoreUnusable(
                        f"{name} cannot be kept safe: PRAGMA {pragma} is {found} and must be {value}; "
                        "put it on a local disk"
                    )
            undo.pop_all()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writing = connection.get_execution_options().get(WRITING, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _check_tables(connection: sqlite3.Connection, name: str, create: bool, anchor: Anchor | None) -> None:
    """Refuse a database that is not ours before anything is changed in it."""
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    if not tables:
        refuse_lost(Path(name), anchor, "is empty")
    if not tables and not create:
        raise StoreUnusable(f"{name} is empty: no run was ever started in it; name another database")
    if tables and VERSION_TABLE not in tables:
        raise StoreUnusable(f"{name} is another program's database ({tables[0]}, …); name another file")


def _switch_to_wal(connection: sqlite3.Connection, deadline: float) -> None:
    # The switch needs the file for itself and, unlike other statements, does not wait for that.
    while True:
        try:
            connection.execute("PRAGMA journal_mode=wal").fetchall()
            return
        except sqlite3.OperationalError as error:
            if _cause(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def pragmas(connection: Connection) -> dict[str, str | int]:
    """Return how this SQLite connection is really set, read back from it."""
    names = (*_PRAGMAS, "busy_timeout", "wal_autocheckpoint", "page_size")
    return {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in names}


@contextmanager
def reported(engine: Engine, name: str, busy_timeout: float) -> Iterator[None]:
    """Turn what the database itself refuses into StoreUnusable; a broken constraint is passed on as it is."""
    try:
        yield
    except (DBAPIError, engine.dialect.loaded_dbapi.Error) as error:
        cause: Any = error.orig if isinstance(error, DBAPIError) else error
        # Subclasses of DatabaseError other than this one mean that the statement was wrong.
        if type(cause).__name__ not in ("OperationalError", "DatabaseError"):
            raise
        code = _cause(cause) or 0
        meaning = _MEANINGS.get(code, "{name} cannot be used: {error}")
        kind = DiskFailed if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR) else StoreUnusable
        raise kind(meaning.format(name=name, timeout=busy_timeout, error=cause)) from error


def _cause(error: Any) -> int | None:
    """Return SQLite's primary result code; None for another database's error."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
