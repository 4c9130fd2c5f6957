"""The one committer: what is ready in the same turn of the event loop shares a transaction and its disk sync."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from statemachine.store import Change, Store


class Committer:
    """Stores steps, runs that begin and runs given back.

    Args:
        store: Gives the store; asked only once there is something to store.
    """

    def __init__(self, store: Callable[[], Store]) -> None:
        self._store = store
        self._queue: list[tuple[Change, asyncio.Future[None]]] = []

    async def commit(self, change: Change, *, alone: bool = False) -> None:
        """Store a change; ``alone`` when nothing else can become ready in this turn.

        Raises:
            LeaseLost: The run is another's by now.
            StoreUnusable: The store refused.
        """
        if alone and not self._queue:
            # To wait for the end of the turn would cost a third of a step.
            (refused,) = self._store().commit([change])
            if refused is not None:
                raise refused
            return
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._queue.append((change, future))
        if len(self._queue) == 1:
            loop.call_soon(self._flush)
        await future

    def _flush(self) -> None:
        queue, self._queue = self._queue, []
        try:
            results = self._store().commit([change for change, _ in queue])
        except Exception as error:  # each waiting run gets it, and stops there
            for _, future in queue:
                if not future.cancelled():
                    future.set_exception(error)
            return
        for (_, future), refused in zip(queue, results, strict=True):
            if future.cancelled():
                continue
            if refused is None:
                future.set_result(None)
            else:
                future.set_exception(refused)
