"""Mutation operators on names: of variables, attributes, functions and methods."""

from __future__ import annotations

import ast
import builtins
import functools
from dataclasses import dataclass
from typing import TypeGuard

from .operators import Change, Changes, operator, replaced
from .source import Source

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)

# Functions and methods that are mistaken for each other, and how often.
ALIKE: list[tuple[set[str], float]] = [
    ({"min", "max"}, 1.0), ({"any", "all"}, 1.0), ({"floor", "ceil"}, 1.0), ({"int", "round"}, 0.6),
    ({"sum", "len"}, 0.4), ({"sum", "max"}, 0.4), ({"sorted", "list", "reversed"}, 0.4), ({"set", "list"}, 0.4),
    ({"append", "extend"}, 1.0), ({"append", "appendleft"}, 0.4), ({"pop", "popleft"}, 0.8),
    ({"add", "discard", "remove"}, 0.6), ({"add", "update"}, 0.6), ({"keys", "values", "items"}, 0.8),
    ({"find", "rfind", "index"}, 0.8), ({"strip", "lstrip", "rstrip"}, 0.8), ({"upper", "lower"}, 1.0),
    ({"startswith", "endswith"}, 1.0), ({"isdigit", "isalpha", "isalnum"}, 0.8), ({"split", "rsplit"}, 0.6),
    ({"union", "intersection", "difference"}, 0.8), ({"issubset", "issuperset"}, 1.0), ({"sin", "cos"}, 1.0),
    ({"heappush", "heappop"}, 0.6), ({"bisect_left", "bisect_right"}, 1.0), ({"index", "count"}, 0.4),
]  # fmt: skip


def function_of(source: Source, node: ast.AST) -> ast.AST:
    """The function, lambda or module in which a node's names are looked up first."""
    node = source.parents[node]
    while not isinstance(node, (*FUNCTIONS, ast.Module)):
        node = source.parents[node]
    return node


def roles(source: Source, node: ast.Name) -> str:
    """How a name is used: called, indexed, asked for an attribute, or as a plain value."""
    parent = source.parents[node]
    if isinstance(parent, ast.Call) and parent.func is node:
        return "call"
    if isinstance(parent, ast.Subscript) and parent.value is node:
        return "subscript"
    if isinstance(parent, ast.Attribute):
        return "attribute"
    return "loop" if isinstance(parent, (ast.For, ast.comprehension)) and parent.iter is node else "plain"


@dataclass(frozen=True, slots=True)
class Binding:
    """What is known of a name in a function: its first line there, its uses, and whether its value is ever read."""

    line: int
    roles: frozenset[str]
    read: bool


@functools.lru_cache(maxsize=32)
def scope(source: Source, owner: ast.AST) -> dict[str, Binding]:
    """The names that code in a function (or the module) can mean: its own, of functions around it, of the module."""
    lines: dict[str, int] = {}
    outer = owner
    while not isinstance(outer, ast.Module):
        hidden = {
            id(part)
            for node in ast.walk(outer)
            if isinstance(node, (ast.comprehension, *FUNCTIONS)) and node is not outer
            for part in ast.walk(node.target if isinstance(node, ast.comprehension) else node)
        }
        for node in ast.walk(outer):
            if (isinstance(node, ast.arg) or is_stored(node)) and id(node) not in hidden:
                name = node.arg if isinstance(node, ast.arg) else node.id
                lines[name] = min(lines.get(name, node.lineno), node.lineno)
        lines.pop("_", None)
        outer = function_of(source, outer)
    for statement in source.tree.body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines.setdefault(statement.name, 0)
        for node in ast.walk(statement) if isinstance(statement, (ast.Assign, ast.AnnAssign)) else ():
            if is_stored(node) and not node.id.startswith("_"):
                lines.setdefault(node.id, 0)
    used: dict[str, set[str]] = {name: set() for name in lines}
    for node in source.all(ast.Name):
        if node.id in used:
            used[node.id].add(roles(source, node))
    read = {
        node.id for node in ast.walk(owner) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    return {name: Binding(line, frozenset(used[name]), name in read) for name, line in lines.items()}


def is_stored(node: ast.AST) -> TypeGuard[ast.Name]:
    """Is this a name being bound?"""
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)


@operator(
    "variable",
    0.75,
    ast.Name,
    summary="another variable or function of the same scope and use",
    example="def f(a, b): return a  =>  def f(a, b): return b",
)
def variable(source: Source, node: ast.Name) -> Changes:
    names = scope(source, function_of(source, node))
    if node.id not in names or isinstance(node.ctx, ast.Del):
        return
    role = roles(source, node)
    fit: dict[str, float] = {}
    for name, binding in names.items():
        alike = role in binding.roles or (role != "call" and "call" not in binding.roles)
        if name == node.id or not alike or binding.line > node.lineno:
            continue
        fit[name] = 1.0 if role in binding.roles else 0.6
        if binding.line and not binding.read:
            fit[name] = 1.4  # a value that nobody reads was meant to be read somewhere
    target = 0.5 if is_stored(node) else 1.0
    for rank, name in enumerate(sorted(fit, key=lambda name: (-fit[name], name))):
        yield Change(*source.span(node), name, target * fit[name] * 0.93**rank)


@operator(
    "attribute",
    0.6,
    ast.Attribute,
    summary="another attribute used on the same object",
    example="a.x = a.y  =>  a.x = a.x",
)
def attribute(source: Source, node: ast.Attribute) -> Changes:
    base = source.code(node.value)
    called = is_called(source, node)
    others = {
        other.attr
        for other in source.all(ast.Attribute)
        if is_called(source, other) == called and source.code(other.value) == base and other.attr != node.attr
    }
    end = source.span(node)[1]
    for name in sorted(others):
        yield Change(end - len(node.attr.encode()), end, name)


def is_called(source: Source, node: ast.Attribute) -> bool:
    """Is this attribute called as a method?"""
    parent = source.parents[node]
    return isinstance(parent, ast.Call) and parent.func is node


@operator(
    "similar name",
    0.75,
    *(ast.Name, ast.Attribute),
    summary="a built-in, method or attribute for one like it",
    example="a = min(b)  =>  a = max(b)",
)
def similar_name(source: Source, node: ast.Name | ast.Attribute) -> Changes:
    name = node.id if isinstance(node, ast.Name) else node.attr
    parent = source.parents[node]
    if isinstance(node, ast.Name) and not (
        isinstance(parent, ast.Call) and node in (parent.func, *parent.args)
    ):
        return
    end = source.span(node)[1]
    for alike, factor in ALIKE:
        for other in sorted(alike - {name}) if name in alike else ():
            if isinstance(node, ast.Attribute) or hasattr(builtins, other) or other in imported(source):
                yield Change(end - len(name.encode()), end, other, factor)


def imported(source: Source) -> set[str]:
    """The names that the program imports."""
    statements: list[ast.Import | ast.ImportFrom] = [*source.all(ast.Import), *source.all(ast.ImportFrom)]
    return {alias.asname or alias.name for statement in statements for alias in statement.names}


@operator(
    "call",
    0.4,
    ast.Call,
    summary="a call of one argument goes, its argument stays",
    example="a = abs(b)  =>  a = b",
)
def call(source: Source, node: ast.Call) -> Changes:
    if (
        len(node.args) == 1
        and not node.keywords
        and not isinstance(node.args[0], (ast.Starred, ast.GeneratorExp))
    ):
        yield replaced(source, node, source.code(node.args[0]))
