"""What is not as it should be, each with what to look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from statemachine.legible import counted
from statemachine.machine.duration import spell
from statemachine.monitor.measures import MachineMeasures, Measures, ToolMeasures

FEWEST_CALLS = 10
"""Calls of a tool below which no share is judged."""

LOWEST_SUCCESS = 0.9
FEWEST_FAILURES = 5
"""Failed calls below which a share says nothing: of few calls, two that failed by chance are many."""

SLOWER = 3.0
"""By how much the median of recent calls must exceed the one before."""

SLOW = 0.1
"""Seconds below which no tool is slow, whatever it was before."""

FEWEST_DECISIONS = 20
HIGHEST_APPROVAL = 0.98
PATIENCE = 3600.0
"""Seconds that people may take to answer, where the machine does not say how long a run takes."""

FEWEST_RUNS = 20
QUEUE = 300.0
"""Seconds that a run may wait for a worker."""


@dataclass(frozen=True, slots=True)
class Warning:
    """One thing that is not as it should be.

    Attributes:
        code: What sort of thing: ``tool-fails``, ``nobody-answers``, …
        what: The machine, the tool or the stop that it is about.
        says: What is the matter, for people.
        look: What to look at or to do: a command where there is one.
    """

    code: str
    what: str
    says: str
    look: str


def warnings(measures: Measures) -> tuple[Warning, ...]:
    """Return what is not as it should be: of machines, then of tools, then what is stopped."""
    found = [warning for machine in measures.machines for warning in _of_machine(machine)]
    found += [warning for tool in measures.tools for warning in _of_tool(tool)]
    for stop in measures.stops:
        lift = {"run": stop.name, "all": "--all"}.get(stop.scope, f"--{stop.scope} {stop.name}")
        found.append(Warning("stopped", stop.name or "all", str(stop), f"statemachine start {lift}"))
    return tuple(found)


def _of_machine(machine: MachineMeasures) -> Iterator[Warning]:
    name = machine.machine
    if machine.oldest_pending is not None and machine.oldest_pending > QUEUE:
        queued = counted(machine.unfinished["pending"], "run waits", "runs wait")
        says = f"{queued} for a worker, for up to {_lasting(machine.oldest_pending)}"
        yield Warning("queue", name, says, "is a worker up? statemachine worker")
    if machine.stuck:
        says = f"runs were stuck {counted(machine.stuck, 'time')}: they repeated themselves"
        yield Warning("stuck", name, says, f"statemachine runs --machine {name}, then explain ID")
    if machine.beyond:
        assert machine.expected is not None or machine.beyond_run
        usual = f" ({spell(machine.expected)})" if machine.expected is not None else ""
        says = f"{counted(machine.beyond, 'run is', 'runs are')} in progress for longer than expected{usual}"
        yield Warning("beyond-expected", name, says, f"statemachine status {machine.beyond_run}")
    for waiting in machine.waiting:
        runs = counted(waiting.count, "run waits", "runs wait")
        if waiting.what == "decision":
            says = f"{runs} for a decision on a call in doubt, for up to {_lasting(waiting.oldest)}"
            yield Warning("in-doubt", name, says, f"statemachine explain {waiting.run}, then resolve")
        elif waiting.what == "approval" and waiting.oldest > (machine.expected or PATIENCE):
            says = f"{runs} for approval, for up to {_lasting(waiting.oldest)}: nobody answers"
            yield Warning("nobody-answers", name, says, "statemachine approvals")
    if machine.untold:
        says = f"{counted(machine.untold, 'request')} could not be told in every way that the policy names"
        yield Warning("untold", name, says, "statemachine approvals, then approvals show ID")
    if machine.approvals.get("expired"):
        says = f"{counted(machine.approvals['expired'], 'request was', 'requests were')} not answered in time"
        yield Warning("expired", name, says, "who is asked? statemachine approvals")
    rate = machine.approval_rate
    if rate is not None and machine.decisions >= FEWEST_DECISIONS and rate >= HIGHEST_APPROVAL:
        says = f"{rate:.0%} of {machine.decisions} requests were approved: does anybody read them?"
        yield Warning(
            "all-approved", name, says, "ask for less, or for more that matters: statemachine approvals"
        )
    rate, expected = machine.intervention_rate, machine.expected_interventions
    if rate is not None and expected is not None and machine.started >= FEWEST_RUNS and rate > expected:
        says = f"people intervened in {rate:.0%} of the runs; {expected:.0%} are expected"
        yield Warning("interventions", name, says, f"statemachine runs --machine {name}, then explain ID")


def _of_tool(tool: ToolMeasures) -> Iterator[Warning]:
    name = f"{tool.machine}/{tool.tool}"
    recent, before = tool.recent, tool.before
    if recent.count < FEWEST_CALLS:
        return
    assert recent.success is not None
    failed = {c: n for c, n in recent.results.items() if c not in ("success", "partial")}
    if recent.success < LOWEST_SUCCESS and sum(failed.values()) >= FEWEST_FAILURES:
        most = max(failed, key=lambda c: failed[c])
        was = "" if before.success is None else f", {before.success:.0%} before"
        says = (
            f"{recent.success:.0%} of its latest {recent.count} calls succeeded{was}; most failed with {most}"
        )
        yield Warning(
            "tool-fails", name, says, f"statemachine runs --machine {tool.machine}, then explain ID"
        )
    now, once = recent.took.percentile(0.5), before.took.percentile(0.5)
    if (
        before.count >= FEWEST_CALLS
        and now is not None
        and once is not None
        and now > max(SLOWER * once, SLOW)
    ):
        says = f"half of its latest {recent.count} calls took more than {now:.2g} s; {once:.2g} s before"
        yield Warning("tool-slow", name, says, f"is what {tool.tool} calls in trouble?")


def _lasting(seconds: float) -> str:
    unit, size = next(
        (u, s) for u, s in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)) if seconds >= s or s == 1
    )
    return f"{seconds / size:.3g}{unit}"
