"""A layout program that is missing, fails or takes too long is named, with what to do."""

from __future__ import annotations

import stat
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from statemachine.diagrams import render
from statemachine.diagrams.layout import _LAYOUTS, PROGRAM, lay_out, program
from statemachine.errors import DiagramFailed
from tests.diagrams.tangles import tangle

SVG = "{http://www.w3.org/2000/svg}"
DOT = "digraph { a -> b }"
Install = Callable[[str], Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put another program in the layout program's place: the one with the given text, or none."""
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path / name))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()

    def write(text: str) -> Path:
        path = tmp_path / "bin" / PROGRAM
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    return write


def test_a_missing_program(install: Install) -> None:
    """The message says how to get it; what needs no layout is drawn all the same."""
    machine = tangle(7)
    for form in ("svg", "png", "pdf"):
        with pytest.raises(DiagramFailed, match="pip install graphviz-pure"):
            render(machine, form)
    for form in ("dot", "mermaid", "text"):
        assert render(machine, form)


def test_a_program_on_the_path_is_found(install: Install) -> None:
    """Where the package's own folder has none, one on PATH is taken."""
    install("#!/bin/sh\necho laid out\n")
    assert lay_out(DOT, "svg") == b"laid out\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("#!/bin/sh\necho 'syntax error in line 1' >&2\nexit 3\n", "status 3: syntax error in line 1"),
        ("#!/bin/sh\nexit 0\n", "failed with status 0"),
        ("#!/nonexistent/sh\n", "cannot be started"),
        ("\0not a program\n", "cannot be started"),
    ],
    ids=["refuses", "says nothing", "without its interpreter", "no program"],
)
def test_a_program_that_does_not_work(install: Install, text: str, says: str) -> None:
    """It is named, with what it said."""
    install(text)
    with pytest.raises(DiagramFailed, match=says) as failed:
        lay_out(DOT, "svg")
    assert PROGRAM in str(failed.value)


def test_a_text_that_is_no_graph() -> None:
    """The real program's own words are passed on."""
    with pytest.raises(DiagramFailed, match="syntax error"):
        lay_out("digraph {", "svg")


def test_a_layout_that_takes_too_long_falls_back(install: Install) -> None:
    """Simpler layouts are tried in turn, and the first that is done in time is taken."""
    install('#!/bin/sh\ncase "$*" in *sfdp*) echo springs;; *) exec /bin/sleep 60;; esac\n')
    assert lay_out(DOT, "svg", timeout=0.2) == b"springs\n"
    install('#!/bin/sh\ncase "$*" in *nslimit*) echo simpler;; *) exec /bin/sleep 60;; esac\n')
    assert lay_out(DOT, "svg", timeout=0.2) == b"simpler\n"


def test_no_layout_in_time() -> None:
    """The real program, given no time at all: the message says what needs no layout."""
    with pytest.raises(DiagramFailed, match=r"longer than 0\.0001 s .* dot or mermaid"):
        lay_out(render(tangle(30), "dot").decode(), "svg", timeout=0.0001)


@pytest.mark.parametrize("layout", _LAYOUTS[1:])
def test_the_simpler_layouts_show_everything_too(layout: tuple[str, ...]) -> None:
    """The real program takes their options; every state, line and text is there, if not the loops' frames."""
    dot = render(tangle(30), "dot")
    best, simpler = (
        subprocess.run([program(), "-Tsvg", *words], input=dot, capture_output=True, check=True).stdout
        for words in ((), layout)
    )
    assert _groups(best) == _groups(simpler)


def _groups(svg: bytes) -> dict[str | None, list[str]]:
    groups = ElementTree.fromstring(svg).iter(f"{SVG}g")
    return {
        g.get("id"): ["".join(text.itertext()) for text in g.iter(f"{SVG}text")]
        for g in groups
        if g.get("class") in ("node", "edge")
    }
