"""What a tool may know about the call that it serves, and what it may answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Generic, TypeVar

from statemachine.machine.contract import FAILURE_CLASSES, FailureClass

T = TypeVar("T")
_LONGEST = 200
"""Characters of a failure's message in a line."""


@dataclass(frozen=True, slots=True)
class Past:
    """An earlier call of the same run.

    Attributes:
        tool: Its tool.
        state: The state that made it; empty when that lies too far back.
        effect: ``read`` or ``write``.
        at: When it was first made, in seconds since the epoch.
        attempts: How often it was made.
        ended: ``success``, ``partial``, the class of its failure, ``in_doubt``, or empty while it is open.
        message: Why it failed.
        undoes: Key of the call that it undid; empty for any other.
        undone: Whether it was undone.
    """

    tool: str
    state: str
    effect: str
    at: float
    attempts: int = 1
    ended: str = ""
    message: str = ""
    undoes: str = ""
    undone: bool = False

    def __str__(self) -> str:
        verb = {"success": "succeeded", "partial": "succeeded in part", "": "has not ended"}
        failed = f"failed ({self.ended})" + (f": {self.message[:_LONGEST]}" if self.message else "")
        tries = f" at try {self.attempts}" if self.attempts > 1 else ""
        undone = ", and was undone" if self.undone else ""
        return f"{self.state or '…'}: {self.effect} {self.tool} {verb.get(self.ended, failed)}{tries}{undone}"


@dataclass(frozen=True, slots=True)
class Call:
    """The call being made; a Python tool receives it by annotating a parameter with this type.

    Attributes:
        key: Idempotency key, ``run:seq``; the same when the call is retried or repeated after a crash.
        run: Id of the run.
        seq: Sequence number of the journal record that holds the call's intent.
        attempt: 1 for the first time, one more for each retry by the tool's policy.
        deadline: When the call must have ended, in seconds since the epoch.
        folder: A folder that belongs to this run, kept across crashes and removed when the run ends.
        read_past: Reads what :attr:`history` gives.
    """

    key: str
    run: str
    seq: int
    attempt: int
    deadline: float
    folder: Path
    read_past: Callable[[], tuple[Past, ...]] = field(default=tuple, repr=False, compare=False)

    @property
    def history(self) -> tuple[Past, ...]:
        """The last calls of the run before this one, at most 20, the oldest first; read when asked for."""
        return self.read_past()

    @property
    def so_far(self) -> str:
        """What has happened so far in a few lines, for a prompt: one for each call of :attr:`history`."""
        return "\n".join(map(str, self.history))


@dataclass(frozen=True, slots=True)
class Reply(Generic[T]):
    """A tool's answer when it is more than its output; annotate the tool ``-> Reply[Output]``.

    Attributes:
        output: The output.
        cost: What the call spent, by unit (``usd``, ``tokens``, …).
        done: Of a partial success, what was done.
        not_done: What was not; if there is anything, the event is ``partial`` instead of ``done``.
        observed: When the output was so: seconds since the epoch, or a datetime with a time zone. Its age counts
            from then; without it, from the end of the call. A time to come counts as now.
    """

    output: T
    cost: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    done: tuple[str, ...] = ()
    not_done: tuple[str, ...] = ()
    observed: float | datetime | None = None


class ToolFailure(Exception):
    """Raised by a tool that knows its failure's class.

    Attributes:
        failure: The class, one of ``FAILURE_CLASSES``.
        retry_after: Seconds that the other side asks to wait, if it does.
    """

    def __init__(self, failure: FailureClass, message: str, *, retry_after: float | None = None) -> None:
        if failure not in FAILURE_CLASSES:
            raise ValueError(f"`{failure}` is not a failure class; write one of {', '.join(FAILURE_CLASSES)}")
        self.failure = failure
        self.retry_after = retry_after
        super().__init__(message)
