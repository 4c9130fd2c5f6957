"""Leases: which runs this process owns, and until when that is certain."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from statemachine.clock import Clock
from statemachine.errors import LeaseLost, StoreUnusable
from statemachine.store import Store

LEASE = 30.0
"""Seconds for which a process owns a run before it must say again that it lives."""


@dataclass(slots=True)
class Lease:
    """That this process owns a run.

    Attributes:
        run: Its id.
        epoch: The fencing epoch.
        until: Until when the lease surely lasts, in seconds since the epoch.
    """

    run: str
    epoch: int
    until: float = 0.0


class Leases:
    """The leases of one owner, renewed while its event loop runs.

    Args:
        store: Gives the store; asked only once there is a lease.
        owner: Whose they are.
        clock: What tells the time.
        seconds: For how long a lease lasts unless it is renewed.
    """

    def __init__(self, store: Callable[[], Store], owner: str, clock: Clock, seconds: float = LEASE) -> None:
        self._store = store
        self._owner = owner
        self._clock = clock
        self.seconds = seconds
        self._held: dict[str, Lease] = {}
        self._renewing: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._held)

    def keep(self, lease: Lease, taken: float) -> None:
        """Keep up a lease that was taken at a time, until :meth:`drop`."""
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._renew())
        lease.until = taken + self.seconds
        self._held[lease.run] = lease

    def drop(self, lease: Lease) -> None:
        """Renew a lease no more."""
        del self._held[lease.run]

    def hold(self, lease: Lease, seconds: float) -> None:
        """Make sure, before a call, that a lease has not run out unnoticed.

        The lease outlasts the call, so that whoever takes the run over finds it past its deadline; of a call
        that may take longer than half a lease, half a lease is asked for.

        Args:
            lease: Of the run that calls.
            seconds: The call's timeout.

        Raises:
            LeaseLost: Another process has taken the run over.
        """
        if self._clock.now() + min(seconds, self.seconds / 2) >= lease.until:
            self._extend()
        if self._clock.now() >= lease.until:
            raise LeaseLost(f"run {lease.run} was taken over while this process paused; no call was made")

    async def close(self) -> None:
        """Stop renewing."""
        if self._renewing is not None:
            self._renewing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._renewing

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self.seconds / 3)
            # What the store refuses, each step tells; one refusal must not end renewing for good.
            with contextlib.suppress(StoreUnusable):
                self._extend()

    def _extend(self) -> None:
        asked = self._clock.now()
        self._store().renew(self._owner, asked, self.seconds)
        for lease in self._held.values():
            # Only of a lease that had not run out by now is it known that nobody else took the run meanwhile.
            if self._clock.now() < lease.until or self._store().load(lease.run).epoch == lease.epoch:
                lease.until = asked + self.seconds
