"""A laid out SVG as PDF, by svglib and reportlab."""

from __future__ import annotations

from io import BytesIO

from statemachine.diagrams.layout import lay_out
from statemachine.errors import MissingExtra


def pdf(dot: str, title: str) -> bytes:
    """Return ``dot`` laid out as PDF, set in Helvetica, which every reader has and no file embeds.

    Raises:
        MissingExtra: svglib or reportlab is not installed.
        DiagramFailed: The picture cannot be laid out.
    """
    try:
        from reportlab import rl_config
        from reportlab.graphics import renderPDF
        from svglib.svglib import svg2rlg
    except ImportError as missing:
        raise MissingExtra(
            f"PDF needs {missing.name}, which is not installed; pip install 'agent-statemachine[pdf]'"
        ) from None
    svg = lay_out("".join(map(_latin, dot)), "svg").replace(b'="Arial"', b'="Helvetica"')
    before = rl_config.invariant
    # Without it reportlab writes the time and a random id into the file.
    rl_config.invariant = 1
    try:
        return bytes(renderPDF.drawToString(svg2rlg(BytesIO(svg)), title))
    finally:
        rl_config.invariant = before


def _latin(char: str) -> str:
    """Return a character as Helvetica can show it, else as the escape that CEL and Python read alike."""
    try:
        char.encode("cp1252")
    except UnicodeEncodeError:
        return "&lt;=" if char == "≤" else f"&#92;&#92;{char.encode('unicode_escape').decode()[1:]}"
    return char
