"""Types of context fields, inputs and outputs: their spelling, their values as JSON, their names in guards."""

from __future__ import annotations

import ast
import dataclasses
import enum
import re
import types
import typing
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, PydanticSchemaGenerationError, PydanticUserError, TypeAdapter

from statemachine.errors import InvalidReference
from statemachine.machine.references import REFERENCE, Folder, suggest

PLAIN: dict[str, Any] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "path": Path,
    "any": Any,
    "None": None,
}
_SPELLINGS = {v: k for k, v in PLAIN.items() if v is not None} | {type(None): "None"}
Kind = Literal["str", "int", "float", "bool", "list", "map", "any"]
"""What a guard sees a value as."""

_DEEPEST = 5


def parse_type(text: str, folder: Folder) -> Any:
    """Return the Python type that ``text`` spells.

    Raises:
        InvalidReference: It is no type, with what to write instead.
    """
    found: list[Any] = []

    def hold(match: re.Match[str]) -> str:
        found.append(folder.resolve(match[0]))
        return f"_{len(found) - 1}_"

    held = REFERENCE.sub(hold, text)
    try:
        tree = ast.parse(held.strip(), mode="eval").body
    except SyntaxError:
        raise InvalidReference(_not_a_type(text)) from None
    parsed = _build(tree, found, text)
    adapter(parsed)
    return parsed


def _not_a_type(text: str, hint: str = "") -> str:
    return (
        f"`{text}` is not a type{hint}; write str, int, float, bool, path, any, list[…], dict[str, …], "
        "Literal['a', 'b'], `… | None`, or a class such as tools.py:Name"
    )


def _build(node: ast.expr, found: list[Any], text: str) -> Any:
    match node:
        case ast.Constant(value=None):
            return None
        case ast.Name(id=name) if name in PLAIN:
            return PLAIN[name]
        case ast.Name(id=name) if re.fullmatch(r"_\d+_", name):
            return found[int(name[1:-1])]
        case ast.Name(id=name):
            raise InvalidReference(_not_a_type(text, suggest(name, PLAIN).replace("; ", ", ")))
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return Union[_build(left, found, text), _build(right, found, text)]  # noqa: UP007 - built at run time
        case ast.Subscript(value=ast.Name(id="list"), slice=item):
            return list[_build(item, found, text)]  # type: ignore[misc]
        case ast.Subscript(value=ast.Name(id="dict"), slice=ast.Tuple(elts=[ast.Name(id="str"), item])):
            return dict[str, _build(item, found, text)]  # type: ignore[misc]
        case ast.Subscript(value=ast.Name(id="Literal"), slice=values):
            options = values.elts if isinstance(values, ast.Tuple) else [values]
            if options and all(
                isinstance(o, ast.Constant) and isinstance(o.value, str | int) for o in options
            ):
                return Literal[tuple(typing.cast(ast.Constant, o).value for o in options)]
    raise InvalidReference(_not_a_type(text))


def spell_type(of: Any, folder: Folder) -> str:
    """Return the spelling that :func:`parse_type` reads back as the type ``of``.

    Raises:
        InvalidReference: The type has no spelling in a declaration.
    """
    if of in (None, type(None)):
        return "None"
    origin, parts = get_origin(of), get_args(of)
    if origin is typing.Annotated:
        return spell_type(parts[0], folder)
    if origin in (Union, types.UnionType):
        return " | ".join(spell_type(p, folder) for p in parts)
    if origin is list:
        return f"list[{spell_type(parts[0], folder)}]"
    if origin is dict and parts[0] is str:
        return f"dict[str, {spell_type(parts[1], folder)}]"
    if origin is Literal:
        return f"Literal[{', '.join(repr(p) for p in parts)}]"
    if of in _SPELLINGS:
        return _SPELLINGS[of]
    if isinstance(of, type) and origin is None and of not in (list, dict, tuple, set):
        return folder.spell(of)
    raise InvalidReference(_not_a_type(str(of)))


@lru_cache(maxsize=4096)
def adapter(of: Any) -> TypeAdapter[Any]:
    """Return pydantic's validator for a type.

    Raises:
        InvalidReference: pydantic cannot validate it.
    """
    try:
        return TypeAdapter(of)
    except (PydanticSchemaGenerationError, PydanticUserError, NameError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidReference(f"`{of}` cannot be checked: {reason}") from None


def members(of: Any) -> Mapping[str, Any] | None:
    """Return the fields of a class with typed fields (pydantic model, dataclass, TypedDict), else None."""
    if not isinstance(of, type):
        return None
    if issubclass(of, BaseModel):
        return {(f.serialization_alias or f.alias or n): f.annotation for n, f in of.model_fields.items()} | {
            n: f.return_type for n, f in of.model_computed_fields.items()
        }
    if dataclasses.is_dataclass(of) or typing.is_typeddict(of):
        return {n: _unwrap(t) for n, t in typing.get_type_hints(of).items()}
    return None


def _unwrap(of: Any) -> Any:
    return (
        get_args(of)[0] if get_origin(of) in (typing.NotRequired, typing.Required, typing.Annotated) else of
    )


def required(of: Any) -> tuple[Any, bool]:
    """Return the type without its ``None`` part, and whether it had one."""
    if get_origin(of) is typing.Annotated:
        return required(get_args(of)[0])
    if get_origin(of) in (Union, types.UnionType):
        parts = [p for p in get_args(of) if p is not type(None)]
        rest = parts[0] if len(parts) == 1 else Union[tuple(parts)]  # noqa: UP007 - built at run time
        return rest, len(parts) < len(get_args(of))
    return of, of is type(None)


def kind(of: Any) -> Kind:
    """Return what a guard sees a value of the type as."""
    of, _ = required(of)
    origin = get_origin(of)
    if origin is Literal:
        kinds = {kind(type(v)) for v in get_args(of)}
        return kinds.pop() if len(kinds) == 1 else "any"
    if origin in (list, tuple, set, frozenset) or of in (list, tuple, set, frozenset):
        return "list"
    if origin is dict or of is dict or members(of) is not None:
        return "map"
    if isinstance(of, type):
        if issubclass(of, enum.Enum):
            kinds = {kind(type(m.value)) for m in of}
            return kinds.pop() if len(kinds) == 1 else "any"
        for plain, name in ((bool, "bool"), (int, "int"), (float, "float"), (str, "str"), (Path, "str")):
            if issubclass(of, plain):
                return typing.cast(Kind, name)
    return "any"


def leaves(of: Any, path: tuple[str, ...], visit: Callable[[tuple[str, ...], Any, bool], None]) -> None:
    """Call ``visit(path, type, optional)`` for a type's value and each typed value inside it."""
    of, optional = required(of)
    visit(path, of, optional)
    if len(path) < _DEEPEST:
        for name, inner in (members(of) or {}).items():
            leaves(inner, (*path, name), visit)


def member_type(of: Any, path: tuple[str, ...]) -> Any:
    """Return the type at ``path`` inside ``of``; ``Any`` inside what is untyped.

    Raises:
        KeyError: There is no such member; its argument is the name that is unknown.
    """
    optional = False
    for name in path:
        of, maybe = required(of)
        optional = optional or maybe
        if of is Any or kind(of) == "any" or (kind(of) == "map" and members(of) is None):
            return Any
        inner = members(of) or {}
        if name not in inner:
            raise KeyError(name)
        of = inner[name]
    return of | None if optional and of is not Any else of
