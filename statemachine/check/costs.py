"""What one stay in a state costs at worst: steps, calls, attempts and time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from statemachine.check.space import Space, Stay
from statemachine.machine.contract import Tool
from statemachine.machine.model import State

CUT_SHORT: Mapping[Stay, int] = {"none": 0, "cut": 1, "whole": 2}
"""Where in a state's costs those of each stay are."""

Costs = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Metric:
    """One thing that is counted along a run.

    Attributes:
        name: ``steps``, ``calls``, ``calls of TOOL``, ``entries of STATE`` or ``elapsed``.
        costs: For each state, what a stay costs: none of it, cut short, whole.
        growing: For states whose wait grows with the attempts, what each attempt costs.
    """

    name: str
    costs: Mapping[str, Costs]
    growing: Mapping[str, tuple[float, ...]]

    def of(self, state: str, stay: Stay, attempt: int) -> float:
        """Return what a stay costs at the ``attempt``, from 1; at whichever costs most if that is 0."""
        if attempt and stay == "whole" and state in self.growing:
            return self.growing[state][attempt - 1]
        return self.costs[state][CUT_SHORT[stay]]


def metrics(space: Space) -> list[Metric]:
    """Return everything that is counted, steps first."""
    tools = space.definition.declaration.tools
    used = {name: _calls(space, state) for name, state in space.states.items()}
    called = [tool for tool in tools if any(tool in calls for calls, _ in used.values())]
    found = [Metric("steps", dict.fromkeys(space.states, (1, 1, 1)), {})]
    found.append(Metric("calls", {n: _sums(calls, cut, None) for n, (calls, cut) in used.items()}, {}))
    for tool in called:
        costs = {name: _sums(calls, cut, tool) for name, (calls, cut) in used.items()}
        found.append(Metric(f"calls of {tool}", costs, {}))
    for counted in space.most:
        entries: dict[str, Costs] = dict.fromkeys(space.states, (0, 0, 0))
        found.append(Metric(f"entries of {counted}", entries | {counted: (1, 1, 1)}, {}))
    undoing = undo_calls(space)
    return [*found, *([undoing] if undoing else []), _elapsed(space)]


def undo_calls(space: Space) -> Metric | None:
    """Return what counts the calls of states that roll back; None where there is no such state.

    Each write is undone once at most, and each roll back ends with the first that fails. So a write pays for
    its own undoing, and a roll back for one that fails.
    """
    return _undoing(space, "calls to undo", lambda tool: 1 + sum(p.max for p in tool.retry.values()))


def undo_time(space: Space) -> Metric | None:
    """Return what counts the time that states take which roll back; None where there is no such state."""
    return _undoing(space, "time to undo", lambda tool: _all_tries(space, tool, {}))


def _undoing(space: Space, name: str, cost: Callable[[Tool], float]) -> Metric | None:
    tools = space.definition.declaration.tools
    if not space.definition.undoes or all(state.undo is None for state in space.states.values()):
        return None
    each = {written: cost(tools[tools[written].undo or ""]) for written in space.definition.undoes}
    costs: dict[str, Costs] = {}
    for at, state in space.states.items():
        most = max(each.values()) if state.undo else each.get(state.do or "", 0)
        costs[at] = 0, 0 if state.do else most, most
    return Metric(name, costs, {})


def _calls(space: Space, state: State) -> tuple[dict[str, int], str]:
    """Return how often a stay calls each tool at most, and the tool of which one call fewer is made when it
    is cut short."""
    if state.do is None:
        return {}, ""
    tool = space.definition.declaration.tools[state.do]
    calls = {state.do: 1 + sum(policy.max for policy in tool.retry.values())}
    for policy in tool.retry.values():
        if policy.refresh is not None:
            calls[policy.refresh] = calls.get(policy.refresh, 0) + policy.max
    return calls, state.do


def _sums(calls: Mapping[str, int], cut: str, tool: str | None) -> Costs:
    whole = sum(n for name, n in calls.items() if tool in (None, name))
    return 0, whole - (1 if cut and tool in (None, cut) else 0), whole


def _elapsed(space: Space) -> Metric:
    costs: dict[str, Costs] = {}
    growing = {}
    undoing = undo_time(space)
    for name, state in space.states.items():
        longest = _seconds(space, state, 1, _asking(space, name))
        undone = undoing.costs[name][2] if undoing else 0
        timeout = math.inf if state.timeout is None else state.timeout
        costs[name] = min(_asking(space, name), timeout), longest, longest + undone
        if state.wait is not None and name in space.most:
            growing[name] = tuple(_seconds(space, state, n) for n in range(1, space.most[name] + 1))
            costs[name] = 0, 0, growing[name][-1]
    return Metric("elapsed", costs, growing)


def _asking(space: Space, name: str) -> float:
    """Return the seconds for which people may be asked to approve a state's call, once and after each refresh."""
    action = space.definition.actions.get(name)
    if action is None or action.asking is None:
        return 0
    refreshes = sum(policy.max for policy in space.tool(name).retry.values() if policy.refresh is not None)
    return (1 + refreshes) * sum(level.expires for level in action.asking.levels)


def _seconds(space: Space, state: State, attempt: int, asking: float = 0) -> float:
    timeout = math.inf if state.timeout is None else state.timeout
    match state.kind:
        case "call":
            tools = space.definition.declaration.tools
            tool = tools[state.do or ""]
            # A write is not left while it is under way: a time-out then counts from its end.
            late = tool.timeout if tool.effect == "write" else 0
            return min(asking + _all_tries(space, tool, _calls(space, state)[0]), timeout + late)
        case "wait":
            return min(state.wait.seconds(attempt) if state.wait else 0, timeout)
        case "event":
            return timeout
    return 0


def _all_tries(space: Space, tool: Tool, calls: Mapping[str, int]) -> float:
    """Return the seconds that a call takes with all its retries, and with the calls that refresh what it reads."""
    tools = space.definition.declaration.tools
    policies = [policy for policy in tool.retry.values() if policy.refresh is None]
    backoffs = sum(policy.seconds(n) for policy in policies for n in range(1, policy.max + 1))
    if not calls:
        return tool.timeout * (1 + sum(policy.max for policy in policies)) + backoffs
    return sum(tools[called].timeout * n for called, n in calls.items()) + backoffs
