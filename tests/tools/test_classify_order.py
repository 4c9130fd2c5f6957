"""What decides a failure's class, when several things could: the surer one, and a text last."""

from __future__ import annotations

import errno
import os
import smtplib
import socket
import ssl
import string
import subprocess
from collections.abc import Callable
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statemachine.machine.call import ToolFailure
from statemachine.machine.contract import FAILURE_CLASSES, Tool
from statemachine.tools import classify
from statemachine.tools.codes import by_errno, by_status, by_text

READ = Tool(python="tools.py:f", effect="read")
UNSAFE = Tool(python="tools.py:f", effect="write", reversibility="none", idempotent=False)


class Odd(Exception):
    """An exception of some library that nobody here knows."""


def carrying(kind: type[Exception] = Odd, text: str = "", **attributes: Any) -> Exception:
    """Return an exception with attributes."""
    error = kind(text)
    for name, value in attributes.items():
        setattr(error, name, value)
    return error


def raised(from_: BaseException | None, *, handling: BaseException | None = None) -> Odd:
    """Return an unknown exception, raised from another or while another was handled."""
    error = Odd("the library gives up")
    error.__cause__, error.__context__ = from_, handling or from_
    error.__suppress_context__ = from_ is not None
    return error


def class_of(error: BaseException, tool: Tool = READ) -> str:
    """Return the class of an exception from a tool."""
    return classify(error, tool).failure


# A shape of each of the clients that people use, with the status where that client puts it.
SHAPES: dict[str, Callable[[int], Exception]] = {
    "httpx": lambda n: carrying(response=SimpleNamespace(status_code=n, headers={})),
    "requests": lambda n: carrying(OSError, response=SimpleNamespace(status_code=n, headers={})),
    "urllib": lambda n: carrying(OSError, code=n, headers={}),
    "aiohttp": lambda n: carrying(status=n, headers=None),
    "a client's own": lambda n: carrying(status_code=n, response=None),
}


@pytest.mark.parametrize("shape", SHAPES)
@given(st.sampled_from([status for status in HTTPStatus if status >= 400]))
def test_a_status_is_found_where_each_client_puts_it(shape: str, status: HTTPStatus) -> None:
    """Whatever the message says."""
    assert class_of(SHAPES[shape](status)) == by_status(status)


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (carrying(TimeoutError, status=503), "timeout"),
        (carrying(ValueError, status=429), "rate_limited"),
        (carrying(OSError, errno=errno.ECONNREFUSED, status=403), "transient"),
        (PermissionError(13, "503 Service Unavailable"), "permission"),
        (ValueError("503 Service Unavailable"), "data_error"),
        (subprocess.TimeoutExpired("x", 1), "timeout"),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), "transient"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "data_error"),
        (ssl.SSLError(1, "[SSL] record layer failure"), "unknown"),
        (ssl.SSLCertVerificationError(1, "certificate verify failed"), "fatal"),
        (carrying(sqlstate="40001"), "transient"),
        (carrying(pgcode="42501"), "permission"),
        (carrying(sqlstate="99999"), "unknown"),
        (carrying(sqlite_errorname="SQLITE_BUSY_SNAPSHOT"), "transient"),
        (carrying(sqlite_errorname="SQLITE_BUSYBODY"), "unknown"),
        (smtplib.SMTPDataError(451, b"later"), "transient"),
        (smtplib.SMTPSenderRefused(530, b"who are you?", "ann"), "permission"),
        (smtplib.SMTPRecipientsRefused({"a": (450, b"busy"), "b": (550, b"nobody")}), "data_error"),
        (smtplib.SMTPServerDisconnected("gone"), "unknown"),
        (SystemExit(503), "fatal"),
        (ExceptionGroup("two", [ConnectionResetError(), raised(ConnectionResetError())]), "transient"),
        (ExceptionGroup("two", [ConnectionResetError(), ValueError()]), "unknown"),
    ],
)
def test_the_surer_comes_first(error: BaseException, failure: str) -> None:
    """A type that names a cause, errno, status, a type that names a mistake, text."""
    assert class_of(error) == failure


@given(
    st.sampled_from(
        [TimeoutError(), PermissionError(13, "denied"), ConnectionResetError(), SHAPES["httpx"](429)]
    )
)
def test_what_an_exception_was_raised_from_counts(cause: Exception) -> None:
    """Also while another was handled; not where `from None` hides it, and not over what is known of it itself."""
    assert class_of(raised(cause)) == class_of(raised(raised(cause))) == class_of(cause)
    assert class_of(raised(None, handling=cause)) == class_of(cause)
    hidden = raised(None, handling=cause)
    hidden.__suppress_context__ = True
    assert class_of(hidden) == "unknown"
    known = KeyError("x")
    known.__cause__ = cause
    assert class_of(known) == "data_error"


