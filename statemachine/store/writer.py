"""The hot path: steps of any number of runs in one transaction, with little around the statements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib import import_module
from typing import Any

from sqlalchemy import Engine, Table, bindparam, delete, insert, select, update
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.pool import PoolProxiedConnection

from statemachine.errors import InvalidInput, LeaseLost
from statemachine.journal import Record
from statemachine.store.rows import Commit, NewRun
from statemachine.store.schema import blobs, inbox, machines, records, runs

_Row = dict[str, Any]

# What a step is held against, and what it changes.
_HELD = ("seq", "epoch", "head", "updated", "status", "due", "owner", "lease_until")
_CHANGED = ("state", "waiting", "seq", "head", "updated", "finished", "reason", "snapshot")
# An index is a page more to write even when its value stays the same, so these are set only when one differs.
_SELDOM = ("status", "due", "owner", "lease_until")


def insert_new(dialect: str, table: Table) -> Any:
    """Return an insert that leaves a row that is there already as it is."""
    # SQLite and PostgreSQL share the clause, but SQLAlchemy has it only by dialect, each slow to import.
    return import_module(f"sqlalchemy.dialects.{dialect}").insert(table).on_conflict_do_nothing()


def record_row(record: Record) -> _Row:
    """Return a record as a row of its table."""
    return {name: getattr(record, name) for name in Record.__slots__}


def blob_rows(large: dict[str, bytes]) -> list[_Row]:
    """Return blobs as rows of their table."""
    return [{"digest": digest, "data": data} for digest, data in large.items()]


class Writer:
    """One connection that stores steps; its user lets in one thread at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: PoolProxiedConnection | None = None
        self._begin = "BEGIN IMMEDIATE" if engine.dialect.name == "sqlite" else None

        # Compiled once and handed to the driver: SQLAlchemy's way through a statement, good for all else,
        # costs more here than the database's work on it.
        def compiled(statement: Any, *columns: str) -> str:
            return str(statement.compile(dialect=engine.dialect, column_keys=columns or None))

        this_run = runs.c.id == bindparam("run")
        this_message = (inbox.c.id == bindparam("message")) & (inbox.c.run == bindparam("run"))
        self._select = compiled(select(*(runs.c[name] for name in _HELD)).where(this_run).with_for_update())
        self._update = compiled(update(runs).where(this_run), *_CHANGED)
        self._update_all = compiled(update(runs).where(this_run), *_CHANGED, *_SELDOM)
        self._repin = compiled(update(runs).where(this_run).values(machine=bindparam("version")))
        self._insert_machines = compiled(insert_new(engine.dialect.name, machines))
        self._insert_runs = compiled(insert(runs))
        self._insert_records = compiled(insert(records))
        self._insert_blobs = compiled(insert_new(engine.dialect.name, blobs))
        self._consume = compiled(delete(inbox).where(this_message))

    def store(self, commits: Sequence[Commit | NewRun]) -> list[LeaseLost | InvalidInput | None]:
        """Store in one transaction every run that is new and every step that is still this process's to store.

        Returns:
            For each None, or why it was refused.
        """
        with self._transaction() as cursor:
            held: dict[str, _Row | None] = {}
            verdicts: list[LeaseLost | InvalidInput | None] = []
            accepted: list[Commit] = []
            begun: list[NewRun] = []
            reindexed: set[str] = set()
            for one in commits:
                commit = one.first if isinstance(one, NewRun) else one
                if commit.run not in held:
                    held[commit.run] = self._read(cursor, commit.run)
                before = held[commit.run]
                if isinstance(one, NewRun):
                    taken = before is not None
                    verdicts.append(InvalidInput(f"there is a run {commit.run} already") if taken else None)
                    if not taken:
                        begun.append(one)
                        held[commit.run] = _begun(one)
                    continue
                verdicts.append(_refusal(commit, before))
                if before is None or verdicts[-1]:
                    continue
                accepted.append(commit)
                held[commit.run] = after = _after(before, commit)
                if any(before[name] != after[name] for name in _SELDOM):
                    reindexed.add(commit.run)
            touched = dict.fromkeys(commit.run for commit in accepted)
            stored = [one.first for one in begun] + accepted
            large = {digest: data for commit in stored for digest, data in commit.blobs.items()}
            moved = [(commit.run, commit.machine) for commit in accepted if commit.machine is not None]
            versions = [*(one.machine for one in begun), *(machine for _, machine in moved)]
            pinned = {machine.digest: asdict(machine) for machine in versions}
            work: tuple[tuple[str, list[Any]], ...] = (
                (self._insert_machines, list(pinned.values())),
                (self._insert_runs, [_run_row(one) for one in begun]),
                (self._repin, [{"run": run, "version": machine.digest} for run, machine in moved]),
                (self._update, [held[run] for run in touched if run not in reindexed]),
                (self._update_all, [held[run] for run in touched if run in reindexed]),
                (self._insert_records, [record_row(record) for c in stored for record in c.records]),
                (self._insert_blobs, blob_rows(large)),
                (self._consume, [{"message": id, "run": c.run} for c in accepted for id in c.consumed]),
            )
            for statement, parameters in work:
                if parameters:
                    cursor.executemany(statement, parameters)
        return verdicts

    def _read(self, cursor: DBAPICursor, run: str) -> _Row | None:
        cursor.execute(self._select, {"run": run})
        found = cursor.fetchone()
        return None if found is None else dict(zip(_HELD, found, strict=True))

    @contextmanager
    def _transaction(self) -> Iterator[DBAPICursor]:
        """Commit what is done within, or leave nothing of it and start over with a new connection."""
        connection = self._connection = self._connection or self._engine.raw_connection()
        done = False
        try:
            cursor = connection.cursor()
            if self._begin:
                cursor.execute(self._begin)
            yield cursor
            connection.commit()
            done = True
        finally:
            if not done:
                self._connection = None
                try:
                    connection.rollback()
                finally:
                    connection.invalidate()

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


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
