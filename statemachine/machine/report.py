"""What is wrong with one declaration: each fault once, at its place, and not what only follows from it."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass, field

from statemachine.errors import Finding, InvalidMachine, Place
from statemachine.machine.allowances import Allowance

Keys = tuple[str | int, ...]
"""Keys from the top of a declaration to a part of it."""

Locate = Callable[[Keys, bool, int | None], Place]
"""Finds the place of a path in the source: of its key if asked, or ``offset`` characters into its value."""

MOST = 50
"""Findings after which reading stops: a file this wrong is another kind of file."""


def nowhere(file: str) -> Locate:
    """Return a locator for a declaration that has no source text, only a name."""
    return lambda path, key, offset: Place(f"{file}: {'.'.join(map(str, path))}" if path else file)


@dataclass(slots=True)
class Report:
    """Collects what is wrong.

    Attributes:
        locate: Where the declaration's parts are.
        findings: What was found.
        damaged: Paths that were taken out because they are wrong in themselves; what only follows from
            their absence is no finding.
        named: Whether messages begin with the path: for a source in which a place is only a call.
        allowances: The source's comments that silence a rule of the checker.
    """

    locate: Locate
    findings: list[Finding] = field(default_factory=list)
    damaged: set[Keys] = field(default_factory=set)
    named: bool = False
    allowances: tuple[Allowance, ...] = ()

    def add(
        self, code: str, path: Keys, message: str, *, key: bool = False, offset: int | None = None
    ) -> None:
        """Report a fault at a path.

        Raises:
            InvalidMachine: There are so many that reading on helps nobody.
        """
        if self.named and path:
            message = f"{'.'.join(map(str, path))}: {message}"
        self.findings.append(Finding(code, message, self.locate(path, key, offset), path))
        if len(self.findings) >= MOST:
            self.refuse()

    def refuse(self) -> None:
        """Raise what was found, in the order of the source, if there is anything.

        Raises:
            InvalidMachine: With everything that is wrong.
        """
        if self.findings:
            raise InvalidMachine(sorted(self.findings, key=lambda f: (f.place.line, f.place.column)))

    def lost(self, *above: str) -> set[str]:
        """Return the names below a path of which something was taken out."""
        depth = len(above)
        return {str(p[depth]) for p in self.damaged if len(p) > depth and p[:depth] == above}

    def missing(self, part: str, name: str, declared: Container[str]) -> bool:
        """Return whether a name is declared nowhere, not even wrongly, in a part of the declaration."""
        return name not in declared and (part,) not in self.damaged and name not in self.lost(part)
