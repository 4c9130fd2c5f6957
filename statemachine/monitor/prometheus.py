"""Measures for Prometheus: text over HTTP, made anew at each scrape. Never is a run's id a label.

Names and units follow https://prometheus.io/docs/practices/naming/. Counters begin with the process, as theirs do; each
worker counts the whole store, so that of several the largest tells.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from statemachine.errors import InvalidInput, MissingExtra
from statemachine.monitor.durations import Durations
from statemachine.monitor.monitor import Monitor
from statemachine.store import Store

if TYPE_CHECKING:
    from prometheus_client import Metric

_BOUNDS = range(-8, 18)
"""Upper bounds of histograms, as powers of two: from 4 ms to a day and a half."""


class Collector:
    """Gives prometheus-client the metrics of a store at each scrape.

    Args:
        store: The store.
    """

    def __init__(self, store: Store) -> None:
        self._monitor = Monitor(store, window=None, after=store.last_row())

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        from prometheus_client.core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )

        def gauge(name: str, says: str, *labels: str) -> GaugeMetricFamily:
            return GaugeMetricFamily(f"statemachine_{name}", says, labels=labels)

        def counter(name: str, says: str, *labels: str) -> CounterMetricFamily:
            return CounterMetricFamily(f"statemachine_{name}", says, labels=labels)

        def histogram(name: str, says: str, *labels: str) -> HistogramMetricFamily:
            return HistogramMetricFamily(f"statemachine_{name}", says, labels=labels)

        measures = self._monitor.look(time.time())
        runs = gauge("runs", "Runs that have not ended.", "machine", "status")
        oldest = gauge("queue_oldest_seconds", "How long the oldest queued run has waited.", "machine")
        beyond = gauge("runs_beyond_expected", "Runs in progress for longer than expected.", "machine")
        people = gauge("waiting_on_people", "Runs that wait for people.", "machine", "what")
        longest = gauge("waiting_on_people_oldest_seconds", "For how long the oldest has.", "machine", "what")
        usual = gauge("expected_elapsed_seconds", "How long a run is expected to take.", "machine")
        share = gauge(
            "expected_intervention_ratio", "Share of runs that are expected to need a person.", "machine"
        )
        stops = gauge("stops", "Stops in force.", "scope")
        started = counter("runs_started", "Runs that started.", "machine")
        finished = counter("runs_finished", "Runs that ended.", "machine", "status")
        stuck = counter("runs_stuck", "How often a run was found to repeat itself.", "machine")
        intervened = counter("runs_intervened", "Runs to which a person had to do something.", "machine")
        approvals = counter("approvals", "Requests, by what became of them.", "machine", "verdict")
        decided = histogram("decision_seconds", "How long people took to decide.", "machine")
        calls = counter("calls", "Calls that ended, by how.", "machine", "tool", "result")
        took = histogram("call_seconds", "How long calls took.", "machine", "tool")
        retries = counter("retries", "Calls made again, by what had failed.", "machine", "tool", "class")
        doubted = counter("calls_in_doubt", "Calls that were in doubt.", "machine", "tool")

        for machine in measures.machines:
            name = machine.machine
            for status in ("pending", "running", "waiting"):
                runs.add_metric([name, status], machine.unfinished.get(status, 0))
            oldest.add_metric([name], machine.oldest_pending or 0)
            beyond.add_metric([name], machine.beyond)
            waiting = {one.what: one for one in machine.waiting}
            for what in ("approval", "decision", "event"):
                one = waiting.get(what)
                people.add_metric([name, what], one.count if one else 0)
                longest.add_metric([name, what], one.oldest if one else 0)
            if machine.expected is not None:
                usual.add_metric([name], machine.expected)
            if machine.expected_interventions is not None:
                share.add_metric([name], machine.expected_interventions)
            started.add_metric([name], machine.started)
            stuck.add_metric([name], machine.stuck)
            intervened.add_metric([name], machine.intervened)
            _each(finished, [name], machine.finished)
            _each(approvals, [name], machine.approvals)
            _spread(decided, [name], machine.decided_in)
        for tool in measures.tools:
            labels = [tool.machine, tool.tool]
            _each(calls, labels, tool.calls.results)
            _each(retries, labels, tool.retries)
            _spread(took, labels, tool.calls.took)
            doubted.add_metric(labels, tool.in_doubt)
        for scope in ("run", "machine", "tool", "all"):
            stops.add_metric([scope], sum(stop.scope == scope for stop in measures.stops))
        yield from (runs, oldest, beyond, people, longest, usual, share, stops, started, finished, stuck)
        yield from (intervened, approvals, decided, calls, took, retries, doubted)


def _each(family: Metric, labels: list[str], counts: Mapping[str, int]) -> None:
    for name, count in counts.items():
        family.add_metric([*labels, name], count)  # type: ignore[attr-defined]  # each family has its own


def _spread(family: Metric, labels: list[str], durations: Durations) -> None:
    buckets = [(f"{seconds:g}", count) for seconds, count in durations.within(_BOUNDS)]
    buckets.append(("+Inf", durations.count))
    family.add_metric(labels, buckets, durations.seconds)  # type: ignore[attr-defined]  # as above


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
