"""Loops that end by what is counted of a run's calls: `history.failed.TOOL` and the like, which only grow.

A loop ends if a guard lets it go on only up to some count, and each way round raises that count: then the run
comes to keep to ways round that do not raise it, or do not ask for it; and those end in the same way by themselves.
`history.standing` may fall again, and ends nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from statemachine.check import cel
from statemachine.check.components import components, loops
from statemachine.check.facts import read_of
from statemachine.check.product import Product
from statemachine.check.space import Arc, can_be_stale
from statemachine.machine.definition import REFUSED, STALE, UNDO, Definition
from statemachine.machine.expressions import Guard

_NAMES = 4
"""Counts that are looked at together in one loop; what takes more of them is not decided."""

_MOST = 1_000_000
"""The greatest count that a guard may wait for, as for attempts."""

_TURNED = {"_<_": "_>_", "_<=_": "_>=_", "_>_": "_<_", "_>=_": "_<=_", "_==_": "_==_", "_!=_": "_!=_"}
"""Comparisons, and what they are with their sides changed."""

_LARGE = {"_<_": False, "_<=_": False, "_==_": False, "_>_": True, "_>=_": True, "_!=_": True}
"""What they give once their left side is large enough."""

Asked = tuple[tuple[Guard, bool], ...]
"""What has to hold, and not to hold, for a transition to be chosen."""


class Reckoning(NamedTuple):
    """What a move by one event has to do with the counts.

    Attributes:
        asks: Those that decide about it.
        raises: Those that have risen whenever the run takes it.
        bars: Those that never let it be taken once they are large enough.
    """

    asks: tuple[str, ...]
    raises: frozenset[str]
    bars: frozenset[str]


class Move(NamedTuple):
    """One move from a configuration to another, by one event.

    Attributes:
        at: Where it begins.
        to: Where it leads.
        arc: What it is a move of.
        counts: What it has to do with the counts.
    """

    at: int
    to: int
    arc: Arc
    counts: Reckoning


class Counts:
    """What guards ask of the counts of a machine's calls, and which moves raise them."""

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self._reckoned: dict[Arc, tuple[Reckoning, ...]] = {}

    def moves(self, product: Product, component: Iterable[int], *, outside: bool = True) -> list[Move]:
        """Return the moves inside a component, those by events from outside too if wanted."""
        inside = set(component)
        return [
            Move(at, to, arc, counts)
            for at in sorted(inside)
            for arc, to in product.moves[at]
            if to in inside and (outside or not arc.outside)
            for counts in self._reckon(arc)
        ]

    def end(self, moves: Collection[Move]) -> bool:
        """Return whether no run goes on with these moves alone for ever."""
        names = [name for name in asked(moves) if not name.startswith("standing.")][:_NAMES]
        return all(self._ends(part, names) for part in cyclic(moves))

    def _ends(self, moves: Collection[Move], names: Sequence[str]) -> bool:
        for name in names:
            others = [other for other in names if other != name]
            unraised = [move for move in moves if name not in move.counts.raises]
            unbarred = [move for move in moves if name not in move.counts.bars]
            if len(moves) in (len(unraised), len(unbarred)):
                continue  # the others would have to do it alone, and they are tried anyway
            if all(self._ends(part, others) for left in (unraised, unbarred) for part in cyclic(left)):
                return True
        return False

    def _reckon(self, arc: Arc) -> tuple[Reckoning, ...]:
        """Return what each event of a move has to do with the counts; many configurations have the same moves."""
        found = self._reckoned.get(arc)
        if found is None:
            found = self._reckoned[arc] = tuple(self._reckoning(arc, event) for event in arc.events)
        return found

    def _reckoning(self, arc: Arc, event: str) -> Reckoning:
        ways = list(self._ways(arc, event))
        guards = [guard for way in ways for guard, _ in way]
        asks = dict.fromkeys(
            path[0] for guard in guards for _, root, path in guard.reads if root == "history"
        )
        raises = (name for name in self.definition.counted if self._raises(arc.source, event, name))
        bars = (name for name in asks if ways and all(_barred(way, name) for way in ways))
        return Reckoning(tuple(asks), frozenset(raises), frozenset(bars))

    def _raises(self, source: str, event: str, name: str) -> bool:
        """Return whether a count has risen whenever the run leaves a state by an event."""
        tool = self.definition.declaration.states[source].do
        if tool is None or event == REFUSED:
            return False
        if event in ("done", "partial"):
            return name == f"{'succeeded' if event == 'done' else 'failed'}.{tool}"
        failure = event.removeprefix("failed.")
        if failure == "stale_data" and can_be_stale(self.definition, source):
            return False  # it may be raised instead of the call
        return failure != event and name in (f"failed.{tool}", f"failures.{failure}")

    def _ways(self, arc: Arc, event: str) -> Iterator[Asked]:
        """Yield what is asked in each way in which an event may cause a move."""
        own = self.definition.candidates(arc.source, event)
        unsure = event not in (REFUSED, STALE, "cancelled", UNDO) and not all(
            edge.guard is None or _sure(edge.guard) for edge in own
        )
        for candidates in (own, self.definition.candidates(arc.source, REFUSED) if unsure else ()):
            before: Asked = ()
            for edge in candidates:
                if edge.target == arc.target and set(edge.resets) == set(arc.resets):
                    yield before if edge.guard is None else (*before, (edge.guard, True))
                if edge.guard is None:
                    break
                before = (*before, (edge.guard, False))


