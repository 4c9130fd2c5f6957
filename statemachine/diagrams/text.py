"""A drawing as plain text for a terminal of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from statemachine.diagrams.drawing import Arrow, Drawing, Node

WIDTH = 80


def listing(drawing: Drawing) -> str:
    """Return the drawing state by state; ``|`` marks what lies on a loop, ``=>`` the way round it."""
    return "\n".join(line.rstrip() for line in _lines(drawing)) + "\n"


def _lines(drawing: Drawing) -> Iterator[str]:
    yield from _wrapped(f"{drawing.name} {drawing.version}  {drawing.size}", "", "  ")
    yield from _wrapped(drawing.limits, "", "  ")
    for loop in drawing.loops:
        yield from _wrapped(f"loop: {' => '.join(loop.walk)}", "", "      ")
    leaving: dict[str | None, list[Arrow]] = {}
    for arrow in drawing.arrows:
        leaving.setdefault(arrow.source, []).append(arrow)
    looped = {name: n for n, loop in enumerate(drawing.loops) for name in loop.states}
    before = None
    for node in drawing.nodes:
        number = looped.get(node.name)
        bar = "  " if number is None else "| "
        yield bar if number == before else ""
        before = number
        yield from _wrapped(_heading(node, drawing.initial), bar, f"{bar}    ")
        for arrow in leaving.get(node.name, ()):
            yield from _arrow(arrow, f"{bar}  ")
    if None in leaving:
        yield ""
        yield "  any state"
        for arrow in leaving[None]:
            yield from _arrow(arrow, "    ")


def _heading(node: Node, initial: str) -> str:
    role = f"({node.role})" if node.role in ("succeeded", "failed") else ""
    start = "(start)" if node.name == initial else ""
    return "  ".join(part for part in (node.name, start, role, "; ".join(node.facts)) if part)


def _arrow(arrow: Arrow, margin: str) -> Iterator[str]:
    way = "=>" if arrow.main else "->"
    yield from _wrapped(f"{arrow.text} {way} {arrow.target}", margin, f"{margin}    ")


def _wrapped(text: str, first: str, rest: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)
