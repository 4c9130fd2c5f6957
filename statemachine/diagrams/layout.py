"""DOT laid out as SVG or PNG by the ``graphviz-pure`` program, the same bytes on every machine."""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
from collections.abc import Mapping
from contextlib import suppress
from html import escape

from statemachine.errors import DiagramFailed

PROGRAM = "graphviz-pure"
TIMEOUT = 20.0
"""Seconds that one layout may take."""

_LAYOUTS: tuple[tuple[str, ...], ...] = (
    (),
    # The same manner with less search and straight lines: 3 s for 300 random states instead of 3 minutes.
    ("-Gsplines=line", "-Gnslimit=1", "-Gnslimit1=1", "-Gmclimit=0.05", "-Gsearchsize=5"),
    # Springs instead of ranks: no top and bottom any more, but 3 s for 1000 random states.
    ("-Ksfdp", "-Gsplines=line"),
)
_PIXELS = ("-Gdpi=144", "-Gsize=60,60")
"""Twice the size on screen, and no side above 60 inches, so that no picture fills the memory."""


def program() -> str:
    """Return the path of the layout program: the one installed with this package, else one on PATH.

    Raises:
        DiagramFailed: There is none.
    """
    found = shutil.which(PROGRAM, path=sysconfig.get_path("scripts")) or shutil.which(PROGRAM)
    if found is None:
        raise DiagramFailed(
            f"{PROGRAM} is not installed beside this package nor on PATH; pip install graphviz-pure"
        )
    return found


def lay_out(dot: str, form: str, timeout: float = TIMEOUT) -> bytes:
    """Return ``dot`` laid out as ``svg`` or ``png``.

    A graph that is too large and too tangled for the best layout is laid out more simply.

    Args:
        dot: A graph in the DOT language.
        form: ``svg`` or ``png``.
        timeout: Seconds for each of up to three layouts.

    Raises:
        DiagramFailed: The program is missing, refuses the text, or even the simplest layout takes too long.
    """
    command = [program(), f"-T{form}", *(_PIXELS if form == "png" else ())]
    for layout in _LAYOUTS:
        with suppress(subprocess.TimeoutExpired):
            try:
                done = subprocess.run(
                    [*command, *layout], input=dot.encode(), capture_output=True, timeout=timeout, check=False
                )
            except OSError as error:
                raise DiagramFailed(f"{command[0]} cannot be started: {error.strerror or error}") from None
            if done.returncode or not done.stdout:
                said = done.stderr.decode(errors="replace").strip()[-500:]
                raise DiagramFailed(f"{PROGRAM} failed with status {done.returncode}: {said}")
            return done.stdout
    raise DiagramFailed(f"the picture takes longer than {timeout:g} s to lay out; draw it as dot or mermaid")


def finished(svg: str, titles: Mapping[str, str]) -> str:
    """Return laid out SVG without what names a program version or another place, and with titles.

    Args:
        svg: As the layout program writes it.
        titles: For an element's id, its accessible title.
    """
    body = re.sub(r"<!--.*?-->\n?", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    body = body.replace(' xmlns:xlink="http://www.w3.org/1999/xlink"', "", 1)
    body = body.replace('font-family="Arial"', 'font-family="Arial, Helvetica, sans-serif"')

    def titled(match: re.Match[str]) -> str:
        title = titles.get(match["id"])
        return match[0] if title is None else f"{match['tag']}<title>{escape(title)}</title>"

    body = re.sub(r'(?P<tag><g id="(?P<id>[^"]+)" [^>]*>\n)<title>.*?</title>', titled, body)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}'
