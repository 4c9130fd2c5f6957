"""Ours: a machine of five states, each of which calls an asynchronous tool, on the default store."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from serve import LAPS, STEPS, serve

from statemachine.host.runtime import Runtime
from statemachine.machine.load import load
from tests.benchmarks.durable.machine import write

folder = Path(sys.argv[1])
definition = load(write(folder))


async def driven(runs: int) -> None:
    """Drive so many runs to their end, at once."""
    views = await asyncio.gather(*(runtime.start(definition, {"laps": LAPS}) for _ in range(runs)))
    assert all(view.status == "succeeded" and view.steps == STEPS + 1 for view in views)


with asyncio.Runner() as loop:

    async def opened() -> Runtime:
        """Return a runtime of this loop."""
        return Runtime(folder / "runs.db")

    runtime = loop.run(opened())
    serve(lambda: loop.run(driven(1)), lambda runs: loop.run(driven(runs)))
    loop.run(runtime.close())
