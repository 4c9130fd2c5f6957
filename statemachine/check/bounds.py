"""The proved worst case of a machine: steps, calls, attempts, time and cost, each with a run that comes to it.

Counters are looked at first, run limits then: a bound says which of the two is met first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from statemachine.check.costs import Metric, metrics, undo_time
from statemachine.check.counts import Counts, asked
from statemachine.check.product import MOST, Product, explore, within, worst
from statemachine.check.ranking import Longest, Part, rank
from statemachine.check.runs import Round, Run, rounds, shown
from statemachine.check.space import Space, space_of
from statemachine.machine.definition import Definition

_WORK = 1_000_000
"""Moves that are looked at, at most, for what a run can do within its limit of steps."""


@dataclass(frozen=True, slots=True)
class Bound:
    """The most that a run can come to in one respect.

    Attributes:
        name: ``steps``, ``calls``, ``calls of TOOL``, ``entries of STATE``, ``calls to undo``, ``elapsed`` (in
            seconds) or ``cost in UNIT``.
        counters: What the counters of attempts, and the time-outs, allow; infinite if they do not bound it,
            None if that is not known.
        limit: What the run limits allow; None if they say nothing.
        binds: What is met first: ``counters``, the name of a limit, or nothing: then it is unbounded.
        exact: Whether a run comes to it, should guards and tools allow it; else it is only never exceeded.
        run: A run that comes to what the counters allow.
        why: Why it is not bounded, or not known.
    """

    name: str
    counters: float | None
    limit: float | None
    binds: str
    exact: bool
    run: Run
    why: str

    @property
    def most(self) -> float:
        """The most that a run can come to; infinite if nothing bounds it."""
        known = math.inf if self.counters is None else self.counters
        return min(known, math.inf if self.limit is None else self.limit)

    def as_json(self) -> dict[str, Any]:
        """Return the bound as plain data; null is what has no bound."""
        verdict = "UNKNOWN" if self.counters is None else "REFUTED" if math.isinf(self.counters) else "PROVED"
        return {
            "name": self.name,
            "most": _finite(self.most),
            "verdict": verdict,
            "counters": _finite(self.counters),
            "limit": self.limit,
            "binds": self.binds or None,
            "exact": self.exact,
            "run": shown(self.run),
            "why": self.why,
        }


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is proved of any run of a machine.

    Attributes:
        method: How it was proved.
        bounds: Each bound, steps first.
        assumptions: What the proof takes for granted.
        loops: The loops that counters end: those counters with how often each goes round, and its states.
        endless: The loops of which no counter proves that they end.
    """

    method: str
    bounds: tuple[Bound, ...]
    assumptions: tuple[str, ...]
    loops: tuple[Part, ...]
    endless: tuple[Part, ...]

    def of(self, name: str) -> Bound:
        """Return one bound by its name."""
        return next(bound for bound in self.bounds if bound.name == name)

    def as_json(self) -> dict[str, Any]:
        """Return the bounds as plain data."""
        return {
            "method": self.method,
            "bounds": [bound.as_json() for bound in self.bounds],
            "assumptions": list(self.assumptions),
        }


def bounds_of(definition: Definition, most: int = MOST) -> Bounds:
    """Return the bounds of a machine.

    Args:
        definition: The machine.
        most: Pairs of state and counters that are looked at one by one; where there are more, the structure
            of the machine's loops is judged instead, and the bounds may not be exact.
    """
    space = space_of(definition)
    return Prover(space, explore(space, most)).bounds


@lru_cache(maxsize=8)
def prover_of(definition: Definition) -> Prover:
    """Return what proves a machine's bounds, made once: several rules ask it."""
    space = space_of(definition)
    return Prover(space, explore(space))


