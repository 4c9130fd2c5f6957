"""Moves as guarded commands, which every model checker's language has."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from statemachine.check.bounds import Prover, prover_of
from statemachine.check.costs import metrics
from statemachine.check.space import Arc, Space
from statemachine.machine.definition import Definition


@dataclass(frozen=True, slots=True)
class Command:
    """One move, where it is not sent on or is sent on in one certain way.

    Attributes:
        arc: The move.
        target: Where it arrives.
        exhausted: States that must be exhausted for that.
        left: The state that must have an attempt left: the target, if it counts them and they are not reset.
        calls: How often tools are called, at most, before the state is left.
    """

    arc: Arc
    target: str
    exhausted: tuple[str, ...]
    left: str | None
    calls: int

    @property
    def counters(self) -> dict[str, int | None]:
        """What becomes of counters: a number, or None for one more."""
        changed: dict[str, int | None] = dict.fromkeys(self.arc.resets, 0)
        if self.left is not None:
            changed[self.target] = None
        elif self.target in changed:
            changed[self.target] = 1
        return changed


def commands(space: Space) -> Iterator[Command]:
    """Yield every move of a machine, once for each way in which it may be sent on."""
    made = next(metric for metric in metrics(space) if metric.name == "calls")
    for arcs in space.arcs.values():
        for arc in arcs:
            exhausted: tuple[str, ...] = ()
            target, calls = arc.target, round(made.of(arc.source, arc.stay, 0))
            while target in space.most and target not in arc.resets:
                yield Command(arc, target, exhausted, target, calls)
                exhausted, target = (*exhausted, target), space.states[target].exhausted or ""
            yield Command(arc, target, exhausted, None, calls)


def left_open(definition: Definition) -> str:
    """Return what is not in the model, for whoever reads it."""
    counts = ", ".join(f"history.{name}" for name in sorted(definition.counted))
    counted = f" What ends by {counts} alone does not end here." if counts else ""
    return f"Guards, answers and events are left open; run limits are left out.{counted}"


@dataclass(frozen=True, slots=True)
class Claims:
    """What is proved of a machine's counters, for a model checker to confirm.

    Attributes:
        ends: Whether every run ends; None if that is not known.
        steps: The most steps, None if there is no most or it is not known.
        calls: The most calls, likewise.
        exact: Whether some run comes to these.
        unreachable: The states that no run comes to.
    """

    ends: bool | None
    steps: int | None
    calls: int | None
    exact: bool
    unreachable: frozenset[str]

    @property
    def bounds(self) -> dict[str, int]:
        """What is bounded, and how."""
        both = {"steps": self.steps, "calls": self.calls}
        return {name: most for name, most in both.items() if most is not None}


def claims(definition: Definition) -> Claims:
    """Return what is proved of a machine, limits aside."""
    prover = prover_of(definition)
    reached = {state for state, _ in (prover.product or prover.open).configs}
    unreachable = frozenset(prover.space.states) - reached
    steps, calls = (_whole(prover, name) for name in ("steps", "calls"))
    ends = not prover.product.loops if prover.product is not None else True if steps is not None else None
    return Claims(ends, steps, calls, prover.product is not None, unreachable)


def _whole(prover: Prover, name: str) -> int | None:
    counters = prover.bounds.of(name).counters
    return None if counters is None or math.isinf(counters) else round(counters)
