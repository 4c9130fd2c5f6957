"""Telling OpenTelemetry of the spans of a store's runs: from committed records, beside the runs, never inside a step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from statemachine.errors import NotDelivered
from statemachine.journal.tracing import span_id, trace_id
from statemachine.monitor.spans import KINDS, RUN, Span, Spans
from statemachine.store import Cursor, Follower, Store

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext, TracerProvider

SetIds = Callable[[int, int], None]
"""Says which ids the next span gets: of its trace, and its own."""


class Traces:
    """Tells of what has ended since the last look. Of several processes one does.

    It begins with what happens from now on. How far it came is kept in a file: after a crash it goes on there, and may
    tell of a span twice, under the same ids.

    Args:
        store: The store.
        provider: Where the spans are made.
        ids: Sets the ids of the next one.
        sampled: Whether a trace, by its id and the name of its first span, is told of at all.
        flush: Sends what was made, and returns whether it arrived.
        place: The file.
    """

    def __init__(
        self,
        store: Store,
        provider: TracerProvider,
        ids: SetIds,
        sampled: Callable[[int], bool],
        flush: Callable[[], bool],
        place: Path,
    ) -> None:
        self._store, self._ids, self._sampled, self._flush = store, ids, sampled, flush
        self._tracer = provider.get_tracer("statemachine")
        self._cursor = Cursor(place, store.identity())
        self._follower = Follower(store, KINDS, Spans)

    def open(self) -> bool:
        """Return whether this process is the one who tells; it begins with what happens from now on.

        Raises:
            InvalidInput: The file of the place is another store's.
            StoreUnusable: It cannot be used.
        """
        return self._cursor.begun(self._store.last_row)

    def look(self, *, last: bool = False) -> None:
        """Tell of what is new.

        Raises:
            NotDelivered: It did not arrive; it is told of again.
            StoreUnusable: The store refused.
        """
        if not self.open():
            return
        assert self._cursor.place is not None
        for place, told in self._follower.since(self._cursor.place):
            spans = [span for ended in told for span in ended if self._sampled(trace_id(span.run))]
            for span in spans:
                self._tell(span)
            if spans and not self._flush():
                raise NotDelivered("spans did not arrive; they are sent again: is the collector up?")
            self._cursor.move(place)

    def _tell(self, span: Span) -> None:
        from opentelemetry.context import Context
        from opentelemetry.trace import Link, NonRecordingSpan, StatusCode, set_span_in_context

        whole = Context()
        if span.parent is not None:
            whole = set_span_in_context(NonRecordingSpan(_context(span.run, span.parent)), whole)
        self._ids(trace_id(span.run), span_id(span.run, span.seq))
        links = [Link(_context(span.forked, RUN))] if span.forked else []
        made = self._tracer.start_span(
            span.name, whole, attributes=dict(span.attributes), links=links, start_time=_ns(span.start)
        )
        for at, name, what in span.happened:
            made.add_event(name, {"statemachine.what": what} if what else None, _ns(at))
        if span.error:
            made.set_attribute("error.type", span.error)
            made.set_status(StatusCode.ERROR)
        made.end(_ns(span.end))

    def close(self) -> None:
        """Leave the telling to others."""
        self._cursor.close()


def _context(run: str, seq: int) -> SpanContext:
    from opentelemetry.trace import SpanContext, TraceFlags

    return SpanContext(trace_id(run), span_id(run, seq), is_remote=True, trace_flags=TraceFlags(1))


def _ns(at: float) -> int:
    return round(at * 1e9)
