"""Which fields an expression needs young enough: the kernel raises `stale` in place of giving an older value."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from statemachine.check import cel
from statemachine.machine.definition import Definition
from statemachine.machine.expressions import Expression, Guard, Root

Names = Mapping[str, tuple[Root, tuple[str, ...]]]
Fields = frozenset[str]


def perishing(definition: Definition, *expressions: Guard | Expression | None) -> Fields:
    """Return the fields with `fresh_for` that expressions need, and do not first ask for with `fresh`."""
    if not definition.perishable:
        return frozenset()
    needed = frozenset(f for e in expressions if e is not None for f in _needed_by(e))
    return needed & definition.perishable.keys()


def reading(*expressions: Guard | Expression | None) -> Fields:
    """Return all fields that expressions read, or ask about."""
    roots = ("context", "known", "fresh")
    return frozenset(
        path[0] for e in expressions if e is not None for _, root, path in e.reads if root in roots
    )


@lru_cache(maxsize=4096)
def _needed_by(expression: Guard | Expression) -> Fields:
    names = {name: (root, path) for name, root, path in expression.reads}
    if expression.checked is None:  # a plain path, or a function, which may need all that it takes
        return frozenset(path[0] for root, path in names.values() if root == "context")
    return _needed(cel.read(expression.checked), names, frozenset())


def _needed(tree: cel.Tree, names: Names, fresh: Fields) -> Fields:
    """Return what a tree needs where ``fresh`` are known to be that."""
    match tree:
        case cel.Name(name) if names.get(name, ("", ()))[0] == "context":
            return frozenset(names[name][1][:1]) - fresh
        case cel.Apply("_?_:_", (condition, left, right)):
            then, rest = (fresh | _asked(condition, names, verdict) for verdict in (True, False))
            return _needed(condition, names, fresh) | _needed(left, names, then) | _needed(right, names, rest)
        case cel.Apply("_&&_" | "_||_" as function, (left, right)):
            # Whichever side decides, the other may fail: what is asked on one side holds on the other.
            on = function == "_&&_"
            return _needed(left, names, fresh | _asked(right, names, on)) | _needed(
                right, names, fresh | _asked(left, names, on)
            )
    return frozenset(field for part in cel.parts(tree) for field in _needed(part, names, fresh))


def _asked(tree: cel.Tree, names: Names, verdict: bool) -> Fields:
    """Return the fields that are fresh whenever a condition is not the opposite of ``verdict``."""
    match tree:
        case cel.Name(name) if verdict and names.get(name, ("", ()))[0] == "fresh":
            return frozenset(names[name][1][:1])
        case cel.Apply("!_", (inner,)):
            return _asked(inner, names, not verdict)
        case cel.Apply("_&&_" | "_||_" as function, (left, right)):
            one, other = _asked(left, names, verdict), _asked(right, names, verdict)
            return one | other if (function == "_&&_") == verdict else one & other
    return frozenset()