def asked(moves: Iterable[Move]) -> list[str]:
    """Return the counts that decide about moves, each once."""
    return list(dict.fromkeys(name for move in moves for name in move.counts.asks))


def cyclic(of: Iterable[Move]) -> Iterator[list[Move]]:
    """Yield the moves of each loop of a graph."""
    moves = list(of)
    number = {node: at for at, node in enumerate(sorted({node for m in moves for node in (m.at, m.to)}))}
    following: list[list[int]] = [[] for _ in number]
    for move in moves:
        following[number[move.at]].append(number[move.to])
    place: dict[int, int] = {}
    for part in components(following):
        if loops(part, following):
            place |= dict.fromkeys(part, part[0])
    found: dict[int, list[Move]] = {}
    for move in moves:
        at = place.get(number[move.at])
        if at is not None and at == place.get(number[move.to]):
            found.setdefault(at, []).append(move)
    yield from found.values()


def _barred(way: Asked, name: str) -> bool:
    """Return whether a transition is never chosen in this way once a count is large enough."""
    return any(_settles(read_of(guard).tree, name, not verdict) for guard, verdict in way)


def _settles(tree: cel.Tree | None, name: str, verdict: bool) -> bool:
    """Return whether a condition gives a verdict for sure once a count is large enough, whatever else holds."""
    match tree:
        case cel.Apply("_&&_" | "_||_" as function, parts):
            enough = any if verdict is (function == "_||_") else all
            return enough(_settles(part, name, verdict) for part in parts)
        case cel.Apply("!_", (inner,)):
            return _settles(inner, name, not verdict)
        case cel.Apply(function, (cel.Name(read), cel.Constant(int(value)))) if function in _TURNED:
            pass
        case cel.Apply(turned, (cel.Constant(int(value)), cel.Name(read))) if turned in _TURNED:
            function = _TURNED[turned]
        case _:
            return False
    return read == f"history.{name}" and value <= _MOST and _LARGE[function] is verdict


def _sure(guard: Guard) -> bool:
    """Return whether a guard never fails to evaluate: it compares counters, and nothing else."""
    tree = read_of(guard).tree
    plain = (cel.Constant, cel.Name)
    functions = {*_TURNED, "_&&_", "_||_", "!_"}
    return (
        tree is not None
        and all(root in ("history", "attempts") for _, root, _ in guard.reads)
        and all(
            isinstance(t, plain) or (isinstance(t, cel.Apply) and t.function in functions)
            for t in cel.walk(tree)
        )
    )
