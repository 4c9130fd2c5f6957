"""Where runs lie: their journals, snapshots, leases, inboxes and machines, in SQLite; nothing stands in the way of PostgreSQL."""

from __future__ import annotations

from statemachine.store.cursor import Cursor
from statemachine.store.erasing import ErasedRun
from statemachine.store.following import Follower, Sink
from statemachine.store.measuring import News, OpenRun
from statemachine.store.reading import ReadOnlyStore
from statemachine.store.rows import (
    FINAL,
    STATUSES,
    UNFINISHED,
    Change,
    Commit,
    NewRun,
    Posted,
    Ready,
    Release,
    RunSummary,
    Scope,
    Stop,
    StoredMachine,
    StoredRun,
)
from statemachine.store.store import Store

__all__ = [
    "FINAL",
    "STATUSES",
    "UNFINISHED",
    "Change",
    "Commit",
    "Cursor",
    "ErasedRun",
    "Follower",
    "NewRun",
    "News",
    "OpenRun",
    "Posted",
    "ReadOnlyStore",
    "Ready",
    "Release",
    "RunSummary",
    "Scope",
    "Sink",
    "Stop",
    "Store",
    "StoredMachine",
    "StoredRun",
]
