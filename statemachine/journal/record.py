"""Records and the hash chain that ties each one to all before it."""

from __future__ import annotations

import json
import math
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from json.encoder import encode_basestring as _quoted
from typing import NamedTuple

import rfc8785

from statemachine.journal.encoding import encode

# Above this a whole float's digits are no longer the shortest ones, which RFC 8785 asks for.
_EXACT = 2.0**53

ERASURE = "run_erased"
"""The kind of the record that says which records before it were erased, by whom and why."""

MARK = "$erased"
"""The key of a body whose payload was erased; beside it stands what is left of the body."""

_MARKED = f'{{"{MARK}":'  # "$" sorts before every letter
_DIGEST = re.compile("[0-9a-f]{64}")
_SALT = 32


class Record(NamedTuple):
    """One thing that happened to a run.

    Attributes:
        run: Id of the run.
        seq: Place in the run's journal, from 1, without gaps.
        at: When, in seconds since the epoch, to the microsecond.
        kind: What sort of thing, such as ``transition``.
        body: What exactly: JSON text, byte for byte as it is stored.
        prev: Hash of the record before, or the run's genesis.
        hash: SHA-256, hexadecimal, over all of the above; the body enters by its own digest.
        salt: 128 bits of chance, hexadecimal, that enter that digest before the body: once they are erased, nobody
            can try out what the body may have been. Empty in records of old, and in erased ones.
    """

    run: str
    seq: int
    at: float
    kind: str
    body: str
    prev: str
    hash: str
    salt: str = ""

    @property
    def erased(self) -> bool:
        """Whether its payload was erased."""
        return self.body.startswith(_MARKED)


def genesis(run: str, machine: str) -> str:
    """Return what the first record of ``run`` takes as ``prev``; binds it to the machine's digest."""
    return sha256(rfc8785.dumps({"run": run, "machine": machine})).hexdigest()


def digest_of_body(body: str, salt: str = "") -> str:
    """Return the SHA-256 by which a body enters its record's hash; what is left of an erased one still tells it.

    Raises:
        ValueError: It says that it was erased, and does not tell the digest.
    """
    if not body.startswith(_MARKED):
        return sha256(f"{salt}{body}".encode()).hexdigest()
    mark = json.loads(body)[MARK]
    digest = mark.get("digest") if isinstance(mark, dict) else None
    if salt or not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise ValueError("what is left of an erased body tells no digest, or its salt is still there")
    return digest


def canonical(run: str, seq: int, at: float, kind: str, body: str, prev: str, salt: str = "") -> bytes:
    """Return what a record's hash is taken over: RFC 8785 JSON of its fields, the body by its digest.

    The body enters as a digest so that it can be erased later while the chain still verifies.
    ``prev`` must be hexadecimal.
    """
    return _canonical(_quoted(run), seq, _number(at), kind, digest_of_body(body, salt), prev)


def _canonical(run: str, seq: int, at: str, kind: str, digest: str, prev: str) -> bytes:
    # Written by hand because this is on the way of every step; a test holds it equal to rfc8785.dumps.
    return (
        f'{{"at":{at},"body":"{digest}","kind":{_quoted(kind)},"prev":"{prev}","run":{run},"seq":{seq}}}'
    ).encode()


def _number(at: float) -> str:
    """Return a time as RFC 8785 writes it."""
    if at.is_integer() and -_EXACT < at < _EXACT:
        return str(int(at))
    if 1e-4 <= abs(at) < _EXACT:
        return repr(at)
    return rfc8785.dumps(at).decode()


