"""Each failed call gets one class, and never by a word in its message alone."""

from __future__ import annotations

import errno
import urllib.error
from email.message import Message
from types import SimpleNamespace

import pytest

from statemachine.machine.call import ToolFailure
from statemachine.machine.contract import Tool
from statemachine.tools import classify

PLAIN = Tool(python="tools.py:f", effect="read")


class ApiError(Exception):
    """An error of some client library: the status is on the response."""

    def __init__(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.response = SimpleNamespace(status_code=status, headers=headers or {})
        super().__init__(f"HTTP {status}")


class VersionConflict(ValueError):
    """An error that only the tool's author knows the meaning of."""


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (TimeoutError(), "timeout"),
        (ConnectionResetError(), "transient"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "connection refused: unauthorized"), "transient"),
        (PermissionError(13, "denied"), "permission"),
        (OSError(errno.EHOSTUNREACH, "no route"), "transient"),
        (OSError(errno.ENOSPC, "no space"), "fatal"),
        (FileNotFoundError(2, "gone"), "data_error"),
        (ApiError(429), "rate_limited"),
        (ApiError(503), "transient"),
        (ApiError(403), "permission"),
        (ApiError(409), "stale_data"),
        (ApiError(418), "data_error"),
        (urllib.error.HTTPError("http://x", 429, "slow", Message(), None), "rate_limited"),
        (ValueError("bad"), "data_error"),
        (KeyError("x"), "data_error"),
        (TypeError("x"), "fatal"),
        (SystemExit(3), "fatal"),
        (Exception("connection refused: unauthorized, timed out, rate limit"), "unknown"),
        (ToolFailure("stale_data", "old"), "stale_data"),
    ],
)
def test_the_class_comes_from_type_errno_and_status(error: BaseException, failure: str) -> None:
    """A message alone is unknown, whatever words it holds."""
    assert classify(error, PLAIN).failure == failure


@pytest.mark.parametrize("name", ["VersionConflict", "ValueError"])
def test_the_tools_own_mapping_comes_first(name: str) -> None:
    """By the exception's name, or that of a class it derives from."""
    tool = Tool(python="tools.py:f", effect="read", failures={name: "stale_data"})
    assert classify(VersionConflict("v3 is newer"), tool).failure == "stale_data"


def test_a_status_or_errno_can_be_mapped() -> None:
    """Names of errno and numbers of HTTP are keys as well."""
    tool = Tool(python="tools.py:f", effect="read", failures={"503": "fatal", "ENOSPC": "transient"})
    assert classify(ApiError(503), tool).failure == "fatal"
    assert classify(OSError(errno.ENOSPC, ""), tool).failure == "transient"


def test_retry_after_is_read_from_the_exception_or_its_response() -> None:
    """Seconds count; a date, or nonsense, is no wait that can be trusted."""
    assert classify(ApiError(429, {"Retry-After": "7"}), PLAIN).retry_after == 7
    assert classify(ToolFailure("rate_limited", "x", retry_after=1.5), PLAIN).retry_after == 1.5
    assert (
        classify(ApiError(429, {"Retry-After": "Fri, 31 Dec 2027 23:59:59 GMT"}), PLAIN).retry_after is None
    )


def test_a_message_is_one_line() -> None:
    """A traceback in a message does not tear the journal's lines."""
    assert classify(ValueError("a\nb\n  c"), PLAIN).message == "ValueError: a b c"
