"""Bounds from the structure alone: which counters end each loop, and what that makes of the longest run.

A loop ends if some counter rises in it and is not reset inside it. Without the moves that raise such counters
the loop falls apart, and what is left is judged in the same way. (A lexicographic ranking by counters.)
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from statemachine.check.components import components
from statemachine.check.costs import Metric
from statemachine.check.runs import Round, Run
from statemachine.check.space import Arc, Space


@dataclass(frozen=True, slots=True)
class Part:
    """A component of a graph of states.

    Attributes:
        states: Its states.
        loop: Whether it is a loop.
        counters: The states whose attempts end it; none if nothing does, or if it is no loop.
        inner: What it falls into without the moves that raise them, each after all that it leads to.
    """

    states: tuple[str, ...]
    loop: bool
    counters: tuple[str, ...]
    inner: tuple[Part, ...]

    def endless(self) -> Iterable[Part]:
        """Yield the loops in it that no counter ends."""
        if self.loop and not self.counters:
            yield self
        for part in self.inner:
            yield from part.endless()

    def rounds(self) -> Iterable[Part]:
        """Yield the loops in it that counters end."""
        if self.counters:
            yield self
        for part in self.inner:
            yield from part.rounds()


def rank(space: Space, states: Sequence[str], moves: Collection[Arc]) -> tuple[Part, ...]:
    """Return the components of a graph of states, each after all that it leads to."""
    number = {name: at for at, name in enumerate(states)}
    following: list[list[int]] = [[] for _ in states]
    for arc in moves:
        following[number[arc.source]].append(number[arc.target])
    parts = []
    place: dict[str, int] = {}
    found = components(following)
    for at, component in enumerate(found):
        place |= dict.fromkeys((states[n] for n in component), at)
    inside: list[list[Arc]] = [[] for _ in found]
    for arc in moves:
        if place[arc.source] == place[arc.target]:
            inside[place[arc.source]].append(arc)
    for component, own in zip(found, inside, strict=True):
        members = tuple(states[n] for n in component)
        reset = {name for arc in own for name in arc.resets}
        raised = {arc.target for arc in own if arc.target in space.most} - reset
        left = [arc for arc in own if arc.target not in raised]
        inner = rank(space, members, left) if raised else ()
        parts.append(Part(members, bool(own), tuple(c for c in space.most if c in raised), inner))
    return tuple(parts)


class Longest:
    """The longest walks through a graph of states, from each of them.

    Args:
        space: The abstract machine.
        parts: The graph's components, as :func:`rank` gives them.
        moves: Its moves; the same list serves inner parts.
        metric: What to count.

    Attributes:
        most: For each state, the most that a walk from it can come to.
    """

    def __init__(
        self, space: Space, parts: Sequence[Part], following: Mapping[str, Sequence[str]], metric: Metric
    ) -> None:
        self.space = space
        self.most: dict[str, float] = {}
        self._after: dict[str, str | None] = {}
        self._loops: dict[str, tuple[Part, Longest | None]] = {}
        for part in parts:
            inside = frozenset(part.states)
            gain, after = 0.0, None
            for state in part.states:
                for to in following[state]:
                    if to in self.most and to not in inside and self.most[to] > gain:
                        gain, after = self.most[to], to
            within, inner = self._within(part, following, metric)
            for state in part.states:
                self.most[state], self._after[state] = within[state] + gain, after
                if part.loop:
                    self._loops[state] = part, inner

    def _within(
        self, part: Part, following: Mapping[str, Sequence[str]], metric: Metric
    ) -> tuple[dict[str, float], Longest | None]:
        if not part.loop:
            return {part.states[0]: metric.costs[part.states[0]][2]}, None
        if not part.counters:
            dear = any(metric.costs[state][2] > 0 for state in part.states)
            return dict.fromkeys(part.states, math.inf if dear else 0.0), None
        # The first of the inner parts that a walk can be in are known before those that lead to them.
        left = {s: [t for t in following[s] if t not in part.counters] for s in part.states}
        inner = Longest(self.space, part.inner, left, metric)
        whole, once = 0.0, {}
        for counter in part.counters:
            times = self.space.most[counter]
            growing = metric.growing.get(counter)
            saved = 0.0 if growing is None else times * growing[-1] - sum(growing)
            once[counter] = inner.most[counter]
            whole += times * inner.most[counter] - saved
        # A walk that begins at a counter has used one of its attempts to come there.
        return {s: whole + (0.0 if s in once else inner.most[s]) for s in part.states}, inner

    def run(self, state: str) -> Run:
        """Return the walk from a state that comes to the most."""
        found: list[str | Round] = []
        at: str | None = state
        while at is not None:
            if at not in self._loops:
                found.append(at)
            else:
                part, inner = self._loops[at]
                if inner is None:
                    found.append(Round(math.inf, part.states))
                else:
                    found += () if at in part.counters else inner.run(at)
                    for counter in part.counters:
                        found.append(Round(self.space.most[counter], inner.run(counter)))
            at = self._after[at]
        return tuple(found)
