"""The values that a guard's names can have, by their declared types and by what is known where it is asked."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from statemachine.check.facts import Facts
from statemachine.machine import types
from statemachine.machine.contract import FAILURE_CLASSES
from statemachine.machine.definition import REFUSED, STALE, STALE_PAYLOAD, Definition
from statemachine.machine.expressions import Root

Unit = tuple[Root, tuple[str, ...]]
"""What can be there or not by itself: a context field, an optional part of a value, the last failure."""

SMALLEST, LARGEST = -(1 << 63), (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Values:
    """What one name can stand for.

    Attributes:
        kind: How CEL sees it.
        options: All its values, where they are few.
        low: The least value of a number, or length of a text or list; None where there is no bound.
        high: The greatest.
        of: Kind of a list's elements.
    """

    kind: types.Kind
    options: tuple[Any, ...] | None = None
    low: float | int | None = None
    high: float | int | None = None
    of: types.Kind = "any"


@dataclass(frozen=True, slots=True)
class Variable:
    """A name that guards read.

    Attributes:
        name: As it is written.
        root: Where it is read from.
        path: Keys below the root.
        values: What it can be when it is there.
        units: What must be there for it to be.
    """

    name: str
    root: Root
    path: tuple[str, ...]
    values: Values
    units: tuple[Unit, ...]


class Domain:
    """The values of names where the guards on one event in one state are asked.

    Attributes:
        settled: The units of which it is certain that they are there, or that they are not.
    """

    def __init__(self, definition: Definition, facts: Facts, state: str, event: str) -> None:
        self.definition = definition
        self.facts = facts
        self.state = state
        self.event = event
        known = facts.at_guards(state, event, facts.entering.get(state, frozenset()))
        self.settled: dict[Unit, bool] = {("context", unit): True for unit in known}
        calls = definition.declaration.states[state].do is not None
        if event in ("done", "partial") and calls:  # what failed before has been answered
            self.settled["failure", ("failure",)] = False
        elif event == STALE or event.startswith("failed."):
            self.settled["failure", ("failure",)] = True

    def variable(self, name: str, root: Root, path: tuple[str, ...]) -> Variable:
        """Return what a name that a guard reads can stand for."""
        truth = Values("bool", (False, True))
        if root == "known":
            return Variable(name, root, path, truth, self._presence(path))
        if root == "fresh":
            lasting = self.definition.declaration.context[path[0]].fresh_for is None
            return Variable(
                name, root, path, Values("bool", (True,)) if lasting else truth, self._presence(path)
            )
        if root == "attempts":
            most = self.definition.declaration.states[path[0]].attempts
            return Variable(name, root, path, Values("int", None, int(path[0] == self.state), most), ())
        if root == "history":
            return Variable(name, root, path, Values("int", None, 0, LARGEST), ())
        if root == "failure":
            return Variable(name, root, path, self._failure(path[0]), (("failure", ("failure",)),))
        if root == "event" and path == ("name",):
            return Variable(name, root, path, Values("str", (self.event,)), ())
        if root == "context":
            units: tuple[Unit, ...] = tuple(("context", unit) for unit in self.facts.units(path))
            return Variable(name, root, path, _values(self.definition.types[path[0]], path[1:]), units)
        if root == "event":
            carried = STALE_PAYLOAD if self.event == STALE else self.definition.payloads[self.event]
            of = carried[path[0]]
            return Variable(name, root, path, _values(of, path[1:]), _optional(root, of, path[:1], path[1:]))
        tool = self.definition.declaration.states[self.state].do
        of = self.definition.signatures[tool or ""].output
        return Variable(name, root, path, _values(of, path), _optional(root, of, (), path))

    def _presence(self, path: tuple[str, ...]) -> tuple[Unit, ...]:
        if path == ("failure",):
            return (("failure", ("failure",)),)
        return tuple(("context", unit) for unit in self.facts.units(path))

    def _failure(self, part: str) -> Values:
        declared = self.definition.declaration
        if part == "class":
            named = "stale_data" if self.event == STALE else self.event.removeprefix("failed.")
            if self.event == REFUSED or named in FAILURE_CLASSES:
                return Values("str", (named,))
            return Values("str", (*FAILURE_CLASSES, "guard"))
        if part == "state":
            return Values("str", tuple(declared.states))
        return Values("str", ("", *declared.tools)) if part == "tool" else Values("str", None, 0)


def _optional(root: Root, of: Any, at: tuple[str, ...], path: Iterable[str]) -> tuple[Unit, ...]:
    """Return the optional parts on the way to a value within a type."""
    units: list[Unit] = [(root, at)] if types.required(of)[1] else []
    for name in path:
        inner = types.members(types.required(of)[0])
        at = (*at, name)
        if inner is None or name not in inner:
            break
        of = inner[name]
        if types.required(of)[1]:
            units.append((root, at))
    return tuple(units)


def _values(of: Any, path: Iterable[str]) -> Values:
    """Return the values at a path within a type, bounded by the constraints of pydantic's fields."""
    metadata: list[Any] = []
    for name in path:
        of = types.required(of)[0]
        metadata = list(of.model_fields[name].metadata) if _model_field(of, name) else []
        of = (types.members(of) or {}).get(name, Any)
    while get_origin(of) is not None and hasattr(of, "__metadata__"):
        metadata += of.__metadata__
        of = get_args(of)[0]
    of = types.required(of)[0]
    kind = types.kind(of)
    if get_origin(of) is Literal:
        return Values(kind, get_args(of))
    if isinstance(of, type) and issubclass(of, enum.Enum):
        return Values(kind, tuple(member.value for member in of))
    if kind == "bool":
        return Values(kind, (False, True))
    inner = get_args(of)[:1] if kind == "list" and get_origin(of) is not tuple else ()
    low, high = _bounds(metadata, kind)
    return Values(kind, None, low, high, types.kind(inner[0]) if inner else "any")


