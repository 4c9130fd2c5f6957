"""The tools of the repair machine: plan, apply, validate, diagnose.

Each is a function of its arguments and the files, and may be called again with the same arguments after a
crash.
"""

from __future__ import annotations

import collections
from pathlib import Path

from statemachine.machine.call import Call

from . import sandbox
from .baseline import look, unchanged
from .models import (
    Baseline,
    Diagnosed,
    Diagnosis,
    Lessons,
    Plan,
    Proposal,
    Result,
    Verdict,
    WorkingCopy,
    Workspace,
)
from .mutate import candidates
from .patches import patch_of, unified_diff, write_copies
from .sandbox import RunnerFailed
from .source import BadInput, ProgramChanged

__all__ = [
    "BadInput",
    "Baseline",
    "Diagnosed",
    "Diagnosis",
    "Lessons",
    "Plan",
    "ProgramChanged",
    "Proposal",
    "RunnerFailed",
    "Verdict",
    "Workspace",
    "apply",
    "diagnose",
    "plan",
    "validate",
]

LARGEST_BATCH = 8  # patches per core; small batches first, since the first guesses are the best


def plan(
    program: Path,
    tests: Path,
    attempts: int,
    baseline: Baseline | None,
    tried: list[str],
    lessons: Lessons,
    call: Call,
    patience: float = 3.0,
) -> Plan:
    """Propose the next patches; the first time, run the tests to see what fails and where.

    Args:
        program: The program's file.
        tests: Its pytest file.
        attempts: How many patches may be tried in all.
        baseline: What the first plan learnt; None the first time.
        tried: Ids of the patches tried so far.
        lessons: What they taught.
        call: The call that this serves.
        patience: Seconds of processor time that a test may take the first time; one that takes longer hangs.

    Raises:
        BadInput: The program or the tests cannot be worked with.
        ProgramChanged: One of them was edited since the first plan.
        RunnerFailed: pytest or coverage is missing or broken.
    """
    if baseline is None:
        baseline = look(program, tests, call.folder, patience)
    source = unchanged(baseline)
    if not baseline.failing:
        reason = f"all {len(baseline.outcomes)} tests pass already"
        return Plan(baseline=baseline, proposal=Proposal(already_passing=True, reason=reason))
    if not baseline.suspects:
        reason = (
            f"no line of {baseline.program.name} is run by all failing tests, so no single edit repairs them"
        )
        return Plan(baseline=baseline, proposal=Proposal(exhausted=True, reason=reason))
    left = attempts - len(tried)
    if left <= 0:
        reason = f"none of the {len(tried)} patches that were allowed passes all tests"
        return Plan(baseline=baseline, proposal=Proposal(exhausted=True, reason=reason))
    cores = sandbox.cores()
    count = min(left, max(cores, min(len(tried), LARGEST_BATCH * cores)))
    suspects = {suspect.line: suspect.score for suspect in baseline.suspects}
    found = candidates(source, suspects, lessons.weights, tried, count)
    if not found:
        reason = f"none of the {len(tried)} possible single edits passes all tests"
        return Plan(baseline=baseline, proposal=Proposal(exhausted=True, reason=reason))
    return Plan(baseline=baseline, proposal=Proposal(patches=[patch_of(each) for each in found]))


def apply(baseline: Baseline, proposal: Proposal, call: Call) -> Workspace:
    """Write each patched program into a working copy of its own; the user's file is only read.

    Raises:
        ProgramChanged: The program or the tests were edited since the first plan.
    """
    source = unchanged(baseline)
    copies = [
        WorkingCopy(patch=patch.id, path=call.folder / patch.id / source.path.name)
        for patch in proposal.patches
    ]
    write_copies(source, proposal, copies)
    return Workspace(copies=copies)


