"""Every state with every count of attempts that can be reached: where it is small, answers are exact."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import cached_property

from statemachine.check.components import components, loops
from statemachine.check.costs import Metric
from statemachine.check.space import Arc, Counts, Space

MOST = 20_000
"""Pairs of state and counters that are looked at; a machine with more is judged by its structure."""


@dataclass
class Product:
    """What can be reached from the start, in the order of breadth-first search.

    Attributes:
        space: The abstract machine.
        configs: Each reachable pair of state and counters; the first is the start.
        moves: For each of them, its moves and where they arrive.
        parents: For each of them, a move on a shortest way to it, from the configuration of that number.
    """

    space: Space
    configs: list[tuple[str, Counts]]
    moves: list[list[tuple[Arc, int]]] = field(default_factory=list)
    parents: list[tuple[int, Arc] | None] = field(default_factory=lambda: [None])

    @cached_property
    def order(self) -> list[list[int]]:
        """The strongly connected components, each after all that it leads to."""
        return components(self._successors)

    @cached_property
    def _successors(self) -> list[list[int]]:
        return [[to for _, to in moves] for moves in self.moves]

    @cached_property
    def loops(self) -> list[list[int]]:
        """The components that hold a loop: a run may go round in them for ever, as far as counters tell."""
        return [part for part in self.order if loops(part, self._successors)]

    def attempt(self, number: int) -> int:
        """Return which attempt at its state a configuration is; 0 where none are counted."""
        state, counts = self.configs[number]
        return counts[self.space.counted.index(state)] if state in self.space.most else 0

    def way(self, number: int) -> list[tuple[int, Arc]]:
        """Return a shortest way from the start to a configuration: each move with where it begins."""
        found = []
        while (parent := self.parents[number]) is not None:
            found.append(parent)
            number = parent[0]
        return found[::-1]

    def cycle(
        self, component: Iterable[int], *, outside: bool = True, without: Collection[Arc] = ()
    ) -> list[tuple[int, Arc]]:
        """Return a shortest loop inside a component that begins at its member nearest to the start.

        ``outside`` tells whether events from outside may be part of it; the moves ``without`` which it is are not.
        """
        inside = set(component)
        begin = min(inside)
        came: dict[int, tuple[int, Arc]] = {}
        queue = deque([begin])
        while begin not in came:
            at = queue.popleft()
            for arc, to in self.moves[at]:
                if to in inside and to not in came and (outside or not arc.outside) and arc not in without:
                    came[to] = (at, arc)
                    queue.append(to)
        found = [came[begin]]
        while found[-1][0] != begin:
            found.append(came[found[-1][0]])
        return found[::-1]


def explore(space: Space, most: int = MOST) -> Product | None:
    """Return everything that can be reached; None when that is more than ``most`` configurations."""
    start = space.begin()
    product = Product(space, [start])
    numbers = {start: 0}
    for state, counts in product.configs:  # grows meanwhile
        moves = []
        at = len(product.moves)
        for arc in space.arcs[state]:
            config = space.follow(counts, arc)
            number = numbers.get(config)
            if number is None:
                number = numbers[config] = len(product.configs)
                product.configs.append(config)
                product.parents.append((at, arc))
            moves.append((arc, number))
        product.moves.append(moves)
        if len(product.configs) > most:
            return None
    return product


def worst(product: Product, metric: Metric) -> tuple[float, list[int], list[int]]:
    """Return the most that a run can come to, infinite if nothing bounds it, and the run that does.

    The run is a list of configurations, and another one of those that it then goes round in for ever.
    """
    best = [0.0] * len(product.configs)
    after: list[int | None] = [None] * len(product.configs)
    endless: dict[int, list[int]] = {}
    for part in product.order:
        inside = set(part)
        for node in part:
            state, attempt = product.configs[node][0], product.attempt(node)
            best[node] = metric.of(state, "whole", attempt)  # the run as far as here, at the least
            for arc, to in product.moves[node]:
                cost = metric.of(state, arc.stay, attempt)
                if to not in inside:
                    if cost + best[to] > best[node]:
                        best[node], after[node] = cost + best[to], to
                elif cost > 0:
                    endless[node] = part
        _level(product, part, best, after, endless)
    run, at = [], 0
    while at not in endless:
        run.append(at)
        following = after[at]
        if following is None:
            return best[0], run, []
        at = following
    return math.inf, run, [number for number, _ in product.cycle(endless[at])]


def _level(
    product: Product,
    part: list[int],
    best: list[float],
    after: list[int | None],
    endless: dict[int, list[int]],
) -> None:
    """Give every member of a component what the best of them can come to."""
    if any(node in endless for node in part):
        for node in part:
            best[node], endless[node] = math.inf, part
    elif len(part) > 1:  # its loops cost nothing
        goal = max(part, key=best.__getitem__)
        inside, found = set(part), [goal]
        before: dict[int, list[int]] = {}
        for node in part:
            for _, to in product.moves[node]:
                if to in inside:
                    before.setdefault(to, []).append(node)
        inside.discard(goal)
        for to in found:
            for node in before.get(to, ()):
                if node in inside:
                    inside.discard(node)
                    best[node], after[node] = best[goal], to
                    found.append(node)


def within(product: Product, metric: Metric, visits: int) -> float:
    """Return the most that a run can come to which enters at most so many states that are not final."""
    ways = []
    for node, moves in enumerate(product.moves):
        state, attempt = product.configs[node][0], product.attempt(node)
        stops = metric.of(state, "whole", attempt)
        ways.append((stops, [(metric.of(state, arc.stay, attempt), to) for arc, to in moves]))
    best = [0.0] * len(ways)
    for _ in range(visits):
        longer = [max([stops, *[cost + best[to] for cost, to in moves]]) for stops, moves in ways]
        if longer == best:
            break
        best = longer
    return best[0]
