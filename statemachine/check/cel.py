"""The syntax tree of a compiled CEL expression, read from its serialized form.

Source: https://github.com/google/cel-spec/blob/master/proto/cel/expr/syntax.proto and checked.proto; the
wire format is that of protocol buffers. Only the tree is read: the names are typed by the declaration.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

Literal = bool | int | float | str | bytes | None


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal."""

    value: Literal


@dataclass(frozen=True, slots=True)
class Name:
    """A variable, by its whole flattened name."""

    name: str


@dataclass(frozen=True, slots=True)
class Apply:
    """A function or operator (``_&&_``, ``size``, …) with its arguments; a method's target comes first."""

    function: str
    arguments: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Elements:
    """A list that is written out."""

    items: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Other:
    """What the checker does not look into: ``what`` says what it is, ``parts`` are the trees within."""

    what: str
    parts: tuple[Tree, ...]


Tree = Constant | Name | Apply | Elements | Other


def read(serialized: bytes) -> Tree:
    """Return the tree of an expression's ``serialize()``."""
    envelope = dict(_fields(serialized))
    return _tree(dict(_fields(_bytes(envelope[2])))[4])


def parts(tree: Tree) -> tuple[Tree, ...]:
    """Return the trees directly within a tree."""
    match tree:
        case Apply(_, inner) | Elements(inner) | Other(_, inner):
            return inner
    return ()


def walk(tree: Tree) -> Iterator[Tree]:
    """Yield a tree and everything within it."""
    pending = [tree]
    while pending:
        tree = pending.pop()
        yield tree
        pending.extend(parts(tree))


def _tree(raw: int | bytes) -> Tree:
    for number, value in _fields(_bytes(raw)):
        match number:
            case 3:
                return Constant(_constant(_bytes(value)))
            case 4:
                return Name(_text(dict(_fields(_bytes(value)))[1]))
            case 5:
                inner = dict(_fields(_bytes(value)))
                return Other("a part of a map", (_tree(inner[1]),))
            case 6:
                call = list(_fields(_bytes(value)))
                function = next(_text(v) for n, v in call if n == 2)
                return Apply(function, tuple(_tree(v) for n, v in call if n in (1, 3)))
            case 7:
                return Elements(tuple(_tree(v) for n, v in _fields(_bytes(value)) if n == 1))
            case 8:
                entries = [dict(_fields(_bytes(v))) for n, v in _fields(_bytes(value)) if n == 2]
                return Other("a map", tuple(_tree(e[n]) for e in entries for n in (3, 4) if n in e))
            case 9:
                inside = [v for n, v in _fields(_bytes(value)) if n in (2, 4, 5, 6, 7)]
                return Other("a comprehension", tuple(_tree(v) for v in inside))
    return Other("an empty expression", ())


def _constant(raw: bytes) -> Literal:
    for number, value in _fields(raw):
        match number, value:
            case 2, int():
                return bool(value)
            case 3, int():
                return value - (1 << 64) if value >= 1 << 63 else value
            case 4, int():
                return value
            case 5, bytes():
                return float(struct.unpack("<d", value)[0])
            case 6, bytes():
                return value.decode()
            case 7, bytes():
                return value
    return None


def _fields(raw: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield number and value of each field of a message: a number, or bytes."""
    at = 0
    while at < len(raw):
        tag, at = _varint(raw, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(raw, at)
            yield number, value
            continue
        if wire == 2:
            size, at = _varint(raw, at)
        else:
            size = 8 if wire == 1 else 4
        yield number, raw[at : at + size]
        at += size


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _bytes(value: int | bytes) -> bytes:
    assert isinstance(value, bytes)
    return value


def _text(value: int | bytes) -> str:
    return _bytes(value).decode()
