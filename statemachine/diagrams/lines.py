"""Which transitions share a line, and where lines lead, so that a picture stays readable."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from statemachine.diagrams.drawing import Arrow, Drawing

START, ANY = "__start", "__any"
"""DOT nodes that are no states: a state's name never begins with ``_``."""

TOGETHER = 6
"""So many transitions share a line at most."""
CROWD = 8
"""A final state that more lines lead to is drawn again beside the loops and states that
lead to it; where one loop has so many lines to it, beside each of the loop's states."""


@dataclass(frozen=True, slots=True)
class Line:
    """The transitions between two states that are drawn as one line.

    Attributes:
        id: The line's id in the SVG.
        tail: The DOT node that it leaves: a state's name or :data:`ANY`.
        head: The DOT node that it enters: a state's name, or another node that stands for a final state.
        arrows: Its transitions; all have the same source and target.
    """

    id: str
    tail: str
    head: str
    arrows: tuple[Arrow, ...]


def lines(drawing: Drawing) -> tuple[Line, ...]:
    """Return the lines of a drawing.

    Timeouts and exhausted attempts never share one with other events, but from a state to itself there is
    only one line: a second would run through the text of the first.
    """
    together: dict[tuple[str, str, str], list[Arrow]] = {}
    for arrow in drawing.arrows:
        apart = arrow.role in ("timeout", "exhausted") and arrow.source != arrow.target
        family: str = arrow.role if apart else ""
        # What was added, removed or changed is a line of its own, or it would colour what was not.
        if arrow.tone in ("added", "removed", "changed") and arrow.source != arrow.target:
            family = arrow.tone
        together.setdefault((arrow.source or ANY, arrow.target, family), []).append(arrow)
    heads = _heads(drawing, list(together))
    parts = [
        (tail, target, tuple(arrows[i : i + TOGETHER]))
        for (tail, target, _), arrows in together.items()
        for i in range(0, len(arrows), TOGETHER)
    ]
    return tuple(
        Line(f"line_{n}", tail, heads.get((tail, target), target), arrows)
        for n, (tail, target, arrows) in enumerate(parts, 1)
    )


def _heads(drawing: Drawing, ends: list[tuple[str, str, str]]) -> dict[tuple[str, str], str]:
    """Return, for source and target, the DOT node that stands for a crowded final state there."""
    group = {name: f"loop_{n}" for n, loop in enumerate(drawing.loops, 1) for name in loop.states}
    final = {node.name for node in drawing.nodes if node.role in ("succeeded", "failed")}
    heads: dict[tuple[str, str], str] = {}
    for target, n in Counter(target for _, target, _ in ends).items():
        if target not in final or n <= CROWD:
            continue
        sources = [tail for tail, to, _ in ends if to == target and tail != ANY]
        crowds = Counter(group.get(tail, tail) for tail in sources)
        near = {tail: tail if crowds[place := group.get(tail, tail)] > CROWD else place for tail in sources}
        number = {place: n for n, place in enumerate(dict.fromkeys(near.values()), 1)}
        # The state itself stands where the last of them, and what comes from any state, lead.
        kept = near[sources[-1]] if sources else None
        heads |= {
            (tail, target): f"__{target}__{number[place]}" for tail, place in near.items() if place != kept
        }
    return heads


def steps_below(drawing: Drawing) -> dict[str, int]:
    """Return, for each line from a loop on to further work, how many ranks down its end belongs so that it
    stands below the loop and not beside it."""
    final = {node.name for node in drawing.nodes if node.role in ("succeeded", "failed")}
    left = {name: len(loop.walk) - 1 - i for loop in drawing.loops for i, name in enumerate(loop.walk[:-1])}
    inside = {name: loop.states for loop in drawing.loops for name in loop.states}
    return {
        line.id: left[line.tail]
        for line in lines(drawing)
        if line.tail in left and line.arrows[0].target not in (*inside[line.tail], *final)
    }
