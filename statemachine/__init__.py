"""A finite-state-machine runtime for agents: declared as data, durable, drawn for review."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from statemachine.host.machine import Machine as Machine
    from statemachine.host.machine import load as load
    from statemachine.host.runtime import Runtime as Runtime
    from statemachine.host.view import RunView as RunView
    from statemachine.machine.call import Call as Call
    from statemachine.machine.call import Past as Past
    from statemachine.machine.call import Reply as Reply
    from statemachine.machine.call import ToolFailure as ToolFailure
    from statemachine.machine.python import Backoff as Backoff
    from statemachine.machine.python import Expects as Expects
    from statemachine.machine.python import Final as Final
    from statemachine.machine.python import Limits as Limits
    from statemachine.machine.python import Owner as Owner
    from statemachine.machine.python import Retry as Retry
    from statemachine.machine.python import To as To
    from statemachine.repl.debugger import Debugger as Debugger
    from statemachine.repl.run import Run as Run

_PLACES = {
    "Backoff": "machine.python",
    "Call": "machine.call",
    "Debugger": "repl.debugger",
    "Expects": "machine.python",
    "Final": "machine.python",
    "Limits": "machine.python",
    "Machine": "host.machine",
    "Owner": "machine.python",
    "Past": "machine.call",
    "Reply": "machine.call",
    "Retry": "machine.python",
    "Run": "repl.run",
    "RunView": "host.view",
    "Runtime": "host.runtime",
    "To": "machine.python",
    "ToolFailure": "machine.call",
    "load": "host.machine",
}
__all__ = list(_PLACES)


def __getattr__(name: str) -> Any:
    # Importing the package must stay cheap: the database room alone takes half a second.
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
