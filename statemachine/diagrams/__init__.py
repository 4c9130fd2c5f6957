"""Pictures of machines, of runs and of differences: drawn from declarations and plain values, never from a store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from statemachine.diagrams.drawing import Drawing
    from statemachine.diagrams.trail import Trail
    from statemachine.machine.model import Declaration

FORMATS = {"svg": ".svg", "png": ".png", "pdf": ".pdf", "dot": ".dot", "mermaid": ".mmd", "text": ".txt"}
"""Each format that a machine or a run can be drawn in, with the suffix of its files."""

CHANGE_FORMATS = {**FORMATS, "markdown": ".md"}
"""Each format that a difference can be drawn in."""


def render(declaration: Declaration, format: str, bounds: Mapping[str, str] | None = None) -> bytes:
    """Return the picture of a checked machine; the same declaration always gives the same bytes.

    Args:
        declaration: A machine all of whose targets exist.
        format: One of :data:`FORMATS`, or the suffix of its files without the dot.
        bounds: What is proved, a line for states by name, and under ``""`` for the whole machine.

    Raises:
        ValueError: There is no such format.
        DiagramFailed: The picture cannot be laid out.
        MissingExtra: PDF is asked for and its libraries are not installed.
    """
    from statemachine.diagrams.drawing import draw

    form, drawing = named(format), draw(declaration)
    if bounds:
        from statemachine.diagrams.bounded import bounded

        drawing = bounded(drawing, bounds)
    return _paint(drawing, form)


def render_run(declaration: Declaration, trail: Trail, format: str) -> bytes:
    """Return the picture of a machine with a run's way on it; the rest is as for :func:`render`."""
    from statemachine.diagrams.drawing import draw
    from statemachine.diagrams.traced import traced

    return _paint(traced(draw(declaration), trail), named(format))


def render_difference(old: Declaration, new: Declaration, format: str) -> bytes:
    """Return what changed from one machine to another, as a picture or in words; else as :func:`render`.

    Args:
        old: A checked machine.
        new: Another, usually a later version.
        format: One of :data:`CHANGE_FORMATS`; ``text`` and ``markdown`` list the changes.
    """
    from statemachine.diagrams.changed import changed
    from statemachine.diagrams.changes import markdown, text
    from statemachine.machine.compare import compare

    difference, form = compare(old, new), named(format, CHANGE_FORMATS)
    if form == "text":
        return text(difference).encode()
    drawing = changed(old, new, difference)
    return markdown(difference, drawing).encode() if form == "markdown" else _paint(drawing, form)


def named(format: str, formats: Mapping[str, str] = FORMATS) -> str:
    """Return a format's name from its name or its suffix.

    Raises:
        ValueError: There is no such format.
    """
    form = {suffix[1:]: name for name, suffix in formats.items()}.get(format, format)
    if form not in formats:
        raise ValueError(f"no format {format!r}; there are {', '.join(formats)}")
    return form


def _paint(drawing: Drawing, form: str) -> bytes:
    if form == "mermaid":
        from statemachine.diagrams.mermaid import source as mermaid

        return mermaid(drawing).encode()
    if form == "text":
        from statemachine.diagrams.text import listing

        return listing(drawing).encode()
    from statemachine.diagrams.dot import source, titles

    dot = source(drawing)
    if form == "dot":
        return dot.encode()
    from statemachine.diagrams.layout import finished, lay_out

    if form == "png":
        return lay_out(dot, "png")
    if form == "svg":
        return finished(lay_out(dot, "svg").decode(), titles(drawing)).encode()
    from statemachine.diagrams.pdf import pdf

    return pdf(dot, f"{drawing.name} {drawing.version}")
