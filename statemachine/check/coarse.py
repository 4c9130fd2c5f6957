"""Whether every run can still end, of a machine with too many counts to look at one by one."""

from __future__ import annotations

from statemachine.check.product import MOST
from statemachine.check.space import Arc, Space

_Coarse = tuple[str, frozenset[str]]
"""A state, and which states are exhausted; how far the others are from it is left open."""


def trapped_coarsely(space: Space) -> str:
    """Return why it is not known that transitions lead to a final state from wherever a run can be.

    Where nothing resets a counter, it is enough that they do so whichever states are exhausted: each time that
    a run leaves such a way, because a state is exhausted sooner or later than the way says, a counter rises;
    and counters rise only so often. Empty when it is known.
    """
    if any(arc.resets for arcs in space.arcs.values() for arc in arcs):
        return f"counters are reset, and there are more than {MOST} states with their counts to look at"
    once = space.most.get(space.initial) == 1
    queue: list[_Coarse] = [(space.initial, frozenset([space.initial] if once else ()))]
    before: dict[_Coarse, list[_Coarse]] = {queue[0]: []}
    for config in queue:  # grows meanwhile
        for arc in space.arcs[config[0]]:
            for to in _arrivals(space, config, arc):
                if to not in before:
                    before[to] = []
                    queue.append(to)
                if arc.declared:
                    before[to].append(config)
        if len(queue) > MOST:
            return f"there are more than {MOST} states with what may be exhausted to look at"
    ending = [config for config in queue if space.states[config[0]].final]
    seen = set(ending)
    for config in ending:  # grows meanwhile
        new = [c for c in dict.fromkeys(before[config]) if c not in seen]
        seen.update(new)
        ending += new
    trapped = next((config for config in queue if config not in seen), None)
    if trapped is None:
        return ""
    exhausted = ", ".join(sorted(trapped[1]))
    return f"none leads there from `{trapped[0]}` when {exhausted} are exhausted, if a run can come to that"


def _arrivals(space: Space, config: _Coarse, arc: Arc) -> list[_Coarse]:
    target, exhausted = arc.target, config[1]
    while target in exhausted:
        target = space.states[target].exhausted or ""
    if target not in space.most:
        return [(target, exhausted)]
    last = (target, exhausted | {target})
    return [last] if space.most[target] == 1 else [(target, exhausted), last]
