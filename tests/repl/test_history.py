"""A stored run's past is found from its checkpoints, and is what a full replay gives."""

from __future__ import annotations

import asyncio
import random
from itertools import pairwise
from pathlib import Path

import pytest

from statemachine.host.history import History
from statemachine.host.pinned import pinned
from statemachine.journal import decode
from statemachine.journal.replay import retrace
from statemachine.kernel import Step
from statemachine.machine.definition import Definition
from statemachine.store import Store
from statemachine.store.writer import CHECKPOINT
from tests.benchmarks.repl.__main__ import RUN, long_run, measure
from tests.kernel.strategies import plain

RECORDS = 3 * CHECKPOINT + 100


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a run that passes three checkpoints."""
    return long_run(tmp_path_factory.mktemp("long"), RECORDS)


def whole(store: Store) -> tuple[Definition, list[Step]]:
    """The run's machine, and all its steps, replayed from the first."""
    definition = pinned(store, store.load(RUN).machine)
    written = [(r.seq, r.at, r.kind, decode(r.body, store.blob)) for r in store.records(RUN)]
    return definition, list(retrace(definition, RUN, written))  # type: ignore[arg-type]


def test_every_checkpoint_is_what_a_full_replay_gives(long: Path) -> None:
    """One each so many records, at the end of a step."""
    with Store.open(long) as store:
        _, steps = whole(store)
        at = {made.snapshot.seq: made.snapshot for made in steps}
        seqs = store.checkpoints(RUN)
        assert [seq // CHECKPOINT for seq in seqs] == [1, 2, 3]
        for seq in seqs:
            text = store.checkpoint(RUN, seq)
            assert text is not None
            assert decode(text, store.blob) == at[seq].as_data()


def test_every_record_leads_to_its_step(long: Path) -> None:
    """Also around the checkpoints, and whatever was looked at before."""
    with Store.open(long) as store:
        definition, steps = whole(store)
        owner = {
            seq: made
            for made in steps
            for seq in range(made.snapshot.seq - len(made.entries) + 1, made.snapshot.seq + 1)
        }
        history = History(store, definition, RUN)
        edges = [seq + more for seq in store.checkpoints(RUN) for more in (-3, -2, -1, 0, 1, 2, 3)]
        chosen = random.Random(7).sample(sorted(owner), 60)
        for seq in [1, max(owner), *edges, *chosen]:
            assert plain(history.at(seq)) == plain(owner[seq])
        for before, after in pairwise(steps[480:520]):
            assert plain(history.before(after)) == plain(before)  # type: ignore[arg-type]
            assert plain(history.after(before)) == plain(after)  # type: ignore[arg-type]


def test_a_run_without_checkpoints_has_its_past_too(long: Path) -> None:
    """As runs of an older version: they are replayed from their start."""
    with Store.open(long) as store:
        definition, steps = whole(store)
        history = History(store, definition, RUN)
        checkpoints, store.checkpoints = store.checkpoints, lambda run: []  # type: ignore[method-assign]
        assert plain(history.at(RECORDS)) == plain(steps[-1])
        store.checkpoints = checkpoints  # type: ignore[method-assign]


@pytest.mark.long
def test_a_long_run_is_opened_and_gone_back_in_at_once(tmp_path: Path) -> None:
    """A hundred thousand records: each verb takes less than 200 ms of a processor."""
    found = asyncio.run(measure(long_run(tmp_path, 100_000)))
    assert max(found.values()) < 0.2, found
