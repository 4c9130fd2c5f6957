"""Measures for OpenTelemetry: the same as for Prometheus, asked for whenever the SDK collects."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from statemachine.errors import NotDelivered
from statemachine.monitor.durations import Durations
from statemachine.monitor.families import BOUNDS, Family, families
from statemachine.monitor.measures import Measures
from statemachine.monitor.monitor import Monitor
from statemachine.store import Cursor, Store

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

_SAME = 0.5
"""Seconds for which one look serves all instruments."""

_UNITS = {"": "1", "s": "s", "1": "1"}


class Meters:
    """Gives a meter provider the measures of a store. Of several processes one does; counters begin with it.

    Args:
        store: The store.
        provider: Where the instruments are made.
        flush: Collects and sends; returns whether it arrived.
        place: A file that is locked while this process is the one.
    """

    def __init__(self, store: Store, provider: MeterProvider, flush: Callable[[], bool], place: Path) -> None:
        self._store, self._flush = store, flush
        self._cursor = Cursor(place, store.identity())
        self._monitor: Monitor | None = None
        self._seen: dict[str, Family] = {}
        self._looked = float("-inf")
        meter = provider.get_meter("statemachine")
        nothing = Measures(0.0, None, (), (), ())
        self._labels = {family.name: family.labels for family in families(nothing)}
        self._histograms = {}
        for family in families(nothing):
            name, about = f"statemachine.{family.name}", {"unit": _UNITS[family.unit]}
            about["description"] = family.says
            asked = [partial(self._observe, family.name)]
            match family.kind:
                case "gauge":
                    meter.create_observable_gauge(name, asked, **about)
                case "counter":
                    meter.create_observable_counter(name, asked, **about)
                case "histogram":
                    bounds = [2.0**power for power in BOUNDS]
                    self._histograms[family.name] = meter.create_histogram(
                        name, **about, explicit_bucket_boundaries_advisory=bounds
                    )

    def open(self) -> bool:
        """Return whether this process is the one who measures; it becomes it if nobody is."""
        if self._monitor is None and self._cursor.mine():
            self._monitor = Monitor(self._store, window=None, after=self._store.last_row(), took=self._took)

        return self._monitor is not None

    def look(self, *, last: bool = False) -> None:
        """Go on measuring if who did has ended; the SDK asks for what was measured, and at the last look gets it.

        Raises:
            NotDelivered: It did not arrive.
        """
        if self.open() and last:
            self._looked = float("-inf")
            if not self._flush():
                raise NotDelivered("the last measures did not arrive: is the collector up?")

    def _took(self, name: str, labels: tuple[str, ...], seconds: float) -> None:
        self._histograms[name].record(seconds, dict(zip(self._labels[name], labels, strict=True)))

    def _observe(self, name: str, options: CallbackOptions) -> Iterable[Observation]:
        from opentelemetry.metrics import Observation

        if self._monitor is None:
            return
        if time.monotonic() - self._looked > _SAME:
            self._seen = {family.name: family for family in families(self._monitor.look(time.time()))}
            self._looked = time.monotonic()
        family = self._seen[name]
        for labels, value in family.samples:
            assert not isinstance(value, Durations)
            yield Observation(value, dict(zip(family.labels, labels, strict=True)))

    def close(self) -> None:
        """Leave the measuring to others."""
        self._monitor = None
        self._cursor.close()
