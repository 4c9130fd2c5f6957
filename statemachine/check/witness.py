"""Runs as evidence: the moves that lead somewhere, one a line, with the attempts used."""

from __future__ import annotations

from collections.abc import Sequence

from statemachine.check.product import Product
from statemachine.check.runs import Round, rounds
from statemachine.check.space import Arc

Way = Sequence[tuple[int, Arc]]
"""Moves, each with the number of the configuration that it begins in."""


def told(product: Product, way: Way, end: int) -> tuple[str, ...]:
    """Return a way as lines, what repeats itself written once, and the counters where it ends."""
    states = [product.configs[at][0] for at, _ in way] + [product.configs[end][0]]
    moves = [
        f"{at} --{_event(arc)}--> {to}"
        + (f" (instead of {arc.target}, exhausted)" if arc.target != to else "")
        for (_, arc), at, to in zip(way, states, states[1:], strict=False)
    ]
    lines = list(folded(moves)) or [states[0]]
    counters = attempts(product, end)
    if counters:
        lines[-1] += f" [{counters}]"
    return tuple(lines)


def folded(moves: Sequence[str]) -> tuple[str, ...]:
    """Return lines with what repeats itself written once."""
    parts = rounds(moves)
    return tuple(p if isinstance(p, str) else f"{p.times:g} times: {'; '.join(_flat(p))}" for p in parts)


def attempts(product: Product, at: int) -> str:
    """Return the attempts used, such as ``retry 3/5``; empty where none are counted."""
    counts = zip(product.space.most.items(), product.configs[at][1], strict=True)
    return ", ".join(f"{name} {used}/{most}" for (name, most), used in counts)


def _flat(part: Round) -> list[str]:
    found: list[str] = []
    for inner in part.run:
        found += [inner] if isinstance(inner, str) else [f"{inner.times:g} times ({'; '.join(_flat(inner))})"]
    return found


def _event(arc: Arc) -> str:
    return arc.events[0]
