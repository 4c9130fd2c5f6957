"""Measuring a store: few queries, and of the journal only what is new since the last look."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from statistics import median
from threading import Lock
from typing import Any

from statemachine.errors import StoreUnusable
from statemachine.kernel import UNTOLD
from statemachine.machine.model import Declaration, Expects
from statemachine.monitor.durations import Durations
from statemachine.monitor.fold import KINDS, STUCK, Fold, Key, Took
from statemachine.monitor.measures import Calls, For, MachineMeasures, Measures, ToolMeasures, Waiting
from statemachine.store import OpenRun, Store

DAY = 86400.0
SLOTS = 24
"""Parts of the window, by which what is too old is dropped."""

RECENT = 3
"""Of these, how many count as recent."""

_PAGE = 20_000
"""Places in the journal that are read at a time."""

_WAITS: tuple[tuple[str, For], ...] = (
    ("approval of ", "approval"),
    ("a decision on call ", "decision"),
    ("event ", "event"),
)
_RUNS = ("started", "finished", "stuck", "intervened", "approval", "decision in", "decision took")


def measured(store: Store, now: float, *, window: float | None = DAY, machine: str | None = None) -> Measures:
    """Return what is measured of a store at a time.

    Args:
        store: The store.
        now: The time, in seconds since the epoch.
        window: Over how many seconds before it things are counted; None for all that there ever was.
        machine: Only runs of the machine of this name.

    Raises:
        StoreUnusable: The store refused, or is damaged.
    """
    return Monitor(store, window=window, machine=machine).look(now)


class Monitor:
    """Measures a store again and again; each look reads the records since the one before. May be used by threads.

    Args:
        store: The store.
        window: Over how many seconds before each look things are counted; None for all since ``after``.
        machine: Only runs of the machine of this name.
        after: Without a window: the place among the records of all runs after which counting begins.
        took: Told of each duration that is counted.
    """

    def __init__(
        self,
        store: Store,
        *,
        window: float | None = DAY,
        machine: str | None = None,
        after: int = 0,
        took: Took | None = None,
    ) -> None:
        self._store, self._window, self._machine = store, window, machine
        self._fold = Fold(math.inf if window is None else window / SLOTS, self._earlier, took)
        self._row = after if window is None else -1
        self._expects: dict[str, Expects] = {}
        self._one = Lock()

    def look(self, now: float) -> Measures:
        """Return what is measured at a time, in seconds since the epoch, not before that of the last look.

        Raises:
            StoreUnusable: The store refused, or is damaged.
        """
        with self._one:
            first, recent = 0, 0
            if self._window is not None:
                last = self._fold.slot_of(now)
                first, recent = last - SLOTS, last - RECENT  # the present part has only begun
            self._read(now)
            self._fold.forget(first)
            total, newest = self._fold.total(first), self._fold.total(recent)
            # What happens while this is read is seen at the next look.
            unfinished = self._store.open_runs(self._machine)
            stops = tuple(self._store.stops())
            expects = self._known(unfinished)
        names = {run.machine for run in unfinished} | {key[1] for key in total if key[0] in _RUNS}
        machines = tuple(
            _machine(name, [run for run in unfinished if run.machine == name], total, expects, now)
            for name in sorted(names)
        )
        tools = sorted({(key[1], key[2]) for key in total if key[0] in ("call", "retry", "doubt")})
        return Measures(
            now, self._window, machines, tuple(_tool(*tool, total, newest) for tool in tools), stops
        )

    def _read(self, now: float) -> None:
        last = self._store.last_row()
        if self._row < 0:
            assert self._window is not None
            self._row = self._store.row_before(now - self._window)
        while self._row < last:
            until = min(self._row + _PAGE, last)
            for news in self._store.news(self._row, until, KINDS, STUCK):
                if self._machine in (None, news.machine):
                    try:
                        self._fold.add(news)
                    except (ValueError, KeyError, TypeError) as error:
                        raise StoreUnusable(
                            f"{self._store.name} is damaged: a record of run {news.run} cannot be read ({error!r}); "
                            f"see: statemachine journal {news.run} --verify"
                        ) from error
            self._row = until

    def _earlier(self, key: str) -> tuple[float, Mapping[str, Any]]:
        run, _, seq = key.rpartition(":")
        for record in self._store.records(run, after=int(seq) - 1, until=int(seq)):
            return record.at, json.loads(record.body)
        raise ValueError(f"there is no record {key}")

    def _known(self, unfinished: Iterable[OpenRun]) -> Mapping[str, Expects]:
        """Return what each version of a machine expects, and under the name what its newest version does."""
        names: dict[str, Expects] = {}
        for digest, name, _ in self._store.versions():
            if self._machine not in (None, name):
                continue
            if digest not in self._expects:
                stored = self._store.machine(digest)
                assert stored is not None
                self._expects[digest] = Declaration.model_validate_json(stored.declaration).expects
            names[name] = self._expects[digest]
        return names | self._expects


def _machine(
    name: str, unfinished: list[OpenRun], total: Counter[Key], expects: Mapping[str, Expects], now: float
) -> MachineMeasures:
    pending = [run.started for run in unfinished if run.status == "pending"]
    beyond = [
        run
        for run in unfinished
        if run.status != "pending"
        and (usual := expects[run.digest].elapsed) is not None
        and now - run.started > usual
    ]
    waiting: dict[For, list[OpenRun]] = {}
    for run in unfinished:
        for begins, what in _WAITS:
            if (run.waiting or "").startswith(begins):
                waiting.setdefault(what, []).append(run)
    counted = Counter(
        {key[0]: total[key] for key in (("started", name), ("stuck", name), ("intervened", name))}
    )
    oldest = min(beyond, key=lambda run: run.started, default=None)
    return MachineMeasures(
        machine=name,
        unfinished=dict(Counter(run.status for run in unfinished)),
        started=counted["started"],
        finished=_by(total, "finished", name),
        oldest_pending=now - min(pending) if pending else None,
        expected=expects[name].elapsed,
        beyond=len(beyond),
        beyond_run=oldest.id if oldest else "",
        waiting=tuple(_waiting(what, runs, now) for what, runs in sorted(waiting.items())),
        untold=sum((run.waiting or "").endswith(UNTOLD) for run in waiting.get("approval", ())),
        approvals=_by(total, "approval", name),
        decided_in=_durations(total, "decision", name),
        stuck=counted["stuck"],
        intervened=counted["intervened"],
        expected_interventions=expects[name].interventions,
    )


def _waiting(what: For, runs: list[OpenRun], now: float) -> Waiting:
    oldest = min(runs, key=lambda run: run.since)
    middle = median(now - run.since for run in runs)
    return Waiting(what, len(runs), now - oldest.since, middle, oldest.id)


def _tool(machine: str, tool: str, total: Counter[Key], newest: Counter[Key]) -> ToolMeasures:
    before = Counter({key: count - newest[key] for key, count in total.items() if count > newest[key]})
    calls, recent, earlier = (
        Calls(_by(counted, "call", machine, tool), _durations(counted, "call", machine, tool))
        for counted in (total, newest, before)
    )
    retries = _by(total, "retry", machine, tool)
    return ToolMeasures(machine, tool, calls, recent, earlier, retries, total["doubt", machine, tool])


def _by(total: Counter[Key], name: str, *labels: str) -> dict[str, int]:
    """Return the counts under a name and labels, by the label after them."""
    wanted = (name, *labels)
    return {key[-1]: n for key, n in sorted(total.items(), key=str) if key[:-1] == wanted}


def _durations(total: Counter[Key], name: str, *labels: str) -> Durations:
    wanted = (f"{name} in", *labels)
    buckets = {key[-1]: n for key, n in total.items() if key[:-1] == wanted}
    return Durations(buckets, total[(f"{name} took", *labels)] / 1e6)
