"""Telling OpenTelemetry of the spans of a store's runs: from committed records, beside the runs, never inside a step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from statemachine.journal.tracing import span_id, trace_id
from statemachine.monitor.spans import KINDS, RUN, Span, Spans
from statemachine.store import Follower, Sink, Store

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext, TracerProvider

SetIds = Callable[[int, int], None]
"""Says which ids the next span gets: of its trace, and its own."""


class Traces(Sink[list[Span]]):
    """Tells of the spans that have ended; one that is told of twice has the same ids.

    Args:
        store: The store.
        provider: Where the spans are made.
        ids: Sets the ids of the next one.
        sampled: Whether a trace, by its id, is told of at all.
        flush: Sends what was made, and returns whether it arrived.
        place: The file in which is kept how far it came.
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
        super().__init__(store, Follower(store, KINDS, Spans), flush, place, "spans")
        self._tracer, self._ids, self._sampled = provider.get_tracer("statemachine"), ids, sampled

    def hand_on(self, told: list[list[Span]]) -> bool:
        """Make the spans; return whether there are any."""
        spans = [span for ended in told for span in ended if self._sampled(trace_id(span.run))]
        for span in spans:
            self._tell(span)
        return bool(spans)

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


def _context(run: str, seq: int) -> SpanContext:
    from opentelemetry.trace import SpanContext, TraceFlags

    return SpanContext(trace_id(run), span_id(run, seq), is_remote=True, trace_flags=TraceFlags(1))


def _ns(at: float) -> int:
    return round(at * 1e9)
