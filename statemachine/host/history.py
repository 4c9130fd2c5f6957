"""A stored run as it was: its steps, found again from its journal a stretch at a time. Nothing is called."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

from statemachine.errors import EventRefused
from statemachine.host.pinned import first_digest, pinned
from statemachine.host.standing import ledger_of
from statemachine.journal import decode
from statemachine.journal.replay import Written, retrace
from statemachine.kernel import Snapshot, Step
from statemachine.machine.definition import Definition
from statemachine.store import Store

_KEPT = 8
"""Stretches that are kept in memory."""


class History:
    """The steps of a stored run.

    Between two checkpoints lie few records, so that any step is found at once however long the run is.

    Args:
        store: Where the run lies.
        definition: Its machine.
        run: Its id.
    """

    def __init__(self, store: Store, definition: Definition, run: str) -> None:
        self.store = store
        self.definition = definition
        self.run = run
        self._stretches: dict[tuple[int, int], list[Step]] = {}

    def at(self, seq: int) -> Step:
        """Return the step that a record belongs to.

        Raises:
            EventRefused: There is no such record.
            Deviates: The journal is no path of its machine there.
        """
        last = self.store.load(self.run).seq
        if not 1 <= seq <= last:
            raise EventRefused(f"run {self.run} has records 1 to {last}; {seq} is none of them")
        ends = [0, *self.store.checkpoints(self.run)]
        place = bisect_left(ends, seq) - 1
        until = ends[place + 1] if place + 1 < len(ends) else last
        return next(made for made in self._stretch(ends[place], until) if made.snapshot.seq >= seq)

    def before(self, made: Step) -> Step | None:
        """Return the step before one; None before the first."""
        seq = made.snapshot.seq - len(made.entries)
        return self.at(seq) if seq else None

    def after(self, made: Step) -> Step | None:
        """Return the step after one; None after the last that is stored."""
        seq = made.snapshot.seq + 1
        return self.at(seq) if seq <= self.store.load(self.run).seq else None

    def _stretch(self, after: int, until: int) -> list[Step]:
        """Return the steps after a checkpoint, or the start, up to another one, or the end."""
        found = self._stretches.get((after, until))
        if found is None:
            text = self.store.checkpoint(self.run, after) if after else None
            before: Any = None if text is None else decode(text, self.store.blob)
            start = None if before is None else Snapshot.from_data(before)
            written = list(self._written(after, until))
            digest = first_digest(self.store, self.run) if start is None else start.digest
            definition = self._version(digest)
            ledger = None
            if after and any(kind == "rolled_back" or "undoes" in body for _, _, kind, body in written):
                ledger = ledger_of(self.store, definition, self.run, after)
            found = list(retrace(definition, self.run, written, start, ledger, self._version))
            self._stretches[after, until] = found
            while len(self._stretches) > _KEPT:
                del self._stretches[next(iter(self._stretches))]
        return found

    def _version(self, digest: str) -> Definition:
        return self.definition if digest == self.definition.digest else pinned(self.store, digest)

    def _written(self, after: int, until: int) -> Iterator[Written]:
        for record in self.store.records(self.run, after, until):
            body: Any = decode(record.body, self.store.blob)
            yield record.seq, record.at, record.kind, body
