"""Which class a failed call gets, decided by what is surest of its cause.

In this order, and for each step over the exception and those it was raised from, as a traceback would show them:

1. the tool's own word: a ``ToolFailure``, or its ``failures`` mapping (exception, errno, a server's or SQLite's code);
2. exception types that name a cause (``TimeoutError``, ``PermissionError``, ``ConnectionError``, …);
3. errno, then HTTP status, SMTP reply code, SQLSTATE and SQLite's code, where an exception carries them as data;
4. exception types that name only a kind of mistake (``ValueError``, ``TypeError``, …);
5. text, last: a code spelled out at the beginning of the message in a form that programs write (``codes.by_text``).

Words are never searched for in a message. A text may quote anything, so what it says never makes a call again that
must not be repeated: of such a call ``transient``, ``rate_limited`` and ``stale_data`` by text are ``unknown``.
"""

from __future__ import annotations

import errno
import math
import socket
import ssl
import subprocess
from collections.abc import Iterator
from typing import Any

from statemachine.machine.call import ToolFailure
from statemachine.machine.contract import FailureClass, Tool
from statemachine.machine.outcome import Failure
from statemachine.tools.codes import by_errno, by_reply, by_sqlite, by_sqlstate, by_status, by_text

_CAUSES: tuple[tuple[type[BaseException], FailureClass], ...] = (
    (TimeoutError, "timeout"),
    (subprocess.TimeoutExpired, "timeout"),
    (PermissionError, "permission"),
    (ConnectionError, "transient"),
    (InterruptedError, "transient"),
    (BlockingIOError, "transient"),
    (FileNotFoundError, "data_error"),
    (ssl.SSLCertVerificationError, "fatal"),
    (MemoryError, "fatal"),
    (SystemExit, "fatal"),
    (KeyboardInterrupt, "fatal"),
)
_MISTAKES: tuple[tuple[type[BaseException], FailureClass], ...] = (
    (UnicodeError, "data_error"),
    (LookupError, "data_error"),
    (ArithmeticError, "data_error"),
    (ValueError, "data_error"),
    (ImportError, "fatal"),
    (NotImplementedError, "fatal"),
    (NameError, "fatal"),
    (AttributeError, "fatal"),
    (TypeError, "fatal"),
    (AssertionError, "fatal"),
    (RecursionError, "fatal"),
)
# Their errno is a number of another list: of the resolver, of the TLS library.
_NO_ERRNO = (socket.gaierror, socket.herror, ssl.SSLError)
_REPEATS = ("transient", "rate_limited", "stale_data")


def classify(error: BaseException, tool: Tool) -> Failure:
    """Return the failure that an exception from a tool is."""
    return Failure(_class_of(error, tool), describe(error), _retry_after(error))


def describe(error: BaseException) -> str:
    """Return an exception as one line for people."""
    text = _text(error)
    if isinstance(error, ToolFailure) and text:
        return text[:1000]
    if isinstance(error, SystemExit):
        return f"the tool called sys.exit({text})"
    return f"{type(error).__name__}: {text}"[:1000].rstrip(": ")


def spoken(text: str, tool: Tool, *, printed: bool = False) -> FailureClass:
    """Return the class that a text alone gives a tool's failure; see :func:`codes.by_text`."""
    found = by_text(text, printed=printed) or "unknown"
    return "unknown" if found in _REPEATS and not tool.repeatable else found


def _class_of(error: BaseException, tool: Tool) -> FailureClass:
    if isinstance(error, BaseExceptionGroup):
        classes = {_class_of(each, tool) for each in error.exceptions}
        return classes.pop() if len(classes) == 1 else "unknown"
    chain = list(_chain(error))
    for each in chain:
        if isinstance(each, ToolFailure):
            return each.failure
        for name in _names(each):
            if name in tool.failures:
                return tool.failures[name]
    for each in chain:
        if (found := _of_one(each)) is not None:
            return found
    return next((found for each in chain if (found := spoken(_text(each), tool)) != "unknown"), "unknown")


