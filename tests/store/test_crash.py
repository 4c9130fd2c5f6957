"""Processes that die, race or hold each other up lose nothing that was acknowledged."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from statemachine.errors import LeaseLost
from statemachine.journal import verify
from statemachine.store import Store

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="starts processes by fork")


def test_kill_loses_nothing_acknowledged(database: Path, new_run, spawn) -> None:
    """After kill -9 of a writer at any moment, each step it knew as stored is there, whole."""
    with Store.open(database) as store:
        machine = new_run("r1").begin(store).machine

    def write_on(report: int) -> None:
        store = Store.open(database)
        run = new_run("r1").take_over(store, str(os.getpid()))
        os.write(report, b"1\n")
        while True:
            step = run.step(
                [("event", {"n": run.seq}), ("event", {"big": "x" * random.choice([9, 9, 9, 99_999])})]
            )
            assert store.commit([step]) == [None]
            os.write(report, f"{run.seq}\n".encode())

    seconds = random.Random(7)
    acknowledged = 1
    for _ in range(20):
        ours, theirs = os.pipe()
        writer = spawn(write_on, theirs)
        os.close(theirs)
        first = os.read(ours, 2)  # until the writer has the run
        time.sleep(seconds.uniform(0.0, 0.06))
        writer.kill()
        writer.join()
        with os.fdopen(ours) as reports:
            told = [int(line) for line in (first.decode() + reports.read()).split("\n")[:-1]]
        acknowledged = max(acknowledged, *told)
        with Store.open(database) as store:
            stored = store.load("r1")
            assert stored.seq >= acknowledged
            assert stored.seq == 1 or stored.snapshot.startswith(f"{stored.seq}:")
            assert len(list(store.records("r1"))) == stored.seq
            assert verify(store.records("r1"), machine.digest) is None
    assert acknowledged > 20


def test_two_processes_write_at_once(database: Path, new_run, spawn) -> None:
    """Each stores all of its own run; a run that both try goes on one epoch at a time, in one chain."""
    with Store.open(database) as store:
        shared = new_run("shared").begin(store)

    both = multiprocessing.get_context("fork").Barrier(2)

    def write(name: str) -> None:
        with Store.open(database) as store:
            mine = new_run(name).begin(store)
            for n in range(60):
                assert store.commit([mine.step()]) == [None]
                if n % 10 == 0:
                    both.wait()
                    ours = new_run("shared").take_over(store, name)
                    both.wait()
                assert all(v is None or isinstance(v, LeaseLost) for v in store.commit([ours.step()]))

    writers = [spawn(write, "a"), spawn(write, "b")]
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0]
    with Store.open(database) as store:
        assert [store.load(name).seq for name in ("a", "b")] == [121, 121]
        # In each of six turns both took the run, so only the later one's ten steps are stored.
        assert (store.load("shared").epoch, store.load("shared").seq) == (13, 1 + 6 * 10 * 2)
        for name in ("a", "b", "shared"):
            assert verify(store.records(name), shared.machine.digest) is None


def test_threads_share_a_store(database: Path, new_run) -> None:
    """Threads of one process commit and read at the same time through one store."""
    with Store.open(database) as store, ThreadPoolExecutor(4) as threads:

        def write(name: str) -> int:
            run = new_run(name).begin(store)
            for _ in range(40):
                assert store.commit([run.step()]) == [None]
                assert store.load(name).seq == run.seq
            return len(list(store.records(name)))

        assert list(threads.map(write, ["a", "b", "c", "d"])) == [81, 81, 81, 81]


def test_four_processes_make_a_database_at_once(database: Path, new_run, spawn) -> None:
    """Whoever comes first makes the tables, in every round; the others find them, and all can write."""

    def open_and_write(path: Path, barrier, name: str) -> None:
        barrier.wait()
        with Store.open(path) as store:
            new_run(name).begin(store)

    for turn in range(5):
        path = database.with_name(f"{turn}.db")
        barrier = multiprocessing.get_context("fork").Barrier(4)
        processes = [spawn(open_and_write, path, barrier, f"r{n}") for n in range(4)]
        for process in processes:
            process.join(60)
        assert [process.exitcode for process in processes] == [0, 0, 0, 0]
        with Store.open(path) as store:
            assert sorted(store.unfinished()) == ["r0", "r1", "r2", "r3"]