def test_the_tools_word_counts_wherever_it_is_in_the_chain() -> None:
    """Its mapping, and its ToolFailure, come before any type."""
    mapped = Tool(
        python="tools.py:f",
        effect="read",
        failures={
            "TimeoutError": "fatal",
            "40001": "stale_data",
            "552": "transient",
            "SQLITE_FULL": "transient",
        },
    )
    assert class_of(smtplib.SMTPDataError(552, b"mailbox full"), mapped) == "transient"
    assert class_of(carrying(sqlite_errorname="SQLITE_FULL"), mapped) == "transient"
    assert class_of(raised(TimeoutError()), mapped) == "fatal"
    assert class_of(carrying(sqlstate="40001"), mapped) == "stale_data"
    wrapped = ValueError("x")
    wrapped.__cause__ = ToolFailure("rate_limited", "slow down", retry_after=3)
    assert classify(wrapped, READ).retry_after == 3
    assert class_of(wrapped) == "rate_limited"


def test_a_chain_that_bites_its_tail_ends() -> None:
    """Nothing hangs on it."""
    error = raised(ValueError())
    assert error.__cause__ is not None
    error.__cause__.__cause__ = error
    assert class_of(error) == "data_error"


class Hostile(Exception):
    """An exception whose own code fails."""

    def __str__(self) -> str:
        raise RuntimeError("no words")

    @property
    def response(self) -> object:
        """Not there yet."""
        raise RuntimeError("no response")

    @property
    def retry_after(self) -> int:
        """More than a float can hold."""
        return 10**400


def test_an_exception_whose_own_code_fails_is_a_failure_like_any_other() -> None:
    """It ends the call, not the host."""
    failure = classify(Hostile(), READ)
    assert (failure.failure, failure.message, failure.retry_after) == ("unknown", "Hostile", None)


# Text


@given(st.text() | st.text(string.ascii_letters + " :.,[]()0123456789"))
def test_words_decide_nothing(text: str) -> None:
    """Around the words that are searched for elsewhere anything may stand; none is found in the middle."""
    for words in (
        "connection refused",
        "timed out",
        "rate limit",
        "permission denied",
        "503",
        "unauthorized",
    ):
        assert class_of(Odd(f"x{text} {words} {text}")) == "unknown"
    assert class_of(Odd("connection refused: unauthorized")) == "unknown"


CODES = st.sampled_from(
    [f"{s.value} {s.phrase}" for s in HTTPStatus if s >= 400]
    + [f"HTTP/1.1 {s.value}" for s in HTTPStatus if s >= 400]
    + [f"[Errno {n}] {os.strerror(n)}" for n in errno.errorcode]
    + ["SQLSTATE[40001]", "SQLSTATE 28P01"]
)


@given(CODES, st.text(), st.sampled_from(["", ": ", "; ", ". ", "\n"]))
def test_a_code_that_begins_the_message_decides_last(code: str, text: str, between: str) -> None:
    """In the form in which programs write it, and for an exception of which nothing else is known."""
    message = f"{code}{between}{text}" if between else code
    found = by_text(code)
    assert class_of(Odd(message)) == (found or "unknown")
    assert class_of(TypeError(message)) == "fatal"
    assert class_of(Odd(f"got {message}")) == "unknown"
    assert class_of(raised(Odd(message))) == (found or "unknown")


@given(CODES)
def test_text_never_repeats_what_must_not_be_repeated(code: str) -> None:
    """Of an unsafe call a text may say that it timed out, which asks a person, or that it is for a person."""
    assert class_of(Odd(code), UNSAFE) not in ("transient", "rate_limited", "stale_data")
    assert class_of(Odd("504 Gateway Timeout"), UNSAFE) == "timeout"
    assert class_of(Odd("503 Service Unavailable"), UNSAFE) == "unknown"
    assert class_of(SHAPES["httpx"](503), UNSAFE) == "transient"


@pytest.mark.parametrize(
    "text", ["503 service is bad", "[Errno 13] Connection refused", "200 OK", "HTTP 5030", "1503", ""]
)
def test_a_code_and_its_words_must_agree(text: str) -> None:
    """Else it is a text like any other."""
    assert by_text(text) is None


def test_a_command_ends_as_perror_ends() -> None:
    """Whole words of the system after a colon, at the end of what a command printed; not in an exception."""
    for number in errno.errorcode:
        assert by_text(f"cat: /x: {os.strerror(number)}", printed=True) == by_errno(number)
        assert by_text(f"cat: /x: {os.strerror(number)}") is None
    assert by_text("nc: connection refused: unauthorized", printed=True) is None
    assert by_text("nc: Connection refused: unauthorized", printed=True) is None


@given(st.recursive(st.builds(Odd, st.text()), lambda inner: st.builds(raised, inner), max_leaves=5))
def test_every_failure_has_one_class_and_one_line(error: Exception) -> None:
    """Whatever a tool raises."""
    failure = classify(error, READ)
    assert failure.failure in FAILURE_CLASSES
    assert "\n" not in failure.message
