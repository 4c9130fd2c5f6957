"""The four tools, each through its own door."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from machines.repair.models import Diagnosed, Lessons, Plan, Proposal, Result, Verdict, Workspace
from machines.repair.tools import BadInput, ProgramChanged, apply, diagnose, plan, validate
from statemachine.machine.call import Call

Write = Callable[..., tuple[Path, Path]]

PROGRAM = """
def largest(items):
    best = items[0]
    for item in items:
        if item < best:
            best = item
    return best
"""
TESTS = """
from prog import largest

def test_first(): assert largest([5, 2]) == 5
def test_last(): assert largest([2, 5]) == 5
def test_one(): assert largest([4]) == 4
"""


def planned(program: Path, tests: Path, call: Call, attempts: int = 200) -> Plan:
    return plan(program, tests, attempts, None, [], Lessons(), call)


def test_a_first_plan_tells_what_fails_and_where(write: Write, call: Call) -> None:
    """The baseline names failing tests and suspicious lines; the proposal's patches lie on these."""
    found = planned(*write(PROGRAM, TESTS), call)
    assert {each.test: each.outcome for each in found.baseline.outcomes} == {
        "test_prog.py::test_first": "failed",
        "test_prog.py::test_last": "failed",
        "test_prog.py::test_one": "passed",
    }
    lines = [suspect.line for suspect in found.baseline.suspects]
    assert lines == [1, 2, 3, 4, 6], "line 5 is run by only one of the failing tests"
    assert {patch.line for patch in found.proposal.patches} <= set(lines)
    assert not found.proposal.exhausted
    assert not found.proposal.already_passing


def test_what_the_tools_say_survives_json(write: Write, call: Call) -> None:
    """The journal keeps outputs as JSON, with keys sorted: nothing is lost or reordered by that."""
    found = planned(*write(PROGRAM, TESTS), call)
    again = Plan.model_validate_json(found.model_dump_json())
    assert again == found
    workspace = apply(again.baseline, again.proposal, call)
    assert Workspace.model_validate_json(workspace.model_dump_json()) == workspace
    assert len(found.model_dump_json()) < 8_000


def test_a_plan_is_the_same_when_made_again(write: Write, call: Call) -> None:
    """From one baseline the same patches come in the same order, on any day."""
    found = planned(*write(PROGRAM, TESTS), call)
    again = [
        plan(Path("gone"), Path("gone"), 200, found.baseline, [], Lessons(), call).proposal for _ in range(2)
    ]
    assert again == [found.proposal, found.proposal]


def test_attempts_are_counted_over_all_batches(write: Write, call: Call) -> None:
    """No batch goes past the attempts left; with none left, or no candidate, the proposal is exhausted."""
    found = planned(*write(PROGRAM, TESTS), call, attempts=1)
    assert len(found.proposal.patches) == 1
    ids = [found.proposal.patches[0].id]
    over = plan(Path(), Path(), 1, found.baseline, ids, Lessons(), call).proposal
    assert over.exhausted
    assert over.patches == []
    assert "1 patches that were allowed" in over.reason
    tried: list[str] = []
    while (proposal := plan(Path(), Path(), 10_000, found.baseline, tried, Lessons(), call).proposal).patches:
        assert not {patch.id for patch in proposal.patches} & set(tried)
        tried += [patch.id for patch in proposal.patches]
    assert proposal.exhausted
    assert proposal.reason == f"none of the {len(tried)} possible single edits passes all tests"


def test_passing_tests_need_no_repair(write: Write, call: Call) -> None:
    """It says so, and proposes nothing."""
    proposal = planned(*write(PROGRAM.replace("<", ">"), TESTS), call).proposal
    assert proposal.already_passing
    assert proposal.patches == []


def test_failing_tests_without_a_common_line_end_the_search_at_once(write: Write, call: Call) -> None:
    """Two faults in two functions that no failing test shares cannot be one edit."""
    proposal = planned(
        *write("", "def test_a(): assert False\n"),
        call,
    ).proposal
    assert proposal.exhausted
    assert "no line of prog.py" in proposal.reason


