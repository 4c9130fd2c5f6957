"""Events that are posted while a run is about to stop are not left lying."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from statemachine.errors import RunOwned
from statemachine.host.runtime import Runtime

MACHINE = """
machine: bell
version: "1"
events: {rung: {}}
initial: work
states:
  work: {wait: 50ms, on: {elapsed: listen}}
  listen: {on: {rung: answered}}
  answered: {final: succeeded}
  fail: {final: failed}
"""


def test_an_event_posted_just_before_the_run_parks_is_taken(tmp_path: Path) -> None:
    """Who posts finds the run owned and leaves; the driver that parks a moment later takes the event."""
    (tmp_path / "bell.yaml").write_text(MACHINE)

    async def ring() -> str:
        async with Runtime(tmp_path / "runs.db") as runtime, Runtime(tmp_path / "runs.db") as other:
            owned: list[str] = []

            def observe(_: object, step: Any, __: float) -> None:
                if step.snapshot.state == "listen" and not owned:
                    # What Runtime.send does in another process, at the worst moment.
                    run = step.snapshot.run
                    other.store.post(run, "rung", {"payload": {}, "by": "sam"}, other.clock.now())
                    try:
                        other.store.acquire(run, other.owner, other.clock.now(), 30, lambda _: False)
                    except RunOwned:
                        owned.append(run)

            runtime.observer = observe
            view = await runtime.start(tmp_path / "bell.yaml")
            assert owned == [view.run]
            return view.state

    assert asyncio.run(ring()) == "answered"
