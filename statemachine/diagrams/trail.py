"""The way that a run took through its machine, as it is drawn: counted, timed and in order, without its records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from statemachine.diagrams.ways import Way

SHOWN = 4
"""So many turns of a passage are kept by number, and the last; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Stay:
    """What a run did in one state.

    Attributes:
        visits: How often it was there.
        attempts: What the state's counter stands at; 0 where entries are not counted.
        seconds: For how long it was there, all visits together.
        calls: Calls intended there, repeated ones included.
        failures: For each class, how many calls failed so; ``in_doubt`` counts calls of unknown end.
    """

    visits: int = 0
    attempts: int = 0
    seconds: float = 0.0
    calls: int = 0
    failures: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Passage:
    """How often, and when, a run went one way.

    Attributes:
        turns: Places in the path, from 1: the first few and the last.
        count: How often in all.
        failed: How often because a call or a guard had failed, or time or a limit was over.
        sources: The states that it was in before.
    """

    turns: tuple[int, ...]
    count: int
    failed: int
    sources: tuple[str, ...]

    @property
    def numbers(self) -> str:
        """The turns as people read them: ``3, 7``, or ``3, 7, 11 … 2059 ×412``."""
        if self.count <= SHOWN:
            return ", ".join(map(str, self.turns))
        return f"{', '.join(map(str, self.turns[: SHOWN - 1]))} … {self.turns[-1]} ×{self.count}"


class Stray(NamedTuple):
    """A way that no transition declares: an unanswered event, or a limit without a transition.

    Attributes:
        source: The state that it left.
        target: The state that it entered.
        label: Why, such as ``limit.steps`` or ``unanswered: done``.
    """

    source: str
    target: str
    label: str


@dataclass(frozen=True, slots=True)
class Trail:
    """The way that a run took.

    Attributes:
        run: Its id.
        status: One of pending, running, waiting, succeeded, failed, cancelled.
        state: The state that it is in, or ended in.
        waiting: What it waits for; empty when it does not.
        reason: Why it ended as it did.
        steps: States entered.
        seconds: From its start to its end, or to the moment that is drawn.
        stays: For each state that was entered, what happened there.
        passages: For each transition that was taken, when.
        strays: The same for what is not declared.
        parent: The record that it was forked off, ``run:seq``; its turns go on counting from there.
    """

    run: str
    status: str
    state: str
    waiting: str
    reason: str
    steps: int
    seconds: float
    stays: Mapping[str, Stay]
    passages: Mapping[Way, Passage]
    strays: Mapping[Stray, Passage]
    parent: str = ""
