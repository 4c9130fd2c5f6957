"""The way round a loop is found and marked."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings

from statemachine.diagrams import render
from statemachine.diagrams.drawing import draw
from statemachine.machine.load import load
from statemachine.machine.model import Declaration
from tests.cli.conftest import ROOT
from tests.kernel import strategies


def _reached(edges: set[tuple[str, str]], start: str) -> set[str]:
    found: set[str] = set()
    todo = [start]
    while todo:
        here = todo.pop()
        for tail, head in edges:
            if tail == here and head not in found:
                found.add(head)
                todo.append(head)
    return found


@given(strategies.machines().map(lambda definition: definition.declaration))
@settings(max_examples=40, deadline=None)
def test_a_loop_is_what_leads_back_and_its_walk_goes_round(declaration: Declaration) -> None:
    """States are in one loop when each leads to the other; a walk is a cycle of marked transitions in it."""
    drawing = draw(declaration)
    edges = {(a.source, a.target) for a in drawing.arrows if a.source is not None}
    reached = {name: _reached(edges, name) for name in declaration.states}
    together = {
        name: tuple(n for n in declaration.states if n in reached[name] and name in reached[n])
        for name in declaration.states
    }
    loops = dict.fromkeys(states for states in together.values() if len(states) > 1)
    assert tuple(loop.states for loop in drawing.loops) == tuple(loops)
    for arrow in drawing.arrows:
        assert arrow.loop == (arrow.source is not None and arrow.source in reached[arrow.target])
        assert arrow.loop or not arrow.main
    steps = []
    for loop in drawing.loops:
        assert loop.walk[0] == loop.walk[-1]
        assert len(set(loop.walk)) == len(loop.walk) - 1 >= 2
        assert set(loop.walk) <= set(loop.states)
        assert declaration.initial not in loop.states or loop.walk[0] == declaration.initial
        steps += list(pairwise(loop.walk))
    assert sorted(steps) == sorted((str(a.source), a.target) for a in drawing.arrows if a.main)


def test_the_canonical_loop_is_marked_in_every_format() -> None:
    """Plan, act, validate, diagnose, retry, by ordinary events; failures are beside it, the ends outside."""
    declaration = load(ROOT / "machines/agent/agent.yaml").declaration
    drawing = draw(declaration)
    (loop,) = drawing.loops
    assert loop.walk == ("plan", "act", "validate", "diagnose", "retry", "plan")
    assert {a.role for a in drawing.arrows if a.main} == {"step"}
    assert {"complete", "fail"}.isdisjoint(loop.states)
    assert (
        "loop: plan => act => validate => diagnose => retry => plan" in render(declaration, "text").decode()
    )
    assert render(declaration, "mermaid").count("↻".encode()) == 5
    assert render(declaration, "svg").count(b'stroke-width="2.6"') >= 5
