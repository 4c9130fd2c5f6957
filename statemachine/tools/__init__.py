"""How the world is touched: one call of one declared tool, checked before and after."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from statemachine.machine.call import Call
from statemachine.machine.definition import Definition
from statemachine.machine.outcome import Failure, Outcome
from statemachine.tools.classify import classify
from statemachine.tools.deadline import Deadline
from statemachine.tools.invocation import Invocation
from statemachine.tools.python import call_python
from statemachine.tools.secrets import NotGiven, redacted, secrets_of
from statemachine.tools.shell import call_shell

__all__ = ["Deadline", "Invocation", "classify", "invoke"]


async def invoke(definition: Definition, tool: str, given: Mapping[str, Any], call: Call) -> Outcome:
    """Call a declared tool once and return how it ended; a failure is an outcome, not an exception.

    Args:
        definition: The machine that declares the tool.
        tool: The tool's name.
        given: Its input as JSON data.
        call: What the tool may know about the call.
    """
    contract, signature = definition.declaration.tools[tool], definition.signatures[tool]
    try:
        secrets = secrets_of(contract)
    except NotGiven as error:
        return Outcome(failure=Failure("permission", str(error)))
    if contract.python is not None:
        outcome = await call_python(contract, signature, given, call, secrets)
    else:
        outcome = await call_shell(contract, signature, given, call, str(definition.folder.path), secrets)
    # Of all tools: one may tell of the environment that another one has its secret from.
    variables = definition.declaration.secrets
    return redacted(outcome, variables) if variables else outcome