def validate(baseline: Baseline, proposal: Proposal, workspace: Workspace, call: Call) -> Verdict:
    """Run the tests on the working copies, in parallel, each until its first failure.

    The tests that failed before come first. A lost working copy is written again.

    Raises:
        ProgramChanged: The program or the tests were edited since the first plan.
        RunnerFailed: pytest is missing or broken.
    """
    source = unchanged(baseline)
    write_copies(source, proposal, workspace.copies)
    failing = sorted(baseline.failing, key=lambda each: each.outcome == "timeout")
    order = [each.test for each in failing]
    order += [each.test for each in baseline.outcomes if each.outcome == "passed"]
    slowest = max((each.seconds for each in baseline.outcomes if each.outcome == "passed"), default=0.0)
    judged = sandbox.judge(
        baseline.program,
        baseline.tests,
        call.folder,
        [copy.path for copy in workspace.copies],
        order,
        {
            each.test: sandbox.limit(each.seconds)
            if each.outcome == "passed"
            else 2
            * sandbox.limit(max(each.seconds, slowest))  # nobody knows how long it takes when it passes
            for each in baseline.outcomes
        },
        sandbox.limit(baseline.start),
    )
    before = {each.test: (each.outcome, each.message) for each in baseline.outcomes}
    results = []
    for each in judged:
        same = each.test is not None and (each.kind, each.message) == before[each.test]
        results.append(
            Result(
                patch=workspace.copies[each.version].patch,
                kind="unchanged" if same else each.kind,
                test=each.test,
                message=each.message,
                repaired=min(each.passed, len(failing)),
            )
        )
    winner = next((result.patch for result in results if result.kind == "passed"), None)
    patch = next((patch for patch in proposal.patches if patch.id == winner), None)
    diff = unified_diff(source, patch, baseline.label) if patch else ""
    return Verdict(passed=winner is not None, winner=winner, diff=diff, results=results)


def diagnose(
    proposal: Proposal | None,
    verdict: Verdict | None,
    attempts: int,
    tried: list[str],
    lessons: Lessons,
    problem: str = "",
) -> Diagnosed:
    """Say what failed, learn from it, and say whether to go on.

    A line where a patch changes nothing, or breaks what worked, loses weight, and so does its operator; a line where
    a patch repairs some of the failing tests gains.

    Args:
        proposal: What was tried; None where planning failed.
        verdict: How it did; None where it was not validated.
        attempts: How many patches may be tried in all.
        tried: Ids of the patches tried before.
        lessons: What those taught.
        problem: Message of the call that failed, if one did: there is then nothing to learn.
    """
    if problem or proposal is None or not proposal.patches or verdict is None:
        reason = problem or (proposal.reason if proposal else "") or "nothing was tried"
        diagnosis = Diagnosis(recoverable=False, reason=reason)
        return Diagnosed(diagnosis=diagnosis, tried=tried, lessons=lessons)
    patches = {patch.id: patch for patch in proposal.patches}
    results = [result for result in verdict.results if result.patch in patches]
    weights = dict(lessons.weights)
    for result in results:
        patch = patches[result.patch]
        by_line, by_operator = learnt(result)
        for name, factor in ((f"line {patch.line}", by_line), (f"operator {patch.operator}", by_operator)):
            weights[name] = round(min(max(weights.get(name, 1.0) * factor, 0.05), 3.0), 4)
    tried = [*tried, *(result.patch for result in results if result.patch not in tried)]
    counts = dict(collections.Counter[str](result.kind for result in results))
    left = attempts - len(tried)
    said = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    rest = f"{left} of {attempts} patches left" if left > 0 else f"all {attempts} patches are used up"
    return Diagnosed(
        diagnosis=Diagnosis(recoverable=left > 0, reason=f"{said}; {rest}", counts=counts),
        tried=tried,
        lessons=Lessons(weights=weights),
    )


def learnt(result: Result) -> tuple[float, float]:
    """How much a result changes the weight of the patch's line and of its operator."""
    if result.repaired:
        return 1.25, 1.0
    return {
        "unchanged": (0.92, 0.97),
        "failed": (0.97, 0.99),
        "timeout": (0.95, 0.98),
        "crash": (0.95, 0.95),
        "passed": (1.0, 1.0),
    }[result.kind]
