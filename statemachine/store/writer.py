"""The hot path: steps of any number of runs in one transaction, with little around the statements."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from importlib import import_module
from operator import attrgetter, itemgetter
from typing import Any

from sqlalchemy import Dialect, Engine, Table, bindparam, delete, insert, null, select, update
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.pool import PoolProxiedConnection

from statemachine.errors import InvalidInput, LeaseLost
from statemachine.store.rows import Change, Commit, NewRun, Release
from statemachine.store.schema import blobs, checkpoints, inbox, machines, records, runs

_Row = dict[str, Any]

# What a step is held against, and what it changes.
_HELD = ("seq", "epoch", "head", "updated", "status", "due", "owner", "lease_until")
_CHANGED = ("state", "waiting", "seq", "head", "updated", "finished", "reason", "snapshot")
# An index is a page more to write even when its value stays the same, so these are set only when one differs.
_SELDOM = ("status", "due", "owner", "lease_until")

_Left = tuple[int, int, str, str, float | None]
"""How a step left a run: epoch, seq, head, status, due."""

_REMEMBERED = 10_000
"""Runs of which a writer remembers how it left them."""

CHECKPOINT = 500
"""Records of a run after which its snapshot is kept once more: enough to replay within a blink."""


def insert_new(dialect: str, table: Table) -> Any:
    """Return an insert that leaves a row that is there already as it is."""
    # SQLite and PostgreSQL share the clause, but SQLAlchemy has it only by dialect, each slow to import.
    return import_module(f"sqlalchemy.dialects.{dialect}").insert(table).on_conflict_do_nothing()


def blob_rows(large: Mapping[str, bytes]) -> list[_Row]:
    """Return blobs as rows of their table."""
    return [{"digest": digest, "data": data} for digest, data in large.items()]


class _Overtaken(Exception):
    """A run is no longer as this writer left it."""


class _Statement:
    """A statement as the driver takes it, and what makes its parameters of a row, in their order."""

    def __init__(
        self, dialect: Dialect, statement: Any, *columns: str, get: Callable[..., Any] = itemgetter
    ) -> None:
        compiled = statement.compile(dialect=dialect, column_keys=columns or None)
        self.text = str(compiled)
        self.parameters = get(*compiled.positiontup)


class _Statements:
    """The statements of one kind of database."""

    # Compiled once and handed to the driver: SQLAlchemy's way through a statement, good for all else,
    # costs more here than the database's work on it. Parameters by place cost less than by name.
    def __init__(self, dialect: str) -> None:
        kind = import_module(f"sqlalchemy.dialects.{dialect}").dialect
        by_place: Dialect = kind(paramstyle="qmark" if dialect == "sqlite" else "format")
        compiled = partial(_Statement, by_place)
        this_run = runs.c.id == bindparam("run")
        as_left = (runs.c[name] == bindparam(f"left_{name}") for name in ("epoch", "seq", "head"))
        this_message = (inbox.c.id == bindparam("message")) & (inbox.c.run == bindparam("run"))
        one_run = select(*(runs.c[name] for name in _HELD)).where(this_run).with_for_update()
        self.select = str(one_run.compile(dialect=by_place))
        self.mail = str(select(inbox.c.id).where(inbox.c.run == bindparam("run")).compile(dialect=by_place))

        # In the order in which a transaction has them done: a row before those that point to it.
        self.update_left = compiled(update(runs).where(this_run, *as_left), *_CHANGED)
        self.insert_machines = compiled(insert_new(dialect, machines), get=attrgetter)
        self.insert_runs = compiled(insert(runs))
        self.repin = compiled(update(runs).where(this_run).values(machine=bindparam("version")))
        self.update = compiled(update(runs).where(this_run), *_CHANGED)
        self.update_all = compiled(update(runs).where(this_run), *_CHANGED, *_SELDOM)
        given_back = update(runs).where(this_run, runs.c.epoch == bindparam("left_epoch"))
        self.release = compiled(given_back.values(owner=null(), lease_until=null()))
        self.insert_records = compiled(insert(records), get=attrgetter)
        self.insert_blobs = compiled(insert_new(dialect, blobs))
        self.insert_checkpoints = compiled(insert(checkpoints))
        self.consume = compiled(delete(inbox).where(this_message))
        self.in_order = tuple(made for made in vars(self).values() if isinstance(made, _Statement))


_statements = cache(_Statements)


class Writer:
    """One connection that stores steps; its user lets in one thread at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: PoolProxiedConnection | None = None
        self._cursor: DBAPICursor | None = None
        self._begin = "BEGIN IMMEDIATE" if engine.dialect.name == "sqlite" else None
        self._say = _statements(engine.dialect.name)
        self._left: dict[str, _Left] = {}

    def store(self, changes: Sequence[Change]) -> list[LeaseLost | InvalidInput | None]:
        """Store in one transaction every run that is new and every step that is still this process's to store.

        Returns:
            For each None, or why it was refused; what is no longer this process's to give back is left.
        """
        try:
            return self._store(changes, self._left)
        except _Overtaken:
            self._left.clear()
            return self._store(changes, self._left)

    def _store(
        self, changes: Sequence[Change], left: Mapping[str, _Left]
    ) -> list[LeaseLost | InvalidInput | None]:
        with self._transaction() as cursor:
            held: dict[str, _Row | None] = {}
            verdicts: list[LeaseLost | InvalidInput | None] = []
            accepted: list[Commit] = []
            begun: list[NewRun] = []
            unread: dict[str, _Row] = {}
            touched: dict[str, bool] = {}  # each run that was read, and whether an index of its row changes
            released: list[_Row] = []
            for one in changes:
                if isinstance(one, Release):
                    released.append({"run": one.run, "left_epoch": one.epoch})
                    verdicts.append(None)
                    continue
                commit = one.first if isinstance(one, NewRun) else one
                run = commit.run
                if run not in held and run not in unread and left.get(run, ()) == _follows(commit):
                    # The usual step of a run: nothing of it need be read, for it is stored only if the run is
                    # still as it was left.
                    unread[run] = _unread(commit)
                    accepted.append(commit)
                    verdicts.append(None)
                    continue
                if run in unread:
                    raise _Overtaken
                if run not in held:
                    held[run] = self._read(cursor, run)
                before = held[run]
                if isinstance(one, NewRun):
                    taken = before is not None
                    verdicts.append(InvalidInput(f"there is a run {run} already") if taken else None)
                    if not taken:
                        begun.append(one)
                        held[run] = _begun(one)
                    continue
                verdicts.append(_refusal(commit, before))
                if before is None or verdicts[-1]:
                    continue
                accepted.append(commit)
                held[run] = after = _after(before, commit)
                moved = any(before[name] != after[name] for name in _SELDOM)
                touched[run] = touched.get(run, False) or moved
            stored = [one.first for one in begun] + accepted
            pinned = {one.machine.digest: one.machine for one in begun}
            work: dict[_Statement, list[Any]] = {statement: [] for statement in self._say.in_order}
            work[self._say.update_left] += unread.values()
            work[self._say.insert_runs] += map(_run_row, begun)
            work[self._say.release] += released
            for run, reindexed in touched.items():
                work[self._say.update_all if reindexed else self._say.update].append(held[run])
            for commit in stored:
                work[self._say.insert_records] += commit.records
                if commit.machine is not None:
                    pinned[commit.machine.digest] = commit.machine
                    work[self._say.repin].append({"run": commit.run, "version": commit.machine.digest})
                if commit.blobs:
                    work[self._say.insert_blobs] += blob_rows(commit.blobs)
                if _passes_checkpoint(commit):
                    last = commit.records[-1].seq
                    kept = {"run": commit.run, "seq": last, "snapshot": commit.snapshot}
                    work[self._say.insert_checkpoints].append(kept)
                for id in commit.consumed:
                    work[self._say.consume].append({"message": id, "run": commit.run})
            work[self._say.insert_machines] += pinned.values()
            for statement, rows in work.items():
                if rows:
                    cursor.executemany(statement.text, [statement.parameters(row) for row in rows])
                    if statement is self._say.update_left and cursor.rowcount != len(rows):
                        raise _Overtaken
        self._remember(stored)
        return verdicts

    def _remember(self, stored: Sequence[Commit]) -> None:
        if len(self._left) > _REMEMBERED:
            self._left.clear()
        for commit in stored:
            if commit.records and commit.finished is None:
                last = commit.records[-1]
                self._left[commit.run] = (commit.epoch, last.seq, last.hash, commit.status, commit.due)
            else:
                self._left.pop(commit.run, None)

    def has_mail(self, run: str) -> bool:
        """Return whether anything lies in a run's inbox."""
        with self._transaction(writing=False) as cursor:
            cursor.execute(self._say.mail, (run,))
            return bool(cursor.fetchall())

    def _read(self, cursor: DBAPICursor, run: str) -> _Row | None:
        cursor.execute(self._say.select, (run,))
        found = cursor.fetchone()
        return None if found is None else dict(zip(_HELD, found, strict=True))

    @contextmanager
    def _transaction(self, *, writing: bool = True) -> Iterator[DBAPICursor]:
        """Commit what is done within, or leave nothing of it and start over with a new connection."""
        connection = self._connection = self._connection or self._engine.raw_connection()
        done = False
        try:
            cursor = self._cursor = self._cursor or connection.cursor()
            if self._begin and writing:
                cursor.execute(self._begin)
            yield cursor
            connection.commit()
            done = True
        finally:
            if not done:
                self._connection = self._cursor = None
                try:
                    connection.rollback()
                finally:
                    connection.invalidate()

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            self._connection.close()
            self._connection = self._cursor = None


