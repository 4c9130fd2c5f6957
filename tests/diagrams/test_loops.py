"""Loops are what leads back, and the marked way goes round them."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings

from statemachine.diagrams.drawing import draw
from statemachine.machine.model import Declaration
from tests.diagrams.machines import declarations


def _reached(edges: set[tuple[str, str]], start: str) -> set[str]:
    found: set[str] = set()
    todo = [start]
    while todo:
        here = todo.pop()
        new = {head for tail, head in edges if tail == here} - found
        found |= new
        todo += new
    return found


@given(declarations())
@settings(max_examples=50, deadline=None)
def test_a_loop_is_what_leads_back_and_its_walk_goes_round(declaration: Declaration) -> None:
    """States are in one loop when each leads to the other; a walk passes new states until it meets itself."""
    drawing = draw(declaration)
    edges = {(a.source, a.target) for a in drawing.arrows if a.source is not None}
    reached = {name: _reached(edges, name) for name in declaration.states}
    together = [
        tuple(n for n in declaration.states if n in reached[name] and name in reached[n])
        for name in declaration.states
    ]
    assert [loop.states for loop in drawing.loops] == list(dict.fromkeys(s for s in together if len(s) > 1))
    for arrow in drawing.arrows:
        assert arrow.loop == (
            arrow.source is not None and arrow.source in {arrow.target, *reached[arrow.target]}
        )
        assert arrow.loop or not arrow.main
    steps: list[tuple[str | None, str]] = []
    for loop in drawing.loops:
        *passed, meeting = loop.walk
        assert len(passed) == len(set(passed)) >= 2
        assert meeting in passed[:-1]
        assert passed[0] == (declaration.initial if declaration.initial in loop.states else loop.states[0])
        assert set(passed) <= set(loop.states)
        steps += pairwise(loop.walk)
    assert sorted(map(str, steps)) == sorted(str((a.source, a.target)) for a in drawing.arrows if a.main)
