"""Shortest runs over states and attempt counters: what a finding shows as its witness.

Guards are taken to go either way, unless what is carried along says otherwise.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TypeVar

from statemachine.check.moves import Move, moves
from statemachine.check.witness import folded
from statemachine.machine.definition import Definition

MOST = 50_000
"""Nodes after which a search gives up."""

_MANY = 40
"""Different moves of which a run is no longer shown whole."""

T = TypeVar("T", bound=Hashable)
Counters = tuple[tuple[str, int], ...]
Node = tuple[str, T, Counters]
"""Where a run may be: a state, what is carried along, and how often each counting state was entered."""

Hop = tuple[Move, str, Counters]
"""A move, the state that it arrives in, and the counters then."""

Way = list[tuple[str, Move, str]]
"""The moves of a run, each between the state that it leaves and the one that it arrives in."""

Carry = Callable[[str, Move, str, T], T | None]


class TooMany(Exception):
    """A search met more nodes than it may visit."""


def shortest(
    definition: Definition,
    starts: Iterable[tuple[str, T]],
    carry: Carry[T],
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
    states, out = definition.declaration.states, moves(definition)
    begun = list(starts)

    def directly(state: str, _: Counters) -> Iterator[Hop]:
        return ((move, move.target, ()) for move in out[state])

    def freely(state: str, _: Counters) -> Iterator[Hop]:
        for move in out[state]:
            target: str | None = move.target
            while target is not None:
                yield move, target, ()
                target = states[target].exhausted

    def exactly(state: str, counters: Counters) -> Iterator[Hop]:
        return ((move, *_arrive(definition, move, counters)) for move in out[state])

    # Most runs come by with attempts to spare, and most that cannot be cannot be with any: both show without
    # counters, in a search space that is smaller by far.
    way = _search([(s, c, ()) for s, c in begun], directly, carry, goal)
    counters = None if way is None else _counted(definition, begun[0][0], way)
    if way is None or counters is None:
        if _search([(s, c, ()) for s, c in begun], freely, carry, goal) is None:
            return None
        way = _search([(s, c, _entered(definition, s)) for s, c in begun], exactly, carry, goal)
        if way is None:
            return None
        counters = _counted(definition, begun[0][0], way)
    return _told(definition, begun[0][0], way, counters or ())


def visit(definition: Definition, state: str, again: bool = False) -> tuple[str, ...] | None:
    """Return the steps of a shortest run that comes to a state, or that comes to it ``again``; None if none does.

    Raises:
        TooMany: The search space is too large.
    """
    first = _tree(definition).get(state)
    back = _back(definition, state) if again and first is not None else []
    if first is not None and back is not None:
        way = [*_up(definition, state), *back]
        counters = _counted(definition, definition.declaration.initial, way)
        if counters is not None:
            return _told(definition, definition.declaration.initial, way, counters)

    def met(source: str, move: Move, target: str, before: int) -> int:
        return before + (target == state)

    initial = definition.declaration.initial
    return shortest(definition, [(initial, int(initial == state))], met, lambda _, count: count == 1 + again)


@lru_cache(maxsize=8)
def _tree(definition: Definition) -> Mapping[str, tuple[str, Move] | None]:
    """Return for each state that moves lead to, none of them by way of an exhausted one, the last of the shortest."""
    initial, out = definition.declaration.initial, moves(definition)
    came: dict[str, tuple[str, Move] | None] = {initial: None}
    queue = deque([initial])
    while queue:
        state = queue.popleft()
        for move in out[state]:
            if move.target not in came:
                came[move.target] = (state, move)
                queue.append(move.target)
    return came


def _up(definition: Definition, state: str) -> Way:
    tree = _tree(definition)
    way: Way = []
    while (before := tree[state]) is not None:
        way.append((*before, state))
        state = before[0]
    return way[::-1]


def _back(definition: Definition, state: str) -> Way | None:
    """Return the moves of a shortest way from a state back to it, none by way of an exhausted one."""
    out = moves(definition)

    def directly(at: str, _: Counters) -> Iterator[Hop]:
        return ((move, move.target, ()) for move in out[at])

    def left(source: str, move: Move, target: str, before: bool) -> bool:
        return True

    return _search([(state, False, ())], directly, left, lambda at, gone: gone and at == state)


def _search(
    starts: Iterable[Node[T]],
    hops: Callable[[str, Counters], Iterator[Hop]],
    carry: Carry[T],
    goal: Callable[[str, T], bool],
) -> Way | None:
    """Return the moves of a shortest way to the goal."""
    came: dict[Node[T], tuple[Node[T], Move] | None] = dict.fromkeys(starts)
    queue = deque(came)
    while queue:
        node = queue.popleft()
        state, carried, counters = node
        if goal(state, carried):
            way: Way = []
            while (before := came[node]) is not None:
                way.append((before[0][0], before[1], node[0]))
                node = before[0]
            return way[::-1]
        for move, target, counted in hops(state, counters):
            then = carry(state, move, target, carried)
            if then is None or (target, then, counted) in came:
                continue
            if len(came) >= MOST:
                raise TooMany
            came[target, then, counted] = (node, move)
            queue.append((target, then, counted))
    return None


def _entered(definition: Definition, state: str) -> Counters:
    return ((state, 1),) if definition.declaration.states[state].attempts is not None else ()


def _counted(definition: Definition, start: str, way: Way) -> Counters | None:
    """Return the counters at the end of a way; None if an exhausted state sends it elsewhere."""
    counters = _entered(definition, start)
    for _, move, arrived in way:
        target, counters = _arrive(definition, move, counters)
        if target != arrived:
            return None
    return counters


def _arrive(definition: Definition, move: Move, counters: Counters) -> tuple[str, Counters]:
    """Return where a move ends, and the counters then."""
    states, target = definition.declaration.states, move.target
    if states[target].attempts is None and not move.resets:
        return target, counters
    counted = {name: count for name, count in counters if name not in move.resets}
    while (most := states[target].attempts) is not None:
        used = counted.get(target, 0)
        if used < most:
            counted[target] = used + 1
            break
        target = states[target].exhausted or ""
    return target, tuple(sorted(counted.items()))


def _told(definition: Definition, start: str, way: Way, counters: Counters) -> tuple[str, ...]:
    """Return a way as lines, what repeats itself written once, and the counters at its end."""
    lines = [
        f"{state} --{move.events[0]}--> {arrived}"
        + (f" (instead of {move.target}, exhausted)" if arrived != move.target else "")
        for state, move, arrived in way
    ]
    told = list(lines if len(set(lines)) > _MANY else folded(lines)) or [start]
    if len(told) > _MANY:
        half = _MANY // 2
        told[half:-half] = [f"… {len(told) - 2 * half} moves in between …"]
    states = definition.declaration.states
    used = ", ".join(f"{name} {count}/{states[name].attempts}" for name, count in counters)
    return (*told[:-1], f"{told[-1]} [{used}]") if used else tuple(told)
