"""What the repair machine remembers: its context's types."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

Outcome = Literal["passed", "failed", "timeout", "crash"]


class Model(BaseModel):
    """Frozen data; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TestOutcome(Model):
    """How one test ended on the program as it is: kind, seconds (`runner.took`), first line of the failure."""

    __test__ = False

    test: str
    outcome: Outcome
    seconds: float
    message: str = ""


class Suspect(Model):
    """A line that failing tests run, with Ochiai's coefficient, above 0 and at most 1."""

    line: int
    score: float


class Baseline(Model):
    """The program before any repair.

    Attributes:
        program: The program's file, absolute, so that a run can be resumed from any folder.
        tests: The test file, absolute.
        label: The program's name in the diff.
        program_digest: Digest of the program's bytes.
        tests_digest: Digest of the test file's bytes.
        start: Seconds to import and collect the tests.
        outcomes: All tests that ran, in the file's order.
        suspects: Suspicious lines, the most suspicious first.
    """

    program: Path
    tests: Path
    label: str
    program_digest: str
    tests_digest: str
    start: float
    outcomes: list[TestOutcome]
    suspects: list[Suspect]

    @property
    def failing(self) -> list[TestOutcome]:
        """The tests that do not pass."""
        return [each for each in self.outcomes if each.outcome != "passed"]


class Patch(Model):
    """One edit of the program: its id, what it does, and the span (bytes of UTF-8 text) with the texts to exchange."""

    id: str
    operator: str
    line: int
    description: str
    start: int
    end: int
    before: str
    after: str
    score: float


class Proposal(Model):
    """The patches to try next; none where the tests pass already, or nothing is left (`exhausted`)."""

    patches: list[Patch] = []
    already_passing: bool = False
    exhausted: bool = False
    reason: str = ""


class Lessons(Model):
    """What failed patches taught: weights of ``line N`` and ``operator NAME``; 1 where nothing is known."""

    weights: dict[str, float] = {}


class Plan(Model):
    """What planning gives: what is known of the program, and what to try."""

    baseline: Baseline
    proposal: Proposal


class WorkingCopy(Model):
    """Where a patched program lies."""

    patch: str
    path: Path


class Workspace(Model):
    """The patched programs of one proposal."""

    copies: list[WorkingCopy] = []


class Result(Model):
    """How one patch did.

    Attributes:
        patch: The patch's id.
        kind: `passed`; `unchanged` where the same test fails in the same way as before; else how it failed.
        test: The test that decided, if one did.
        message: What that test said.
        repaired: How many of the tests that failed before pass, until the first failure.
    """

    patch: str
    kind: Literal["passed", "failed", "timeout", "crash", "unchanged"]
    test: str | None
    message: str
    repaired: int


class Verdict(Model):
    """How the patches did; `winner` is the id of the first that passes all tests, `diff` what it changes."""

    passed: bool
    winner: str | None = None
    diff: str = ""
    results: list[Result] = []


class Diagnosis(Model):
    """Why the program is not repaired yet, and whether it is worth going on.

    Attributes:
        recoverable: Is another attempt allowed and possible?
        reason: One sentence.
        counts: How many patches ended in each kind of result.
    """

    recoverable: bool
    reason: str
    counts: dict[str, int] = {}


class Diagnosed(Model):
    """What diagnosing gives: the diagnosis, the ids of all patches tried, and the lessons for the next plan."""

    diagnosis: Diagnosis
    tried: list[str]
    lessons: Lessons
