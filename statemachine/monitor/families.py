"""Measures by name, as whoever collects them wants them: what is measured, in which unit, by which labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from statemachine.monitor.durations import Durations
from statemachine.monitor.measures import MachineMeasures, Measures, ToolMeasures

BOUNDS = range(-8, 18)
"""Upper bounds of histograms, as powers of two of a second: from 4 ms to a day and a half."""

Labelled = tuple[tuple[str, ...], float | Durations]
"""The values of a family's labels, in their order, and what was measured."""


@dataclass(frozen=True, slots=True)
class Family:
    """One thing that is measured.

    Attributes:
        name: What, without a prefix and without its unit.
        says: The same for people, as a sentence.
        kind: A gauge says how things stand, a counter only rises, a histogram has the durations of many.
        unit: ``s`` for seconds, ``1`` for a share, empty for a number of things.
        labels: What the samples are told apart by; never a run.
        samples: What was measured.
    """

    name: str
    says: str
    kind: Literal["gauge", "counter", "histogram"]
    unit: Literal["", "s", "1"]
    labels: tuple[str, ...]
    samples: tuple[Labelled, ...]


def families(measures: Measures) -> Iterator[Family]:
    """Yield everything that is measured, also what has no sample yet."""

    def gauge(
        name: str, says: str, labels: str, samples: Iterable[Labelled], unit: Literal["", "s", "1"] = ""
    ) -> Family:
        return Family(name, says, "gauge", unit, tuple(labels.split()), tuple(samples))

    def counter(name: str, says: str, labels: str, samples: Iterable[Labelled]) -> Family:
        return Family(name, says, "counter", "", tuple(labels.split()), tuple(samples))

    def histogram(name: str, says: str, labels: str, samples: Iterable[Labelled]) -> Family:
        return Family(name, says, "histogram", "s", tuple(labels.split()), tuple(samples))

    all_of_them, tools = [((m.machine,), m) for m in measures.machines], measures.tools
    yield gauge("runs", "Runs that have not ended.", "machine status", _unfinished(measures.machines))
    yield gauge(
        "queue_oldest",
        "How long the oldest queued run has waited.",
        "machine",
        ((name, m.oldest_pending or 0) for name, m in all_of_them),
        "s",
    )
    yield gauge(
        "runs_beyond_expected",
        "Runs in progress for longer than expected.",
        "machine",
        ((name, m.beyond) for name, m in all_of_them),
    )
    yield gauge(
        "waiting_on_people",
        "Runs that wait for people.",
        "machine what",
        ((labels, count) for labels, count, _ in _waiting(measures.machines)),
    )
    yield gauge(
        "waiting_on_people_oldest",
        "For how long the oldest has.",
        "machine what",
        ((labels, oldest) for labels, _, oldest in _waiting(measures.machines)),
        "s",
    )
    yield gauge(
        "requests_untold",
        "Requests of which people could not be told in every way.",
        "machine",
        ((name, m.untold) for name, m in all_of_them),
    )
    yield gauge(
        "expected_elapsed",
        "How long a run is expected to take.",
        "machine",
        ((name, m.expected) for name, m in all_of_them if m.expected is not None),
        "s",
    )
    yield gauge(
        "expected_intervention",
        "Share of runs that are expected to need a person.",
        "machine",
        ((n, m.expected_interventions) for n, m in all_of_them if m.expected_interventions is not None),
        "1",
    )
    scopes = ("run", "machine", "tool", "all")
    in_force = (((scope,), sum(stop.scope == scope for stop in measures.stops)) for scope in scopes)
    yield gauge("stops", "Stops in force.", "scope", in_force)
    yield counter(
        "runs_started", "Runs that started.", "machine", ((name, m.started) for name, m in all_of_them)
    )
    yield counter(
        "runs_finished",
        "Runs that ended.",
        "machine status",
        (one for name, m in all_of_them for one in _each(name, m.finished)),
    )
    yield counter(
        "runs_stuck",
        "How often a run was found to repeat itself.",
        "machine",
        ((name, m.stuck) for name, m in all_of_them),
    )
    yield counter(
        "runs_intervened",
        "Runs to which a person had to do something.",
        "machine",
        ((name, m.intervened) for name, m in all_of_them),
    )
    yield counter(
        "approvals",
        "Requests, by what became of them.",
        "machine verdict",
        (one for name, m in all_of_them for one in _each(name, m.approvals)),
    )
    yield histogram(
        "decision",
        "How long people took to decide.",
        "machine",
        ((name, m.decided_in) for name, m in all_of_them),
    )
    yield counter(
        "calls",
        "Calls that ended, by how.",
        "machine tool result",
        (one for t in tools for one in _each(_of(t), t.calls.results)),
    )
    yield histogram(
        "call", "How long calls took.", "machine tool", ((_of(tool), tool.calls.took) for tool in tools)
    )
    yield counter(
        "retries",
        "Calls made again, by what had failed.",
        "machine tool class",
        (one for tool in tools for one in _each(_of(tool), tool.retries)),
    )
    yield counter(
        "calls_in_doubt",
        "Calls that were in doubt.",
        "machine tool",
        ((_of(tool), tool.in_doubt) for tool in tools),
    )


def _of(tool: ToolMeasures) -> tuple[str, str]:
    return tool.machine, tool.tool


def _each(labels: tuple[str, ...], counts: Mapping[str, int]) -> Iterator[Labelled]:
    return (((*labels, name), count) for name, count in counts.items())


def _unfinished(machines: Iterable[MachineMeasures]) -> Iterator[Labelled]:
    statuses = ("pending", "running", "waiting")
    return (((m.machine, status), m.unfinished.get(status, 0)) for m in machines for status in statuses)


def _waiting(machines: Iterable[MachineMeasures]) -> Iterator[tuple[tuple[str, str], int, float]]:
    for machine in machines:
        waiting = {one.what: one for one in machine.waiting}
        for what in ("approval", "decision", "event"):
            one = waiting.get(what)
            yield (machine.machine, what), one.count if one else 0, one.oldest if one else 0
