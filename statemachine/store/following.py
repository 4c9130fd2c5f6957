"""Following the journals of all runs: what is folded of each run's records, as they come, and handed on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import orjson

from statemachine.errors import NotDelivered
from statemachine.journal import decode
from statemachine.store.cursor import Cursor
from statemachine.store.store import Store

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_PAGE = 2000
"""Places in the journals that are read at a time."""

_REMEMBERED = 10_000
"""Runs whose folds are held; that of another one is made anew from its journal when it goes on."""


class Fold(Protocol[T_co]):
    """What is known of a run after some of its records."""

    def add(self, seq: int, at: float, kind: str, body: Mapping[str, Any]) -> T_co | None:
        """Take the next record, and return what there is to tell of it."""
        ...


class Follower(Generic[T]):
    """Folds the records of all runs in the order in which they were stored.

    Args:
        store: Where they lie.
        kinds: The kinds of records that are folded; large values that were kept apart are None, unless a
            body is one as a whole or the record is of a kind in ``whole``.
        begin: Returns the fold of a run that has no record yet.
        whole: Kinds of which large values are read.
    """

    def __init__(
        self,
        store: Store,
        kinds: tuple[str, ...],
        begin: Callable[[str], Fold[T]],
        whole: tuple[str, ...] = (),
    ) -> None:
        self._store, self._kinds, self._begin, self._whole = store, kinds, begin, whole
        self._folds: dict[str, Fold[T]] = {}
        self._place = 0  # up to which they are

    def since(self, place: int) -> Iterator[tuple[int, list[T]]]:
        """Yield what there is to tell of the records after a place, a page at a time, each with the place after it."""
        if place != self._place:
            self._folds.clear()  # what was told was in vain, and is told again
        last = self._store.last_row()
        while place < last:
            until = min(place + _PAGE, last)
            news = self._store.news(place, until, self._kinds, "")
            told = [self._add(one.run, one.seq, one.at, one.kind, one.body) for one in news]
            place = self._place = until
            yield place, [one for one in told if one is not None]

    def _add(self, run: str, seq: int, at: float, kind: str, body: str) -> T | None:
        fold = self._folds.pop(run, None)
        if fold is None:
            fold = self._begin(run)
            for record in self._store.records(run, until=seq - 1) if seq > 1 else ():
                if record.kind in self._kinds:
                    fold.add(record.seq, record.at, record.kind, self._decoded(record.kind, record.body))
        told = fold.add(seq, at, kind, self._decoded(kind, body))
        if kind != "run_finished":
            self._folds[run] = fold  # as the newest
            if len(self._folds) > _REMEMBERED:
                del self._folds[next(iter(self._folds))]
        return told

    def _decoded(self, kind: str, body: str) -> Any:
        if kind in self._whole or body.startswith('{"$blob"'):
            return decode(body, self._store.blob)
        if '"$blob"' in body:
            return decode(body, _nothing)
        return orjson.loads(body)


class Sink(ABC, Generic[T]):
    """Hands on what is told of the records of all runs to somewhere else. Of several processes one does.

    It begins with what happens from now on. How far it came is kept in a file: after a crash it goes on there, and what
    is told may arrive twice, never not at all.

    Args:
        store: The store.
        follower: What is told.
        flush: Sends what was handed on, and returns whether it has arrived.
        place: The file.
        what: What it is, for messages.
    """

    def __init__(
        self, store: Store, follower: Follower[T], flush: Callable[[], bool], place: Path, what: str
    ) -> None:
        self._store, self._follower, self._flush, self._what = store, follower, flush, what
        self._cursor = Cursor(place, store.identity())

    @abstractmethod
    def hand_on(self, told: list[T]) -> bool:
        """Hand on what is new; return whether there is anything to send."""

    def open(self) -> bool:
        """Return whether this process is the one who tells; it begins with what happens from now on.

        Raises:
            InvalidInput: The file of the place is another store's.
            StoreUnusable: It cannot be used.
        """
        return self._cursor.begun(self._store.last_row)

    def look(self, *, last: bool = False) -> None:
        """Hand on and send what is new.

        Raises:
            NotDelivered: It did not arrive; it is handed on again.
            StoreUnusable: The store refused.
        """
        if not self.open():
            return
        assert self._cursor.place is not None
        for place, told in self._follower.since(self._cursor.place):
            if self.hand_on(told) and not self._flush():
                raise NotDelivered(f"{self._what} did not arrive; they are sent again: is the collector up?")
            self._cursor.move(place)

    def close(self) -> None:
        """Leave the telling to others."""
        self._cursor.close()


def _nothing(digest: str) -> bytes:
    return b"null"
