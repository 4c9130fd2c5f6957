"""The floor: one bare SQLite insert per transaction, with the pragmas that our store asserts."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

from serve import OUTPUT, STEPS, serve

database = sqlite3.connect(Path(sys.argv[1]) / "bare.db", isolation_level=None)
for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "wal_autocheckpoint=4000"):
    database.execute(f"PRAGMA {pragma}")
database.execute("CREATE TABLE steps (id INTEGER PRIMARY KEY, body TEXT)")


def run() -> None:
    """Insert a row for each step."""
    for _ in range(STEPS):
        database.execute("BEGIN IMMEDIATE")
        database.execute("INSERT INTO steps (body) VALUES (?)", (OUTPUT,))
        database.execute("COMMIT")


serve(run, None)
database.close()
