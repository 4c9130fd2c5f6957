"""A run that goes on step by step, as whoever drives runs would store it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from statemachine.journal import genesis, seal
from statemachine.store import Commit, NewRun, Store, StoredMachine

MACHINE = StoredMachine("ab" * 32, "renewal", "1", "{}", "machines/renewal")
ENTRIES = [("call_finished", {"output": "x" * 180}), ("call_intended", {"input": "y" * 180})]


class Run:
    """What a process knows of a run that it drives."""

    def __init__(self, id: str, machine: StoredMachine = MACHINE) -> None:
        self.id, self.machine = id, machine
        self.seq, self.head, self.epoch = 0, genesis(id, machine.digest), 1

    def step(
        self,
        entries: list[tuple[str, Mapping[str, object]]] | None = None,
        at: float = 0.0,
        status: str = "running",
        **summary: Any,
    ) -> Commit:
        """Return the next step and take it as stored."""
        seq = self.seq
        sealed, blobs = seal(self.id, self.head, seq, at or float(seq + 1), entries or ENTRIES)
        self.seq, self.head = sealed[-1].seq, sealed[-1].hash
        summary = {"snapshot": f"{self.seq}:".ljust(400, "s"), "state": "act", "blobs": blobs} | summary
        return Commit(self.id, seq, self.epoch, sealed, status=status, **summary)

    def begin(self, store: Store, owner: str = "me", until: float = 100.0, **summary: Any) -> Run:
        """Store the run's first record."""
        first = self.step([("run_started", {"inputs": {}})], **summary)
        (refused,) = store.commit([NewRun(self.machine, first, owner, until)])
        if refused is not None:
            raise refused
        return self

    def take_over(self, store: Store, owner: str) -> Run:
        """Go on with a run whose owner is gone."""
        self.epoch = store.acquire(self.id, owner, 0.0, 100.0, lambda _: True)
        stored = store.load(self.id)
        self.seq, self.head = stored.seq, stored.head
        return self


@pytest.fixture(autouse=True)
def journals_conform(opened_stores: set[Path]) -> Iterator[None]:
    """Journals are made up here: the store knows nothing of machines, and no machine wrote them."""
    yield
    opened_stores.clear()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Where a store's file is, or will be."""
    return tmp_path / "runs.db"


@pytest.fixture
def store(database: Path) -> Iterator[Store]:
    """An open store."""
    with Store.open(database) as opened:
        yield opened


@pytest.fixture
def new_run() -> type[Run]:
    """Makes a run of a given id, and of the test machine if no other is given."""
    return Run


Spawn = Callable[..., multiprocessing.context.ForkProcess]


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Start a function in a process of its own; no store may be open in this one, for it would be shared."""
    started: list[multiprocessing.context.ForkProcess] = []

    def start(work: Callable[..., object], *arguments: object) -> multiprocessing.context.ForkProcess:
        process = multiprocessing.get_context("fork").Process(target=work, args=arguments)
        process.start()
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.join()
