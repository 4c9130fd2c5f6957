"""`statemachine check`: what it prints in each form, and its exit code."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.cli.conftest import Program

CORPUS = Path(__file__).parents[1] / "check" / "corpus"


def bring(folder: Path, *names: str) -> list[str]:
    """Copy machines of the corpus into a working folder; return their files' names."""
    shutil.copy(CORPUS / "tools.py", folder)
    for name in names:
        shutil.copy(CORPUS / f"{name}.yaml", folder)
    return [f"{name}.yaml" for name in names]


def test_check_counts_what_it_finds_and_fails_on_errors_alone(program: Program, tmp_path: Path) -> None:
    """A warning or a silenced error is told of, but is no failure."""
    gap, overlap, idle, allowed = bring(
        tmp_path, "gap_one_number", "overlap_numbers", "idle_tool", "unapproved_allowed"
    )
    assert program("check", gap, idle, expect=1).out.splitlines()[-1] == "1 error, 1 warning"
    done = program("check", overlap, allowed, expect=0)
    assert "info[SM305] REFUTED" in done.out
    assert "SM601" not in done.out
    assert "unapproved_allowed.yaml: ok: mailing 1, 4 states" in done.out
    assert ", 1 silenced with a reason" in done.out
    (told,) = program("check", allowed, "--json", expect=0).data
    assert told["ok"]
    (finding,) = told["findings"]
    assert finding["allowed"] == "the customer has asked for this mail"
    assert finding["witness"] == ["look --done--> send"]


def test_check_prints_sarif(program: Program, tmp_path: Path) -> None:
    """One log for all files, also for one that does not load."""
    (gap,) = bring(tmp_path, "gap_one_number")
    (tmp_path / "wrong.yaml").write_text("machine: wrong\n")
    (run,) = program("check", gap, "wrong.yaml", "--sarif", expect=2).data["runs"]
    where = [
        (r["ruleId"], r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"])
        for r in run["results"]
    ]
    assert where[0] == ("SM304", gap)
    assert {uri for _, uri in where[1:]} == {"wrong.yaml"}


def test_check_explains_its_rules(program: Program) -> None:
    """With the machine that breaks one and the machine put right; an unknown rule is met with those there are."""
    done = program("check", "--explain", "SM304", expect=0)
    assert done.out.startswith("SM304: guards that leave a gap (error)\n")
    assert done.out.index("\nBad:\n") < done.out.index("errors < 5") < done.out.index("\nGood:\n")
    told = program("check", "--explain", "sm304", "--json", expect=0).data
    assert set(told) == {"code", "title", "severity", "summary", "why", "bad", "good"}
    assert "SM304" in program("check", "--explain", "SM399", expect=2).err
    assert "--explain" in program("check", expect=2).err
