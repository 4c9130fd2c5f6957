"""The way that a run took, with its loops summarised."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from statemachine.store import Store

_LONGEST = 12
"""States in the longest loop that is looked for."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One entry of a state.

    Attributes:
        order: How many states were entered by then.
        seq: The record that tells of it.
        at: When, in seconds since the epoch.
        state: The state.
        event: What led there; None at the start.
        attempt: The how manieth time it was entered, where that is counted.
        instead: Why it is not the target of the transition that was chosen; empty when it is.
    """

    order: int
    seq: int
    at: float
    state: str
    event: str | None
    attempt: int | None
    instead: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """States that were passed, once or in a loop.

    Attributes:
        states: The states of one round.
        times: Rounds.
        first: The first entry.
        last: The last one.
    """

    states: tuple[str, ...]
    times: int
    first: Visit
    last: Visit

    def as_data(self) -> dict[str, Any]:
        """Return the stretch as plain data."""
        return asdict(self)


def visits(store: Store, run: str, until: int) -> list[Visit]:
    """Return the states that a run entered up to a record, in order."""
    found = []
    for order, (seq, at, text) in enumerate(store.bodies(run, "transition", until), start=1):
        body = json.loads(text)
        visit = Visit(order, seq, at, body["to"], body["event"], body.get("attempt"), body.get("instead", ""))
        found.append(visit)
    return found


def folded(path: Sequence[Visit]) -> Iterator[Stretch]:
    """Yield a path with each loop that was gone round twice or more as one stretch."""
    states = [visit.state for visit in path]
    at = 0
    while at < len(states):
        period, times = _loop(states, at)
        end = at + period * times
        yield Stretch(tuple(states[at : at + period]), times, path[at], path[end - 1])
        at = end


def _loop(states: Sequence[str], at: int) -> tuple[int, int]:
    """Return the length and the rounds of the loop that covers most from a place on; one round of one if none does."""
    best = (1, 1)
    for period in range(1, min(_LONGEST, (len(states) - at) // 2) + 1):
        if states[at] != states[at + period]:
            continue
        end = at + period
        while end < len(states) and states[end] == states[end - period]:
            end += 1
        times = (end - at) // period
        if times > 1 and period * times > best[0] * best[1]:
            best = (period, times)
    return best
