"""Which values are known for certain where: a forward analysis over all paths, with what guards have asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from statemachine.check import cel
from statemachine.check.moves import Move, moves
from statemachine.machine import types
from statemachine.machine.definition import AMENDED, REFUSED, STALE, STALE_FAILURE, Definition, Edge
from statemachine.machine.expressions import Expression, Guard, Root
from statemachine.machine.model import OPERATOR

Unit = tuple[str, ...]
"""A context field, or an optional part of one, by its path: what can be known or not by itself."""

Known = frozenset[Unit]

_MIDWAY = (REFUSED, STALE, STALE_FAILURE)
"""Events that a guard raises in the course of another one: what that one writes may be written by then, or not."""
Reads = Mapping[str, tuple[Root, tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class Read:
    """An expression, and what it needs.

    Attributes:
        tree: Its syntax; None of a Python function or a plain path.
        names: Where its names are read from.
    """

    tree: cel.Tree | None
    names: Reads


def read_of(expression: Guard | Expression) -> Read:
    """Return the tree and the names of an expression."""
    return _read_of(expression)


@lru_cache(maxsize=4096)
def _read_of(expression: Guard | Expression) -> Read:
    checked = expression.checked
    names = {name: (root, path) for name, root, path in expression.reads}
    return Read(None if checked is None else cel.read(checked), names)


class Facts:
    """What is known in each state of a machine when it is entered, on every path to it."""

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self._units: dict[Unit, tuple[Unit, ...]] = {}
        self.at_start = frozenset(self._from_start())
        self.invalidated = tuple(self._invalidated())
        self.entering: dict[str, Known] = {definition.declaration.initial: self.at_start}
        self._spread()

    def units(self, path: tuple[str, ...]) -> tuple[Unit, ...]:
        """Return what must be known for the value at a path of the context to be there."""
        found = self._units.get(path)
        if found is None:
            of: Any = self.definition.types[path[0]]
            units = [path[:1]]
            for depth, name in enumerate(path[1:], 2):
                inner = types.members(types.required(of)[0])
                if inner is None or name not in inner:  # within what has no type of its own
                    break
                of = inner[name]
                if types.required(of)[1]:
                    units.append(path[:depth])
            found = self._units[path] = tuple(units)
        return found

    def after(self, state: str, move: Move, known: Known) -> Known:
        """Return what is known after a move, given what was on entry of the state."""
        known = self.at_guards(state, move.events[0], known)
        for edge in move.denied:
            known |= self.decided(edge, False)
        return known | self.decided(move.edge, True) if move.edge is not None else known

    def at_guards(self, state: str, event: str, known: Known) -> Known:
        """Return what is known when the guards of an event are asked: what it brought is written by then."""
        definition = self.definition
        action, midway = definition.actions.get(state), event in _MIDWAY
        if event == AMENDED or (midway and definition.candidates(state, AMENDED)):
            for field in self.invalidated:
                known = self._written(known, field, False)
        if action is None:
            for payload in definition.payloads.values() if midway else [definition.payloads.get(event, {})]:
                for field, path, _ in definition.receives.get(state, ()):
                    if path[0] not in payload:
                        continue
                    sure = not _optional(payload[path[0]], path[1:])
                    # A part that an event does not carry leaves the field as it is; a null within one does not.
                    if (sure and not midway) or (not sure and path[1:]):
                        known = self._written(known, field, sure)
            return known
        for policy in definition.declaration.tools[action.tool].retry.values():
            reader = next((n for n, a in definition.actions.items() if a.tool == policy.refresh), None)
            for field, path, _ in definition.actions[reader].saves if reader else ():
                if _optional(definition.signatures[policy.refresh or ""].output, path):
                    known = self._written(known, field, False)
        if midway or event in ("done", "partial"):
            output = definition.signatures[action.tool].output
            for field, path, _ in action.saves:
                sure = not _optional(output, path) or not types.required(definition.types[field])[1]
                if not midway or not sure:
                    known = self._written(known, field, sure)
        return known

    def decided(self, edge: Edge, verdict: bool) -> Known:
        """Return what is known because a transition's guard has said yes, or no."""
        if edge.guard is None or edge.guard.opaque:
            return frozenset()
        read = read_of(edge.guard)
        return self.given(read.tree, read.names, verdict) if read.tree is not None else frozenset()

    def given(self, tree: cel.Tree, names: Reads, verdict: bool, asked: bool = False) -> Known:
        """Return what is known when a condition is ``verdict``.

        ``asked`` counts only what it asks with ``known``: that also holds when the condition is merely not
        the opposite, because it fails to evaluate.
        """
        match tree:
            case cel.Apply("!_", (inner,)):
                return self.given(inner, names, not verdict, asked)
            case cel.Apply("_&&_" | "_||_" as function, (left, right)):
                one, other = (self.given(side, names, verdict, asked) for side in (left, right))
                return one | other if (function == "_&&_") == verdict else one & other
            case cel.Apply("_?_:_", (condition, left, right)) if not asked:
                for side, taken, rest in ((left, True, right), (right, False, left)):
                    # A constant of the other verdict: then it was the other side.
                    if isinstance(side, cel.Constant) and side.value is not verdict:
                        return self.given(condition, names, not taken) | self.given(rest, names, verdict)
                one = self.given(condition, names, True) | self.given(left, names, verdict)
                return one & (self.given(condition, names, False) | self.given(right, names, verdict))
            case cel.Name(name) if names.get(name, ("", ()))[0] in ("known", "fresh"):
                path = names[name][1]
                return (
                    frozenset(self.units(path))
                    if verdict and path[0] in self.definition.types
                    else frozenset()
                )
        if asked:
            return frozenset()
        return frozenset(u for path in self._strict(tree, names) for u in self.units(path))

    def missing(self, tree: cel.Tree, names: Reads, known: Known) -> Iterable[tuple[str, ...]]:
        """Yield the paths of the context that an expression reads though they may be unknown."""
        match tree:
            case cel.Name(name) if names.get(name, ("", ()))[0] == "context":
                path = names[name][1]
                if not known.issuperset(self.units(path)):
                    yield path
            case cel.Apply("_?_:_", (condition, left, right)):
                yield from self.missing(condition, names, known)
                yield from self.missing(left, names, known | self.given(condition, names, True))
                yield from self.missing(right, names, known | self.given(condition, names, False))
            case cel.Apply("_&&_" | "_||_" as function, (left, right)):
                # A side that fails to evaluate does not matter when the other one decides.
                going_on = function == "_&&_"
                yield from self.missing(left, names, known | self.given(right, names, going_on, asked=True))
                yield from self.missing(right, names, known | self.given(left, names, going_on))
            case _:
                for part in cel.parts(tree):
                    yield from self.missing(part, names, known)

    def _strict(self, tree: cel.Tree, names: Reads) -> set[tuple[str, ...]]:
        """Return the context paths without which an expression has no value."""
        match tree:
            case cel.Name(name) if names.get(name, ("", ()))[0] == "context":
                return {names[name][1]}
            case cel.Apply("_?_:_", (condition, left, right)):
                return self._strict(condition, names) | (
                    self._strict(left, names) & self._strict(right, names)
                )
            case cel.Apply("_&&_" | "_||_", (left, right)):
                return self._strict(left, names) & self._strict(right, names)
            case cel.Other("a comprehension", (over, *_)):
                return self._strict(over, names)
        return {path for part in cel.parts(tree) for path in self._strict(part, names)}

    def _from_start(self) -> Iterable[Unit]:
        for name, field in self.definition.declaration.context.items():
            optional = types.required(self.definition.types[name])[1]
            if (field.has_default and field.default is not None) or (
                field.owner == (OPERATOR,) and not optional and not field.has_default
            ):
                yield (name,)

    def _invalidated(self) -> Iterator[str]:
        """Yield the fields of which nothing may be known when the operator amends the run."""
        fields = self.definition.declaration.context
        given = [name for name, field in fields.items() if OPERATOR in field.owner]
        for name in given:
            if types.required(self.definition.types[name])[1]:
                yield name
            yield from (n for n in self.definition.derived([name]) if fields[n].default is None)

    @staticmethod
    def _written(known: Known, field: str, sure: bool) -> Known:
        rest = frozenset(unit for unit in known if unit[0] != field)
        return rest | {(field,)} if sure else rest

    def _spread(self) -> None:
        """Follow every move until nothing changes: what is known in a state is what all paths agree on."""
        states = self.definition.declaration.states
        pending = [self.definition.declaration.initial]
        out = moves(self.definition)
        while pending:
            state = pending.pop()
            for move in out[state]:
                known = self.after(state, move, self.entering[state])
                target: str | None = move.target
                while target is not None:  # an exhausted state sends the run on
                    before = self.entering.get(target)
                    now = known if before is None else before & known
                    if now != before:
                        self.entering[target] = now
                        pending.append(target)
                    target = states[target].exhausted


def _optional(of: Any, path: tuple[str, ...]) -> bool:
    """Return whether the value at a path within a type may be missing."""
    found = types.member_type(of, path)
    return found is Any or types.required(found)[1]
