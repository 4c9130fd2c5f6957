"""Pictures of machines: what is drawn comes from the declaration alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from statemachine.machine.model import Declaration

FORMATS = {"svg": ".svg", "png": ".png", "pdf": ".pdf", "dot": ".dot", "mermaid": ".mmd", "text": ".txt"}
"""Each format that a machine can be drawn in, with the suffix of its files."""


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

    form = {suffix[1:]: name for name, suffix in FORMATS.items()}.get(format, format)
    if form not in FORMATS:
        raise ValueError(f"no format {format!r}; there are {', '.join(FORMATS)}")
    drawing = draw(declaration)
    if bounds:
        from statemachine.diagrams.bounded import bounded

        drawing = bounded(drawing, bounds)
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
