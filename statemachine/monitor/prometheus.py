"""Measures for Prometheus: text over HTTP, made anew at each scrape. Never is a run's id a label.

Names and units follow https://prometheus.io/docs/practices/naming/. Counters begin with the process, as theirs do; each
worker counts the whole store, so that of several the largest tells.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from statemachine.clock import Clock, SystemClock
from statemachine.errors import InvalidInput, MissingExtra
from statemachine.monitor.durations import Durations
from statemachine.monitor.families import BOUNDS, families
from statemachine.monitor.monitor import Monitor
from statemachine.store import Store

if TYPE_CHECKING:
    from prometheus_client import Metric

_UNITS = {"": "", "s": "_seconds", "1": "_ratio"}


class Collector:
    """Gives prometheus-client the metrics of a store at each scrape.

    Args:
        store: The store.
        clock: Tells the time of a scrape; by default the machine's does.
    """

    def __init__(self, store: Store, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._monitor = Monitor(store, window=None, after=store.last_row())

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        kinds = {
            "gauge": GaugeMetricFamily,
            "counter": CounterMetricFamily,
            "histogram": HistogramMetricFamily,
        }
        for family in families(self._monitor.look(self._clock.now())):
            name = f"statemachine_{family.name}{_UNITS[family.unit]}"
            metric = kinds[family.kind](name, family.says, labels=family.labels)
            for labels, value in family.samples:
                if isinstance(value, Durations):
                    buckets = [(str(seconds), count) for seconds, count in value.within(BOUNDS)]
                    metric.add_metric(labels, [*buckets, ("+Inf", value.count)], value.seconds)
                else:
                    metric.add_metric(labels, value)
            yield metric


@contextmanager
def served(store: Store, address: str) -> Iterator[str]:
    """Serve a store's metrics over HTTP for as long as the context lasts; yield the URL.

    Args:
        store: The store.
        address: ``HOST:PORT``; port 0 takes a free one.

    Raises:
        MissingExtra: prometheus-client is not installed.
        InvalidInput: The address is none, or cannot be listened to.
    """
    try:
        from prometheus_client import CollectorRegistry, start_http_server
    except ImportError as error:
        raise MissingExtra(
            f"--metrics needs the extra `metrics`: pip install 'agent-statemachine[metrics]' ({error})"
        ) from error
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise InvalidInput(f"--metrics {address}: write HOST:PORT, such as 127.0.0.1:9464")
    registry = CollectorRegistry()
    registry.register(Collector(store))
    try:
        server, thread = start_http_server(int(port), host.strip("[]"), registry)
    except OSError as error:
        raise InvalidInput(
            f"--metrics {address}: it cannot be listened to: {error.strerror or error}"
        ) from None
    try:
        yield f"http://{host}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
