"""How far somebody outside has been told of a store's records, kept in a small file of its own."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from statemachine.errors import InvalidInput, disk_refused

_LONGEST = 200
"""Bytes of such a file: few enough for a disk to write them whole or not at all."""


class Cursor:
    """A place that one process at a time may move; who holds it holds a lock, which ends with the process.

    Args:
        file: Where it is kept; made if need be.
        store: Which store it is of.
    """

    def __init__(self, file: Path, store: str) -> None:
        self._file, self._store = file, store
        self._descriptor: int | None = None
        self.place: int | None = None
        """The place; None while it is not held, or was never moved."""

    def mine(self) -> bool:
        """Return whether this one holds the place; it takes it when nobody does.

        Raises:
            InvalidInput: The file is another store's, or holds something else.
            StoreUnusable: It cannot be made or read.
        """
        if self._descriptor is not None:
            return True
        try:
            descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.place = self._read(os.pread(descriptor, _LONGEST, 0))
            except BaseException:
                os.close(descriptor)
                raise
        except BlockingIOError:
            return False
        except OSError as error:
            raise disk_refused(error, f"{self._file} cannot be used: {error.strerror}") from error
        self._descriptor = descriptor
        return True

    def begun(self, now: Callable[[], int]) -> bool:
        """Return whether this one holds the place, as :meth:`mine`; one that was never moved begins ``now``."""
        if not self.mine():
            return False
        if self.place is None:
            self.move(now())
        return True

    def _read(self, data: bytes) -> int | None:
        match data.decode(errors="replace").split():
            case []:
                return None
            case [store, place] if store == self._store and place.isdecimal():
                return int(place)
            case [store, place] if place.isdecimal():
                raise InvalidInput(
                    f"{self._file} is of store {store[:12]}, this is store {self._store[:12]}; name another file"
                )
        raise InvalidInput(f"{self._file} is no place in a store; name another file, or remove it")

    def move(self, place: int) -> None:
        """Keep a place, so that it is on disk when this returns.

        Raises:
            StoreUnusable: The disk refused.
        """
        assert self._descriptor is not None, "only who holds a place moves it"
        if place == self.place:
            return
        try:
            # As wide as any, so that no digit of an older place is left behind.
            os.pwrite(self._descriptor, f"{self._store} {place:020}\n".encode(), 0)
            os.fsync(self._descriptor)
        except OSError as error:
            raise disk_refused(error, f"{self._file} cannot be written: {error.strerror}") from error
        self.place = place

    def close(self) -> None:
        """Leave the place to others."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor, self.place = None, None
