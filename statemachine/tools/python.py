"""Tools that are Python functions, sync or async."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from statemachine.machine.call import Call
from statemachine.machine.contract import Tool
from statemachine.machine.outcome import Outcome
from statemachine.machine.signature import Signature
from statemachine.machine.types import adapter
from statemachine.tools.classify import classify
from statemachine.tools.output import broken, checked


async def call_python(
    tool: Tool, signature: Signature, given: Mapping[str, Any], call: Call, secrets: Mapping[str, str]
) -> Outcome:
    """Call a function with validated input and its secrets, and return its checked outcome.

    When it is cancelled, a coroutine is too. A thread cannot be: what it still gives is dropped.
    """
    function = signature.function
    assert function is not None
    arguments: dict[str, Any] = {}
    for name, parameter in signature.input.items():
        if name not in given and not parameter.required:
            continue
        try:
            arguments[name] = adapter(parameter.type).validate_python(given.get(name))
        except ValidationError as error:
            what = error.errors(include_url=False)[0]["msg"]
            return broken(f"input `{name}`: {'it has no value yet' if name not in given else what}")
    for name, of in signature.secrets.items():
        arguments[name] = adapter(of).validate_python(secrets[name])
    if signature.call_parameter is not None:
        arguments[signature.call_parameter] = call
    is_async = inspect.iscoroutinefunction(function)
    try:
        result = await (function(**arguments) if is_async else _in_thread(function, arguments))
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # a tool may raise anything; none of it may end the host
        if is_async and isinstance(error, KeyboardInterrupt):
            raise  # a person's, who means the host
        return Outcome(failure=classify(error, tool))
    if inspect.isawaitable(result):
        return broken("the function gave an awaitable; declare it with `async def`")
    return checked(result, signature.output)


def _in_thread(function: Callable[..., Any], arguments: Mapping[str, Any]) -> asyncio.Future[Any]:
    """Run a function in a thread of its own: one that never ends then holds up nothing, not even exit."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def finish(result: Any, error: BaseException | None) -> None:
        if not future.done():
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

    def work() -> None:
        result: Any = None
        error: BaseException | None = None
        try:
            result = function(**arguments)
        except StopIteration as raised:
            error = RuntimeError(f"StopIteration: {raised}")  # a future refuses this one
        except BaseException as raised:  # sys.exit in a tool must not pass silently
            error = raised
        if not loop.is_closed():
            loop.call_soon_threadsafe(finish, result, error)

    threading.Thread(target=work, name=f"tool {getattr(function, '__name__', '')}", daemon=True).start()
    return future
