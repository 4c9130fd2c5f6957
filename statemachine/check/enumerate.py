"""Guards decided by trying them: exact where every name has few values, or only ever meets constants.

A number that is only compared with constants behaves alike between two of them, so one value from each stretch
stands for all; so do the lengths of texts and lists. The guards are asked as the kernel asks them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from statemachine.check import cel
from statemachine.check.domain import Domain, Given, Unit, Values, Variable
from statemachine.check.facts import read_of
from statemachine.machine.expressions import Guard

MOST = 25_000
"""Combinations that are tried."""

_LONGEST = 1000
_LOGIC = ("_&&_", "_||_", "!_", "_?_:_")
_COMPARE = ("_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_")
_PLAIN: Mapping[str, Any] = {
    "str": "",
    "int": 0,
    "float": 0.0,
    "bool": False,
    "list": [],
    "map": {},
    "any": None,
}

Row = tuple[Given, tuple[bool | None, ...]]


def rows(guards: Sequence[Guard], domain: Domain, variables: Sequence[Variable]) -> list[Row] | None:
    """Return every combination of values that matters, with each guard's verdict (None: it fails to evaluate).

    None if there are too many, or what one name can be depends on another.
    """
    constants: dict[str, list[Any]] = {v.name: [] for v in variables}
    lengths: dict[str, list[int]] = {v.name: [] for v in variables}
    free: set[str] = set()
    for guard in guards:
        tree = read_of(guard).tree
        if tree is None:
            return None
        _collect(tree, constants, lengths, free)
    choices: dict[str, list[Any]] = {}
    for variable in variables:
        found = _representatives(variable.values, constants[variable.name], lengths[variable.name])
        if found is None or (variable.name in free and variable.values.options is None):
            return None
        choices[variable.name] = found
    open_units = sorted({u for v in variables for u in v.units if u not in domain.settled})
    if 2 ** len(open_units) > MOST:
        return None
    cases = list(_cases(variables, choices, open_units, domain.settled))
    if sum(math.prod(map(len, options)) for options in cases) > MOST:
        return None
    names = [(v.root, v.path) for v in variables]
    tried = (
        Given(dict(zip(names, values, strict=True))) for case in cases for values in itertools.product(*case)
    )
    return [(given, tuple(guard.decide(given)[0] for guard in guards)) for given in tried]


def _collect(
    tree: cel.Tree, constants: dict[str, list[Any]], lengths: dict[str, list[int]], free: set[str]
) -> None:
    """Note what each name is compared with; names that are used in any other way are ``free``."""
    match tree:
        case cel.Apply(function, inner) if function in _LOGIC:
            for part in inner:
                _collect(part, constants, lengths, free)
        case cel.Name(name) if name in constants:
            pass  # a condition by itself
        case cel.Apply(function, (cel.Name(name), cel.Constant(value))) | cel.Apply(
            function, (cel.Constant(value), cel.Name(name))
        ) if (
            function in _COMPARE
            and name in constants
            and (not isinstance(value, str) or function in ("_==_", "_!=_"))
        ):
            constants[name].append(value)
        case cel.Apply("@in", (cel.Name(name), cel.Elements(items))) if name in constants and all(
            isinstance(item, cel.Constant) for item in items
        ):
            constants[name] += [item.value for item in items if isinstance(item, cel.Constant)]
        case cel.Apply(
            function, (cel.Apply("size", (cel.Name(name),)), cel.Constant(int(length)))
        ) | cel.Apply(function, (cel.Constant(int(length)), cel.Apply("size", (cel.Name(name),)))) if (
            function in _COMPARE and name in lengths
        ):
            lengths[name].append(length)
        case _:
            free.update(part.name for part in cel.walk(tree) if isinstance(part, cel.Name))


def _representatives(values: Values, constants: list[Any], lengths: list[int]) -> list[Any] | None:
    """Return one value for each stretch in which every guard behaves alike; None if they cannot be told."""
    if values.options is not None:
        return list(values.options)
    match values.kind:
        case "int":
            near = {c + d for c in constants if isinstance(c, int) for d in (-1, 0, 1)}
            return sorted(_within(values, near | {0, values.low, values.high}), key=abs)
        case "float":
            return sorted(_within(values, _stretches(values, constants)), key=abs)
        case "str" | "list":
            usual = min(max(5, int(values.low or 0)), int(values.high or 5))
            sizes = sorted(_within(values, {usual, *(c + d for c in lengths for d in (-1, 0, 1))}))
            if sizes and sizes[-1] > _LONGEST:
                return None
            if values.kind == "list":
                return [[_PLAIN[values.of]] * size for size in sizes]
            named = [c for c in dict.fromkeys(constants) if isinstance(c, str) and _fits(values, len(c))]
            unused = next(
                c for c in "xyzabcdefghijklmnopqrstuvw" + chr(0x3B1) if not any(c in n for n in named)
            )
            return named + [unused * size for size in sizes if unused * size not in named]
    return None


def _stretches(values: Values, constants: list[Any]) -> set[Any]:
    """Return the constants, a number between each two, and one beyond either end."""
    ends = [b for b in (values.low, values.high) if b is not None]
    fixed = sorted({float(c) for c in [*constants, *ends, 0.0] if isinstance(c, int | float)})
    between = {(a + b) / 2 for a, b in itertools.pairwise(fixed)}
    return {*fixed, *between, fixed[0] - 1, fixed[-1] + 1}


def _within(values: Values, numbers: set[Any]) -> list[Any]:
    return [n for n in numbers if n is not None and _fits(values, n)]


def _fits(values: Values, number: float | int) -> bool:
    return (values.low is None or values.low <= number) and (values.high is None or number <= values.high)


def _cases(
    variables: Sequence[Variable],
    choices: Mapping[str, list[Any]],
    open_units: list[Unit],
    settled: Mapping[Unit, bool],
) -> Iterator[list[list[Any]]]:
    """Yield what each variable can be, for every way in which units are there or not; first that all are."""
    for there in itertools.product((True, False), repeat=len(open_units)):
        present = {**settled, **dict(zip(open_units, there, strict=True))}
        options: list[list[Any]] = []
        for variable in variables:
            full = all(present[unit] for unit in variable.units)
            if variable.root == "known":
                options.append([full])
            elif variable.root == "fresh":
                options.append(choices[variable.name] if full else [False])
            else:
                options.append(choices[variable.name] if full else [None])
        yield options
