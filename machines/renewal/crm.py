"""A CRM in an SQLite file: contracts, each with a version that every change raises, and a list of the changes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from statemachine import Call

_PATIENCE = 0.5
"""Seconds to wait for somebody else's lock."""


class VersionConflict(Exception):
    """The contract is no longer the version that was read."""


@dataclass(frozen=True, slots=True)
class Contract:
    """What the CRM says of a contract.

    Attributes:
        vendor: With whom.
        contact: Their mail address.
        ends: Its last day, such as ``2026-12-31``.
        price: What a year costs, in euros.
        asked: By how many percent the vendor wants to raise the price.
        allowed: By how many percent the contract lets them.
        seats: How many seats are paid for.
        used: How many are used.
        version: Rises with each change.
    """

    vendor: str
    contact: str
    ends: str
    price: int
    asked: float
    allowed: float
    seats: int
    used: int
    version: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the CRM says what it should.

    Attributes:
        ok: Whether end and price are those that were planned.
        confidence: 1 if nobody has touched the contract since it was written, less if somebody has.
        found: What it says, for people.
    """

    ok: bool
    confidence: float
    found: str


def read(crm: Path, vendor: str) -> Contract:
    """Return a vendor's contract.

    Raises:
        LookupError: There is none.
    """
    with _opened(crm, "ro") as database:
        row = database.execute("SELECT * FROM contracts WHERE vendor = ?", (vendor,)).fetchone()
        known = [
            name for (name,) in database.execute("SELECT vendor FROM contracts ORDER BY vendor LIMIT 10")
        ]
    if row is None:
        raise LookupError(f"the CRM has no contract with {vendor}; it has {', '.join(known)}")
    return Contract(**row)


def update(crm: Path, vendor: str, version: int, ends: str, price: int, call: Call) -> None:
    """Write a contract's new end and price, if it is still the version that was read.

    The change is kept with the call's key, in the same transaction. There is no output to lose: whoever is told by
    :func:`find` that the change was made knows all of it.

    Raises:
        VersionConflict: Somebody has changed the contract.
    """
    with _writing(crm) as database:
        done = database.execute(
            "INSERT INTO changes (key, vendor, ends_before, price_before, ends, price, version) "
            "SELECT ?, vendor, ends, price, ?, ?, version + 1 FROM contracts WHERE vendor = ? AND version = ?",
            (call.key, ends, price, vendor, version),
        )
        if done.rowcount != 1:
            raise VersionConflict(f"the contract of {vendor} is no longer version {version}")
        database.execute(
            "UPDATE contracts SET ends = ?, price = ?, version = version + 1 WHERE vendor = ?",
            (ends, price, vendor),
        )


def find(crm: Path, key: str) -> bool:
    """Return whether the change with a key was made."""
    with _opened(crm, "ro") as database:
        return database.execute("SELECT 1 FROM changes WHERE key = ?", (key,)).fetchone() is not None


def restore(crm: Path, key: str) -> None:
    """Put end and price back as they were before the change with a key; once, however often it is called.

    Raises:
        VersionConflict: Somebody has given the contract another end or price since.
    """
    with _writing(crm) as database:
        change = database.execute("SELECT * FROM changes WHERE key = ? AND NOT undone", (key,)).fetchone()
        if change is None:
            return
        back = database.execute(
            "UPDATE contracts SET ends = :ends_before, price = :price_before, version = version + 1 "
            "WHERE vendor = :vendor AND ends = :ends AND price = :price",
            dict(change),
        )
        if back.rowcount != 1:
            raise VersionConflict(
                f"somebody has changed the contract of {change['vendor']} since it was renewed"
            )
        database.execute("UPDATE changes SET undone = 1 WHERE key = ?", (key,))


def check(crm: Path, vendor: str, ends: str, price: int) -> Verdict:
    """Compare a contract with what was planned, and its version with that of the last renewal."""
    found = read(crm, vendor)
    with _opened(crm, "ro") as database:
        query = "SELECT max(version) FROM changes WHERE vendor = ? AND NOT undone"
        (ours,) = database.execute(query, (vendor,)).fetchone()
    told = f"ends {found.ends}, {found.price} a year, version {found.version}"
    return Verdict((found.ends, found.price) == (ends, price), 1.0 if found.version == ours else 0.6, told)


@contextmanager
def _opened(crm: Path, mode: str) -> Iterator[sqlite3.Connection]:
    """Open the file, which has to be there; ``mode`` is SQLite's: ``ro`` or ``rw``."""
    place = f"{crm.absolute().as_uri()}?mode={mode}"
    with closing(sqlite3.connect(place, uri=True, timeout=_PATIENCE, isolation_level=None)) as database:
        database.row_factory = sqlite3.Row
        yield database


@contextmanager
def _writing(crm: Path) -> Iterator[sqlite3.Connection]:
    """Open the file for one change, that is made whole or not at all."""
    with _opened(crm, "rw") as database:
        database.execute("BEGIN IMMEDIATE")
        try:
            yield database
            database.execute("COMMIT")
        finally:
            if database.in_transaction:
                database.execute("ROLLBACK")
