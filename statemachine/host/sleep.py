"""The sleep of a driver: until something happens to its run, or a time has come."""

from __future__ import annotations

import asyncio


class Sleep:
    """A sleep that can be ended from without, also before it has begun."""

    __slots__ = ("_alarm", "_asleep", "_roused")

    def __init__(self) -> None:
        self._roused = False
        self._asleep: asyncio.Future[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """Begin to look around: who rouses from here on ends the next sleep at once."""
        self._roused = False

    def rouse(self) -> None:
        """End the sleep, or the next one."""
        self._roused = True
        if self._asleep is not None and not self._asleep.done():
            self._asleep.set_result(None)

    async def sleep(self, seconds: float) -> None:
        """Sleep until roused, at most so many seconds."""
        loop = asyncio.get_running_loop()
        until = loop.time() + max(0.0, seconds)
        # Setting an alarm costs more than the rest of a short sleep, so one that goes off in time is kept.
        if self._alarm is None or self._alarm.when() > until:
            self.close()
            self._alarm = loop.call_at(until, self._ring)
        if not self._roused:
            self._asleep = loop.create_future()
            await self._asleep

    def _ring(self) -> None:
        self._alarm = None
        self.rouse()

    def close(self) -> None:
        """Set no alarm any more."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