def _refusal(commit: Commit, held: _Row | None) -> LeaseLost | None:
    """Say why this process may not store a step, if so."""
    if held is None:
        return LeaseLost(f"run {commit.run} is not in the store")
    if held["epoch"] != commit.epoch:
        why = f"was taken over: it is in epoch {held['epoch']}, this process in {commit.epoch}"
    elif held["seq"] != commit.expected_seq:
        why = f"has gone on: it is at record {held['seq']}, this step follows {commit.expected_seq}"
    elif commit.records and commit.records[0].prev != held["head"]:
        why = f"has another history: record {held['seq']} is not the one that this step follows"
    else:
        return None
    return LeaseLost(f"run {commit.run} {why}")


def _follows(commit: Commit) -> _Left | None:
    """Return how a run must have been left for the step to change nothing but what each step changes."""
    if not commit.records or commit.finished is not None:
        return None
    return commit.epoch, commit.expected_seq, commit.records[0].prev, commit.status, commit.due


def _unread(commit: Commit) -> _Row:
    """Return what a usual step changes in its run's row, and how the row must have been left."""
    first, last = commit.records[0], commit.records[-1]
    return {
        "run": commit.run,
        "state": commit.state,
        "waiting": commit.waiting,
        "seq": last.seq,
        "head": last.hash,
        "updated": last.at,
        "finished": None,
        "reason": commit.reason,
        "snapshot": commit.snapshot,
        "left_epoch": commit.epoch,
        "left_seq": commit.expected_seq,
        "left_head": first.prev,
    }


