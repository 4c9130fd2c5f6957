"""The first machine of the README copies a file, for real."""

from __future__ import annotations

from pathlib import Path

import pytest

from statemachine.host.machine import Machine
from statemachine.machine.references import Folder

FOLDER = Path(__file__).parents[3] / "machines" / "backup"


@pytest.fixture
def backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """The machine as its Python file declares it, on a store of its own."""
    monkeypatch.setenv("STATEMACHINE_DB", str(tmp_path / "runs.db"))
    machine = Folder(FOLDER).module("backup.py").backup
    assert isinstance(machine, Machine)
    return machine


def test_a_file_is_copied(backup: Machine, tmp_path: Path) -> None:
    """`machine.run(...)` runs it in this process."""
    (tmp_path / "a").write_bytes(b"\x00\xff" * 1000)
    view = backup.run(source=tmp_path / "a", target=tmp_path / "b")
    assert (view.outcome, view.steps) == ("succeeded", 3)
    assert (tmp_path / "b").read_bytes() == (tmp_path / "a").read_bytes()


def test_a_file_that_is_not_there_fails_after_its_attempts(backup: Machine, tmp_path: Path) -> None:
    """Each attempt is counted, and the reason names the file."""
    view = backup.run(source=tmp_path / "none", target=tmp_path / "b")
    assert (view.status, view.attempts) == ("failed", {"retry": 3})
    assert "none" in view.reason
