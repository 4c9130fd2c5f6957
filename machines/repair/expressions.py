"""Mutation operators on comparisons, conditions, arithmetic, constants and arguments."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import pairwise

from .operators import Change, Changes, operator, replaced, wrapped
from .source import Source

SYMBOLS: dict[type[ast.AST], str] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.In: "in",
    ast.NotIn: "not in",
    ast.And: "and",
    ast.Or: "or",
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.BitXor: "^",
    ast.LShift: "<<",
    ast.RShift: ">>",
    ast.USub: "-",
    ast.Not: "not",
    ast.Invert: "~",
    ast.MatMult: "@",
}
OPPOSITE = {
    "<": ">=",
    "<=": ">",
    ">": "<=",
    ">=": "<",
    "==": "!=",
    "!=": "==",
    "is": "is not",
    "is not": "is",
    "in": "not in",
    "not in": "in",
}
ARITHMETIC: dict[str, tuple[tuple[str, float], ...]] = {
    "+": (("-", 1.0), ("*", 0.5)),
    "-": (("+", 1.0), ("//", 0.2)),
    "*": (("+", 0.7), ("**", 0.6), ("//", 0.5), ("/", 0.4)),
    "/": (("*", 0.8), ("-", 0.3)),
    "//": (("*", 0.6), ("-", 0.4)),
    "%": (("*", 0.2), ("-", 0.2)),
    "**": (("*", 1.0),),
    "&": (("|", 1.0), ("^", 0.6)),
    "|": (("&", 1.0), ("^", 0.6)),
    "^": (("|", 0.7), ("&", 0.7)),
    "<<": ((">>", 1.0),),
    ">>": (("<<", 1.0),),
}
NUMERIC = (ast.Name, ast.Call, ast.Attribute, ast.Subscript, ast.BinOp)


def number(node: ast.AST | None) -> bool:
    """Is this a literal number, and not a boolean?"""
    return isinstance(node, ast.Constant) and type(node.value) in (int, float)


def comparisons(
    source: Source, node: ast.Compare
) -> Iterator[tuple[str, tuple[int, int], ast.expr, ast.expr]]:
    """Each operator of a comparison: its symbol, its span, and its operands."""
    operands = [node.left, *node.comparators]
    for op, left, right in zip(node.ops, operands, operands[1:], strict=False):
        symbol = SYMBOLS[type(op)]
        yield symbol, source.between(left, right, symbol), left, right


@operator("boundary", 1.0, ast.Compare, summary="a limit is included or not", example="a < b  =>  a <= b")
def boundary(source: Source, node: ast.Compare) -> Changes:
    swap = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
    for symbol, span, _, _ in comparisons(source, node):
        if symbol in swap:
            yield Change(*span, swap[symbol])


@operator(
    "comparison",
    0.75,
    ast.Compare,
    summary="another comparison, `in` for `not in`, `is` for `is not`",
    example="a < b  =>  a > b",
)
def comparison(source: Source, node: ast.Compare) -> Changes:
    mirror = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": ">=", "!=": "<"}
    for symbol, span, _, _ in comparisons(source, node):
        yield Change(*span, OPPOSITE[symbol])
        if symbol in mirror:
            yield Change(*span, mirror[symbol], 0.5 if symbol in ("==", "!=") else 1.0)
        if symbol in ("<", "<=", ">", ">="):
            yield Change(*span, "!=", 0.3)
            yield Change(*span, "==", 0.3)
        elif symbol == "==":
            yield Change(*span, "<=", 0.5)
        elif symbol == "!=":
            yield Change(*span, ">", 0.5)


@operator("identity", 0.5, ast.Compare, summary="equality for identity", example="a is b  =>  a == b")
def identity(source: Source, node: ast.Compare) -> Changes:
    swap = {"is": "==", "is not": "!=", "==": "is", "!=": "is not"}
    for symbol, span, _, right in comparisons(source, node):
        none = isinstance(right, ast.Constant) and (right.value is None or isinstance(right.value, bool))
        if symbol in ("is", "is not") or (symbol in swap and none):
            yield Change(*span, swap[symbol])


@operator(
    "arithmetic", 0.8, ast.BinOp, summary="another arithmetic or bit operator", example="a + b  =>  a - b"
)
def arithmetic(source: Source, node: ast.BinOp) -> Changes:
    symbol = SYMBOLS[type(node.op)]
    text = isinstance(node.left, (ast.Constant, ast.JoinedStr)) and not number(node.left)
    for other, factor in () if text else ARITHMETIC.get(symbol, ()):
        square = other == "**" and number(node.right)
        yield Change(*source.between(node.left, node.right, symbol), other, 1.0 if square else factor)


@operator(
    "division",
    0.8,
    ast.BinOp,
    summary="true division, integer division, remainder",
    example="a / b  =>  a // b",
)
def division(source: Source, node: ast.BinOp) -> Changes:
    symbol = SYMBOLS[type(node.op)]
    for other in {"/": ("//", "%"), "//": ("/", "%"), "%": ("//", "/")}.get(symbol, ()):
        if not (isinstance(node.left, ast.Constant) and isinstance(node.left.value, (str, bytes))):
            yield Change(*source.between(node.left, node.right, symbol), other)


@operator("logic", 0.9, ast.BoolOp, summary="`and` for `or`", example="a and b  =>  a or b")
def logic(source: Source, node: ast.BoolOp) -> Changes:
    symbol = SYMBOLS[type(node.op)]
    other = "or" if symbol == "and" else "and"
    for left, right in pairwise(node.values):
        yield Change(*source.between(left, right, symbol), other)


@operator("condition part", 0.6, ast.BoolOp, summary="a part of a condition goes", example="a and b  =>  a")
def condition_part(source: Source, node: ast.BoolOp) -> Changes:
    for gone in node.values:
        rest = [
            wrapped(source, value) if isinstance(value, ast.BoolOp) else source.code(value)
            for value in node.values
            if value is not gone
        ]
        yield replaced(source, node, f" {SYMBOLS[type(node.op)]} ".join(rest))


@operator(
    "negation",
    0.7,
    *(ast.If, ast.While, ast.IfExp, ast.comprehension, ast.UnaryOp, ast.BoolOp, ast.Assert, ast.Return),
    summary="a condition is negated, or no longer; swaps the branches of an `if`",
    example="if a: b()  =>  if not a: b()",
)
def negation(source: Source, node: ast.AST) -> Changes:
    if isinstance(node, ast.UnaryOp):
        if isinstance(node.op, ast.Not):
            yield replaced(source, node, source.code(node.operand), atom=True)
        return
    tests: list[ast.expr] = []
    if isinstance(node, (ast.If, ast.While, ast.IfExp, ast.Assert)):
        tests = [node.test]
    elif isinstance(node, ast.comprehension):
        tests = node.ifs
    elif isinstance(node, ast.BoolOp):
        tests = node.values
    elif isinstance(node, ast.Return) and isinstance(
        node.value, (ast.Compare, ast.BoolOp, ast.Name, ast.Call)
    ):
        tests = [node.value]
    for test in tests:
        if isinstance(test, (ast.UnaryOp, ast.Constant)) or (
            isinstance(test, ast.Compare) and len(test.ops) == 1
        ):
            continue  # the operators `comparison`, `constant` and `negation` itself change these
        text = source.code(test)
        loose = isinstance(test, (ast.BoolOp, ast.IfExp, ast.NamedExpr, ast.Compare))
        yield Change(*source.span(test), f"not ({text})" if loose else f"not {text}", 0.8)


@operator(
    "sign",
    0.6,
    ast.UnaryOp,
    ast.Return,
    summary="a minus or `~` more or less",
    example="return -a  =>  return a",
)
def sign(source: Source, node: ast.UnaryOp | ast.Return) -> Changes:
    if isinstance(node, ast.Return):
        if isinstance(node.value, NUMERIC):
            yield Change(*source.span(node.value), f"-{wrapped(source, node.value)}", 0.4)
    elif not isinstance(node.op, ast.Not):
        yield replaced(source, node, source.code(node.operand), atom=True)


@operator(
    "constant",
    0.8,
    ast.Constant,
    summary="another number, boolean or empty text",
    example="a = 10  =>  a = 11",
)
def constant(source: Source, node: ast.Constant) -> Changes:
    value = node.value
    if isinstance(value, bool):
        yield Change(*source.span(node), str(not value))
    elif isinstance(value, (int, float)):
        for text, factor in numbers(source, node):
            yield replaced(source, node, text, factor, atom=not text.startswith("-"))
    elif isinstance(value, str) and not isinstance(source.parents[node], ast.Expr) and len(value) <= 1:
        yield from (
            Change(*source.span(node), text, 0.4) for text in ('""', '" "', '"0"') if text[1:-1] != value
        )


def numbers(source: Source, node: ast.Constant) -> Iterator[tuple[str, float]]:
    """Numbers that may have been meant: neighbours, other constants of the program, another magnitude."""
    value = node.value
    assert isinstance(value, (int, float))
    step = 1.0 if abs(value) < 20 else 0.6
    near: list[tuple[int | float, float]] = [(value + 1, step), (value - 1, step if value else 0.7)]
    near += [(0, 0.6), (1, 0.7), (-value, 0.5)]
    near += [(value + 2, 0.5), (value - 2, 0.5), (value * 2, 0.4), (value * 10, 0.5)]
    near += (
        [(value // 2, 0.4), (value // 10, 0.4)]
        if isinstance(value, int)
        else [(value / 2, 0.4), (value / 10, 0.4)]
    )
    others = {other.value for other in source.all(ast.Constant) if type(other.value) is type(value)}
    closest = sorted(others, key=lambda other: (abs(other - value), other))
    near += [(other, 0.4 * 0.9**rank) for rank, other in enumerate(closest)]
    seen: set[str] = {repr(value)}
    for other, factor in near:
        if repr(other) not in seen and abs(other) < 1e15:
            seen.add(repr(other))
            yield repr(other), factor


@operator(
    "off by one",
    0.85,
    *(ast.BinOp, ast.Name, ast.Call, ast.Attribute, ast.Subscript),
    summary="`+ 1` or `- 1` is missing, or too much",
    example="a = b - 1  =>  a = b",
)
def off_by_one(source: Source, node: ast.expr) -> Changes:
    parent = source.parents[node]
    if isinstance(node, ast.BinOp):
        if (
            isinstance(node.op, (ast.Add, ast.Sub))
            and isinstance(node.right, ast.Constant)
            and number(node.right)
        ):
            yield replaced(source, node, source.code(node.left))
            return
        if not isinstance(node.op, (ast.Sub, ast.FloorDiv)):
            return
    if not isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
        return
    index = isinstance(parent, ast.Slice) or (isinstance(parent, ast.Subscript) and parent.slice is node)
    bound = isinstance(parent, ast.Call) and node in parent.args and getattr(parent.func, "id", "") == "range"
    compared = isinstance(parent, ast.Compare) and isinstance(
        parent.ops[0], (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq)
    )
    stored = isinstance(parent, (ast.Assign, ast.Return))
    operand = isinstance(parent, ast.BinOp) and isinstance(parent.op, (ast.Sub, ast.Mult, ast.FloorDiv))
    argument = isinstance(parent, ast.Call) and node in parent.args
    factor = 0.8 if index or bound else 0.6 if compared or stored else 0.4 if operand or argument else 0.0
    factor *= 0.6 if isinstance(node, ast.Subscript) else 1.0
    if factor and (not isinstance(node, (ast.Attribute, ast.Call)) or counted(node)):
        for sign_ in ("+", "-"):
            yield replaced(source, node, f"{source.code(node)} {sign_} 1", factor)


def counted(node: ast.expr) -> bool:
    """Is this a call that gives a number?"""
    return isinstance(node, ast.Call) and getattr(node.func, "id", "") in (
        "len",
        "int",
        "sum",
        "min",
        "max",
        "abs",
        "round",
    )


@operator(
    "arguments",
    0.75,
    *(ast.Call, ast.Tuple),
    summary="two neighbouring arguments or elements change places",
    example="f(a, b)  =>  f(b, a)",
)
def arguments(source: Source, node: ast.Call | ast.Tuple) -> Changes:
    items = node.args if isinstance(node, ast.Call) else node.elts
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("min", "max"):
        return
    for left, right in pairwise(items):
        start, end = source.span(left)[0], source.span(right)[1]
        middle = source.text[source.span(left)[1] : source.span(right)[0]].decode()
        if not isinstance(left, ast.Starred) and not isinstance(right, ast.Starred) and middle.strip() == ",":
            factor = 1.0 if isinstance(node, ast.Call) else 0.6 if isinstance(node.ctx, ast.Load) else 0.3
            yield Change(start, end, f"{source.code(right)}{middle}{source.code(left)}", factor)


@operator(
    "operands",
    0.6,
    ast.BinOp,
    summary="the operands of a non-commutative operator change places",
    example="a - b  =>  b - a",
)
def operands(source: Source, node: ast.BinOp) -> Changes:
    if not isinstance(node.op, (ast.Mult, ast.BitAnd, ast.BitOr, ast.BitXor)):
        text = f"{wrapped(source, node.right)} {SYMBOLS[type(node.op)]} {wrapped(source, node.left)}"
        yield Change(*source.span(node), text, 0.4 if isinstance(node.op, ast.Add) else 1.0)


@operator("operand only", 0.5, ast.BinOp, summary="only one operand stays", example="a * b  =>  a")
def operand_only(source: Source, node: ast.BinOp) -> Changes:
    for operand, factor in ((node.left, 1.0), (node.right, 0.6)):
        yield replaced(source, node, source.code(operand), factor)
