"""A deadline that is set for one call after another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Deadline:
    """What is done when a call has taken too long.

    To set a timer of the event loop and cancel it for every call costs more than a short call. So a timer is kept
    when its call is over, and when it goes off before the deadline that is set by then, it is set again.
    """

    __slots__ = ("_act", "_at", "_timer")

    def __init__(self) -> None:
        self._at = 0.0
        self._act: Callable[[], None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def set(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something in so many seconds, instead of what was set before."""
        self._at, self._act = asyncio.get_running_loop().time() + seconds, act
        if self._timer is None or self._timer.when() > self._at:
            self._start()

    def clear(self) -> None:
        """Do nothing."""
        self._act = None

    def close(self) -> None:
        """Do nothing, and leave no timer behind."""
        self._act = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(self._at, self._ring)

    def _ring(self) -> None:
        timer, act = self._timer, self._act
        self._timer = None
        if act is None or timer is None:
            return
        if timer.when() < self._at:
            self._start()
        else:
            self._act = None
            act()
