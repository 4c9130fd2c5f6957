"""What a tool may know about the call that it serves, and what it may answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Generic, TypeVar

from statemachine.machine.model import FAILURE_CLASSES, FailureClass

T = TypeVar("T")


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
    """

    key: str
    run: str
    seq: int
    attempt: int
    deadline: float
    folder: Path


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
