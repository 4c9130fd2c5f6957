"""Machines as users hold them: declared in Python, or loaded from a file; both show themselves in a notebook."""

from __future__ import annotations

import asyncio
from copy import copy
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from statemachine.machine.definition import Definition
from statemachine.machine.python import MachineBuilder

if TYPE_CHECKING:
    from statemachine.host.view import RunView


@dataclass(frozen=True, eq=False)
class LoadedMachine(Definition):
    """A machine that was loaded from a file."""

    def _repr_svg_(self) -> str:
        """Return the machine's picture, which notebooks show."""
        from statemachine.diagrams import render

        return render(self.declaration, "svg").decode()


def load(file: str | Path) -> LoadedMachine:
    """Return the machine that a file declares: YAML, Python with one machine, or ``file.py:name``.

    Raises:
        InvalidMachine: With everything that is wrong.
    """
    from statemachine.machine.load import load as define

    definition = define(file)
    return LoadedMachine(**{part.name: getattr(definition, part.name) for part in fields(definition)})


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

    def _repr_svg_(self) -> str | None:
        """Return the machine's picture, which notebooks show; None while the machine is not complete.

        Parts can still be declared afterwards.
        """
        from statemachine.diagrams import render
        from statemachine.errors import InvalidMachine

        try:
            # Of a copy: what was read once takes no more parts.
            return render(copy(self).definition.declaration, "svg").decode()
        except InvalidMachine:
            return None
