"""What a rule is: its code, why it is one, and a machine that breaks it beside one that does not."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from statemachine.errors import Finding, Severity, Verdict
from statemachine.machine.definition import Definition
from statemachine.machine.report import Keys


@dataclass(frozen=True)
class Rule:
    """One rule of the checker; ``statemachine check --explain CODE`` prints it.

    Attributes:
        code: ``SM2xx`` the graph and its bounds, ``SM3xx`` guards, ``SM4xx`` calls and their contracts,
            ``SM5xx`` the context and how data flows, ``SM6xx`` approvals, ``SM7xx`` silencing.
        title: A few words.
        severity: Of its findings, unless one says otherwise.
        summary: What it asks of a machine.
        why: What goes wrong in a machine that breaks it.
    """

    code: str
    title: str
    severity: Severity
    summary: str
    why: str

    @cached_property
    def bad(self) -> str:
        """A machine, in YAML, in which this rule alone finds something."""
        return self._example("bad")

    @cached_property
    def good(self) -> str:
        """The machine put right."""
        return self._example("good")

    def _example(self, kind: str) -> str:
        from importlib.resources import files

        return files("statemachine.check").joinpath("examples", f"{self.code}.{kind}.yaml").read_text("utf-8")

    def at(
        self,
        definition: Definition,
        path: Keys,
        message: str,
        verdict: Verdict,
        *,
        key: bool = False,
        offset: int | None = None,
        witness: tuple[str, ...] = (),
        advice: str = "",
        severity: Severity | None = None,
    ) -> Finding:
        """Return a finding of this rule at a path of the declaration.

        ``key`` asks for the path's key, ``offset`` for a character of its value. What is UNKNOWN is a
        warning unless ``severity`` says otherwise: it is never fine.
        """
        usual: Severity = "warning" if verdict == "UNKNOWN" and self.severity == "error" else self.severity
        place = definition.locate(path, key, offset)
        return Finding(self.code, message, place, path, severity or usual, verdict, witness, advice)
