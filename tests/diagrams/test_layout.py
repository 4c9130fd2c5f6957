"""The program that lays out: found, bounded in time, and its failures told."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from statemachine.diagrams import layout
from statemachine.diagrams.layout import lay_out, program
from statemachine.errors import DiagramFailed


def tangle(states: int) -> str:
    """A random graph with three labelled edges a node, which dot's search finds hard."""
    pick = random.Random(states)
    edges = [
        f'n{i} -> n{pick.randrange(states)} [label="event {i}"]' for i in range(states) for _ in range(3)
    ]
    return f"digraph {{ {'; '.join(edges)} }}"


def test_the_program_beside_this_package_is_found() -> None:
    """The layout program stands in the scripts folder of the environment; PATH is not needed."""
    assert Path(program()).stem == "graphviz-pure"


def test_a_missing_program_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no layout program, the error names it and how to get it."""
    monkeypatch.setattr(layout, "PROGRAM", "graphviz-absent")
    with pytest.raises(DiagramFailed, match="pip install"):
        lay_out("digraph {}", "svg")


def test_text_that_is_not_dot_is_refused() -> None:
    """The program's own words come with the error."""
    with pytest.raises(DiagramFailed, match="syntax error"):
        lay_out("this is no graph", "svg")


def test_a_tangle_is_laid_out_more_simply_in_time() -> None:
    """What the best layout cannot do in time, a simpler one does."""
    assert b"<svg" in lay_out(tangle(120), "svg", timeout=1.5)


def test_no_layout_takes_for_ever() -> None:
    """When even the simplest layout takes too long, that is an error with a way out."""
    with pytest.raises(DiagramFailed, match="dot or mermaid"):
        lay_out(tangle(400), "svg", timeout=0.02)
