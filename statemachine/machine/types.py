"""Types of context fields, inputs and outputs: their spelling, their values as JSON, their names in guards."""

from __future__ import annotations

import ast
import dataclasses
import enum
import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, PydanticSchemaGenerationError, PydanticUserError, RootModel, TypeAdapter
from pydantic_core import SchemaError

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
_LONGEST = 500
_PARTS = re.compile(rf"""(?P<quoted>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|{REFERENCE.pattern}""")


def parse_type(text: str, folder: Folder) -> Any:
    """Return the Python type that ``text`` spells.

    Raises:
        InvalidReference: It is no type, with what to write instead.
    """
    tree, references = _read(text)
    found = [folder.resolve(reference) for reference in references]
    for reference, thing in zip(references, found, strict=True):
        if inspect.isroutine(thing):  # pydantic would check calls of it
            raise InvalidReference(f"`{reference}` is a function, not a type")
    parsed = _build(tree, found, text)
    adapter(parsed)
    return parsed


def tidy_type(text: str) -> str:
    """Return the one spelling of a type that differs only in spaces and quotes; no type stays as it is."""
    try:
        tree, references = _read(text)
    except InvalidReference:
        return text
    held = {f"_{n}_": reference for n, reference in enumerate(references)}
    return re.sub(r"\b_\d+_\b", lambda m: held.get(m[0], m[0]), ast.unparse(tree))


def _read(text: str) -> tuple[ast.expr, list[str]]:
    """Return a type's syntax with ``_n_`` for its n-th reference, and the references."""
    references: list[str] = []

    def hold(match: re.Match[str]) -> str:
        if match["quoted"]:
            return match[0]
        references.append(match[0])
        return f"_{len(references) - 1}_"

    if len(text) > _LONGEST:
        raise InvalidReference(f"a type has at most {_LONGEST} characters; name it in a Python file")
    try:
        return ast.parse(_PARTS.sub(hold, text).strip(), mode="eval").body, references
    except (SyntaxError, ValueError):
        raise InvalidReference(_not_a_type(text)) from None


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
        case ast.Name(id=name) if re.fullmatch(r"_\d+_", name) and int(name[1:-1]) < len(found):
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
            parts = values.elts if isinstance(values, ast.Tuple) else [values]
            options = [_option(part) for part in parts]
            if options and None not in options:
                return Literal[tuple(options)]
    raise InvalidReference(_not_a_type(text))


def _option(node: ast.expr) -> str | int | None:
    """Return a text or whole number that a Literal lists, None for anything else."""
    match node:
        case ast.Constant(value=str() | int() as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as value)):
            return -value
    return None


def spell_type(of: Any, folder: Folder) -> str:
    """Return the spelling that :func:`parse_type` reads back as the type ``of``.

    Raises:
        InvalidReference: The type has no spelling in a declaration.
    """
    if of in (None, type(None)):
        return "None"
    origin, parts = get_origin(of), get_args(of)
    if origin is typing.Annotated:
        raise InvalidReference(f"`{of}` has no spelling; put the constraint into a class and use that")
    if origin in (Union, types.UnionType):
        return " | ".join(spell_type(p, folder) for p in parts)
    if origin is list:
        return f"list[{spell_type(parts[0], folder)}]"
    if origin is dict and parts[0] is str:
        return f"dict[str, {spell_type(parts[1], folder)}]"
    if origin is Literal and all(type(p) in (str, int, bool) for p in parts):
        return f"Literal[{', '.join(repr(p) for p in parts)}]"
    for plain, spelling in _SPELLINGS.items():
        if of is plain:
            return spelling
    if isinstance(of, type) and origin is None and of not in (list, dict, tuple, set):
        return folder.spell(of)
    raise InvalidReference(_not_a_type(str(of)))


def adapter(of: Any) -> TypeAdapter[Any]:
    """Return pydantic's validator for a type.

    Raises:
        InvalidReference: pydantic cannot validate it.
    """
    try:
        return _adapter(of)
    except TypeError:  # a type whose annotations cannot be hashed cannot be kept
        return _make_adapter(of)


def _make_adapter(of: Any) -> TypeAdapter[Any]:
    name = getattr(of, "__name__", of)
    try:
        return TypeAdapter(of)
    except PydanticSchemaGenerationError:
        raise InvalidReference(
            f"values cannot be checked against `{name}`; use a plain type, a pydantic model, a dataclass, "
            "a TypedDict or an enum"
        ) from None
    except (PydanticUserError, NameError, TypeError, SchemaError) as error:
        raise InvalidReference(f"`{name}` cannot be checked: {str(error).splitlines()[0]}") from None


_adapter = lru_cache(maxsize=4096)(_make_adapter)


def members(of: Any) -> Mapping[str, Any] | None:
    """Return the fields of a class with typed fields (pydantic model, dataclass, TypedDict), else None."""
    if not isinstance(of, type):
        return None
    if issubclass(of, BaseModel):
        # By name, not by alias: that is how outputs are written as JSON.
        return {n: f.annotation for n, f in of.model_fields.items()} | {
            n: f.return_type for n, f in of.model_computed_fields.items()
        }
    if dataclasses.is_dataclass(of):
        hints = typing.get_type_hints(of)
        return {f.name: hints[f.name] for f in dataclasses.fields(of)}
    return typing.get_type_hints(of) if typing.is_typeddict(of) else None


def required(of: Any) -> tuple[Any, bool]:
    """Return the type without its ``None`` part, and whether it had one; wrappers of a type are the type."""
    if get_origin(of) in (typing.Annotated, typing.NotRequired, typing.Required):
        return required(get_args(of)[0])
    if isinstance(of, type) and issubclass(of, RootModel):
        return required(of.model_fields["root"].annotation)
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
