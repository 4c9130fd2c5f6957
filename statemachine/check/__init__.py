"""What is proved of a declaration before it runs."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType

from statemachine.check.rules import Rule
from statemachine.errors import Finding
from statemachine.machine.definition import Definition

__all__ = ["Rule", "check", "rules"]


def _parts() -> tuple[ModuleType, ...]:
    """Return the modules that hold rules: each has ``RULES`` and ``check(definition)``."""
    from statemachine.check import approvals, contracts, data, derived, guards, structure

    return (structure, guards, contracts, data, derived, approvals)


def rules() -> Mapping[str, Rule]:
    """Return every rule of the checker by its code."""
    from statemachine.check import silence

    return {rule.code: rule for part in (*_parts(), silence) for rule in part.RULES}


def check(definition: Definition) -> list[Finding]:
    """Return what is wrong with a machine that loads, in the order of its file.

    A finding that the file allows is among them, with the reason in ``allowed``.
    """
    from statemachine.check.silence import silence

    findings: list[Finding] = [finding for part in _parts() for finding in part.check(definition)]
    judged = silence(definition, findings, rules())
    return sorted(judged, key=lambda f: (f.place.line, f.place.column, f.code))