def test_a_program_that_each_test_imports_anew_has_suspicious_constants(write: Write, call: Call) -> None:
    """Outermost lines count for every test, though only the first one ran them."""
    tests = "def test_a():\n    import prog\n    assert prog.f()\ndef test_b():\n    import prog\n    assert prog.f()\n"
    found = planned(*write("N = 1\n\ndef f():\n    return N == 2\n", tests), call)
    assert [suspect.line for suspect in found.baseline.suspects] == [1, 3, 4]


@pytest.mark.parametrize("missing", [0, 1])
def test_missing_files_are_bad_input(write: Write, call: Call, missing: int) -> None:
    """The message names the file."""
    paths = write(PROGRAM, TESTS)
    paths[missing].unlink()
    with pytest.raises(BadInput, match=f"{paths[missing].name} cannot be read"):
        planned(*paths, call)


def test_the_program_is_not_its_own_test(write: Write, call: Call) -> None:
    """Nor is a folder a program, or broken Python."""
    program, tests = write(PROGRAM, TESTS)
    with pytest.raises(BadInput, match="the same file"):
        planned(tests, tests, call)
    with pytest.raises(BadInput, match="cannot be read: Is a directory"):
        planned(program.parent, tests, call)
    program.write_text("def broken(:")
    with pytest.raises(BadInput, match="not valid Python, line 1"):
        planned(program, tests, call)


def test_a_program_edited_during_the_repair_stops_it(write: Write, call: Call) -> None:
    """Patches are made for the bytes that the first plan saw."""
    program, tests = write(PROGRAM, TESTS)
    found = planned(program, tests, call)
    workspace = apply(found.baseline, found.proposal, call)
    program.write_text(PROGRAM + "\n")
    for step in (
        lambda: plan(program, tests, 200, found.baseline, [], Lessons(), call),
        lambda: apply(found.baseline, found.proposal, call),
        lambda: validate(found.baseline, found.proposal, workspace, call),
    ):
        with pytest.raises(ProgramChanged, match="edited during the repair"):
            step()


def test_working_copies_are_written_once_and_rewritten_when_lost(write: Write, call: Call) -> None:
    """Applying again changes nothing; validating restores what is missing or damaged; the original stays."""
    program, tests = write(PROGRAM, TESTS)
    original = program.read_bytes()
    found = planned(program, tests, call)
    workspace = apply(found.baseline, found.proposal, call)
    contents = {copy.path: copy.path.read_bytes() for copy in workspace.copies}
    times = {path: path.stat().st_mtime_ns for path in contents}
    assert apply(found.baseline, found.proposal, call) == workspace
    assert {path: path.stat().st_mtime_ns for path in contents} == times
    first, *others = contents
    shutil.rmtree(first.parent)
    for other in others:
        other.write_bytes(b"half")
    validate(found.baseline, found.proposal, workspace, call)
    assert {path: path.read_bytes() for path in contents} == contents
    assert program.read_bytes() == original
    assert all(call.folder in path.parents for path in contents)


@pytest.mark.parametrize(
    ("text", "tool"),
    [
        (PROGRAM, ["patch", "-p0"]),
        (PROGRAM, ["git", "apply", "-p0"]),
        (PROGRAM.replace("\n", "\r\n"), ["git", "apply", "-p0"]),
        (PROGRAM.rstrip().replace("    return best", "    return (best)"), ["git", "apply", "-p0"]),
        ("def largest(items): return min(items)", ["patch", "-p0"]),
        ("\ufeff# ü\f\u2028\ndef largest(items):\n    return min(items)\n", ["git", "apply", "-p0"]),
    ],
)
def test_the_diff_is_one_that_tools_apply(
    write: Write, repair: Callable[..., Any], text: str, tool: list[str], tmp_path: Path
) -> None:
    """Applied to the user's file, it gives the program that passed."""
    program, tests = write(PROGRAM, TESTS)
    program.write_bytes(text.encode())
    verdict = repair(program, tests).verdict
    (tmp_path / "fix.diff").write_bytes(verdict.diff.encode())
    subprocess.run(
        [*tool, *(["-i"] if tool[0] == "patch" else []), tmp_path / "fix.diff"],
        cwd=program.parent,
        check=True,
    )
    assert program.read_bytes() != text.encode()


