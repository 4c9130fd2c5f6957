"""Burr with its SQLite persister."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import count, pairwise
from pathlib import Path

from burr.core import ApplicationBuilder, State, action, default, when
from burr.core.persistence import SQLitePersister
from serve import LAPS, OUTPUT, STATES, serve

persister = SQLitePersister(db_path=str(Path(sys.argv[1]) / "burr.db"), table_name="steps")
persister.initialize()
numbers = count()


def step(name: str) -> Callable[[State], State]:
    """Return an action; the last one of a lap counts it."""

    @action(reads=["laps"], writes=["note", "laps", "over"])
    def work(state: State) -> State:
        laps = state["laps"] + (name == STATES[-1])
        return state.update(note=OUTPUT, laps=laps, over=laps == LAPS)

    return work


@action(reads=[], writes=[])
def complete(state: State) -> State:
    """End."""
    return state


def run() -> None:
    """Run one application to its end."""
    ways = list(pairwise(STATES))
    application = (
        ApplicationBuilder()
        .with_actions(**{name: step(name) for name in STATES}, complete=complete)
        .with_transitions(*ways, (STATES[-1], "complete", when(over=True)), (STATES[-1], STATES[0], default))
        .with_state(note="", laps=0, over=False)
        .with_entrypoint(STATES[0])
        .with_identifiers(app_id=str(next(numbers)))
        .with_state_persister(persister)
        .build()
    )
    *_, state = application.run(halt_before=["complete"])
    assert state["laps"] == LAPS


serve(run, None)
