"""PDF: a page as large as the picture, its texts as text, and a clear word when its libraries are missing."""

from __future__ import annotations

import subprocess
import sys
import zlib

import pytest

from statemachine.diagrams import render
from tests.cli.conftest import ROOT
from tests.diagrams.test_relations import NASTY, told
from tests.diagrams.test_same_bytes import AGENT

BLOCKED = """
import sys
sys.modules[{module!r}] = None
from statemachine.diagrams import render
from statemachine.errors import MissingExtra
from statemachine.machine.load import load
machine = load({file!r}).declaration
for form in ("svg", "png", "dot", "mermaid", "text"):
    render(machine, form)
try:
    render(machine, "pdf")
except MissingExtra as error:
    print(error)
"""


def _content(pdf: bytes) -> bytes:
    """Return the page's drawing commands; reportlab writes them as base 85 over zlib."""
    import base64

    body = pdf.partition(b"stream\n")[2].partition(b"endstream")[0].strip()
    return zlib.decompress(base64.a85decode(b"<~" + body, adobe=True))


def test_a_pdf_is_whole_and_holds_text_in_a_standard_font() -> None:
    """One page, Helvetica, no embedded font, no date of today, and the states' names as text."""
    pdf = render(AGENT, "pdf")
    assert pdf.startswith(b"%PDF-1.")
    assert pdf.rstrip().endswith(b"%%EOF")
    assert pdf.count(b"/Type /Page\n") == 1
    assert b"/Helvetica" in pdf
    assert b"/FontFile" not in pdf
    assert b"D:2000" in pdf
    content = _content(pdf)
    for word in (b"(Validate)", b"(Complete)", b"(work loop)"):
        assert word in content


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
def test_no_text_breaks_a_pdf(text: str) -> None:
    """Any script, quote or bracket; what Helvetica lacks stands as its escape."""
    machine = told(text)
    pdf = render(machine, "pdf")
    assert pdf == render(machine, "pdf")
    assert b"(Plan)" in _content(pdf)


def test_what_helvetica_lacks_is_escaped() -> None:
    """Never a black box: the escape is the one that CEL and Python read."""
    assert b"[x == '\\\\u6f22']" in _content(render(told("x == '漢'"), "pdf"))
    assert b"[a <= b]" in _content(render(told("a ≤ b"), "pdf"))


@pytest.mark.parametrize("module", ["svglib.svglib", "reportlab"])
def test_without_its_libraries_the_extra_is_named(module: str) -> None:
    """Every other format is drawn without them."""
    code = BLOCKED.format(module=module, file=str(ROOT / "machines/agent/agent.yaml"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"PDF needs {module}" in done.stdout
    assert "pip install 'agent-statemachine[pdf]'" in done.stdout