def seal(
    run: str, head: str, seq: int, at: float, entries: Sequence[tuple[str, Mapping[str, object]]]
) -> tuple[tuple[Record, ...], dict[str, bytes]]:
    """Return the records that continue a chain, and the large values that their bodies point to.

    Args:
        run: Id of the run.
        head: Hash of the run's last record, or ``genesis(run, machine)``.
        seq: Sequence number of that last record, or 0.
        at: Time of the new records, in seconds since the epoch.
        entries: Kind and body of each new record, in order.

    Raises:
        InvalidValue: A body is not plain JSON data.
    """
    at = round(float(at), 6)
    records: list[Record] = []
    blobs: dict[str, bytes] = {}
    chance = secrets.token_hex(_SALT // 2 * len(entries))
    name, when = _quoted(run), _number(at)
    for place, (kind, value) in enumerate(entries):
        body, large = encode(value)
        if large:
            blobs |= large
        seq += 1
        salt = chance[place * _SALT : (place + 1) * _SALT]
        told = _canonical(name, seq, when, kind, digest_of_body(body, salt), head)
        digest = sha256(told).hexdigest()
        records.append(Record(run, seq, at, kind, body, head, digest, salt))
        head = digest
    return tuple(records), blobs


def verify(records: Iterable[Record], machine: str) -> Record | None:
    """Return the first record that does not continue the chain, or None when all do.

    Finds any record that was edited, inserted, moved, copied from another run, or taken out before the last, and any
    that was erased without a record that says so.
    That the last ones are missing shows only when the last hash is compared with one kept elsewhere.

    Args:
        records: A run's records from its first; streamed, never held.
        machine: Digest of the machine that the run was started with.
    """
    chain = Chain(machine)
    bad = next((record for record in records if not chain.follows(record)), None)
    return bad or chain.unaccounted


class Chain:
    """A run's chain as it is read, a record at a time from the first.

    Args:
        machine: Digest of the machine that the run was started with.

    Attributes:
        unaccounted: Once all records were read: the first that was erased, or the one that says so, if what is
            left is not what was left when the last erasure was recorded; else None.
    """

    __slots__ = ("_head", "_left", "_machine", "_place", "_run", "unaccounted")

    def __init__(self, machine: str) -> None:
        self._machine, self._place, self._run, self._head = machine, 0, "", ""
        self._left = Left()
        self.unaccounted: Record | None = None

    def follows(self, record: Record) -> bool:
        """Return whether the next record continues the chain; after one that does not, none does."""
        self._place += 1
        if self._place == 1 and isinstance(record.run, str):
            self._run, self._head = record.run, genesis(record.run, self._machine)
        place = (record.run, record.seq, record.prev)
        if place != (self._run, self._place, self._head) or not _hashes(record):
            self._head = ""
            return False
        self._head = record.hash
        if record.erased:
            self._left.add(record.seq, record.body)
            self.unaccounted = self.unaccounted or record
        elif record.kind == ERASURE:
            # Only the last counts: a later erasure may take more out of what an earlier one left.
            self.unaccounted = None if _told_left(record.body) == self._left.digest() else record
        return True


class Left:
    """What is left of a run's erased records, as a digest: a line ``seq sha256-of-body`` for each, in order."""

    __slots__ = ("_lines",)

    def __init__(self) -> None:
        self._lines = sha256()

    def add(self, seq: int, body: str) -> None:
        """Take in what is left of the next erased record."""
        self._lines.update(f"{seq} {sha256(body.encode()).hexdigest()}\n".encode())

    def digest(self) -> str:
        """Return the SHA-256 of all lines."""
        return self._lines.hexdigest()


def _told_left(body: str) -> object:
    told = json.loads(body)
    return told.get("left") if isinstance(told, dict) else None


def _hashes(record: Record) -> bool:
    """Say whether a record's hash is that of its fields, whatever a hand has put into the database."""
    at, kind, body, salt = record.at, record.kind, record.body, record.salt
    if not (isinstance(at, float) and math.isfinite(at)):
        return False
    if not (isinstance(kind, str) and isinstance(body, str) and isinstance(salt, str)):
        return False
    try:
        told = canonical(record.run, record.seq, at, kind, body, record.prev, salt)
    except ValueError:
        return False
    return sha256(told).hexdigest() == record.hash
