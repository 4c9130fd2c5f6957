"""Stops, as those see them who drive runs and those who set them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence

from statemachine.errors import EventRefused
from statemachine.kernel.events import LIFTED
from statemachine.store import Scope, Stop, Store

FRESH = 0.2
"""Seconds after which the stops are read again: how long one may take to reach another process."""


class Stops:
    """What is stopped in a store, as far as it was not changed a moment ago.

    Args:
        store: The store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: Sequence[Stop] = ()
        self._read = float("-inf")

    def holding(self, run: str, machine: str, tool: str) -> Stop | None:
        """Return the stop that holds a call; None when none does."""
        now = time.monotonic()
        if now - self._read >= FRESH:
            self._known, self._read = self._store.stops(), now
        return next((stop for stop in self._known if stop.holds(run, machine, tool)), None)

    def set(self, scope: Scope, name: str, by: str, reason: str, at: float) -> Stop:
        """Stop something; within :data:`FRESH` seconds no process makes a call of it any more."""
        stop = Stop(scope, name, by, reason, at)
        self._store.stop(stop)
        self._read = float("-inf")
        return stop

    def lift(self, scope: Scope, name: str, at: float) -> None:
        """Lift a stop, and wake the runs that it may have held.

        Raises:
            EventRefused: Nothing of the kind is stopped.
        """
        if not self._store.start(scope, name):
            known = "; ".join(map(str, self._store.stops())) or "nothing is"
            raise EventRefused(f"{scope} {name} is not stopped ({known})".replace("all  is", "everything is"))
        self._read = float("-inf")
        nothing = {"payload": {}, "by": ""}
        if scope != "run":
            self._store.post_to_all(LIFTED, nothing, at)
        else:
            with contextlib.suppress(EventRefused):  # one that has ended waits for nothing
                self._store.post(name, LIFTED, nothing, at)
