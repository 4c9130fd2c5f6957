"""Kept pictures: written whole, and told when they are not what their machine gives now."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from statemachine.diagrams import render
from statemachine.diagrams.committed import Stale, save, stale, write
from statemachine.errors import DiagramFailed, OutputUnwritable
from statemachine.machine.model import Declaration
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
    with pytest.raises(OutputUnwritable, match=r"agent.dot cannot be written: .*/file is not a folder"):
        write(tmp_path / "file", MACHINES)
    with pytest.raises(OutputUnwritable, match="File name too long"):
        save(tmp_path / f"{'x' * 300}.svg", b"")
    (tmp_path / "agent.svg").mkdir()
    with pytest.raises(OutputUnwritable, match=r"agent\.svg"):
        save(tmp_path / "agent.svg", b"")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["agent.svg", "file"]


def test_any_change_makes_all_pictures_of_its_machine_stale(tmp_path: Path) -> None:
    """Whatever is declared has a part in the digest, and the digest stands in every picture."""
    write(tmp_path, MACHINES)
    changed = Declaration.model_validate(agent().as_data() | {"summary": "Another one."})
    assert [(s.path.name, s.why) for s in stale(tmp_path, MACHINES | {"agent": changed})] == [
        (f"agent.{ending}", "out of date") for ending in ("dot", "mmd", "svg")
    ]


def test_nothing_is_written_when_one_cannot_be_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All pictures are made before the first is written."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path / "nowhere"))
    with pytest.raises(DiagramFailed):
        write(tmp_path / "diagrams", MACHINES)
    assert not (tmp_path / "diagrams").exists()


def test_a_full_disk_leaves_the_old_picture(tmp_path: Path) -> None:
    """The old bytes stay until the new ones are all there."""
    (tmp_path / "one.svg").write_bytes(b"old")
    code = """
import resource, signal, sys
from pathlib import Path
from statemachine.diagrams.committed import save
from statemachine.errors import DiagramFailed, OutputUnwritable
from statemachine.machine.model import Declaration
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    save(Path(sys.argv[1]), b"x" * 5000)
except OutputUnwritable as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "one.svg")], capture_output=True, text=True, check=True
    )
    assert "File too large" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["one.svg"]
    assert (tmp_path / "one.svg").read_bytes() == b"old"


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path: Path) -> None:
    """What is no file, such as /dev/stdout or /dev/null, is never replaced by one."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    save(pipe, b"<svg/>")
    reader.join(10)
    assert got == [b"<svg/>"]
    assert pipe.is_fifo()
    (tmp_path / "full").symlink_to("/dev/full")
    with pytest.raises(OutputUnwritable, match="No space left"):
        save(tmp_path / "full", b"<svg/>")
    assert (tmp_path / "full").is_char_device()
