"""Codes that the world answers with, and the class of failure that each stands for."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping
from http import HTTPStatus

from statemachine.machine.contract import FailureClass

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
    errno.EIO: "fatal",
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

# https://www.postgresql.org/docs/current/errcodes-appendix.html; the whole code, else its first two characters.
_SQLSTATE: Mapping[str, FailureClass] = {
    "08": "transient",
    "22": "data_error",
    "23": "data_error",
    "28": "permission",
    "40": "transient",
    "42": "fatal",
    "42501": "permission",
    "53": "fatal",
    "53300": "transient",
    "55P03": "transient",
    "57014": "timeout",
    "57P": "transient",
}

# RFC 4954 section 6; any other 4yz refuses for now, any other 5yz for good (RFC 5321 section 4.2.1).
_SMTP: Mapping[int, FailureClass] = {
    530: "permission",
    534: "permission",
    535: "permission",
    538: "permission",
}

# https://www.sqlite.org/rescode.html; the name of the primary code, which those of extended codes begin with.
_SQLITE: Mapping[str, FailureClass] = {
    "SQLITE_BUSY": "transient",
    "SQLITE_LOCKED": "transient",
    "SQLITE_PROTOCOL": "transient",
    "SQLITE_READONLY": "permission",
    "SQLITE_PERM": "permission",
    "SQLITE_AUTH": "permission",
    "SQLITE_CONSTRAINT": "data_error",
    "SQLITE_MISMATCH": "data_error",
    "SQLITE_TOOBIG": "data_error",
    "SQLITE_CANTOPEN": "data_error",
    "SQLITE_NOTADB": "data_error",
    "SQLITE_CORRUPT": "fatal",
    "SQLITE_FULL": "fatal",
    "SQLITE_IOERR": "fatal",
    "SQLITE_NOMEM": "fatal",
}


def by_errno(number: int) -> FailureClass | None:
    """Return the class of an errno; None when it has none."""
    return _ERRNO.get(number)


def by_status(status: int) -> FailureClass | None:
    """Return the class of an HTTP status; None when it is none of an error."""
    if not 400 <= status < 600:
        return None
    return _HTTP.get(status, "data_error" if status < 500 else "transient")


def by_sqlstate(code: str) -> FailureClass | None:
    """Return the class of an SQLSTATE; None when it has none."""
    return next((_SQLSTATE[code[:n]] for n in (5, 3, 2) if code[:n] in _SQLSTATE), None)


def by_reply(code: int) -> FailureClass | None:
    """Return the class of an SMTP reply code; None when it is none that refuses."""
    if not 400 <= code < 600:
        return None
    return "transient" if code < 500 else _SMTP.get(code, "data_error")


def by_sqlite(name: str) -> FailureClass | None:
    """Return the class of SQLite's name of an error; None when it has none."""
    return next(
        (found for code, found in _SQLITE.items() if name == code or name.startswith(f"{code}_")), None
    )


_STRERROR = {os.strerror(number): by_errno(number) for number in errno.errorcode}
_SPELLED: dict[str, FailureClass | None] = {
    **{f"{status.value} {status.phrase}": by_status(status) for status in HTTPStatus},
    **{f"[Errno {number}] {os.strerror(number)}": by_errno(number) for number in errno.errorcode},
}
_BEGINS = re.compile(
    rf"(?:HTTP(?:/\d(?:\.\d)?)? (?P<status>[45]\d\d)|SQLSTATE[\[ :]+(?P<state>[0-9A-Z]{{5}})\]?"
    rf"|(?P<spelled>{'|'.join(map(re.escape, sorted(_SPELLED, reverse=True)))}))(?=$|[\s:;,.(])"
)


def by_text(text: str, *, printed: bool = False) -> FailureClass | None:
    """Return the class of a code that is spelled out in a text; None for any other text.

    Words are never searched for. The text must begin with a code in the form in which programs write it, with the
    words that belong to it: ``HTTP 503``, ``429 Too Many Requests``, ``[Errno 111] Connection refused``,
    ``SQLSTATE[40001]``. Of what a command ``printed``, it may also end as perror(3) ends it: ``cat: x: Permission denied``.
    """
    if (found := _BEGINS.match(text)) is not None:
        if found["status"]:
            return by_status(int(found["status"]))
        return by_sqlstate(found["state"]) if found["state"] else _SPELLED[found["spelled"]]
    return _STRERROR.get(text.rpartition(": ")[2]) if printed and ": " in text else None
