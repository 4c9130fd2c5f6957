"""The program that lays out: found, bounded in time, and its failures told."""

from __future__ import annotations

import random
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from statemachine.diagrams import layout, render
from statemachine.diagrams.layout import lay_out, program
from statemachine.errors import DiagramFailed
from tests.diagrams.tangles import tangle as machine

SVG = "{http://www.w3.org/2000/svg}"


def tangle(states: int) -> str:
    """A random graph with three labelled edges a node, which dot's search finds hard."""
    pick = random.Random(states)
    edges = [
        f'n{i} -> n{pick.randrange(states)} [label="event {i}"]' for i in range(states) for _ in range(3)
    ]
    return f"digraph {{ {'; '.join(edges)} }}"


def test_the_program_beside_this_package_is_found() -> None:
    """The layout program stands in the scripts folder of the environment; PATH is not needed."""
    assert Path(program()).stem == "graphviz-pure"


def test_a_missing_program_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no layout program, the error names it and how to get it."""
    monkeypatch.setattr(layout, "PROGRAM", "graphviz-absent")
    with pytest.raises(DiagramFailed, match="pip install"):
        lay_out("digraph {}", "svg")


def test_text_that_is_not_dot_is_refused() -> None:
    """The program's own words come with the error."""
    with pytest.raises(DiagramFailed, match="syntax error"):
        lay_out("this is no graph", "svg")


def test_a_tangle_is_laid_out_more_simply_in_time() -> None:
    """What the best layout cannot do in time, a simpler one does."""
    assert b"<svg" in lay_out(tangle(120), "svg", timeout=1.5)


def test_no_layout_takes_for_ever() -> None:
    """When even the simplest layout takes too long, that is an error with a way out."""
    with pytest.raises(DiagramFailed, match="dot or mermaid"):
        lay_out(tangle(400), "svg", timeout=0.02)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put another program in the layout program's place: a file with the given text, or none."""
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path / name))
    monkeypatch.setenv("PATH", str(tmp_path))

    def write(text: str) -> None:
        path = tmp_path / layout.PROGRAM
        path.write_text(text)
        path.chmod(0o755)

    return write


def test_what_needs_no_layout_is_drawn_without_the_program(install: Callable[[str], None]) -> None:
    """SVG, PNG and PDF say how to get it; DOT, Mermaid and text are drawn all the same."""
    for form in ("svg", "png", "pdf"):
        with pytest.raises(DiagramFailed, match="pip install graphviz-pure"):
            render(machine(7), form)
    for form in ("dot", "mermaid", "text"):
        assert render(machine(7), form)


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
def test_a_program_that_does_not_work_is_named(install: Callable[[str], None], text: str, says: str) -> None:
    """With what it said; the one on PATH is taken where the package's own folder has none."""
    install(text)
    with pytest.raises(DiagramFailed, match=says) as failed:
        lay_out("digraph { a -> b }", "svg")
    assert layout.PROGRAM in str(failed.value)


def test_layouts_are_tried_from_the_best_to_the_simplest(install: Callable[[str], None]) -> None:
    """The first that is done in time is taken."""
    install('#!/bin/sh\ncase "$*" in *nslimit*) echo simpler;; *) exec /bin/sleep 60;; esac\n')
    assert lay_out("digraph {}", "svg", timeout=0.3) == b"simpler\n"
    install('#!/bin/sh\ncase "$*" in *sfdp*) echo springs;; *) exec /bin/sleep 60;; esac\n')
    assert lay_out("digraph {}", "svg", timeout=0.3) == b"springs\n"


@pytest.mark.parametrize("options", layout._LAYOUTS[1:], ids=["straight lines", "springs"])
def test_the_simpler_layouts_show_everything_too(options: tuple[str, ...]) -> None:
    """The real program takes their options; every state, line and text is there, if not the loops' frames."""
    dot = render(machine(30), "dot")
    best, simpler = (
        subprocess.run([program(), "-Tsvg", *words], input=dot, capture_output=True, check=True).stdout
        for words in ((), options)
    )
    assert texts(best) == texts(simpler)


def texts(svg: bytes) -> dict[str | None, list[str]]:
    """The texts of each state and line of an SVG."""
    return {
        g.get("id"): ["".join(text.itertext()) for text in g.iter(f"{SVG}text")]
        for g in ElementTree.fromstring(svg).iter(f"{SVG}g")
        if g.get("class") in ("node", "edge")
    }
