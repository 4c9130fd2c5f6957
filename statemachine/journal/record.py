"""Records and the hash chain that ties each one to all before it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from json.encoder import encode_basestring as _quoted

import rfc8785

from statemachine.journal.encoding import encode

# Above this a whole float's digits are no longer the shortest ones, which RFC 8785 asks for.
_EXACT = 2.0**53


@dataclass(frozen=True, slots=True)
class Record:
    """One thing that happened to a run.

    Attributes:
        run: Id of the run.
        seq: Place in the run's journal, from 1, without gaps.
        at: When, in seconds since the epoch, to the microsecond.
        kind: What sort of thing, such as ``transition``.
        body: What exactly: JSON text, byte for byte as it is stored.
        prev: Hash of the record before, or the run's genesis.
        hash: SHA-256, hexadecimal, over all of the above; the body enters by its own digest.
    """

    run: str
    seq: int
    at: float
    kind: str
    body: str
    prev: str
    hash: str


def genesis(run: str, machine: str) -> str:
    """Return what the first record of ``run`` takes as ``prev``; binds it to the machine's digest."""
    return sha256(rfc8785.dumps({"run": run, "machine": machine})).hexdigest()


def canonical(run: str, seq: int, at: float, kind: str, body: str, prev: str) -> bytes:
    """Return what a record's hash is taken over: RFC 8785 JSON of its fields, the body by SHA-256.

    The body enters as a digest so that it can be erased later while the chain still verifies.
    ``prev`` must be hexadecimal.
    """
    # Written by hand because this is on the way of every step; a test holds it equal to rfc8785.dumps.
    if at.is_integer() and -_EXACT < at < _EXACT:
        when = str(int(at))
    elif 1e-4 <= abs(at) < _EXACT:
        when = repr(at)
    else:
        when = rfc8785.dumps(at).decode()
    digest = sha256(body.encode()).hexdigest()
    return (
        f'{{"at":{when},"body":"{digest}","kind":{_quoted(kind)},"prev":"{prev}","run":{_quoted(run)},"seq":{seq}}}'
    ).encode()


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
    for kind, value in entries:
        body, large = encode(value)
        blobs.update(large)
        seq += 1
        digest = sha256(canonical(run, seq, at, kind, body, head)).hexdigest()
        records.append(Record(run, seq, at, kind, body, head, digest))
        head = digest
    return tuple(records), blobs


def verify(records: Iterable[Record], machine: str) -> Record | None:
    """Return the first record that does not continue the chain, or None when all do.

    Finds any record that was edited, inserted, moved, copied from another run, or taken out before the last.
    That the last ones are missing shows only when the last hash is compared with one kept elsewhere.

    Args:
        records: A run's records from its first; streamed, never held.
        machine: Digest of the machine that the run was started with.
    """
    chain = Chain(machine)
    return next((record for record in records if not chain.follows(record)), None)


class Chain:
    """A run's chain as it is read, a record at a time from the first.

    Args:
        machine: Digest of the machine that the run was started with.
    """

    __slots__ = ("_head", "_machine", "_place", "_run")

    def __init__(self, machine: str) -> None:
        self._machine, self._place, self._run, self._head = machine, 0, "", ""

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
        return True


def _hashes(record: Record) -> bool:
    """Say whether a record's hash is that of its fields, whatever a hand has put into the database."""
    at, kind, body = record.at, record.kind, record.body
    if not (isinstance(at, float) and math.isfinite(at) and isinstance(kind, str) and isinstance(body, str)):
        return False
    return sha256(canonical(record.run, record.seq, at, kind, body, record.prev)).hexdigest() == record.hash
