"""A machine declared in Python that can run itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from statemachine.machine.python import MachineBuilder

if TYPE_CHECKING:
    from statemachine.host.view import RunView


class Machine(MachineBuilder):
    """A machine in Python: declare its parts, then run it."""

    def run(self, **inputs: Any) -> RunView:
        """Run in this process on the default store, until the run ends or waits; return how it stands.

        Raises:
            StateMachineError: The machine or the inputs are wrong, or the store refused.
        """
        return asyncio.run(self.arun(**inputs))

    async def arun(self, **inputs: Any) -> RunView:
        """Do the same as :meth:`run` in a running event loop."""
        from statemachine.host.runtime import Runtime

        async with Runtime() as runtime:
            return await runtime.start(self, inputs)
