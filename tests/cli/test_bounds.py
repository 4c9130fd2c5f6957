"""What is proved of a machine's runs, as the program tells it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import ROOT, Program

BACKUP = ROOT / "machines" / "backup" / "backup.yaml"


def test_check_prints_each_bound_with_a_run_and_the_assumptions(program: Program) -> None:
    """In a table for people, and as data for programs."""
    lines = program("check", BACKUP, "--bounds", expect=0).out.splitlines()
    assert lines[1] == "bounds of backup 1, proved by every state with every count of attempts, 16 in all:"
    (steps,) = [line.split("  ") for line in lines if line.startswith("  steps")]
    assert [part.strip() for part in steps if part.strip()] == [
        "steps",
        "12",
        "by counters, limit 31",
        "(copy → verify → retry) × 3 → copy → verify → complete",
    ]
    assert any("time-out that its tool declares" in line for line in lines)
    (told,) = program("check", BACKUP, "--bounds", "--json", expect=0).data
    calls = next(bound for bound in told["bounds"]["bounds"] if bound["name"] == "calls")
    assert (calls["most"], calls["verdict"], calls["binds"], calls["exact"]) == (
        8,
        "PROVED",
        "counters",
        True,
    )


def test_check_exports_a_machine_for_model_checkers(program: Program, tmp_path: Path) -> None:
    """Printed with its properties as remarks, or written into a folder with them beside it."""
    assert (
        'R{"calls"}max=? [ F "ended" ]; // 8' in program("check", BACKUP, "--export", "prism", expect=0).out
    )
    done = program("check", BACKUP, "--export", "tla", "-o", "models", "--json", expect=0)
    assert done.data == {"written": ["models/backup.tla", "models/backup.cfg"]}
    assert "Bounded == steps <= 12 /\\ calls <= 8" in (tmp_path / "models" / "backup.tla").read_text()
    assert "ltl ends" in program("check", BACKUP, "--export", "promela", expect=0).out
    assert program("check", BACKUP, "-o", "models", expect=2).err


def test_a_run_writes_down_what_is_proved_of_it(program: Program, tmp_path: Path) -> None:
    """In its first record; its journal conforms to its machine with it."""
    (tmp_path / "a.txt").write_text("a")
    done = program("run", BACKUP, "-i", "source=a.txt", "-i", "target=b.txt", "--json", expect=0)
    run = done.data["run"]
    first = json.loads(program("journal", run, "--json", expect=0).out.splitlines()[0])
    assert first["body"]["bounds"] == {"steps": 12, "calls": 8, "elapsed": 481.4, "limited": []}
    program("journal", run, "--verify", expect=0)


def test_a_picture_can_show_how_often_loops_go_round(program: Program) -> None:
    """Beside the state that counts, and for the whole machine."""
    text = program("render", BACKUP, "--bounds", "-f", "text", expect=0).out
    assert "goes round ≤ 3 times" in " ".join(text.split())
    assert "proved: at most 12 steps, 8 calls, 8m2s" in " ".join(text.split())