def _of_one(error: BaseException) -> FailureClass | None:
    """Return the class by type, errno and status of one exception alone."""
    number, status, reply = _errno(error), _http_status(error), _smtp_reply(error)
    state, lite = _sqlstate(error), _sqlite(error)
    return (
        _by_type(error, _CAUSES)
        or (by_errno(number) if number is not None else None)
        or (by_status(status) if status is not None else None)
        or (by_reply(reply) if reply is not None else None)
        or (by_sqlstate(state) if state is not None else None)
        or (by_sqlite(lite) if lite is not None else None)
        or _by_type(error, _MISTAKES)
    )


def _by_type(
    error: BaseException, types: tuple[tuple[type[BaseException], FailureClass], ...]
) -> FailureClass | None:
    if isinstance(error, socket.gaierror):
        return "transient" if error.errno == socket.EAI_AGAIN else "data_error"
    return next((failure for kind, failure in types if isinstance(error, kind)), None)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and what it was raised from, or while handling, as a traceback shows it."""
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        yield each
        seen.add(id(each))
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)


def _names(error: BaseException) -> list[str]:
    """Return the names under which a tool may map the failure, the most specific first."""
    number = _errno(error)
    codes = (_http_status(error), _smtp_reply(error), _sqlstate(error), _sqlite(error))
    names = [errno.errorcode.get(number, "")] if number is not None else []
    names += [str(code) for code in codes if code is not None]
    for kind in type(error).__mro__[:-2]:
        names += [kind.__name__, f"{kind.__module__}.{kind.__qualname__}"]
    return names


def _text(error: BaseException) -> str:
    try:
        return " ".join(str(error).split())
    except Exception:  # its own __str__ is code of a tool as well
        return ""


def _attribute(holder: object, name: str) -> Any:
    try:
        return getattr(holder, name, None)
    except Exception:  # a property is code of a tool as well, and this is already about a failure
        return None


def _errno(error: BaseException) -> int | None:
    number = error.errno if isinstance(error, OSError) and not isinstance(error, _NO_ERRNO) else None
    return number if isinstance(number, int) else None


def _http_status(error: BaseException) -> int | None:
    """Return the status where httpx, requests, urllib, aiohttp and the clients built on them put it."""
    if isinstance(error, SystemExit):
        return None  # its code is no status
    for holder in (error, _attribute(error, "response")):
        for name in ("status_code", "status", "code"):
            value = _attribute(holder, name)
            if isinstance(value, int) and not isinstance(value, bool) and 400 <= value < 600:
                return int(value)
    return None


def _sqlstate(error: BaseException) -> str | None:
    """Return the SQLSTATE where psycopg, asyncpg and psycopg2 put it."""
    found = _attribute(error, "sqlstate") or _attribute(error, "pgcode")
    return found if isinstance(found, str) and len(found) == 5 else None


def _smtp_reply(error: BaseException) -> int | None:
    """Return the reply code where smtplib puts it; where recipients are refused with several, the highest."""
    code, refused = _attribute(error, "smtp_code"), _attribute(error, "recipients")
    if isinstance(refused, dict):  # one who is refused for good is not let in by trying again
        code = max(
            (reply[0] for reply in refused.values() if isinstance(reply, tuple) and reply), default=None
        )
    return code if isinstance(code, int) else None


def _sqlite(error: BaseException) -> str | None:
    """Return SQLite's name of an error, such as ``SQLITE_BUSY``; one that comes from Python alone has none."""
    found = _attribute(error, "sqlite_errorname")
    return found if isinstance(found, str) else None


def _retry_after(error: BaseException) -> float | None:
    for each in _chain(error):
        try:
            value = _attribute(each, "retry_after")
            if value is None:
                headers = _attribute(each, "headers") or _attribute(_attribute(each, "response"), "headers")
                value = headers.get("Retry-After") if hasattr(headers, "get") else None
            seconds = float(value) if value is not None else math.nan
        except (
            Exception
        ):  # a date, or nonsense: without the other side's clock it is no wait that can be trusted
            continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    return None
