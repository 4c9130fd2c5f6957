"""Jobs beside the runs: each looks again and again in one thread, and once more at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Event, Thread
from types import TracebackType
from typing import Protocol, Self

from statemachine.errors import NotDelivered, StateMachineError

EVERY = 1.0
"""Seconds between two looks."""


class Job(Protocol):
    """Something that is done beside the runs."""

    def open(self) -> bool:
        """Make sure that it can be done; return whether it is this process that does it."""
        ...

    def look(self, *, last: bool = False) -> None:
        """Do what has become due; at the last look all that is left. Raises StateMachineError when it cannot."""
        ...

    def close(self) -> None:
        """Give back what is held."""
        ...


class Background:
    """Does jobs in a thread of their own for as long as its context lasts; the runs never wait for them.

    Each job is opened before the context is entered, and looks once more when it is left: what it raises then is raised.
    But what does not arrive somewhere else is only told of.

    Args:
        jobs: What to do.
        failed: Told of a job that could not do its work; it tries again at the next look. A failure is told once,
            until another one or a success follows.
        every: Seconds between two looks.
    """

    def __init__(self, jobs: Sequence[Job], failed: Callable[[str], None], every: float = EVERY) -> None:
        self._jobs, self._failed, self._every = jobs, failed, every
        self._over = Event()
        self._said: dict[Job, str] = {}
        self._unexpected: Exception | None = None
        self._thread = Thread(target=self._work, name="background", daemon=True)

    def __enter__(self) -> Self:
        try:
            for job in self._jobs:
                job.open()
        except BaseException:
            self._close()
            raise
        if self._jobs:
            self._thread.start()
        return self

    def _work(self) -> None:
        while not self._over.wait(self._every):
            for job in self._jobs:
                try:
                    self._look(job)
                except StateMachineError as error:
                    self._tell(job, error)
                except Exception as error:  # a mistake of ours: it is raised where somebody sees it
                    self._unexpected = error
                    return

    def _look(self, job: Job, *, last: bool = False) -> None:
        try:
            job.look(last=last)
            self._said.pop(job, None)
        except NotDelivered as error:
            self._tell(job, error)

    def _tell(self, job: Job, error: StateMachineError) -> None:
        if self._said.get(job) != str(error):
            self._said[job] = str(error)
            self._failed(str(error))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        try:
            if self._thread.is_alive():
                self._thread.join()
            if self._unexpected is not None:
                raise self._unexpected
            for job in self._jobs:
                self._look(job, last=True)
        finally:
            self._close()

    def _close(self) -> None:
        for job in self._jobs:
            job.close()
