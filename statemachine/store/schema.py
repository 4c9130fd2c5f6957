"""The tables, and the versions of them that this code can read."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

#: Alembic revisions in order; the last is what this code writes. Kept here so that Alembic, which is slow to
#: import, is needed only by a database that is not there yet.
VERSIONS = ("0001", "0002", "0003", "0004", "0005")
VERSION_TABLE = "statemachine_version"

metadata = MetaData()

# One row: which store this is. A file beside a SQLite database says the same, see the module ``anchor``.
identity = Table("identity", metadata, Column("store", String, primary_key=True))

machines = Table(
    "machines",
    metadata,
    Column("digest", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("version", String, nullable=False),
    Column("declaration", Text, nullable=False),
    Column("source", Text, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("id", String, primary_key=True),
    Column("machine", ForeignKey(machines.c.digest), nullable=False),
    Column("status", String, nullable=False, index=True),
    Column("state", String, nullable=False),
    Column("waiting", Text),
    Column("due", Double, index=True),
    Column("seq", Integer, nullable=False),
    Column("head", String, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("owner", String, index=True),
    Column("lease_until", Double),
    Column("started", Double, nullable=False, index=True),
    Column("updated", Double, nullable=False),
    Column("finished", Double),
    Column("reason", Text),
    # Last, so that reading the others does not walk through a large one.
    Column("snapshot", Text, nullable=False),
)

records = Table(
    "records",
    metadata,
    Column("run", ForeignKey(runs.c.id), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("kind", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("prev", String, nullable=False),
    Column("hash", String, nullable=False),
    Column("salt", String, nullable=False, server_default=""),
)

# A run as it was now and then, so that what lies between two of them is all that has to be replayed.
checkpoints = Table(
    "checkpoints",
    metadata,
    Column("run", ForeignKey(runs.c.id), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("snapshot", Text, nullable=False),
)

blobs = Table(
    "blobs",
    metadata,
    Column("digest", String, primary_key=True),
    Column("data", LargeBinary, nullable=False),
)

inbox = Table(
    "inbox",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run", ForeignKey(runs.c.id), nullable=False),
    Column("event", String, nullable=False),
    Column("payload", Text, nullable=False),
    Column("at", Double, nullable=False),
    Index("ix_inbox_run", "run"),
    # An id that was handled is never given again.
    sqlite_autoincrement=True,
)

stops = Table(
    "stops",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("scope", String, nullable=False),
    Column("name", String, nullable=False),
    Column("by", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Double, nullable=False),
)
