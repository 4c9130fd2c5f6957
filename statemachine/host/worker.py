"""A worker: it drives whatever runs can move and nobody owns, beside others on the same database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from statemachine.errors import DiskFailed, LeaseLost, RunOwned
from statemachine.host.owner import is_dead
from statemachine.host.runtime import Runtime
from statemachine.host.view import RunView
from statemachine.store import Ready

_REMEMBERED = 10_000
"""Runs that were left and of which a worker still knows how they were then."""

Result = RunView | tuple[str, Exception]
"""How a run stands when a worker leaves it; or its id, and why it could not be driven."""


class Worker:
    """Takes runs as they become ready, in batches, and leaves those that wait.

    Args:
        runtime: Where they lie; its ``stop`` stops the worker.
        at_once: How many to drive at a time.
        poll: Seconds between two looks for runs that are ready.
        until_idle: Whether to end when every run has ended or waits for an event or a person.
    """

    def __init__(
        self, runtime: Runtime, *, at_once: int = 100, poll: float = 1.0, until_idle: bool = False
    ) -> None:
        self.runtime = runtime
        self.at_once = at_once
        self.poll = poll
        self.until_idle = until_idle
        runtime.patience = poll  # a run that waits for longer is found again when its time has come
        self._going: dict[asyncio.Task[Result | None], Ready] = {}
        # Runs that were left and how they were then: the same again would move them no further.
        self._left: dict[str, tuple[int, int | None, bool]] = {}
        self._broken: set[str] = set()

    async def work(self) -> AsyncGenerator[Result, None]:
        """Yield each run as it is left: ended, waiting, or impossible to drive.

        Raises:
            StoreUnusable: The store refused; runs that were being driven are stopped first.
        """
        self.runtime.tidy()
        stopping = asyncio.create_task(self.runtime.stopping.wait())
        try:
            while True:
                taken = 0 if self.runtime.stopping.is_set() else self._take()
                if not self._going and (
                    self.runtime.stopping.is_set() or (self.until_idle and not taken and self._idle())
                ):
                    return
                watched = {*self._going} if stopping.done() else {*self._going, stopping}
                await asyncio.wait(watched, timeout=self.poll, return_when=asyncio.FIRST_COMPLETED)
                for task in [task for task in self._going if task.done()]:
                    result = self._leave(self._going.pop(task), task.result())
                    if result is not None:
                        yield result
        finally:
            stopping.cancel()
            self.runtime.stop()
            await asyncio.gather(*self._going, return_exceptions=True)

    def _take(self) -> int:
        """Take runs that are ready and begin to drive them; return how many."""
        free = self.at_once - len(self._going)
        if self._going and free < self.at_once / 4:
            return 0  # several runs are taken with one sync
        store, now = self.runtime.store, self.runtime.clock.now()
        gone = [owner for owner in store.owners() if is_dead(owner)]
        going = {run.id for run in self._going.values()}
        ready = [
            run
            for run in store.ready(now, gone, free + len(going) + len(self._left))
            if run.id not in going and self._left.get(run.id) != (run.seq, run.mail, run.timed)
        ][:free]
        if not ready:
            return 0
        epochs = store.claim(ready, self.runtime.owner, now, self.runtime.leases.seconds, gone)
        for run in ready:
            if run.id in epochs:
                self._going[asyncio.create_task(self._drive(run.id, epochs[run.id], now))] = run
        return len(epochs)

    async def _drive(self, run: str, epoch: int, leased: float) -> Result | None:
        try:
            return await self.runtime.drive(run, epoch, leased)
        except (LeaseLost, RunOwned):
            return None  # another has it by now
        except DiskFailed:
            raise  # nor can any other run go on
        except Exception as error:  # one run that cannot go on must not hold up the others
            return run, error

    def _leave(self, run: Ready, result: Result | None) -> Result | None:
        self._left.pop(run.id, None)
        self._broken.discard(run.id)
        if isinstance(result, tuple) or (result is not None and result.status == "running"):
            self._broken.add(run.id)  # it cannot be driven, or is stopped
        if isinstance(result, tuple) or (result is not None and result.finished is None):
            self._left[run.id] = (run.seq, run.mail, run.timed)
            if len(self._left) > _REMEMBERED:
                oldest = next(iter(self._left))
                del self._left[oldest]
                self._broken.discard(oldest)
        return result

    def _idle(self) -> bool:
        return not set(self.runtime.store.restless(len(self._broken) + 1)) - self._broken
