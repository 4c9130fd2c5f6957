"""Limits that end a run before it has used the attempts that its states declare."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator

from statemachine.check.bounds import Prover
from statemachine.check.product import Product, explore
from statemachine.check.rules import Rule
from statemachine.check.runs import shown
from statemachine.check.space import Arc, can_be_stale
from statemachine.check.witness import Way, told
from statemachine.errors import Finding
from statemachine.machine.definition import REFUSED, STALE_FAILURE, STUCK, Definition
from statemachine.machine.duration import spell
from statemachine.machine.report import Keys

Least = Callable[[str, Arc, int], float]
"""What a move takes at least: of the state it leaves, by that move, at that attempt."""


def limited(rule: Rule, definition: Definition, prover: Prover) -> Iterator[Finding]:
    """Yield the limits that no run with all attempts of a state meets, and those that the longest runs do not."""
    told_of = set()
    for counted, attempts in prover.space.most.items():
        for limit, text, lines in _never(prover, counted):
            told_of.add(limit)
            yield rule.at(
                definition,
                _place(definition, limit),
                f"no run enters `{counted}` {attempts} times, as it may: the limit of {text} ends it before",
                "PROVED",
                key=True,
                witness=lines,
                advice=f"raise limits: {limit}:, or lower the attempts of `{counted}`",
            )
    for limit in ("steps", "calls"):
        bound = prover.bounds.of(limit)
        if limit in told_of or bound.counters is None or bound.binds != f"limits.{limit}":
            continue
        most, known = bound.counters, prover.product is not None
        if math.isinf(most):
            continue  # what nothing else bounds is for the limit to end
        allowed = getattr(definition.declaration.limits, limit)
        yield rule.at(
            definition,
            _place(definition, limit),
            f"the attempts allow {'' if known else 'at most '}{most:g} {limit}, the limit {allowed}: "
            "it ends runs that still have attempts left",
            "REFUTED" if known else "UNKNOWN",
            key=True,
            witness=(shown(bound.run),) if known else (),
            advice=f"raise limits: {limit}: to {most:g}, or lower the attempts",
            severity="warning",
        )


def _place(definition: Definition, limit: str) -> Keys:
    written = definition.declaration.limits.model_fields_set
    return ("limits", limit) if limit in written else ("limits",) if written else ("states",)


def _never(prover: Prover, counted: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield each limit that ends every run before a state's attempts are used, its text, and the shortest run
    that would use them.

    What it takes at least is sought with the other counters left open: that is never more than it takes.
    """
    limits, space = prover.limits, prover.space
    product = explore(space.only(counted))
    if product is None:
        return
    used = (space.most[counted],)
    goal = next((n for n, config in enumerate(product.configs) if config == (counted, used)), None)
    if goal is None:
        return
    way: Way = product.way(goal)
    if len(way) + 1 > limits.steps:
        yield "steps", f"{limits.steps} steps", told(product, way, goal)
    if limits.calls is not None:
        calls, way = _cheapest(product, _calls(prover), goal)
        if calls + (space.states[counted].do is not None) > limits.calls:
            yield "calls", f"{limits.calls} calls", told(product, way, goal)
    if limits.elapsed is not None:
        seconds, way = _cheapest(product, _seconds(prover), goal)
        if seconds >= limits.elapsed:
            yield "elapsed", spell(limits.elapsed), told(product, way, goal)


def _calls(prover: Prover) -> Least:
    definition = prover.space.definition

    def calls(name: str, arc: Arc, attempt: int) -> float:
        if prover.space.states[name].do is None:
            return 0  # what undoes a call counts for no limit
        unmade = {REFUSED, STUCK} | ({STALE_FAILURE} if can_be_stale(definition, name) else set())
        made = (e in ("done", "partial") or e.startswith("failed.") for e in arc.events)
        return 1 if all(made) and unmade.isdisjoint(arc.events) else 0

    return calls


def _seconds(prover: Prover) -> Least:
    def seconds(name: str, arc: Arc, attempt: int) -> float:
        state = prover.space.states[name]
        takes = {"timeout": state.timeout or 0}
        if state.wait is not None:
            takes["elapsed"] = state.wait.seconds(attempt or 1)
        return min(takes.get(event, 0) for event in arc.events)

    return seconds


def _cheapest(product: Product, least: Least, goal: int) -> tuple[float, Way]:
    """Return the least that it takes to come to a configuration, and how (Dijkstra's shortest path)."""
    came: dict[int, tuple[int, Arc]] = {}
    best = {0: 0.0}
    queue = [(0.0, 0)]
    while queue:
        cost, node = heapq.heappop(queue)
        if node == goal:
            break
        if cost > best[node]:
            continue
        for arc, to in product.moves[node]:
            reached = cost + least(product.configs[node][0], arc, product.attempt(node))
            if reached < best.get(to, math.inf):
                best[to], came[to] = reached, (node, arc)
                heapq.heappush(queue, (reached, to))
    way: list[tuple[int, Arc]] = []
    at = goal
    while at:
        way.append(came[at])
        at = came[at][0]
    return best[goal], way[::-1]
