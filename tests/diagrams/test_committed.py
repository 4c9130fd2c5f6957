"""Kept pictures: written whole, and told when they are not what their machine gives now."""

from __future__ import annotations

from pathlib import Path

import pytest

from statemachine.diagrams import render
from statemachine.diagrams.committed import Stale, save, stale, write
from statemachine.errors import OutputUnwritable
from tests.diagrams.machines import agent, pipeline

MACHINES = {"agent": agent(), "pipeline": pipeline(2)}


def test_written_pictures_are_current(tmp_path: Path) -> None:
    """After writing, nothing is stale, and writing again changes nothing."""
    folder = tmp_path / "diagrams"
    assert {s.why for s in stale(folder, MACHINES)} == {"missing"}
    written = write(folder, MACHINES)
    assert sorted(path.name for path in written) == sorted(
        f"{stem}.{suffix}" for stem in MACHINES for suffix in ("svg", "dot", "mmd")
    )
    assert sorted(folder.iterdir()) == sorted(written)
    assert stale(folder, MACHINES) == []
    assert write(folder, MACHINES) == []
    assert (folder / "agent.svg").read_bytes() == render(agent(), "svg")


def test_each_way_of_being_stale_is_told(tmp_path: Path) -> None:
    """A missing, a changed and a left over picture are each told; other files are nobody's business."""
    write(tmp_path, MACHINES)
    (tmp_path / "agent.svg").unlink()
    (tmp_path / "agent.mmd").write_text("stateDiagram-v2\n")
    (tmp_path / "old.dot").write_text("digraph {}\n")
    (tmp_path / "README.md").write_text("pictures\n")
    assert stale(tmp_path, MACHINES) == [
        Stale(tmp_path / "agent.mmd", "out of date"),
        Stale(tmp_path / "agent.svg", "missing"),
        Stale(tmp_path / "old.dot", "left over"),
    ]
    assert write(tmp_path, MACHINES) == [tmp_path / "agent.mmd", tmp_path / "agent.svg"]
    assert [s.why for s in stale(tmp_path, MACHINES)] == ["left over"]


def test_an_unwritable_path_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    """Where a file stands in place of the folder, or a folder in place of the file, nothing is half done."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputUnwritable, match="cannot be written"):
        write(tmp_path / "file", MACHINES)
    (tmp_path / "agent.svg").mkdir()
    with pytest.raises(OutputUnwritable, match=r"agent\.svg"):
        save(tmp_path / "agent.svg", b"")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["agent.svg", "file"]
