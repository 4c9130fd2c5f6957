"""Shortest runs over states and attempt counters: what a finding shows as its witness."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from statemachine.check.moves import Move, moves
from statemachine.check.witness import folded
from statemachine.machine.definition import Definition

MOST = 50_000
"""Nodes after which a search gives up."""

T = TypeVar("T", bound=Hashable)
Counters = tuple[tuple[str, int], ...]


class TooMany(Exception):
    """A search met more nodes than it may visit."""


@dataclass(frozen=True, slots=True)
class Node(Generic[T]):
    """Where a run may be: a state, how often each counting state was entered, and what is carried along."""

    state: str
    counters: Counters
    carried: T


def shortest(
    definition: Definition,
    starts: Iterable[tuple[str, T]],
    carry: Callable[[str, Move, str, T], T | None],
    goal: Callable[[str, T], bool],
) -> tuple[str, ...] | None:
    """Return the steps of a shortest run that meets the goal, one line a step; None if there is none.

    Args:
        definition: The machine.
        starts: The states to start in, with what is carried there.
        carry: Given a state, a move out of it, the state that it arrives in, and what is carried: what is
            carried on; None forbids the move.
        goal: Whether a state with what is carried is what is looked for.

    Raises:
        TooMany: The search space is too large.
    """
    states = definition.declaration.states
    out = {name: moves(definition, name) for name in states}
    queue: deque[Node[T]] = deque()
    came: dict[Node[T], tuple[Node[T], str] | None] = {}
    for state, first in starts:
        counted = ((state, 1),) if states[state].attempts is not None else ()
        node = Node(state, counted, first)
        if node not in came:
            came[node] = None
            queue.append(node)
    while queue:
        node = queue.popleft()
        if goal(node.state, node.carried):
            return _told(definition, node, came)
        for move in out[node.state]:
            target, counters, sent = _arrive(definition, move, node.counters)
            carried = carry(node.state, move, target, node.carried)
            if carried is None:
                continue
            then = Node(target, counters, carried)
            if then in came:
                continue
            if len(came) >= MOST:
                raise TooMany
            came[then] = (node, f"{node.state} --{move.events[0]}--> {target}{sent}")
            queue.append(then)
    return None


def _arrive(definition: Definition, move: Move, counters: Counters) -> tuple[str, Counters, str]:
    """Return where a move ends, the counters then, and what is to be said of an exhausted state."""
    states, target, sent = definition.declaration.states, move.target, ""
    counted = {name: count for name, count in counters if name not in move.resets}
    while True:
        most = states[target].attempts
        if most is None:
            return target, tuple(sorted(counted.items())), sent
        used = counted.get(target, 0)
        if used < most:
            counted[target] = used + 1
            return target, tuple(sorted(counted.items())), sent
        exhausted = states[target].exhausted
        assert exhausted is not None
        sent, target = sent or f", {target} exhausted", exhausted


def _told(
    definition: Definition, node: Node[T], came: dict[Node[T], tuple[Node[T], str] | None]
) -> tuple[str, ...]:
    """Return the way to a node as lines, what repeats itself written once, and its counters."""
    lines: list[str] = []
    at = node
    while (before := came[at]) is not None:
        lines.append(before[1])
        at = before[0]
    lines = list(folded(lines[::-1])) or [node.state]
    states = definition.declaration.states
    counters = ", ".join(f"{name} {used}/{states[name].attempts}" for name, used in node.counters)
    if counters:
        lines[-1] += f" [{counters}]"
    return tuple(lines)
