"""Machines and runs show themselves in a notebook as SVG."""

from __future__ import annotations

import asyncio
from pathlib import Path
from xml.etree import ElementTree

from statemachine import Final, Machine, load
from statemachine.diagrams import render
from statemachine.host.runtime import Runtime
from statemachine.host.view import RunView
from tests.host.conftest import LOOP


def drawn(svg: str | None) -> list[str]:
    """Return the titles in a picture."""
    assert svg is not None
    root = ElementTree.fromstring(svg.encode())
    return [title.text or "" for title in root.iter("{http://www.w3.org/2000/svg}title")]


def test_a_machine_in_python_shows_itself_once_it_is_complete() -> None:
    """Before, it shows nothing; looking at it does not end its declaration."""
    machine = Machine("small", version="1")
    assert machine._repr_svg_() is None
    machine.add("ask", initial=True, on={"cancelled": "fail"})
    machine.add("fail", Final.failed)
    first = drawn(machine._repr_svg_())
    machine.add("more", always="fail")
    assert len(drawn(machine._repr_svg_())) > len(first)


def test_a_loaded_machine_shows_itself(folder: Path) -> None:
    """It is the picture that `render` draws."""
    (folder / "loop.yaml").write_text(LOOP)
    machine = load(folder / "loop.yaml")
    assert machine._repr_svg_().encode() == render(machine.declaration, "svg")


def test_a_run_shows_its_way_as_of_its_moment(folder: Path) -> None:
    """The picture is of the run as this view has seen it; the place of its store is in no output."""
    (folder / "loop.yaml").write_text(LOOP)

    async def work() -> RunView:
        async with Runtime(folder / "runs.db") as runtime:
            return await runtime.start(folder / "loop.yaml", {"world": str(folder / "world.txt")})

    view = asyncio.run(work())
    assert any(f"run {view.run}: succeeded in complete" in title for title in drawn(view._repr_svg_()))
    assert "db" not in view.as_data()
    assert str(folder) not in repr(view).replace(repr(view.context), "")
