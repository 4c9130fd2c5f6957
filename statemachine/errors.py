"""One typed error for each cause; every message says what is wrong and what to write or do instead."""

from __future__ import annotations

import errno
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "info"]
Verdict = Literal["PROVED", "REFUTED", "UNKNOWN", ""]

_WIDEST = 160
"""Characters of a source line that a finding shows."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a file something is.

    Attributes:
        file: The file's name as the user gave it.
        line: Line, from 1; 0 when the file as a whole is meant.
        column: Column, from 1.
        source: Text of that line, without its end.
    """

    file: str
    line: int = 0
    column: int = 1
    source: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a declaration.

    Attributes:
        code: Stable rule code, such as ``SM110``.
        message: What is wrong and, where it is not in ``advice``, what to write instead.
        place: Where.
        path: Keys from the top of the declaration to the fault.
        severity: ``error``, ``warning`` or ``info``.
        verdict: ``PROVED``: what the message says holds in every run; ``REFUTED``: the run in ``witness``
            breaks the rule; ``UNKNOWN``: it could not be decided, and the message says why. Empty for
            what is wrong with the file itself.
        witness: The shortest such run, one line a step with its counters' values, or the values that a
            guard fails for.
        advice: What to write instead.
        allowed: Why somebody silenced it; empty when nobody did.
    """

    code: str
    message: str
    place: Place
    path: tuple[str | int, ...] = ()
    severity: Severity = "error"
    verdict: Verdict = ""
    witness: tuple[str, ...] = ()
    advice: str = ""
    allowed: str = ""

    def render(self) -> str:
        """Return ``file:line:col: error[CODE]: message``, the source line with a caret, the witness, the advice."""
        place = self.place
        where = f"{place.file}:{place.line}:{place.column}" if place.line else place.file
        verdict = f" {self.verdict}" if self.verdict else ""
        text = f"{where}: {self.severity}[{self.code}]{verdict}: {self.message}"
        if place.source:
            at = place.column - 1
            # A line can be as long as the file: only what is around the column is shown.
            start = max(0, at - _WIDEST // 2) if len(place.source) > _WIDEST else 0
            cut = "…" if start else ""
            margin = "".join(map(_blank, cut + place.source[start:at]))
            text += f"\n    {cut}{place.source[start : start + _WIDEST]}\n    {margin}^"
        for number, line in enumerate(self.witness, 1):
            text += f"\n    {number:>3}. {line}"
        if self.advice:
            text += f"\n    instead: {self.advice}"
        return text

    def as_json(self) -> dict[str, object]:
        """Return the finding as plain data; what only the checker says is left out where it says nothing."""
        checked = {
            "verdict": self.verdict,
            "witness": list(self.witness),
            "advice": self.advice,
            "allowed": self.allowed,
        }
        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "file": self.place.file,
            "line": self.place.line,
            "column": self.place.column,
            "path": list(self.path),
            **{name: value for name, value in checked.items() if value},
        }


def _blank(character: str) -> str:
    """Return white space as wide as a character is in a terminal or an editor."""
    if character == "\t":
        return "\t"
    if unicodedata.combining(character):
        return ""
    return "\u3000" if unicodedata.east_asian_width(character) in "WF" else " "


class StateMachineError(Exception):
    """Base of every error that this package raises on purpose; its text is meant for the user."""


class InvalidMachine(StateMachineError):
    """A declaration is wrong; ``findings`` lists everything that is."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(f.render() for f in self.findings))


class InvalidPolicy(InvalidMachine):
    """A policy is wrong; ``findings`` lists everything that is."""


class InvalidKey(StateMachineError):
    """A private key is not there, is no key, or others may read it."""


class InvalidAnchor(StateMachineError):
    """A file of anchors cannot be read, is not what was written, or is not of this store."""


class InvalidReference(StateMachineError):
    """A reference such as ``tools.py:check`` does not lead to a usable Python object."""


class InvalidExpression(StateMachineError):
    """An expression does not compile; ``column`` is where in its text, from 1."""

    def __init__(self, message: str, column: int = 1) -> None:
        self.column = column
        super().__init__(message)


class InvalidInput(StateMachineError):
    """The inputs given to a new run, or to an event, do not fit what is declared."""


class UnknownEvent(StateMachineError):
    """An event that the machine does not declare was sent to a run."""


class EventRefused(StateMachineError):
    """The run's current state does not take the event, or no guard lets it pass."""


class WritesRepeated(StateMachineError):
    """A fork may make writes again that its parent made; ``writes`` names them, ``question`` tells of them."""

    def __init__(self, run: str, seq: int, writes: Sequence[str]) -> None:
        self.writes = tuple(writes)
        count = f"{len(writes)} writes" if len(writes) > 1 else "a write"
        shown = ", ".join(writes[:5]) + (", …" if writes[5:] else "")
        self.question = f"run {run} made {count} after record {seq} that a fork may make again: {shown}."
        super().__init__(f"{self.question} Fork with --repeat-writes if that is what you want.")


class UnknownRun(StateMachineError):
    """No stored run has this id, or more than one begins with it."""


class RunOwned(StateMachineError):
    """Another live process owns the run."""


class LeaseLost(StateMachineError):
    """The run was taken over: this process's epoch or sequence number is no longer the stored one."""


class StoreUnusable(StateMachineError):
    """The store cannot be opened, read or written, or is newer than this code."""


class NotDelivered(StateMachineError):
    """What is told to others outside did not arrive there; the store has it, and it is told later."""


class DiskFailed(StoreUnusable):
    """The disk is full or fails: nothing of the step was stored, and the run goes on where it was when it works."""


def disk_refused(error: OSError, message: str) -> StoreUnusable:
    """Return the error for what the operating system refused: DiskFailed if the disk is full or fails."""
    failed = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO)
    return (DiskFailed if failed else StoreUnusable)(message)


class NotReplayable(StateMachineError):
    """A journal cannot be replayed, because something that decided is gone; the message names it."""


class NotErasable(StateMachineError):
    """A run, or a call of it, cannot be erased now; the message says what to do first."""


class OutputUnwritable(StateMachineError):
    """A result could not be written where the user asked."""


class MissingExtra(StateMachineError):
    """An optional dependency is not installed; the message names the extra."""


class InvalidValue(StateMachineError):
    """A value cannot be written to the journal, because it is not plain JSON data."""


class DiagramFailed(StateMachineError):
    """The program that lays pictures out is missing, fails, or takes too long."""
