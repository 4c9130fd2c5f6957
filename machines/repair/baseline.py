"""What a program and its tests are like before any repair."""

from __future__ import annotations

import ast
from pathlib import Path

from . import sandbox
from .localise import ochiai, shared
from .models import Baseline, Suspect, TestOutcome
from .source import BadInput, ProgramChanged, Source, contents, digest, read


def look(program: Path, tests: Path, folder: Path, patience: float) -> Baseline:
    """Run the tests on the program as it is, and rank its lines."""
    label = program.name if program.is_absolute() or ".." in program.parts else program.as_posix()
    program, tests = program.absolute(), tests.absolute()
    source, tests_data = read(program), contents(tests, "tests")
    if program.samefile(tests):
        raise BadInput(f"program and tests are the same file, {program}")
    seen = sandbox.observe(program, tests, folder, patience)
    everywhere = frozenset(range(1, len(source.starts) + 1))
    # A test that imports the program itself runs its outermost lines on behalf of all that come later.
    anyone = seen.imported.union(*(run.lines or () for run in seen.runs))
    imported = anyone & outermost(source)
    covered = {run.test: everywhere if run.lines is None else run.lines | imported for run in seen.runs}
    failing = {run.test for run in seen.runs if run.kind != "passed"}
    common = shared(covered, failing)
    return Baseline(
        program=program,
        tests=tests,
        label=label,
        program_digest=digest(source.data),
        tests_digest=digest(tests_data),
        start=seen.start,
        outcomes=[
            TestOutcome(test=run.test, outcome=run.kind, seconds=run.seconds, message=run.message)
            for run in seen.runs
        ],
        suspects=[
            Suspect(line=line, score=round(score, 4))
            for line, score in (ochiai(covered, failing) if failing else {}).items()
            if line in common
        ],
    )


def outermost(source: Source) -> frozenset[int]:
    """The lines that are in no function's body: they run when the program is imported."""
    functions: list[ast.FunctionDef | ast.AsyncFunctionDef] = [
        *source.all(ast.FunctionDef),
        *source.all(ast.AsyncFunctionDef),
    ]
    inside = [range(each.body[0].lineno, (each.end_lineno or 0) + 1) for each in functions]
    return frozenset(range(1, len(source.starts) + 1)).difference(*inside)


def unchanged(baseline: Baseline) -> Source:
    """The program, if it and its tests are still what the baseline was taken from."""
    source = read(baseline.program)
    now = {
        baseline.program: (digest(source.data), baseline.program_digest),
        baseline.tests: (digest(contents(baseline.tests, "tests")), baseline.tests_digest),
    }
    for path, (found, expected) in now.items():
        if found != expected:
            raise ProgramChanged(f"{path} was edited during the repair; start a new run")
    return source
