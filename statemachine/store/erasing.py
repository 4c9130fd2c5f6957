"""Erasing: the rows of a run that has ended are written anew without payload, and then its old bytes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, bindparam, delete, func, insert, select, update

from statemachine.errors import LeaseLost, StoreUnusable
from statemachine.journal import Record
from statemachine.store.rows import FINAL
from statemachine.store.schema import blobs, checkpoints, inbox, records, runs
from statemachine.store.writer import blob_rows, insert_new

_APART = re.compile(r'"\$blob":"([0-9a-f]{64})"')
_REFERRING = '%"$blob":"%'


@dataclass(frozen=True, slots=True)
class ErasedRun:
    """A run that has ended, without the payload that is to be erased.

    Attributes:
        run: Its id.
        expected_seq: The run's stored sequence number that this was made of.
        head: Hash of that record.
        bodies: What is left of records, by sequence number; their salts go.
        record: The record that says so; it continues the run's chain.
        snapshot: What is left of the run's snapshot, as text.
        reason: What is told of the run instead of why it is where it is.
        blobs: What these keep apart, by SHA-256.
    """

    run: str
    expected_seq: int
    head: str
    bodies: Mapping[int, str]
    record: Record
    snapshot: str
    reason: str
    blobs: Mapping[str, bytes]


def erase(connection: Connection, erased: ErasedRun) -> None:
    """Put what is left of a run in its place; its snapshots on the way, its inbox, and large values go.

    Args:
        connection: In a transaction that writes.
        erased: What is left.

    Raises:
        LeaseLost: The run has gone on, or somebody has taken it.
    """
    found = select(runs.c.seq, runs.c.head, runs.c.status, runs.c.owner, runs.c.snapshot)
    row = connection.execute(found.where(runs.c.id == erased.run)).one()
    if (row.seq, row.head) != (erased.expected_seq, erased.head) or row.status not in FINAL or row.owner:
        raise LeaseLost(
            f"run {erased.run} has gone on meanwhile; nothing of it was erased: try again once it has ended"
        )
    held = set(_referred(connection, erased.run))
    left = update(records).where(records.c.run == erased.run, records.c.seq == bindparam("place"))
    connection.execute(
        left.values(body=bindparam("left"), salt=""),
        [{"place": seq, "left": body} for seq, body in erased.bodies.items()],
    )
    connection.execute(insert(records).values(erased.record._asdict()))
    if erased.blobs:
        connection.execute(insert_new(connection.dialect.name, blobs), blob_rows(dict(erased.blobs)))
    connection.execute(
        update(runs)
        .where(runs.c.id == erased.run)
        .values(
            seq=erased.record.seq,
            head=erased.record.hash,
            updated=erased.record.at,
            snapshot=erased.snapshot,
            reason=erased.reason,
        )
    )
    for table in (checkpoints, inbox):
        connection.execute(delete(table).where(table.c.run == erased.run))
    if held and (dead := held - _alive(connection)):
        gone = delete(blobs).where(blobs.c.digest == bindparam("dead"))
        connection.execute(gone, [{"dead": digest} for digest in dead])


def _referred(connection: Connection, run: str) -> Iterator[str]:
    """Yield the values kept apart that a run refers to, also through others."""
    todo = {digest for text in _texts(connection, run) for digest in _APART.findall(text)}
    seen: set[str] = set()
    while todo:
        seen |= todo
        yield from todo
        data = connection.scalars(select(blobs.c.data).where(blobs.c.digest.in_(todo)))
        todo = {digest for part in data for digest in _APART.findall(part.decode())} - seen


def _alive(connection: Connection) -> set[str]:
    """Return the values kept apart that anything in the store refers to."""
    alive = {digest for text in _texts(connection, None) for digest in _APART.findall(text)}
    inner = {
        digest: set(_APART.findall(data.decode()))
        for digest, data in connection.execute(
            select(blobs.c.digest, blobs.c.data).where(func.instr(blobs.c.data, b'"$blob":') > 0)
        )
    }
    todo = set(alive)
    while todo:
        todo = {part for digest in todo for part in inner.get(digest, ())} - alive
        alive |= todo
    return alive


def _texts(connection: Connection, run: str | None) -> Iterable[str]:
    """Yield every text that refers to values kept apart, of one run or of all."""
    for table, column in (
        (records, "body"),
        (checkpoints, "snapshot"),
        (inbox, "payload"),
        (runs, "snapshot"),
    ):
        query = select(table.c[column]).where(table.c[column].like(_REFERRING))
        if run is not None:
            query = query.where((table.c.id if table is runs else table.c.run) == run)
        yield from connection.scalars(query.execution_options(yield_per=500))


def forks(connection: Connection, run: str) -> list[str]:
    """Return the runs that were forked off a run: each has a copy of what that one knew."""
    named = records.c.body.contains(f'"run":"{run}"', autoescape=True) & records.c.body.contains('"parent":')
    return list(
        connection.scalars(select(records.c.run).where(records.c.seq == 1, named, records.c.run != run))
    )


def scrub(engine: Engine, name: str) -> None:
    """Write a SQLite database anew without the pages, and parts of pages, that hold nothing any more.

    What was overwritten or deleted lies there until then, and in the log. https://www.sqlite.org/lang_vacuum.html

    Raises:
        StoreUnusable: Another program reads the old pages and does not stop.
    """
    if engine.dialect.name != "sqlite":
        return
    connection = engine.raw_connection()
    try:
        cursor = connection.cursor()
        cursor.execute("VACUUM")
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        row = cursor.fetchone()
        if row is None or row[0]:
            raise StoreUnusable(
                f"{name}: what was erased is out of the records, but another program holds the file's old pages; "
                "end it, then give the command once more"
            )
    finally:
        connection.close()
