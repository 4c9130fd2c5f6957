"""Small machines, each with exactly the findings that its header expects: codes, verdicts, places, witnesses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from statemachine.check import check, rules
from statemachine.machine.load import load

FILES = sorted((Path(__file__).parent / "corpus").glob("*.yaml"))


def header(file: Path) -> list[str]:
    """Return the comments that a machine begins with, the first of which says what it is about."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return lines[: next(n for n, line in enumerate(lines) if not line.startswith("#"))]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_machine_has_exactly_the_findings_that_it_expects(file: Path) -> None:
    """In the order of the file, each with the run or the values that break the rule."""
    found = []
    for finding in check(load(file)):
        where = f"{finding.place.line}:{finding.place.column}"
        allowed = " allowed" if finding.allowed else ""
        found.append(f"# expect: {finding.code} {finding.verdict} {where}{allowed}")
        found += [f"#   {line}" for line in finding.witness]
    assert found == [line for line in header(file)[1:] if not line.startswith("# near miss: ")]


def test_there_are_many_and_each_rule_has_one_that_breaks_it_and_one_that_nearly_does() -> None:
    """The corpus is the acceptance of the checker: at least 80 machines."""
    text = "\n".join(line for file in FILES for line in header(file))
    assert len(FILES) >= 80
    assert set(rules()) == set(re.findall(r"^# expect: (SM\d+)", text, re.MULTILINE))
    assert set(rules()) == set(re.findall(r"^# near miss: (SM\d+)$", text, re.MULTILINE))