class Prover:
    """Proves the bounds of one machine.

    Args:
        space: The abstract machine.
        product: What can be reached of it with its counters; None if that is too much.
    """

    def __init__(self, space: Space, product: Product | None) -> None:
        self.space = space
        self.product = product
        self.limits = space.definition.declaration.limits
        open_space = explore(space.only(), len(space.states))
        assert open_space is not None  # without counters there are only the states
        self.open = open_space
        states = [state for state, _ in self.open.configs]
        self.parts = rank(space, states, [arc for moves in self.open.moves for arc, _ in moves])
        self.following = {
            state: list(dict.fromkeys(arc.target for arc, _ in moves))
            for (state, _), moves in zip(self.open.configs, self.open.moves, strict=True)
        }

    @cached_property
    def bounds(self) -> Bounds:
        """The machine's bounds."""
        from statemachine.check.assumptions import assumptions

        steps, *others = metrics(self.space)
        first = self.bound(steps, (self.limits.steps + 1, "limits.steps"))
        capped = first.binds == "limits.steps"
        bounds = [first, *(self.bound(metric, *self._limits(metric, capped)) for metric in others)]
        bounds += [self._cost(unit, most) for unit, most in self.limits.cost.items()]
        count = len(self.product.configs) if self.product else 0
        method = (
            f"every state with every count of attempts, {count} in all" if count else "structure of its loops"
        )
        return Bounds(
            method,
            tuple(bounds),
            tuple(assumptions(self.space)),
            tuple(loop for part in self.parts for loop in part.rounds()),
            tuple(loop for part in self.parts for loop in part.endless()),
        )

    def bound(self, metric: Metric, *limits: tuple[float, str]) -> Bound:
        """Return the bound of one metric under limits, each with its name."""
        counters, run, why = self._counters(metric)
        limit, name = min(limits, default=(None, ""))
        binds = "" if counters is None or math.isinf(counters) else "counters"
        if limit is not None and (not binds or limit < (counters or 0)):
            binds = name
        counted = metric.name not in ("elapsed", "calls to undo") and binds == "counters"
        exact = self.product is not None and counters is not None and (counted or metric.name == "steps")
        return Bound(metric.name, counters, limit, binds, exact, run, why)

    def _counters(self, metric: Metric) -> tuple[float | None, Run, str]:
        if self.product is not None:
            most, way, cycle = worst(self.product, metric)
            run: Run = rounds([self.product.configs[n][0] for n in way])
            if cycle:
                round_ = tuple(self.product.configs[n][0] for n in cycle)
                if counts := self._asked.get(cycle[0]):
                    why = f"how often {counts} lets the loop {shown((*round_, round_[0]))} begin anew is not computed"
                    return None, run, why
                return (
                    most,
                    (*run, Round(math.inf, round_)),
                    f"nothing ends the loop {shown((*round_, round_[0]))}",
                )
            return round(most, 6), run, f"nothing ends the wait in {run[-1]}" if math.isinf(most) else ""
        longest = Longest(self.space, self.parts, self.following, metric)
        run = longest.run(self.space.initial)
        if not math.isinf(longest.most[self.space.initial]):
            return round(longest.most[self.space.initial], 6), run, ""
        why = (
            f"no counter ends every loop, and there are more than {MOST} states with their counts to look at"
        )
        return None, run, why

    @cached_property
    def _asked(self) -> dict[int, str]:
        """The counts of calls that guards ask for, of each configuration in a loop."""
        if self.product is None or not self.space.definition.counted:
            return {}
        counts, found = Counts(self.space.definition), dict[int, str]()
        for component in self.product.loops:
            names = asked(counts.moves(self.product, component))
            found |= dict.fromkeys(component, " or ".join(f"`history.{name}`" for name in names))
        return found

    def _limits(self, metric: Metric, capped: bool) -> Iterator[tuple[float, str]]:
        limits = self.limits
        if metric.name.startswith("calls") and metric.name != "calls to undo" and limits.calls is not None:
            yield limits.calls, "limits.calls"
        if metric.name == "elapsed" and limits.elapsed is not None:
            late = self._late()
            if not math.isinf(late):
                yield limits.elapsed + late, "limits.elapsed"
        if capped:
            most = self._within(metric)
            if not math.isinf(most):
                yield most, "limits.steps"

    def _late(self) -> float:
        """Return for how long a write that is under way, and a roll back, can outlast a limit."""
        called = (self.space.tool(name) for name, _ in self.open.configs if self.space.states[name].do)
        late = max((tool.timeout for tool in called if tool.effect == "write"), default=0.0)
        undoing = undo_time(self.space)
        if undoing is None:
            return late
        undone = self._counters(undoing)[0]
        return late + (math.inf if undone is None else undone)

    def _within(self, metric: Metric) -> float:
        for product in (self.product, self.open):
            if product is not None and sum(map(len, product.moves)) * self.limits.steps <= _WORK:
                return within(product, metric, self.limits.steps)
        return self.limits.steps * max(costs[2] for costs in metric.costs.values())

    def _cost(self, unit: str, most: float) -> Bound:
        why = "tools declare no cost; the call that passes the limit is still paid"
        return Bound(f"cost in {unit}", None, most, f"limits.cost.{unit}", False, (), why)


def _finite(value: float | None) -> float | None:
    return None if value is None or math.isinf(value) else value
