"""Findings as SARIF 2.1.0, which code hosts and editors read.

Source: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

from statemachine.check.rules import Rule
from statemachine.errors import Finding, Place

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {"error": "error", "warning": "warning", "info": "note"}


def as_sarif(findings: Iterable[Finding], rules: Mapping[str, Rule]) -> dict[str, Any]:
    """Return one log of one run; a silenced finding is a suppressed result with its reason."""
    codes = list(rules)
    driver = {
        "name": "statemachine",
        "semanticVersion": version("agent-statemachine"),
        "rules": [_rule(rule) for rule in rules.values()],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, codes) for finding in findings],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.code,
        "name": "".join(word.capitalize() for word in rule.title.replace("-", " ").split()),
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.summary},
        "help": {"text": f"{rule.summary} {rule.why}"},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
    }


def _result(finding: Finding, codes: list[str]) -> dict[str, Any]:
    advice = f"; instead: {finding.advice}" if finding.advice else ""
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "level": _LEVELS[finding.severity],
        "message": {"text": finding.message + advice},
        "locations": [_location(finding.place)],
    }
    if finding.code in codes:
        result["ruleIndex"] = codes.index(finding.code)
    if finding.verdict:
        result["properties"] = {"verdict": finding.verdict}
    if finding.witness:
        steps = [{"location": {"message": {"text": line}}} for line in finding.witness]
        result["codeFlows"] = [{"threadFlows": [{"locations": steps}]}]
    if finding.allowed:
        result["suppressions"] = [{"kind": "inSource", "justification": finding.allowed}]
    return result


def _location(place: Place) -> dict[str, Any]:
    if not place.line:  # a file that is none, or what has no source text
        return {"physicalLocation": {"artifactLocation": {"uri": _uri(place.file)}}}
    region: dict[str, Any] = {"startLine": place.line, "startColumn": place.column}
    if place.source:
        region["snippet"] = {"text": place.source}
    return {"physicalLocation": {"artifactLocation": {"uri": _uri(place.file)}, "region": region}}


def _uri(file: str) -> str:
    path = Path(file)
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())
