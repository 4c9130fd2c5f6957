"""The kept pictures: what is missing, out of date or left over is found, and nothing is half written."""

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
from tests.diagrams.tangles import tangle

ONE, TWO = tangle(5, seed=1), tangle(6, seed=2)
MACHINES = {"one": ONE, "two": TWO}


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_written_pictures_are_current(tmp_path: Path) -> None:
    """Folders are made, each machine gets its three files, and a second time nothing changes."""
    folder = tmp_path / "docs" / "diagrams"
    written = write(folder, MACHINES)
    assert _names(folder) == sorted(path.name for path in written)
    assert _names(folder) == ["one.dot", "one.mmd", "one.svg", "two.dot", "two.mmd", "two.svg"]
    assert (folder / "one.svg").read_bytes() == render(ONE, "svg")
    before = [path.stat().st_mtime_ns for path in written]
    assert stale(folder, MACHINES) == []
    assert write(folder, MACHINES) == []
    assert [path.stat().st_mtime_ns for path in written] == before


def test_each_way_of_being_stale_is_told(tmp_path: Path) -> None:
    """Sorted by path; other files are nobody's business; writing mends all but what is left over."""
    assert [s.why for s in stale(tmp_path / "none", {"one": ONE})] == ["missing"] * 3
    write(tmp_path, MACHINES | {"gone": ONE})
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "one.dot").write_bytes(b"digraph {}\n")
    (tmp_path / "two.mmd").unlink()
    found = stale(tmp_path, MACHINES)
    assert found == [
        Stale(tmp_path / "gone.dot", "left over"),
        Stale(tmp_path / "gone.mmd", "left over"),
        Stale(tmp_path / "gone.svg", "left over"),
        Stale(tmp_path / "one.dot", "out of date"),
        Stale(tmp_path / "two.mmd", "missing"),
    ]
    assert write(tmp_path, MACHINES) == [tmp_path / "one.dot", tmp_path / "two.mmd"]
    assert [s.path.stem for s in stale(tmp_path, MACHINES)] == ["gone"] * 3
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_any_change_makes_all_pictures_of_its_machine_stale(tmp_path: Path) -> None:
    """Whatever is declared has a part in the digest, and the digest stands in every picture."""
    write(tmp_path, MACHINES)
    changed = Declaration.model_validate(ONE.as_data() | {"summary": "Another one."})
    assert [(s.path.name, s.why) for s in stale(tmp_path, {"one": changed, "two": TWO})] == [
        (f"one.{ending}", "out of date") for ending in ("dot", "mmd", "svg")
    ]


def test_nothing_is_written_when_one_cannot_be_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All pictures are made before the first is written."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path / "nowhere"))
    with pytest.raises(DiagramFailed):
        write(tmp_path / "diagrams", MACHINES)
    assert not (tmp_path / "diagrams").exists()


@pytest.mark.parametrize("place", ["file/one.svg", "file/deep/one.svg", "folder", "x" * 300 + ".svg"])
def test_an_unwritable_path_is_named_and_leaves_nothing(tmp_path: Path, place: str) -> None:
    """A file where a folder should be, a folder where the file should be, a name too long."""
    (tmp_path / "file").write_text("here first")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputUnwritable, match=r"cannot write .*: (.* is not a folder|Is a d|File name)"):
        save(tmp_path / place, b"<svg/>")
    assert _names(tmp_path) == ["file", "folder"]
    assert _names(tmp_path / "folder") == []
    assert (tmp_path / "file").read_text() == "here first"


def test_a_full_disk_leaves_the_old_picture(tmp_path: Path) -> None:
    """The old bytes stay until the new ones are all there."""
    (tmp_path / "one.svg").write_bytes(b"old")
    code = """
import resource, signal, sys
from pathlib import Path
from statemachine.diagrams.committed import save
from statemachine.errors import OutputUnwritable
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
    assert _names(tmp_path) == ["one.svg"]
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
