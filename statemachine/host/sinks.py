"""Where else the compliance stream goes while runs go on: a file of JSON lines, and OpenTelemetry logs.

Each call is told when it ends, is put in doubt, is decided on, or is made again without a word on how it ended; the last
line of a key and attempt is what holds. The journals are the buffer: what could not be told is told later.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from statemachine.errors import InvalidInput, disk_refused
from statemachine.host.exporting import ENDING, Calls, Told
from statemachine.host.pinned import VERSION_OF
from statemachine.journal.tracing import span_id, trace_id
from statemachine.store import Cursor, Follower, Sink, Store

if TYPE_CHECKING:
    from opentelemetry._logs import LoggerProvider

_KINDS = (*VERSION_OF, "transition", "approval_requested", "approval_decided", "call_intended", *ENDING)
_TAIL = 1 << 20
"""Bytes at the end of a file in which its last line is looked for."""

_BEGINS = b'{"run":"'
"""What each line begins with."""


def follower(store: Store) -> Follower[Told]:
    """Return what follows the calls of all runs."""
    return Follower(store, (*_KINDS, "run_finished"), partial(Calls, store), whole=("call_intended",))


def _new(told: list[Told]) -> list[dict[str, Any]]:
    """Return the records to tell; of a call that was made again, how it ended was told before, if anything was known."""
    return [one.only("compliance") for one in told if not one.repeated or one.call["outcome"] == "open"]


class ComplianceFile:
    """Appends the compliance stream of a store, from its first call on, to a file: each line once, whatever crashes.

    How far it came is kept beside the file, in ``FILE.place``, so that the file itself may be moved away. Of several
    processes that are told to write it one does; another goes on when that has ended.

    Args:
        store: The store.
        file: The file; made if need be.
    """

    def __init__(self, store: Store, file: Path) -> None:
        self._store, self._file = store, file
        self._cursor = Cursor(file.with_name(f"{file.name}.place"), store.identity())
        self._follower = follower(store)
        self._mended = False

    def open(self) -> bool:
        """Return whether this process is the one who writes; the file is one then.

        Raises:
            InvalidInput: The file is another store's, or holds other lines.
            StoreUnusable: The store or the disk refused.
        """
        if not self._cursor.mine():
            return False
        if not self._mended:
            self._cursor.move(max(self._cursor.place or 0, self._mend()))
            self._mended = True
        return True

    def look(self, *, last: bool = False) -> None:
        """Append what is new; raises as :meth:`open`."""
        if not self.open():
            return
        assert self._cursor.place is not None
        for place, told in self._follower.since(self._cursor.place):
            lines = [orjson.dumps(call, option=orjson.OPT_APPEND_NEWLINE) for call in _new(told)]
            if lines:
                self._mended = False  # unless this is written as a whole
                _append(self._file, b"".join(lines))
                self._mended = True
            self._cursor.move(place)

    def _mend(self) -> int:
        """Take away half a line at the end, which a crash has left, and return the place that the last line tells of."""
        other = InvalidInput(f"{self._file} holds other lines than calls of this store; name another file")
        try:
            with self._file.open("r+b") as file:
                size = file.seek(0, os.SEEK_END)
                begin = file.seek(max(0, size - _TAIL))
                lines = file.read().splitlines(keepends=True)
                if lines and not lines[-1].endswith(b"\n"):
                    half = lines.pop()
                    if not (half.startswith(_BEGINS) or _BEGINS.startswith(half) or not half.strip(b"\0")):
                        raise other
                    file.truncate(size - len(half))
                    os.fsync(file.fileno())
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise disk_refused(error, f"{self._file} cannot be used: {error.strerror}") from error
        if not lines and not begin:
            return 0
        try:
            last = orjson.loads(lines[-1])
            place = self._store.place_of(last["run"], last["as_of"])
        except (ValueError, LookupError, TypeError):
            place = None
        if place is None:
            raise other
        return place

    def close(self) -> None:
        """Leave the file to others."""
        self._cursor.close()


def _append(file: Path, data: bytes) -> None:
    try:
        with file.open("ab") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
    except OSError as error:
        raise disk_refused(error, f"{file} cannot be written: {error.strerror}") from error


class ComplianceLogs(Sink[Told]):
    """Hands the compliance stream of a store to OpenTelemetry as log records, each with the ids of its call's span.

    Args:
        store: The store.
        provider: What makes log records.
        flush: Sends them, and returns whether they have arrived.
        place: The file in which is kept how far it came.
    """

    def __init__(
        self, store: Store, provider: LoggerProvider, flush: Callable[[], bool], place: Path
    ) -> None:
        super().__init__(store, follower(store), flush, place, "log records")
        self._logger = provider.get_logger("statemachine")

    def hand_on(self, told: list[Told]) -> bool:
        """Make the log records; return whether there are any."""
        calls = _new(told)
        for call in calls:
            self._emit(call)
        return bool(calls)

    def _emit(self, call: dict[str, Any]) -> None:
        from opentelemetry import trace
        from opentelemetry._logs import SeverityNumber

        good = call["outcome"].startswith(("success", "partial"))
        span = trace.SpanContext(
            trace_id(call["run"]), span_id(call["run"], call["seq"]), True, trace.TraceFlags(1)
        )
        told = call["at"] if call["ended_at"] is None else call["ended_at"]
        attributes = {
            f"statemachine.{name}": value for name, value in call.items() if value not in (None, "")
        }
        self._logger.emit(
            timestamp=round(told * 1e9),
            observed_timestamp=round(datetime.now(UTC).timestamp() * 1e9),
            context=trace.set_span_in_context(trace.NonRecordingSpan(span)),
            severity_number=SeverityNumber.INFO if good else SeverityNumber.WARN,
            severity_text="INFO" if good else "WARN",
            body=f"{call['sentence']}: {call['outcome']}",
            attributes=attributes,
            event_name="statemachine.call",
        )
