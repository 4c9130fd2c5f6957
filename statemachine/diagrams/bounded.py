"""A machine with what is proved of its loops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from statemachine.diagrams.drawing import Drawing


def bounded(drawing: Drawing, bounds: Mapping[str, str]) -> Drawing:
    """Return a drawing with bounds on it: a line of text for states by name, and under ``""`` for the whole."""
    nodes = tuple(
        replace(node, facts=(*node.facts, bounds[node.name])) if node.name in bounds else node
        for node in drawing.nodes
    )
    whole = f"{bounds['']}; limits: {drawing.limits}" if "" in bounds else drawing.limits
    return replace(drawing, nodes=nodes, limits=whole)
