"""Silencing findings with a reason, in the file where they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from statemachine.check.rules import Rule
from statemachine.errors import Finding
from statemachine.machine.allowances import Allowance
from statemachine.machine.definition import Definition
from statemachine.machine.references import suggest

_SENTENCE = "`# statemachine: allow SM301 because REASON`"

UNREASONED = Rule(
    "SM701",
    "allowance without a reason",
    "error",
    f"A comment that silences a rule is {_SENTENCE}, with one code or several, and a reason.",
    "Whoever reads the machine a year on cannot tell an exception that was thought about from one that was in the way.",
)
UNUSED = Rule(
    "SM702",
    "allowance that silences nothing",
    "warning",
    "A comment that silences a rule stands on the line of a finding of that rule, or on a line of its own above it.",
    "What it was about is gone or elsewhere; left there, it would silence the next mistake on that line unseen.",
)
RULES = (UNREASONED, UNUSED)


def silence(definition: Definition, findings: Iterable[Finding], rules: Mapping[str, Rule]) -> list[Finding]:
    """Return the findings, those that the file allows with its reason, and what is wrong with what it allows."""
    used: set[tuple[Allowance, str]] = set()
    judged = []
    for finding in findings:
        for allowance in definition.allowances:
            about = (allowance.place.file, allowance.line) == (finding.place.file, finding.place.line)
            if about and finding.code in allowance.codes:
                used.add((allowance, finding.code))
                finding = replace(finding, allowed=allowance.reason)
        judged.append(finding)
    for allowance in definition.allowances:
        if not allowance.reason:
            message = "this silences nothing: it gives no reason"
            judged.append(_about(UNREASONED, allowance, message, f"write {_SENTENCE}"))
        for code in allowance.codes if allowance.reason else ():
            if (allowance, code) in used:
                continue
            if code not in rules:
                message, advice = f"there is no rule {code}{suggest(code, rules)}", "correct the code"
            else:
                message = f"nothing in line {allowance.line} breaks {code}"
                advice = "remove the comment, or move it to the line of the finding or the line above"
            judged.append(_about(UNUSED, allowance, message, advice))
    return judged


def _about(rule: Rule, allowance: Allowance, message: str, advice: str) -> Finding:
    return Finding(rule.code, message, allowance.place, (), rule.severity, "PROVED", (), advice)
