"""The registry of mutation operators, and what they share."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from .source import Source


class Change(NamedTuple):
    """Put `text` in place of the bytes from `start` to `end`; `factor` weighs it among the operator's changes."""

    start: int
    end: int
    text: str
    factor: float = 1.0


Changes = Iterator[Change]


@dataclass(frozen=True, slots=True)
class Operator:
    """One kind of mistake, undone.

    Attributes:
        name: Its name in patches and lessons.
        prior: How often programs are repaired by it, 0 to 1, relative to the others.
        on: The node types that it looks at.
        summary: What it changes.
        before: A line of Python that it applies to.
        after: One of the results on that line.
        changes: Gives the changes for one node.
    """

    name: str
    prior: float
    on: tuple[type[ast.AST], ...]
    summary: str
    before: str
    after: str
    changes: Callable[[Source, Any], Changes]


OPERATORS: dict[str, Operator] = {}

Rule = Callable[[Source, Any], Changes]


def operator(
    name: str, prior: float, *on: type[ast.AST], summary: str, example: str
) -> Callable[[Rule], Rule]:
    """Register a mutation operator; `example` is ``before  =>  after``."""
    before, after = example.split("  =>  ")

    def register(rule: Rule) -> Rule:
        OPERATORS[name] = Operator(name, prior, on, summary, before, after, rule)
        return rule

    return register


ATOMS = (
    ast.Name,
    ast.Constant,
    ast.Call,
    ast.Attribute,
    ast.Subscript,
    ast.List,
    ast.Dict,
    ast.Set,
    ast.ListComp,
)


def wrapped(source: Source, node: ast.expr) -> str:
    """A node's text, fit to be an operand."""
    text = source.code(node)
    return text if isinstance(node, ATOMS) else f"({text})"


def replaced(source: Source, node: ast.expr, text: str, factor: float = 1.0, *, atom: bool = False) -> Change:
    """A change of a whole expression, with parentheses where its surroundings need them."""
    parent = source.parents[node]
    bare = atom or not isinstance(
        parent, (ast.BinOp, ast.UnaryOp, ast.Attribute, ast.BoolOp, ast.Starred, ast.Await)
    )
    bare = bare and not (isinstance(parent, (ast.Subscript, ast.Call)) and node in (_head(parent),))
    return Change(*source.span(node), text if bare else f"({text})", factor)


def _head(node: ast.AST) -> ast.AST:
    return node.func if isinstance(node, ast.Call) else cast(ast.Subscript, node).value
