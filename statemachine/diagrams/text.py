"""A drawing as plain text for a terminal of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from statemachine.diagrams.drawing import Arrow, Drawing, Node, draw
from statemachine.diagrams.traced import traced

if TYPE_CHECKING:
    from statemachine.diagrams.trail import Trail
    from statemachine.machine.definition import Definition

WIDTH = 80

Detail = Literal["guards", "events", "states"]
_LEFT_OUT: dict[Detail, str] = {
    "guards": "",
    "events": "guards, contracts and limits are left out",
    "states": "only states and where they lead are shown",
}


def listing(drawing: Drawing) -> str:
    """Return the drawing state by state; ``|`` marks what lies on a loop, ``=>`` the way round it."""
    return _text(_Page(drawing, "guards", frozenset(), marked=drawing.here is not None))


def diagram(
    definition: Definition,
    trail: Trail | None = None,
    breakpoints: Collection[str] = (),
    *,
    rows: int | None = None,
) -> str:
    """Return a machine as a terminal shows it, in as much detail as fits, and what was left out.

    ``>`` marks the state that the run is in, ``*`` a state with a breakpoint; behind a state stands how often
    and how long the run was there, behind a transition at which steps it was taken.

    Args:
        definition: The machine.
        trail: The way of a run.
        breakpoints: Names of states.
        rows: Lines that there are; without it, everything is shown.
    """
    drawing = draw(definition.declaration)
    drawing = drawing if trail is None else traced(drawing, trail)
    marked = trail is not None or bool(breakpoints)
    text = ""
    for detail, left_out in _LEFT_OUT.items():
        text = _text(_Page(drawing, detail, frozenset(breakpoints), marked))
        if left_out:
            text += f"({left_out}: more than {rows} lines)\n"
        if rows is None or text.count("\n") <= rows:
            break
    return text


@dataclass(frozen=True, slots=True)
class _Page:
    """What is written, and how.

    Attributes:
        drawing: The machine.
        detail: How much of it.
        breakpoints: States to mark with ``*``.
        marked: Whether there is a margin for marks.
    """

    drawing: Drawing
    detail: Detail
    breakpoints: frozenset[str]
    marked: bool


def _text(page: _Page) -> str:
    return "\n".join(line.rstrip() for line in _lines(page)) + "\n"


def _lines(page: _Page) -> Iterator[str]:
    drawing = page.drawing
    yield from _wrapped(f"{drawing.name} {drawing.version}  {drawing.size}", "", "  ")
    if page.detail == "guards":
        yield from _wrapped(drawing.limits, "", "  ")
    for note in drawing.notes:
        yield from _wrapped(note.text, "", "  ")
    for loop in drawing.loops if page.detail != "states" else ():
        yield from _wrapped(f"loop: {' => '.join(loop.walk)}", "", "      ")
    leaving: dict[str | None, list[Arrow]] = {}
    for arrow in drawing.arrows:
        leaving.setdefault(arrow.source, []).append(arrow)
    looped = {name: n for n, loop in enumerate(drawing.loops) for name in loop.states}
    before = None
    for node in drawing.nodes:
        number = looped.get(node.name)
        bar = "  " if number is None else "| "
        if page.detail == "guards":
            yield _blank(page) + bar if number == before else ""
        elif page.detail == "events" and node is drawing.nodes[0]:
            yield ""
        before = number
        yield from _state(page, node, leaving.get(node.name, []), bar)
    if None in leaving:
        yield from [""] if page.detail == "guards" else []
        yield from _state(page, None, leaving[None], "  ")


def _state(page: _Page, node: Node | None, arrows: list[Arrow], bar: str) -> Iterator[str]:
    """Yield a state, or None for any state, and what leaves it."""
    name = "any state" if node is None else node.name
    margin = _blank(page)
    first = margin
    if page.marked:
        first = f"{'>' if name == page.drawing.here else ' '}{'*' if name in page.breakpoints else ' '}"
    if page.detail == "guards":
        heading = name if node is None else _heading(node, page.drawing.initial)
        yield from _wrapped(heading, first + bar, f"{margin}{bar}    ")
        for arrow in arrows:
            yield from _arrow(arrow, f"{margin}{bar}  ")
        return
    # On one line, as far as it is long enough: the events, or only where they lead.
    notes = "" if node is None else "".join(f"  {note.text}" for note in node.notes[:1])
    if page.detail == "events":
        ways = [
            f"{a.label} {'=>' if a.main else '->'} {a.target}" + (f" ({a.badge})" if a.badge else "")
            for a in arrows
        ]
    else:
        targets = dict.fromkeys(arrow.target for arrow in arrows)
        ways = [f"-> {', '.join(targets)}"] if targets else []
    yield from _wrapped(f"{name}{notes}  {'; '.join(ways)}", first + bar, f"{margin}{bar}    ")


def _blank(page: _Page) -> str:
    return "  " if page.marked else ""


def _heading(node: Node, initial: str) -> str:
    role = f"({node.role})" if node.role in ("succeeded", "failed") else ""
    start = "(start)" if node.name == initial else ""
    parts = (node.name, start, role, *(note.text for note in node.notes), "; ".join(node.facts))
    return "  ".join(part for part in parts if part)


def _arrow(arrow: Arrow, margin: str) -> Iterator[str]:
    way = "=>" if arrow.main else "->"
    turns = f"  ({arrow.badge})" if arrow.badge else ""
    yield from _wrapped(f"{arrow.text} {way} {arrow.target}{turns}", margin, f"{margin}    ")


def _wrapped(text: str, first: str, rest: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)
