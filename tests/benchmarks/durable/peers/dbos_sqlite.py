"""DBOS with its system database in SQLite."""

from __future__ import annotations

import sys
from pathlib import Path

from dbos import DBOS, DBOSConfig
from serve import LAPS, OUTPUT, STATES, serve

config: DBOSConfig = {
    "name": "benchmark",
    "system_database_url": f"sqlite:///{Path(sys.argv[1]) / 'dbos.db'}",
    "run_admin_server": False,
    "log_level": "ERROR",
}
DBOS(config=config)


@DBOS.step()
def work(name: str) -> str:
    """Do one step."""
    return OUTPUT


@DBOS.workflow()
def laps() -> str:
    """Go round and round."""
    note = ""
    for _ in range(LAPS):
        for name in STATES:
            note = work(name)
    return note


def run() -> None:
    """Run one workflow to its end."""
    assert laps() == OUTPUT


def many(runs: int) -> None:
    """Start many workflows and wait for them."""
    for handle in [DBOS.start_workflow(laps) for _ in range(runs)]:
        assert handle.get_result() == OUTPUT


DBOS.launch()
serve(run, many)
DBOS.destroy()
