"""A machine always gives the same bytes: in any process, with or without fonts and Graphviz."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from xml.etree import ElementTree

import pytest

from statemachine.diagrams import FORMATS, render
from statemachine.machine.load import load
from tests.cli.conftest import ROOT
from tests.diagrams.tangles import tangle

AGENT = load(ROOT / "machines/agent/agent.yaml").declaration
AGAIN = """
import hashlib, sys
from statemachine.diagrams import FORMATS, render
from statemachine.machine.model import Declaration
for text in sys.stdin:
    declaration = Declaration.model_validate_json(text)
    for form in FORMATS:
        print(form, hashlib.sha256(render(declaration, form)).hexdigest())
"""


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"PYTHONHASHSEED": "1"},
        {"PYTHONHASHSEED": "2", "LC_ALL": "C", "TZ": "Asia/Tokyo"},
        {"PATH": "", "HOME": "/nonexistent", "FONTCONFIG_FILE": "/dev/null"},
    ],
    ids=["another hash seed", "another locale and zone", "no fonts and no Graphviz"],
)
def test_another_process_draws_the_same(elsewhere: Mapping[str, str], tmp_path: Path) -> None:
    """Every format, for a small and a larger machine, in an environment with nothing else in it."""
    machines = (AGENT, tangle(20))
    here = [f"{f} {hashlib.sha256(render(m, f)).hexdigest()}" for m in machines for f in FORMATS]
    done = subprocess.run(
        [sys.executable, "-c", AGAIN],
        input="\n".join(json.dumps(m.as_data()) for m in machines),
        env={"PYTHONPATH": str(ROOT), **elsewhere},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == here


@pytest.mark.parametrize("name", ["agent", "repair", "triage"])
def test_an_svg_names_no_version_no_date_and_no_other_place(name: str) -> None:
    """It is well-formed, refers to nothing outside itself, and its only address is SVG's own name."""
    svg = render(load(ROOT / f"machines/{name}/{name}.yaml").declaration, "svg").decode()
    assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    assert re.findall(r"https?:[^\"'\s]*", svg) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"<!|<\?xml-stylesheet|graphviz|href|url\(|@import|<image|<script|20\d\d-\d\d", svg)


def test_a_png_is_whole_and_twice_the_size_on_screen() -> None:
    """Signature, header and end are there; its pixels are as many as 144 dots an inch make."""
    png = render(AGENT, "png")
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert png[-8:-4] == b"IEND"
    size = re.search(rb'<svg [^>]*width="([\d.]+)pt" height="([\d.]+)pt"', render(AGENT, "svg"))
    assert size
    for place, points in zip((16, 20), size.groups(), strict=True):
        assert int.from_bytes(png[place : place + 4]) == pytest.approx(2 * float(points), abs=3)


@pytest.mark.parametrize(("size", "most"), [(7, 1.0), (30, 5.0), (100, 25.0)])
def test_drawing_takes_no_longer_than_people_wait(
    size: int, most: float, capsys: pytest.CaptureFixture[str]
) -> None:
    """An SVG of seven states takes a few hundredths of a second; the times are printed."""
    declaration = AGENT if size == 7 else tangle(size)
    start = perf_counter()
    svg = render(declaration, "svg")
    seconds = perf_counter() - start
    with capsys.disabled():
        print(f"\n{size} states: SVG of {len(svg) / 1000:.0f} kB in {seconds:.2f} s")
    assert seconds < most
