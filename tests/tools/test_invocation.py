"""A call is over in time, whatever its tool does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from statemachine.errors import LeaseLost
from statemachine.machine.contract import Tool
from statemachine.machine.outcome import Outcome
from statemachine.tools import Deadline, Invocation, invocation

CONTRACT = Tool.model_validate({"python": "tools.py:work", "effect": "read", "timeout": "50ms"})


async def made(make: Callable[[], Coroutine[Any, Any, Outcome]]) -> Invocation:
    """Make a call and wait until it is over."""
    over = asyncio.Event()
    call = Invocation(CONTRACT, make, over.set, Deadline())
    await asyncio.wait_for(over.wait(), 5)
    return call


def test_a_coroutine_that_heeds_no_cancellation_holds_up_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is over soon after its timeout; what it gives later is dropped, and nobody is told again."""
    monkeypatch.setattr(invocation, "_STOPPING", 0.05)
    told: list[str] = []

    async def stubborn() -> Outcome:
        for _ in range(6):
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                told.append("cancelled")
        told.append("ended")
        return Outcome("too late")

    async def look() -> Outcome:
        call = await made(stubborn)
        outcome = call.result()
        await asyncio.sleep(0.4)
        assert call.result() is outcome
        return outcome

    outcome = asyncio.run(look())
    assert told == ["cancelled", "ended"]
    assert outcome.failure is not None
    assert outcome.failure.failure == "timeout"


def test_a_coroutine_that_cancels_itself_has_failed() -> None:
    """The run that it serves is not cancelled for it."""

    async def suicidal() -> Outcome:
        raise asyncio.CancelledError

    outcome = asyncio.run(made(suicidal)).result()
    assert outcome.failure is not None
    assert outcome.failure.failure == "transient"


def test_what_keeps_a_call_from_being_made_reaches_the_driver() -> None:
    """A lease that is lost is no outcome."""

    async def refused() -> Outcome:
        raise LeaseLost("taken over")

    with pytest.raises(LeaseLost):
        asyncio.run(made(refused)).result()


@pytest.mark.parametrize("turns", [0, 1])
def test_of_a_call_that_was_dropped_nobody_is_told(turns: int) -> None:
    """Whether or not it had begun; its coroutine is cancelled."""
    told: list[str] = []

    async def slow() -> Outcome:
        try:
            await asyncio.sleep(5)
        finally:
            told.append("cancelled")
        return Outcome()

    async def drop() -> bool:
        call = Invocation(CONTRACT, slow, lambda: told.append("told"), Deadline())
        for _ in range(turns):
            await asyncio.sleep(0)
        await call.drop()
        return call.done()

    assert not asyncio.run(drop())
    assert told == ["cancelled"] * turns


def test_a_deadline_is_kept_to_for_one_call_after_another() -> None:
    """What is set last is done in its time, whether that is sooner or later than what was set before, and once."""
    done: list[tuple[str, float]] = []

    async def play() -> None:
        loop, deadline = asyncio.get_running_loop(), Deadline()

        def note(what: str, seconds: float) -> None:
            begun = loop.time()
            deadline.set(seconds, lambda: done.append((what, loop.time() - begun)))

        note("put off", 0.05)
        note("later", 0.15)
        await asyncio.sleep(0.3)
        note("given up", 0.01)
        deadline.clear()
        await asyncio.sleep(0.03)
        note("too far", 60)
        note("sooner", 0.05)
        await asyncio.sleep(0.2)
        note("closed", 0.01)
        deadline.close()
        await asyncio.sleep(0.03)

    asyncio.run(play())
    assert [what for what, _ in done] == ["later", "sooner"]
    assert done[0][1] >= 0.149
    assert done[1][1] >= 0.049
