"""Which class a failed call gets: by the tool's own mapping, then exception type, errno, HTTP status.

A message alone decides nothing: what none of these knows is ``unknown``.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import Any

from statemachine.machine.call import ToolFailure
from statemachine.machine.model import FailureClass, Tool
from statemachine.machine.outcome import Failure

_ERRNO: Mapping[int, FailureClass] = {
    errno.EACCES: "permission",
    errno.EPERM: "permission",
    errno.EROFS: "permission",
    errno.ETIMEDOUT: "timeout",
    errno.ENOENT: "data_error",
    errno.ENOTDIR: "data_error",
    errno.EISDIR: "data_error",
    errno.EEXIST: "data_error",
    errno.EINVAL: "data_error",
    errno.ENOSPC: "fatal",
    errno.EDQUOT: "fatal",
    **dict.fromkeys(
        (
            errno.ECONNRESET,
            errno.ECONNREFUSED,
            errno.ECONNABORTED,
            errno.EPIPE,
            errno.ENETDOWN,
            errno.ENETUNREACH,
            errno.ENETRESET,
            errno.EHOSTUNREACH,
            errno.EHOSTDOWN,
            errno.EAGAIN,
            errno.EINTR,
            errno.EBUSY,
        ),
        "transient",
    ),
}

# RFC 9110 section 15 and RFC 6585 section 4.
_HTTP: Mapping[int, FailureClass] = {
    401: "permission",
    403: "permission",
    407: "permission",
    408: "timeout",
    409: "stale_data",
    412: "stale_data",
    425: "transient",
    429: "rate_limited",
    500: "transient",
    501: "fatal",
    502: "transient",
    503: "transient",
    504: "timeout",
}

_TYPES: tuple[tuple[type[BaseException], FailureClass], ...] = (
    (TimeoutError, "timeout"),
    (PermissionError, "permission"),
    (ConnectionError, "transient"),
    (InterruptedError, "transient"),
    (BlockingIOError, "transient"),
    (FileNotFoundError, "data_error"),
    (UnicodeError, "data_error"),
    (LookupError, "data_error"),
    (ArithmeticError, "data_error"),
    (ValueError, "data_error"),
    (MemoryError, "fatal"),
    (SystemExit, "fatal"),
    (KeyboardInterrupt, "fatal"),
    (ImportError, "fatal"),
    (NotImplementedError, "fatal"),
    (NameError, "fatal"),
    (AttributeError, "fatal"),
    (TypeError, "fatal"),
    (AssertionError, "fatal"),
    (RecursionError, "fatal"),
)


def classify(error: BaseException, tool: Tool) -> Failure:
    """Return the failure that an exception from a tool is."""
    retry_after = _retry_after(error)
    return Failure(_class_of(error, tool), describe(error), retry_after)


def describe(error: BaseException) -> str:
    """Return an exception as one line for people."""
    text = " ".join(str(error).split())
    if isinstance(error, ToolFailure) and text:
        return text[:1000]
    if isinstance(error, SystemExit):
        return f"the tool called sys.exit({text})"
    return f"{type(error).__name__}: {text}"[:1000].rstrip(": ")


def _class_of(error: BaseException, tool: Tool) -> FailureClass:
    if isinstance(error, ToolFailure):
        return error.failure
    number = error.errno if isinstance(error, OSError) else None
    status = _http_status(error)
    for name in _names(error, number, status):
        if name in tool.failures:
            return tool.failures[name]
    # An HTTP error is often an OSError or a ValueError too; its status says more than that.
    if status is not None:
        return _HTTP.get(status, "data_error" if 400 <= status < 500 else "transient")
    for kind, failure in _TYPES:
        if isinstance(error, kind):
            return failure
    return _ERRNO.get(number, "unknown") if number is not None else "unknown"


def _names(error: BaseException, number: int | None, status: int | None) -> list[str]:
    """Return the names under which a tool may map the failure, the most specific first."""
    names = [str(status)] if status is not None else []
    for kind in type(error).__mro__[:-2]:
        names += [kind.__name__, f"{kind.__module__}.{kind.__qualname__}"]
    if number is not None:
        names.insert(0, errno.errorcode.get(number, ""))
    return names


def _http_status(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    for holder in (error, response):
        for attribute in ("status_code", "status", "code"):
            value = getattr(holder, attribute, None)
            if isinstance(value, int) and not isinstance(value, bool) and 400 <= value < 600:
                return value
    return None


def _retry_after(error: BaseException) -> float | None:
    value: Any = getattr(error, "retry_after", None)
    if value is None:
        holder = error if hasattr(error, "headers") else getattr(error, "response", None)
        headers: Any = getattr(holder, "headers", None)
        value = headers.get("Retry-After") if hasattr(headers, "get") else None
    try:
        return max(0.0, float(value)) if value is not None else None
    except (TypeError, ValueError):
        return None  # a date: without the other side's clock it is no wait that can be trusted
