"""A collector of OpenTelemetry data: it listens where OTLP over HTTP is sent to, and keeps what comes."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_KINDS: Mapping[str, Any] = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
}


@dataclass
class Collector:
    """What came.

    Attributes:
        url: Where it listens.
        up: Whether it takes what comes.
        got: The requests, by path.
    """

    url: str = ""
    up: bool = True
    got: dict[str, list[Any]] = field(default_factory=lambda: {path: [] for path in _KINDS})

    @property
    def spans(self) -> list[Any]:
        """Return every span that came."""
        return [
            span
            for one in self.got["/v1/traces"]
            for resource in one.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def logs(self) -> list[Any]:
        """Return every log record that came."""
        return [
            record
            for one in self.got["/v1/logs"]
            for resource in one.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]

    @property
    def metrics(self) -> dict[str, Any]:
        """Return each metric as it came last."""
        return {
            metric.name: metric
            for one in self.got["/v1/metrics"]
            for resource in one.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def text(self) -> str:
        """Return all of it, to look for what must not be in it."""
        return "".join(str(one) for path in _KINDS for one in self.got[path])


def attributes(of: Any) -> dict[str, Any]:
    """Return the attributes of a span, a record, a point or a resource."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in of.attributes}


@contextmanager
def collecting() -> Iterator[Collector]:
    """Listen for as long as the context lasts."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                data = gzip.decompress(data)
            if collector.up:
                collector.got[self.path].append(_KINDS[self.path].FromString(data))
            self.send_response(200 if collector.up else 400)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *given: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()