def _passes_checkpoint(commit: Commit) -> bool:
    """Return whether a step passes a multiple of so many records, and its snapshot is to be kept."""
    seq = commit.expected_seq + len(commit.records)
    return seq // CHECKPOINT != commit.expected_seq // CHECKPOINT


def _begun(new: NewRun) -> _Row:
    """Return the row of a run that begins, in the names of the columns that a step is held against."""
    blank = {"seq": 0, "head": "", "updated": 0.0, "epoch": new.first.epoch}
    return _after({**blank, "owner": new.owner, "lease_until": new.lease_until}, new.first)


def _run_row(new: NewRun) -> _Row:
    """Return a run that begins as a row of its table."""
    row = _begun(new)
    return {**row, "id": row.pop("run"), "machine": new.machine.digest, "started": new.first.records[0].at}


def _after(held: _Row, commit: Commit) -> _Row:
    """Return the run's row as the step leaves it."""
    last = commit.records[-1] if commit.records else None
    ended = commit.finished is not None
    return {
        "run": commit.run,
        "state": commit.state,
        "waiting": commit.waiting,
        "seq": last.seq if last else held["seq"],
        "head": last.hash if last else held["head"],
        "updated": last.at if last else held["updated"],
        "finished": commit.finished,
        "reason": commit.reason,
        "snapshot": commit.snapshot,
        "epoch": held["epoch"],
        "status": commit.status,
        "due": commit.due,
        "owner": None if ended else held["owner"],
        "lease_until": None if ended else held["lease_until"],
    }
