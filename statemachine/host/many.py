"""Many runs of one machine, so many at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from itertools import islice
from typing import Any

from statemachine.errors import StateMachineError, StoreUnusable
from statemachine.host.runtime import Runtime
from statemachine.host.view import RunView

Given = tuple[int, Mapping[str, Any]]
"""A number by which the caller knows the run, and its inputs."""


async def run_many(
    runtime: Runtime,
    begin: Callable[[Mapping[str, Any]], Awaitable[RunView]],
    given: Iterable[Given],
    *,
    at_once: int,
) -> AsyncGenerator[tuple[int, RunView | StateMachineError], None]:
    """Begin a run for each of the inputs, and yield each with its number as it ends or waits.

    Runs that begin or go on at the same time share their commits. When the runtime is stopped no more begin.

    Args:
        runtime: Where the runs lie.
        begin: Begins one, such as ``Runtime.start`` with a machine.
        given: The inputs; read only as far as they are needed.
        at_once: How many runs go on at a time.

    Raises:
        StoreUnusable: The store refused; runs that go on are stopped first.
    """
    rest = iter(given)
    going: dict[asyncio.Task[RunView], int] = {}

    async def one(inputs: Mapping[str, Any]) -> RunView:
        return await begin(inputs)

    try:
        while True:
            if not runtime.stopping.is_set():
                for number, inputs in islice(rest, at_once - len(going)):
                    going[asyncio.create_task(one(inputs))] = number
            if not going:
                return
            await asyncio.wait(going, return_when=asyncio.FIRST_COMPLETED)
            for task in [task for task in going if task.done()]:
                number = going.pop(task)
                try:
                    yield number, task.result()
                except StoreUnusable:
                    raise
                except StateMachineError as error:  # one run that cannot go on must not hold up the others
                    yield number, error
    finally:
        runtime.stop()
        await asyncio.gather(*going, return_exceptions=True)
