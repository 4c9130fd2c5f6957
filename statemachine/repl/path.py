"""The way that a run took, with its loops summarised."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from statemachine.journal import decode
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


def path(store: Store, run: str, until: int) -> Iterator[Stretch]:
    """Yield the way that a run took up to a record; each loop that was gone round twice or more is one stretch."""
    rows = store.bodies(run, "transition", until)
    # Of most entries nothing but the state is needed: a run may have a hundred thousand.
    states = [str(_read(store, text)["to"]) for _, _, text in rows]

    def visit(place: int) -> Visit:
        seq, at, text = rows[place]
        body = _read(store, text)
        event, attempt = body["event"], body.get("attempt")
        return Visit(place + 1, seq, at, body["to"], event, attempt, body.get("instead", ""))

    for at, period, times in loops(states):
        last = visit(at + period * times - 1)
        yield Stretch(
            tuple(states[at : at + period]), times, last if period == times == 1 else visit(at), last
        )


def _read(store: Store, text: str) -> Any:
    # Large values in it, which are kept apart, are not needed; a body that is apart as a whole is.
    return decode(text, store.blob) if text.startswith('{"$blob"') else orjson.loads(text)


def loops(states: Sequence[str]) -> Iterator[tuple[int, int, int]]:
    """Yield the stretches of a path: where each begins, how many states one round has, and how many rounds."""
    at = 0
    while at < len(states):
        period, times = _loop(states, at)
        yield at, period, times
        at += period * times


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
