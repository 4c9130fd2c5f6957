"""How the world is touched: one call of one declared tool, checked before and after."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from statemachine.machine.call import Call
from statemachine.machine.definition import Definition
from statemachine.machine.outcome import Outcome
from statemachine.tools.classify import classify
from statemachine.tools.invocation import Invocation
from statemachine.tools.python import call_python
from statemachine.tools.shell import call_shell

__all__ = ["Invocation", "classify", "invoke"]


async def invoke(definition: Definition, tool: str, given: Mapping[str, Any], call: Call) -> Outcome:
    """Call a declared tool once and return how it ended; a failure is an outcome, not an exception.

    Args:
        definition: The machine that declares the tool.
        tool: The tool's name.
        given: Its input as JSON data.
        call: What the tool may know about the call.
    """
    contract, signature = definition.declaration.tools[tool], definition.signatures[tool]
    if contract.python is not None:
        return await call_python(contract, signature, given, call)
    return await call_shell(contract, signature, given, call, str(definition.folder.path))
