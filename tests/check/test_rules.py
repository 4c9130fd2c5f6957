"""Every rule teaches itself: its bad example breaks it and nothing else, its good one breaks nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from statemachine.check import Rule, check, rules
from statemachine.errors import Finding
from statemachine.machine.references import Folder
from statemachine.machine.source import parse_source
from statemachine.machine.yaml import define


def found(text: str) -> list[Finding]:
    """Return the findings of a machine that nobody has silenced."""
    definition = define(parse_source(text, "example.yaml"), Folder(Path(__file__).parent))
    return [finding for finding in check(definition) if not finding.allowed]


@pytest.mark.parametrize("rule", rules().values(), ids=lambda rule: rule.code)
def test_the_bad_example_of_a_rule_breaks_it_alone(rule: Rule) -> None:
    """And the finding has a verdict and says what to write instead."""
    findings = found(rule.bad)
    assert {finding.code for finding in findings} == {rule.code}, findings
    for finding in findings:
        assert finding.verdict in ("PROVED", "REFUTED", "UNKNOWN")
        assert finding.severity == rule.severity
        assert finding.advice
        assert finding.verdict != "REFUTED" or finding.witness
        assert finding.place.line


@pytest.mark.parametrize("rule", rules().values(), ids=lambda rule: rule.code)
def test_the_good_example_of_a_rule_breaks_none(rule: Rule) -> None:
    """What it shows instead is right in every respect."""
    assert found(rule.good) == []


def test_codes_are_unique_and_their_texts_are_sentences() -> None:
    """A title is a few words; summary and reason end as sentences do."""
    for code, rule in rules().items():
        assert code == rule.code
        assert len(rule.title.split()) < 8
        assert rule.title == rule.title.strip(".")
        assert rule.summary.endswith(".")
        assert rule.why.endswith(".")
