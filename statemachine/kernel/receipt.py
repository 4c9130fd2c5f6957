"""The account of one step: what was asked, what was considered, what was chosen and why.

What is made anew on every step is a named tuple: as frozen as a frozen dataclass, and made in a third of the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

Verdict = Literal["taken", "denied", "unknown", "guard_error", "retry", "noted"]


class Candidate(NamedTuple):
    """One transition that was considered.

    Attributes:
        event: The event name that it is declared under.
        target: Where it leads.
        guard: Its guard's text, None when it always holds.
        verdict: What the guard gave; None when it failed to evaluate.
        values: The values that the guard read.
        error: Why it failed to evaluate.
    """

    event: str
    target: str
    guard: str | None
    verdict: bool | None
    values: Mapping[str, Any]
    error: str = ""

    def as_data(self) -> dict[str, Any]:
        """Return the candidate as plain data."""
        data: dict[str, Any] = {"on": self.event, "to": self.target, "verdict": self.verdict}
        if self.guard is not None:
            data |= {"guard": self.guard, "values": dict(self.values)}
        if self.error:
            data["error"] = self.error
        return data


class Receipt(NamedTuple):
    """The account of one step.

    Attributes:
        event: The event.
        verdict: ``taken``; ``denied`` (all guards said no); ``unknown`` (the state takes no such event);
            ``guard_error`` (a guard failed to evaluate and no ``failed.guard`` answers that); ``retry`` (the
            call is made again, now or later); ``noted`` (nothing to decide). After ``denied``, ``unknown``
            and ``guard_error`` the run moves only if it must: to the machine's ``otherwise`` state.
        state: The state it happened in.
        target: The state it led to, None when it did not move.
        candidates: Each transition that was considered, in order.
        instead: Why the target is not that of the chosen candidate: ``exhausted``, ``limit.…``,
            ``otherwise``; empty when it is.
        attempts: The attempt counters afterwards.
    """

    event: str
    verdict: Verdict
    state: str
    target: str | None
    candidates: tuple[Candidate, ...]
    instead: str
    attempts: Mapping[str, int]
