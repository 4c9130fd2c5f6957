"""OpenTelemetry's SDK, set up from the standard environment variables; without them nothing is set up or imported.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/. Which exporters there are is said by
what is installed, under the entry points ``opentelemetry_traces_exporter`` and so on, as for other programs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points, version
from typing import TYPE_CHECKING, Any, Literal

from statemachine.errors import InvalidInput, MissingExtra

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

Signal = Literal["traces", "metrics", "logs"]
_PROTOCOLS = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}


def exporters(environment: Mapping[str, str]) -> dict[Signal, tuple[str, ...]]:
    """Return the names of the exporters that the environment asks for, by signal; empty when it asks for none."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return {}
    found: dict[Signal, tuple[str, ...]] = {}
    signals: tuple[Signal, ...] = ("traces", "metrics", "logs")
    for signal in signals:
        word = signal.upper()
        endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{word}_ENDPOINT")
        usual = "otlp" if any(environment.get(name) for name in endpoints) else "none"
        asked = environment.get(f"OTEL_{word}_EXPORTER") or usual
        protocol = (
            environment.get(f"OTEL_EXPORTER_OTLP_{word}_PROTOCOL")
            or environment.get("OTEL_EXPORTER_OTLP_PROTOCOL")
            or "http/protobuf"
        )
        names = [name.strip() for name in asked.split(",") if name.strip() not in ("", "none")]
        if names:
            found[signal] = tuple(_PROTOCOLS.get(protocol, protocol) if n == "otlp" else n for n in names)
    return found


def _made(signal: Signal, name: str) -> Any:
    """Return a new exporter of a name."""
    found = entry_points(group=f"opentelemetry_{signal}_exporter", name=name)
    if not found:
        known = ", ".join(sorted(e.name for e in entry_points(group=f"opentelemetry_{signal}_exporter")))
        raise InvalidInput(
            f"the environment asks for OpenTelemetry's {signal} by the exporter `{name}`, which is not installed "
            f"(there is: {known or 'none'}); install it, or set OTEL_{signal.upper()}_EXPORTER=none"
        )
    return next(iter(found)).load()()


@dataclass(frozen=True, slots=True)
class Tracing:
    """Where spans are made, and sent.

    Attributes:
        provider: Makes them.
        ids: Sets the ids of the next one: of its trace, and its own.
        sampled: Whether a trace of an id is told of, by the sampler that the environment asks for.
        flush: Sends them; returns whether they arrived.
        close: Gives back what the exporters hold.
    """

    provider: TracerProvider
    ids: Callable[[int, int], None]
    sampled: Callable[[int], bool]
    flush: Callable[[], bool]
    close: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Logging:
    """Where log records are made, and sent; as :class:`Tracing`."""

    provider: LoggerProvider
    flush: Callable[[], bool]
    close: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Metering:
    """Where measures are made, and sent every ``OTEL_METRIC_EXPORT_INTERVAL``; as :class:`Tracing`."""

    provider: MeterProvider
    flush: Callable[[], bool]
    close: Callable[[], None]


def tracing(names: Sequence[str]) -> Tracing:
    """Set up tracing with these exporters.

    Raises:
        MissingExtra: The SDK is not installed.
        InvalidInput: An exporter is not installed.
    """
    resource = _resource()
    from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.id_generator import IdGenerator
    from opentelemetry.sdk.trace.sampling import Decision

    class Ids(IdGenerator):
        """Gives the ids that were set."""

        trace = span = 0

        def generate_trace_id(self) -> int:
            return self.trace

        def generate_span_id(self) -> int:
            return self.span

        def is_trace_id_random(self) -> bool:
            return True  # it is a hash

        def set(self, trace: int, span: int) -> None:
            self.trace, self.span = trace, span

    class Kept(SpanProcessor):
        """Keeps what has ended until it is sent."""

        def __init__(self) -> None:
            self.batch: list[ReadableSpan] = []

        def on_end(self, span: ReadableSpan) -> None:
            self.batch.append(span)

    ids, kept, sending = Ids(), Kept(), [_made("traces", name) for name in names]
    provider = TracerProvider(resource=resource, id_generator=ids, shutdown_on_exit=False)
    provider.add_span_processor(kept)

    def sampled(trace: int) -> bool:
        decision = provider.sampler.should_sample(None, trace, "invoke_agent").decision
        return decision is Decision.RECORD_AND_SAMPLE

    return Tracing(provider, ids.set, sampled, lambda: _sent(sending, kept.batch), lambda: _shut(sending))


def logging(names: Sequence[str]) -> Logging:
    """Set up logs with these exporters; raises as :func:`tracing`."""
    resource = _resource()
    from opentelemetry.sdk._logs import (
        LoggerProvider,
        LogRecordProcessor,
        ReadableLogRecord,
        ReadWriteLogRecord,
    )

    class Kept(LogRecordProcessor):
        """Keeps what was emitted until it is sent."""

        def __init__(self) -> None:
            self.batch: list[ReadWriteLogRecord] = []

        def on_emit(self, log_record: ReadWriteLogRecord) -> None:
            self.batch.append(log_record)

        def shutdown(self) -> None:
            """Nothing is held."""

        def force_flush(self, timeout_millis: int = 30000) -> bool:
            return True

    kept, sending = Kept(), [_made("logs", name) for name in names]
    provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_log_record_processor(kept)

    def flush() -> bool:
        batch = [
            ReadableLogRecord(
                log_record=one.log_record,
                resource=one.resource or resource,
                instrumentation_scope=one.instrumentation_scope,
                limits=one.limits,
            )
            for one in kept.batch
        ]
        kept.batch.clear()
        return _sent(sending, batch)

    return Logging(provider, flush, lambda: _shut(sending))


def metering(names: Sequence[str]) -> Metering:
    """Set up metrics with these exporters; raises as :func:`tracing`."""
    resource = _resource()
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    readers = [PeriodicExportingMetricReader(_made("metrics", name)) for name in names]
    provider = MeterProvider(metric_readers=readers, resource=resource, shutdown_on_exit=False)

    def flush() -> bool:
        try:
            return provider.force_flush()
        except Exception:  # the SDK raises no other one for what was not sent in time
            return False

    return Metering(provider, flush, provider.shutdown)


def _resource() -> Resource:
    """Return who tells: ``OTEL_SERVICE_NAME`` and ``OTEL_RESOURCE_ATTRIBUTES``, else this program."""
    try:
        from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
    except ImportError as error:
        raise MissingExtra(
            "the environment asks for OpenTelemetry (OTEL_…), which needs the extra `metrics`: "
            f"pip install 'agent-statemachine[metrics]' ({error})"
        ) from error
    found = Resource.create()
    if str(found.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        found = found.merge(Resource({SERVICE_NAME: "statemachine"}))
    return Resource({SERVICE_VERSION: version("agent-statemachine")}).merge(found)


def _sent(exporters: Sequence[Any], batch: list[Any]) -> bool:
    """Hand a batch to all exporters, and return whether it arrived at each; it is not kept."""
    told = tuple(batch)
    batch.clear()
    arrived = [exporter.export(told).name == "SUCCESS" for exporter in exporters]
    return all(arrived)


def _shut(exporters: Sequence[Any]) -> None:
    for exporter in exporters:
        exporter.shutdown()
