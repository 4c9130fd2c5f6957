"""A stored run to look at, from a notebook or a program."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from statemachine.clock import Clock
from statemachine.host.places import default_db
from statemachine.repl.inspected import Inspected
from statemachine.store import Store


class Run(Inspected):
    """A stored run, whoever drives it: where it is, was, why, and what it did. A context manager.

    It answers what the prompt answers, and moves nothing; :class:`~statemachine.repl.debugger.Debugger` does.

    Args:
        run: Its id; it may be shortened while it is unique.
        db: A SQLite file or an SQLAlchemy URL.
        clock: What tells the time.

    Raises:
        UnknownRun: There is no such run.
        StoreUnusable: There is no such store, or it refused.
        InvalidMachine: The machine's tools can no longer be loaded.
    """

    def __init__(self, run: str, db: str | Path | None = None, *, clock: Clock | None = None) -> None:
        super().__init__(clock)
        self._store = Store.open(db if db is not None else default_db(), create=False)
        try:
            self._show(self._store.load(self._store.find(run)))
        except BaseException:
            self._store.close()
            raise

    @property
    def store(self) -> Store:
        """Where the run lies."""
        return self._store

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
