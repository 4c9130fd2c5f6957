"""A call that is under way, and its end: in time, whatever its tool does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from statemachine.machine.contract import Tool
from statemachine.machine.outcome import Failure, Outcome
from statemachine.tools.deadline import Deadline

_STOPPING = 1.0
"""Seconds that a coroutine has to end after it was cancelled."""


class Invocation:
    """A call in a task of its own, in which a Python coroutine runs too: a second task would cost a step dear.

    A coroutine that outlives its timeout is cancelled, and one that does not heed that is left to itself: what it
    still gives or raises is dropped. A command ends itself, and what it started, in time.

    Args:
        tool: The tool's contract.
        make: Makes the call and returns its outcome.
        told: Is called once, when the call is over; not after it was dropped.
        deadline: What holds it to its timeout; may be another's once this one is over.
    """

    __slots__ = ("_deadline", "_dropped", "_error", "_late", "_outcome", "_stubborn", "_task", "_told")

    def __init__(
        self,
        tool: Tool,
        make: Callable[[], Coroutine[Any, Any, Outcome]],
        told: Callable[[], None],
        deadline: Deadline,
    ) -> None:
        self._told = told
        self._deadline = deadline
        self._outcome: Outcome | None = None
        self._error: Exception | None = None
        self._late: Outcome | None = None
        self._dropped = False
        self._stubborn = tool.python is not None
        if self._stubborn:
            deadline.set(tool.timeout, partial(self._stop, tool.timeout))
        self._task = asyncio.get_running_loop().create_task(self._run(make))

    def done(self) -> bool:
        """Return whether the call is over."""
        return self._outcome is not None or self._error is not None

    def result(self) -> Outcome:
        """Return the outcome of a call that is over, or raise what kept it from being made."""
        if self._error is not None:
            raise self._error
        assert self._outcome is not None
        return self._outcome

    async def drop(self) -> None:
        """Stop the call unless it has ended; wait for its end, but not for ever."""
        self._dropped = True
        self._deadline.clear()
        if not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=_STOPPING if self._stubborn else None)

    async def _run(self, make: Callable[[], Coroutine[Any, Any, Outcome]]) -> None:
        try:
            outcome = await make()
        except asyncio.CancelledError:
            # Whoever drops it, or ends the loop, does not look; else it was the tool that cancelled itself.
            outcome = Outcome(failure=Failure("transient", "the tool's own task was cancelled"))
        except Exception as error:  # its driver gets it
            self._error = error
            outcome = None
        self._end(self._late or outcome)

    def _stop(self, seconds: float) -> None:
        self._late = Outcome(failure=Failure("timeout", f"no answer within {seconds:g} s"))
        self._deadline.set(_STOPPING, partial(self._end, self._late))
        self._task.cancel()

    def _end(self, outcome: Outcome | None) -> None:
        if not self._dropped:
            self._deadline.clear()
            self._outcome, self._dropped = outcome, True
            self._told()
