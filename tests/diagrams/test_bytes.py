"""Pictures are the same bytes everywhere, and whole."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from time import perf_counter
from xml.etree import ElementTree

import pytest

from statemachine.diagrams import FORMATS, render
from statemachine.diagrams.drawing import draw
from statemachine.diagrams.lines import lines
from statemachine.errors import MissingExtra
from statemachine.machine.model import Declaration
from tests.diagrams.machines import agent
from tests.diagrams.tangles import tangle

HASHES = """
import hashlib
from statemachine.diagrams import FORMATS, render
from tests.diagrams.machines import agent
from tests.diagrams.tangles import tangle
for machine in (agent(), tangle(20)):
    for form in FORMATS:
        print(form, hashlib.sha256(render(machine, form)).hexdigest())
"""
SVG = "{http://www.w3.org/2000/svg}"


def hashes(seed: str, **environment: str) -> str:
    """The hash of each format, from a process of its own."""
    root = Path(__file__).parents[2]
    environment |= {"PYTHONHASHSEED": seed, "PYTHONPATH": str(root)}
    return subprocess.run(
        [sys.executable, "-c", HASHES], env=environment, cwd=root, check=True, capture_output=True, text=True
    ).stdout


def test_pictures_do_not_depend_on_fonts_graphviz_or_the_process(tmp_path: Path) -> None:
    """Without system fonts, without a Graphviz on PATH, in another locale and zone: the same bytes."""
    bare = {"PATH": "", "HOME": "/nonexistent", "FONTCONFIG_FILE": "/dev/null"}
    usual = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LC_ALL": "de_DE.UTF-8", "TZ": "Asia/Tokyo"}
    found = hashes("1", **usual)
    assert hashes("2", **bare) == found
    assert len(found.splitlines()) == 2 * len(FORMATS)


def test_the_walk_round_a_loop_does_not_depend_on_the_process() -> None:
    """Of two equal ways round a loop, the one declared first is highlighted, whatever the hash seed."""
    states = {
        "a": {"on": {"x": "b", "y": "d"}},
        "b": {"on": {"x": "c"}},
        "c": {"on": {"x": "a"}},
        "d": {"on": {"x": "e"}},
        "e": {"on": {"x": "a"}},
        "fail": {"final": "failed"},
    }
    data = {"machine": "two", "version": "1", "initial": "a", "events": {"x": {}, "y": {}}, "states": states}
    (loop,) = draw(Declaration.model_validate(data)).loops
    assert loop.walk == ("a", "b", "c", "a")


def test_svg_is_well_formed_and_refers_to_nothing() -> None:
    """An SVG has no comment, no DTD, no link, and nothing that names the program's version."""
    svg = render(agent(), "svg").decode()
    assert ElementTree.fromstring(svg).tag == f"{SVG}svg"
    assert not re.search(r"<!--|DOCTYPE|Generated|xlink|href|url\(", svg)
    assert re.findall(r"https?://[^\"]*", svg) == ["http://www.w3.org/2000/svg"]


def test_svg_titles_tell_what_each_part_is() -> None:
    """The picture, each state and each line have a title that reads as a sentence would."""
    root = ElementTree.fromstring(render(agent(), "svg"))
    titles = {g.get("id"): g.findtext(f"{SVG}title") for g in root.iter(f"{SVG}g")}
    assert str(titles["graph0"]).startswith("code_fixer v1.3.0: sha256:")
    assert titles["state_retry"] == "Retry; waits 1s ×2 ≤ 1m; attempts ≤ 3"
    told = {line.id: titles[line.id] for line in lines(draw(agent()))}
    assert "Validate to Diagnose: done [else]; failed" in told.values()
    assert "Any state to Fail: cancelled" in told.values()


def test_nasty_guards_show_as_they_were_written() -> None:
    """Mark-up, quotes, escapes of DOT and half an entity come through to the SVG's text."""
    for guard in ("a < b && c > d", "\\N \\G \\l \\\\", "x == '&amp;'", '"</b>"', "]]>", "日本語 == é"):
        data = agent().as_data()
        data["states"]["diagnose"]["on"]["done"][0]["when"] = guard
        root = ElementTree.fromstring(render(Declaration.model_validate(data), "svg"))
        assert f"[{guard}]" in [text.text for text in root.iter(f"{SVG}text")]


def test_what_does_not_print_is_spelt_out() -> None:
    """A mark that would turn the reading direction is shown as an escape, and lines become one line."""
    data = agent().as_data()
    data["states"]["diagnose"]["on"]["done"][0]["when"] = "admin\u202e ||\n\t true"
    declaration = Declaration.model_validate(data)
    for form in ("svg", "mermaid", "text"):
        picture = render(declaration, form).decode()
        assert "\u202e" not in picture
        assert "admin" in picture
    assert "[admin\\u202e || true]" in render(declaration, "text").decode()


def test_png_and_pdf_are_what_they_are_called() -> None:
    """The binary formats begin with their signatures; the PDF names its machine and embeds no font."""
    assert render(agent(), "png").startswith(b"\x89PNG\r\n\x1a\n")
    pdf = render(agent(), "pdf")
    assert pdf.startswith(b"%PDF-")
    assert b"code_fixer v1.3.0" in pdf
    assert set(re.findall(rb"/BaseFont /(\S+)", pdf)) == {b"Helvetica", b"Helvetica-Bold"}


@pytest.mark.parametrize("module", ["svglib.svglib", "reportlab"])
def test_pdf_without_its_libraries_names_the_extra(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    """Where they are not installed, the error says what to install, and nothing else needs them."""
    for name in [name for name in sys.modules if name.startswith(module.partition(".")[0])]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=rf"needs {module}.*agent-statemachine\[pdf\]"):
        render(agent(), "pdf")
    for form in set(FORMATS) - {"pdf"}:
        assert render(agent(), form)


def test_a_png_is_whole_and_twice_the_size_on_screen() -> None:
    """Its pixels are as many as 144 dots an inch make."""
    png = render(agent(), "png")
    assert png[-8:-4] == b"IEND"
    size = re.search(rb'<svg width="([\d.]+)pt" height="([\d.]+)pt"', render(agent(), "svg"))
    assert size
    for place, points in zip((16, 20), size.groups(), strict=True):
        assert int.from_bytes(png[place : place + 4]) == pytest.approx(2 * float(points), abs=3)


@pytest.mark.parametrize(("states", "most"), [(7, 1.0), (30, 5.0), (100, 25.0)])
def test_drawing_takes_no_longer_than_people_wait(
    states: int, most: float, capsys: pytest.CaptureFixture[str]
) -> None:
    """An SVG of seven states takes a few hundredths of a second; the times are printed."""
    declaration = agent() if states == 7 else tangle(states)
    start = perf_counter()
    svg = render(declaration, "svg")
    seconds = perf_counter() - start
    with capsys.disabled():
        print(f"\n{states} states: SVG of {len(svg) / 1000:.0f} kB in {seconds:.3f} s")
    assert seconds < most


def test_a_suffix_names_its_format_and_others_are_refused() -> None:
    """``mmd`` and ``txt`` are Mermaid and text; what is no format is an error that lists them."""
    assert render(agent(), "mmd") == render(agent(), "mermaid")
    assert render(agent(), "txt") == render(agent(), "text")
    with pytest.raises(ValueError, match="svg, png, pdf, dot, mermaid, text"):
        render(agent(), "gif")
