"""The repair machine declared in Python; `repair.yaml` beside it is the same machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field

from statemachine import Final, Limits, Machine, Owner, To

from . import tools
from .models import Baseline, Diagnosis, Lessons, Proposal, Verdict, Workspace


class Context(BaseModel):
    """What a run carries; a field that a state saves into is that state's, the others are the operator's."""

    program: Path = Field(description="The program, one file. It is only read.")
    tests: Path = Field(description="Its tests, for pytest.")
    attempts: int = Field(default=200, description="How many patches may be tried.")
    patience: float = Field(default=3.0, description="Seconds after which a test hangs, the first time.")
    baseline: Baseline
    proposal: Proposal
    workspace: Workspace
    verdict: Verdict
    diagnosis: Diagnosis
    tried: Annotated[list[str], Owner("diagnose")] = []
    lessons: Annotated[Lessons, Owner("diagnose")] = Lessons()


repair = Machine(
    "repair",
    version="1",
    summary="Repair a Python program by searching small edits until its tests pass.",
    context=Context,
    limits=Limits(steps=3000, elapsed="30m"),
    on={"cancelled": "fail"},
)

repair.tool(
    "propose",
    effect="read",
    timeout="5m",
    failures={"BadInput": "data_error", "ProgramChanged": "stale_data", "RunnerFailed": "fatal"},
    summary="Rank suspicious lines (Ochiai) and propose the next patches.",
)(tools.plan)
repair.tool(
    "apply",
    effect="write",
    reversibility="full",
    idempotent=True,
    timeout="1m",
    failures={"ProgramChanged": "stale_data"},
    summary="Write each patch into a working copy of its own.",
)(tools.apply)
repair.tool(
    "run_tests",
    effect="read",
    timeout="10m",
    failures={"ProgramChanged": "stale_data", "RunnerFailed": "fatal"},
    summary="Run the tests on the working copies, on all cores.",
)(tools.validate)
repair.tool(
    "learn",
    effect="read",
    timeout="10s",
    summary="Say what failed and what to try less from now on.",
)(tools.diagnose)

# statemachine: allow SM305 because a program that passes needs no patch, exhausted or not
repair.add(
    "plan",
    initial=True,
    do="propose",
    save={"baseline": "output.baseline", "proposal": "output.proposal"},
    on={
        "done": [
            To("complete", when="proposal.already_passing"),
            To("diagnose", when="proposal.exhausted"),
            To("act"),
        ],
        "failed": "diagnose",
    },
)
repair.add("act", do="apply", save="workspace", on={"done": "validate", "failed": "diagnose"})
repair.add(
    "validate",
    do="run_tests",
    save="verdict",
    on={"done": [To("complete", when="verdict.passed"), To("diagnose")], "failed": "diagnose"},
)
repair.add(
    "diagnose",
    do="learn",
    inputs={"problem": "known.failure ? failure.message : ''"},
    save={"diagnosis": "output.diagnosis", "tried": "output.tried", "lessons": "output.lessons"},
    on={"done": [To("retry", when="diagnosis.recoverable"), To("fail")], "failed": "fail"},
)
repair.add("retry", attempts=500, exhausted="fail", always="plan")
repair.add(
    "complete",
    Final.succeeded,
    output={"diff": "known.verdict ? verdict.diff : ''", "tried": "size(tried)"},
    reason="known.verdict ? 'a patch passes all tests' : proposal.reason",
)
repair.add(
    "fail",
    Final.failed,
    output={"tried": "size(tried)"},
    reason="known.diagnosis ? diagnosis.reason : ''",
)
