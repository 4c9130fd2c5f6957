"""Make a CRM with a few contracts to try the machine on: ``python machines/renewal/sample.py crm.sqlite``."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

SCHEMA = """
CREATE TABLE contracts (
    vendor TEXT PRIMARY KEY, contact TEXT NOT NULL, ends TEXT NOT NULL, price INTEGER NOT NULL,
    asked REAL NOT NULL, allowed REAL NOT NULL, seats INTEGER NOT NULL, used INTEGER NOT NULL,
    version INTEGER NOT NULL
);
CREATE TABLE changes (
    key TEXT PRIMARY KEY, vendor TEXT NOT NULL REFERENCES contracts,
    ends_before TEXT NOT NULL, price_before INTEGER NOT NULL, ends TEXT NOT NULL, price INTEGER NOT NULL,
    version INTEGER NOT NULL, undone INTEGER NOT NULL DEFAULT 0
);
"""
CONTRACTS = [
    # vendor, contact, ends, price, asked, allowed, seats, used, version
    ("Northwind Paper", "office@northwind.example", "2026-12-31", 12000, 6.0, 3.0, 50, 41, 7),
    ("Fabrikam Cloud", "sales@fabrikam.example", "2027-02-28", 18900, 4.0, 5.0, 200, 180, 3),
    ("Contoso Print", "hello@contoso.example", "2026-11-30", 3600, 2.0, 3.0, 40, 12, 12),
]


def make(crm: Path) -> None:
    """Write a new CRM into a file that is not there yet."""
    with closing(sqlite3.connect(crm)) as database, database:
        database.executescript(SCHEMA)
        database.executemany(f"INSERT INTO contracts VALUES ({', '.join('?' * 9)})", CONTRACTS)


if __name__ == "__main__":
    if len(sys.argv) != 2 or Path(sys.argv[1]).exists():
        sys.exit("write: python machines/renewal/sample.py FILE, with a file that is not there yet")
    make(Path(sys.argv[1]))
    print(f"{sys.argv[1]} has {len(CONTRACTS)} contracts: {', '.join(row[0] for row in CONTRACTS)}")
