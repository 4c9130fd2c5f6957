"""Checkpoints made by themselves: the heads of all runs, signed and noted outside, every so many records or seconds."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from statemachine.approvals.policy import read_policy
from statemachine.errors import NotDelivered
from statemachine.host.anchoring import Anchored, add_anchor, read_anchors
from statemachine.store import Cursor, ReadOnlyStore, Store

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_PATIENCE = 60.0
"""Seconds that a command may take with a checkpoint."""


@dataclass(frozen=True, slots=True)
class Often:
    """How often a checkpoint is made: when either is reached, and nothing while nothing happens.

    Attributes:
        records: Records since the last one.
        seconds: Seconds since the last one.
    """

    records: int = 10_000
    seconds: float = 600.0


class Checkpoints:
    """Makes checkpoints of a store in a file, as ``audit anchor`` does, and hands them to a command.

    Of several processes that are told to one does; another goes on when that has ended. When, is counted from the last
    checkpoint in the file, whoever made it. The command gets on its standard input what the file has got since it
    last succeeded, so after a crash it may get a checkpoint twice; what it got, one after the other, is again a
    file for ``audit verify --anchor``.

    Args:
        store: The store.
        file: The file. What the command got is kept beside it, in ``FILE.sent``.
        policy: The file that says whose signatures count.
        often: How often.
        by: Who signs; empty for unsigned ones.
        key: Their key.
        command: The command's words; empty for none.
        now: Tells the time, in seconds since the epoch.
    """

    def __init__(
        self,
        store: Store,
        file: Path,
        policy: Path,
        often: Often,
        *,
        by: str = "",
        key: Ed25519PrivateKey | None = None,
        command: tuple[str, ...] = (),
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._file, self._policy, self._often = store, file, policy, often
        self._by, self._key, self._command, self._now = by, key, command, now
        self._cursor = Cursor(file.with_name(f"{file.name}.sent"), store.identity())
        self._place = Path(store.name).absolute()
        self._anchored: Anchored | None = None

    def open(self) -> bool:
        """Return whether this process is the one who makes them; the file has been read then.

        Raises:
            InvalidAnchor: The file is damaged.
            InvalidInput: It is of another store.
        """
        if not self._cursor.mine():
            return False
        if self._anchored is None:
            policy = read_policy(self._policy)
            there = self._file.exists()
            self._anchored = read_anchors(self._file, policy, torn=True) if there else Anchored()
        return True

    def look(self, *, last: bool = False) -> None:
        """Make a checkpoint if it is time for one; at the last look if anything has happened since the last one.

        Raises:
            InvalidAnchor: The file is damaged, or speaks of runs that are other ones now.
            StoreUnusable: The disk refused; it is tried again at the next look.
            NotDelivered: The command refused, likewise.
        """
        if not self.open():
            return
        assert self._anchored is not None
        new = self._store.last_row() - self._anchored.records
        waited = self._now() - self._anchored.at
        if new and (last or new >= self._often.records or waited >= self._often.seconds):
            self._make()
        if self._command:
            self._hand_on(self._anchored.size)

    def _make(self) -> None:
        policy = read_policy(self._policy)  # as it is now
        with ReadOnlyStore.open(self._place) as store:
            _, self._anchored = add_anchor(
                store, self._file, policy, self._now(), self._by, self._key, self._anchored
            )

    def _hand_on(self, size: int) -> None:
        """Give the command what it has not got of the file."""
        sent = min(self._cursor.place or 0, size)
        if sent == size:
            return
        with self._file.open("rb") as file:
            file.seek(sent)
            text = file.read(size - sent)
        name = self._command[0]
        try:
            done = subprocess.run(
                self._command, input=text, capture_output=True, timeout=_PATIENCE, check=False
            )
        except OSError as error:
            raise NotDelivered(f"the checkpoint was not handed on: {name}: {error.strerror}") from error
        except subprocess.TimeoutExpired as error:
            raise NotDelivered(
                f"the checkpoint was not handed on: {name} took more than {_PATIENCE:.0f} s"
            ) from error
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            why = f": {said[-1]}" if said else ""
            raise NotDelivered(f"the checkpoint was not handed on: {name} ended with {done.returncode}{why}")
        self._cursor.move(size)

    def close(self) -> None:
        """Leave the file to others."""
        self._cursor.close()