def test_relative_paths_hold_from_any_folder_once_the_plan_is_made(
    write: Write, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The diff names the program as the user did; the rest of the run does not depend on the working folder."""
    program, _ = write(PROGRAM, TESTS)
    monkeypatch.chdir(program.parent.parent)
    found = planned(Path("user/prog.py"), Path("user/test_prog.py"), call)
    monkeypatch.chdir("/")
    baseline, tried, lessons, proposal = found.baseline, list[str](), Lessons(), found.proposal
    while not (verdict := validate(baseline, proposal, apply(baseline, proposal, call), call)).passed:
        learnt = diagnose(proposal, verdict, 200, tried, lessons)
        tried, lessons = learnt.tried, learnt.lessons
        proposal = plan(Path("user/prog.py"), Path(), 200, baseline, tried, lessons, call).proposal
    assert verdict.diff.splitlines()[:2] == ["--- user/prog.py", "+++ user/prog.py"]


def diagnosed(kinds: dict[str, str], attempts: int = 10, repaired: int = 0) -> Diagnosed:
    """Diagnose made-up results of patches on line 3."""
    patches = [
        {
            "id": id,
            "operator": id,
            "line": 3,
            "description": "",
            "start": 0,
            "end": 0,
            "before": "",
            "after": "",
            "score": 1,
        }
        for id in [*kinds, "not judged"]
    ]
    proposal = Proposal.model_validate({"patches": patches})
    results = [
        Result.model_validate({"patch": id, "kind": kind, "test": None, "message": "", "repaired": repaired})
        for id, kind in kinds.items()
    ]
    return diagnose(proposal, Verdict(passed=False, results=results), attempts, ["before"], Lessons())


def test_failed_patches_are_remembered_and_demoted() -> None:
    """Only what was judged counts as tried; each kind of failure takes weight from the line and the operator."""
    found = diagnosed({"a": "failed", "b": "timeout", "c": "crash", "d": "unchanged"})
    assert found.tried == ["before", "a", "b", "c", "d"]
    assert found.diagnosis.recoverable
    assert found.diagnosis.counts == {"failed": 1, "timeout": 1, "crash": 1, "unchanged": 1}
    assert found.diagnosis.reason == "1 failed, 1 timeout, 1 crash, 1 unchanged; 5 of 10 patches left"
    assert set(found.lessons.weights) == {"line 3", *(f"operator {name}" for name in "abcd")}
    assert all(weight < 1 for weight in found.lessons.weights.values())


def test_a_patch_that_repairs_some_tests_raises_its_line() -> None:
    """Nearly right is worth more than wrong."""
    assert diagnosed({"a": "failed"}, repaired=1).lessons.weights["line 3"] > 1


def test_diagnosing_twice_counts_once() -> None:
    """After a crash the same call gives the same answer."""
    assert diagnosed({"a": "failed"}) == diagnosed({"a": "failed"})


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"attempts": 2}, "all 2 patches are used up"),
        ({"problem": "tests cannot be collected"}, "tests cannot be collected"),
        ({"proposal": Proposal(exhausted=True, reason="nothing left")}, "nothing left"),
        ({"proposal": None}, "nothing was tried"),
    ],
)
def test_the_end_has_a_reason(given: dict[str, object], says: str) -> None:
    """No attempts, a failed call and an exhausted search are not worth another attempt."""
    if "attempts" in given:
        found = diagnosed({"a": "failed"}, attempts=2).diagnosis
    else:
        arguments = {
            "proposal": Proposal(),
            "verdict": None,
            "attempts": 5,
            "tried": [],
            "lessons": Lessons(),
            **given,
        }
        found = diagnose(**arguments).diagnosis  # type: ignore[arg-type]
    assert not found.recoverable
    assert says in found.reason
