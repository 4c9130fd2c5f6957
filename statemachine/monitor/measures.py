"""What was measured, as plain frozen data; times are seconds since the epoch, durations seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from statemachine.monitor.durations import Durations
from statemachine.store import Stop

For = Literal["approval", "decision", "event"]
"""What a run waits for from people: a yes, a word on a call in doubt, an event."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Runs of a machine that wait for people.

    Attributes:
        what: What for.
        count: How many.
        oldest: For how long the one that waits longest has waited.
        median: The same of the one in the middle.
        run: The one that waits longest.
    """

    what: For
    count: int
    oldest: float
    median: float
    run: str


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls of a tool that ended.

    Attributes:
        results: How many ended how: ``success``, ``partial``, or the class of the failure.
        took: How long they took.
    """

    results: Mapping[str, int] = field(default_factory=dict)
    took: Durations = field(default_factory=Durations)

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.results.values())

    @property
    def success(self) -> float | None:
        """The share of them that succeeded, wholly or in part; None when there were none."""
        good = self.results.get("success", 0) + self.results.get("partial", 0)
        return good / self.count if self.count else None


@dataclass(frozen=True, slots=True)
class ToolMeasures:
    """A tool of a machine, within the window.

    Attributes:
        machine: Name of the machine.
        tool: Name of the tool.
        calls: Its calls.
        recent: Those in the newest part of the window.
        before: Those before that part.
        retries: Calls made again, by the class of the failure, or ``crash``.
        in_doubt: Calls that were in doubt at some time.
    """

    machine: str
    tool: str
    calls: Calls
    recent: Calls
    before: Calls
    retries: Mapping[str, int]
    in_doubt: int


@dataclass(frozen=True, slots=True)
class MachineMeasures:
    """A machine's runs.

    Attributes:
        machine: Its name.
        unfinished: Runs that have not ended, by status: pending, running, waiting.
        started: Runs that started within the window.
        finished: Runs that ended within the window, by status.
        oldest_pending: For how long the run that waits longest for a worker has; None without one.
        expected: How long a run is expected to take; None when the machine does not say.
        beyond: Runs in progress for longer than that.
        beyond_run: The oldest of them; empty without one.
        waiting: Runs that wait for people, by what for.
        untold: Requests of which people could not be told in every way.
        approvals: Requests that were ``granted``, ``denied`` or ``expired`` within the window.
        decided_in: How long people took to decide.
        stuck: How often a run was found to be stuck within the window.
        intervened: Runs within the window to which a person had to do something.
        expected_interventions: The share of runs for which that is expected; None when the machine does not say.
    """

    machine: str
    unfinished: Mapping[str, int]
    started: int
    finished: Mapping[str, int]
    oldest_pending: float | None
    expected: float | None
    beyond: int
    beyond_run: str
    waiting: tuple[Waiting, ...]
    untold: int
    approvals: Mapping[str, int]
    decided_in: Durations
    stuck: int
    intervened: int
    expected_interventions: float | None

    @property
    def decisions(self) -> int:
        """How many requests were answered."""
        return self.approvals.get("granted", 0) + self.approvals.get("denied", 0)

    @property
    def approval_rate(self) -> float | None:
        """The share of answers that were a yes; None without an answer."""
        return self.approvals.get("granted", 0) / self.decisions if self.decisions else None

    @property
    def intervention_rate(self) -> float | None:
        """Runs in which a person intervened, per run that started; None when none did."""
        return min(1.0, self.intervened / self.started) if self.started else None


@dataclass(frozen=True, slots=True)
class Measures:
    """All that was measured of a store.

    Attributes:
        at: When.
        window: Over how many seconds things were counted; None for all since the counting began.
        machines: The machines, by name.
        tools: Their tools, by machine and name.
        stops: The stops in force.
    """

    at: float
    window: float | None
    machines: tuple[MachineMeasures, ...]
    tools: tuple[ToolMeasures, ...]
    stops: tuple[Stop, ...]

    def as_data(self) -> dict[str, Any]:
        """Return the measures as plain JSON data."""
        return {
            "at": self.at,
            "window": self.window,
            "machines": [
                {n: _plain(getattr(m, n)) for n in MachineMeasures.__slots__}
                | {"approval_rate": m.approval_rate, "intervention_rate": m.intervention_rate}
                for m in self.machines
            ],
            "tools": [{n: _plain(getattr(t, n)) for n in ToolMeasures.__slots__} for t in self.tools],
            "stops": [{n: getattr(s, n) for n in Stop.__slots__} for s in self.stops],
        }


def _plain(value: Any) -> Any:
    match value:
        case Durations():
            return value.as_data()
        case Calls():
            return {"results": dict(value.results), "success": value.success, "took": value.took.as_data()}
        case Waiting():
            return {name: getattr(value, name) for name in Waiting.__slots__}
        case tuple():
            return [_plain(one) for one in value]
        case Mapping():
            return dict(value)
    return value