def _model_field(of: Any, name: str) -> bool:
    return isinstance(of, type) and issubclass(of, BaseModel) and name in of.model_fields


def _bounds(metadata: Iterable[Any], kind: types.Kind) -> tuple[Any, Any]:
    """Return the bounds that annotated-types' constraints set; an open bound is the next number."""
    low: Any = SMALLEST if kind == "int" else 0 if kind in ("str", "list") else None
    high: Any = LARGEST if kind == "int" else None
    length = kind in ("str", "list")
    for mark in metadata:
        names = ("min_length", "max_length") if length else ("ge", "le")
        least, most = getattr(mark, names[0], None), getattr(mark, names[1], None)
        if not length and getattr(mark, "gt", None) is not None:
            least = mark.gt + 1 if kind == "int" else math.nextafter(mark.gt, math.inf)
        if not length and getattr(mark, "lt", None) is not None:
            most = mark.lt - 1 if kind == "int" else math.nextafter(mark.lt, -math.inf)
        low = least if low is None else low if least is None else max(low, least)
        high = most if high is None else high if most is None else min(high, most)
    return low, high


def shown(variable: Variable, value: Any) -> str:
    """Return one value of a witness for people."""
    if value is None:
        return f"{variable.name} is not there"
    if isinstance(value, list):
        return f"size({variable.name}) = {len(value)}"
    if isinstance(value, str) and len(value) > 40:
        return f"{variable.name} has {len(value)} characters"
    if isinstance(value, bool):
        return f"{variable.name} = {str(value).lower()}"
    return f"{variable.name} = {value!r}"


Assignment = Mapping[tuple[Root, tuple[str, ...]], Any]


@dataclass(frozen=True, slots=True)
class Given:
    """Values as guards read them.

    Attributes:
        values: The value of each root and path; what is not in it is not there.
    """

    values: Assignment

    def read(self, root: Root, path: tuple[str, ...]) -> Any:
        """Return the value at ``path`` below ``root``, or None when there is none."""
        return self.values.get((root, path))
