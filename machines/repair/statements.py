"""Mutation operators on ranges, subscripts and statements."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise

from .names import function_of, is_stored
from .operators import Change, Changes, operator, replaced
from .source import Source

SIMPLE = (
    ast.Assign,
    ast.AugAssign,
    ast.AnnAssign,
    ast.Expr,
    ast.Raise,
    ast.Break,
    ast.Continue,
    ast.Return,
    ast.Delete,
)


@operator(
    "range",
    0.7,
    ast.Call,
    summary="a range starts one later or earlier, or runs backwards",
    example="range(n)  =>  range(1, n)",
)
def range_(source: Source, node: ast.Call) -> Changes:
    if getattr(node.func, "id", "") != "range" or any(isinstance(arg, ast.Starred) for arg in node.args):
        return
    args = [source.code(arg) for arg in node.args]
    if len(args) == 1:
        yield replaced(source, node, f"range(1, {args[0]})", atom=True)
        yield replaced(source, node, f"range(1, {args[0]} + 1)", 0.6, atom=True)
        yield replaced(source, node, f"range({args[0]} - 1, -1, -1)", 0.3, atom=True)
    elif len(args) == 2:
        yield replaced(source, node, f"range({args[1]})", 0.6, atom=True)
        yield replaced(source, node, f"range({args[1]} - 1, {args[0]} - 1, -1)", 0.3, atom=True)


@operator(
    "subscript",
    0.6,
    ast.Subscript,
    summary="a bound of a slice goes; first for last; a step turns round",
    example="a = b[1:n]  =>  a = b[1:]",
)
def subscript(source: Source, node: ast.Subscript) -> Changes:
    part = node.slice
    if isinstance(part, ast.Slice):
        lower, upper, step = (
            source.code(each) if each else "" for each in (part.lower, part.upper, part.step)
        )
        forms = [(lower, "", step)] * bool(upper) + [("", upper, step)] * bool(lower)
        forms += [(lower, upper, "")] * bool(step) + [(lower, upper, "-1")] * (not step)
        for start, stop, stride in forms:
            yield Change(*source.span(part), f"{start}:{stop}" + (f":{stride}" if stride else ""))
    elif isinstance(part, ast.Constant) and part.value == 0:
        yield Change(*source.span(part), "-1")
    elif isinstance(part, ast.UnaryOp) and source.code(part) == "-1":
        yield Change(*source.span(part), "0")


@operator(
    "indices",
    0.75,
    ast.Subscript,
    summary="two neighbouring indices change places",
    example="a = b[i][j]  =>  a = b[j][i]",
)
def indices(source: Source, node: ast.Subscript) -> Changes:
    inner = node.value
    if isinstance(inner, ast.Subscript) and source.code(inner.slice) != source.code(node.slice):
        start, end = source.span(inner.slice)[0], source.span(node.slice)[1]
        middle = source.text[source.span(inner.slice)[1] : source.span(node.slice)[0]].decode()
        yield Change(start, end, f"{source.code(node.slice)}{middle}{source.code(inner.slice)}")


@operator(
    "assignment",
    0.8,
    *(ast.AugAssign, ast.Assign),
    summary="another augmented assignment, or a plain one",
    example="a += b  =>  a -= b",
)
def assignment(source: Source, node: ast.AugAssign | ast.Assign) -> Changes:
    if isinstance(node, ast.Assign):
        target = node.targets[0]
        if (
            len(node.targets) == 1
            and not isinstance(target, (ast.Tuple, ast.List))
            and bindings(source, node) != 1
        ):
            yield Change(*source.between(target, node.value, "="), "+=", 0.5)
        return
    symbols = {
        ast.Add: ("-=", "=", "*="), ast.Sub: ("+=", "=", "//="), ast.Mult: ("+=", "=", "//=", "**="),
        ast.Div: ("*=", "//=", "-="), ast.FloorDiv: ("*=", "/=", "-=", "%="), ast.Mod: ("//=", "-="),
        ast.BitAnd: ("|=", "^="), ast.BitOr: ("&=", "^=", "="), ast.BitXor: ("|=", "&="),
        ast.LShift: (">>=",), ast.RShift: ("<<=",),
    }  # fmt: skip
    operator_text = re.match(rb"[\s\\)]*", source.text[source.span(node.target)[1] :])
    assert operator_text is not None
    start = source.span(node.target)[1] + operator_text.end()
    end = source.text.index(b"=", start) + 1
    for rank, other in enumerate(symbols.get(type(node.op), ())):
        yield Change(start, end, other, 0.7**rank)


@operator(
    "result",
    0.4,
    ast.Return,
    summary="another result: a boolean, None or 0, or the opposite",
    example="def f(a): return True  =>  def f(a): return None",
)
def result(source: Source, node: ast.Return) -> Changes:
    if node.value is None:
        return
    text = source.code(node.value)
    for other, factor in (("True", 0.7), ("False", 0.7), ("None", 0.6), ("0", 0.4), ("[]", 0.2)):
        if other != text:
            yield Change(*source.span(node.value), other, factor)


@operator(
    "certainty",
    0.4,
    *(ast.If, ast.While),
    summary="a condition always or never holds",
    example="if a: b()  =>  if True: b()",
)
def certainty(source: Source, node: ast.If | ast.While) -> Changes:
    for text in ("True", "False") if isinstance(node, ast.If) else ("False",):
        if source.code(node.test) != text:
            yield Change(*source.span(node.test), text)


@operator(
    "branches",
    0.6,
    ast.IfExp,
    summary="the two values of a conditional expression change places",
    example="a = b if c else d  =>  a = d if c else b",
)
def branches(source: Source, node: ast.IfExp) -> Changes:
    parts = [source.code(part) for part in (node.orelse, node.test, node.body)]
    yield Change(*source.span(node), "{} if {} else {}".format(*parts))


@operator(
    "jump",
    0.6,
    *(ast.Break, ast.Continue, ast.Pass),
    summary="`break` for `continue`, either for `pass`",
    example="for a in b: break  =>  for a in b: continue",
)
def jump(source: Source, node: ast.stmt) -> Changes:
    for text in ("break", "continue"):
        if text != source.code(node):
            yield Change(*source.span(node), text)


@operator(
    "handler",
    0.4,
    ast.ExceptHandler,
    summary="another class of exceptions is caught",
    example="try: a()\nexcept KeyError: b()  =>  try: a()\nexcept Exception: b()",
)
def handler(source: Source, node: ast.ExceptHandler) -> Changes:
    if isinstance(node.type, ast.Name):
        for name in ("Exception", "ValueError", "KeyError", "IndexError", "TypeError", "ZeroDivisionError"):
            if name != node.type.id:
                yield Change(*source.span(node.type), name, 1.0 if name == "Exception" else 0.6)


def blocks(node: ast.AST) -> Iterator[list[ast.stmt]]:
    """The lists of statements directly inside a node."""
    for name in ("body", "orelse", "finalbody"):
        block = getattr(node, name, None)
        if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
            yield block


def own_line(source: Source, node: ast.stmt) -> tuple[int, int, str] | None:
    """Start of line, end and indentation of a simple statement that has one line to itself."""
    start, end = source.span(node)
    line = source.starts[node.lineno - 1]
    indent = source.text[line:start].decode()
    alone = not indent.strip() and node.lineno == node.end_lineno and isinstance(node, SIMPLE)
    rest = source.text[end : source.starts[node.lineno] if node.lineno < len(source.starts) else None]
    return (line, end, indent) if alone and not rest.split(b"#")[0].strip() else None


@operator("deletion", 0.5, *SIMPLE, summary="a statement goes", example="a = b  =>  pass")
def deletion(source: Source, node: ast.stmt) -> Changes:
    docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    factor = 0.6 if isinstance(node, ast.Return) else 0.2 if bindings(source, node) == 1 else 1.0
    if not docstring:
        yield Change(*source.span(node), "pass", factor)


def bindings(source: Source, node: ast.stmt) -> int:
    """How often a function binds the one name that an assignment binds; 0 for anything else."""
    if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
        return 0
    name, owner = node.targets[0].id, function_of(source, node)
    return sum(
        (is_stored(each) and each.id == name) or getattr(each, "arg", "") == name for each in ast.walk(owner)
    )


@operator(
    "order",
    0.5,
    *(ast.FunctionDef, ast.For, ast.While, ast.If, ast.With),
    summary="two neighbouring statements change places",
    example="if a:\n    b()\n    c()  =>  if a:\n    c()\n    b()",
)
def order(source: Source, node: ast.AST) -> Changes:
    for block in blocks(node):
        for first, second in pairwise(block):
            one, two = own_line(source, first), own_line(source, second)
            if one and two and second.lineno == first.lineno + 1 and not isinstance(first, ast.Return):
                middle = source.text[one[1] : two[0]].decode()
                text = source.code(second) + middle + two[2] + source.code(first)
                yield Change(source.span(first)[0], two[1], text)


@operator(
    "indentation",
    0.55,
    *(ast.For, ast.While, ast.If, ast.With),
    summary="a block's last statement moves out of it, or the next one in",
    example="while a:\n    b()\n    c()  =>  while a:\n    b()\nc()",
)
def indentation(source: Source, node: ast.stmt) -> Changes:
    block = (
        node.orelse if isinstance(node, (ast.For, ast.While, ast.If)) and node.orelse else next(blocks(node))
    )
    last = own_line(source, block[-1])
    start = source.span(node)[0]
    outer = source.text[source.starts[node.lineno - 1] : start].decode()
    if last and len(block) > 1 and not outer.strip():
        yield Change(last[0], last[0] + len(last[2]), outer)
    for siblings in blocks(source.parents[node]):
        if node in siblings[:-1]:
            following = own_line(source, siblings[siblings.index(node) + 1])
            inner = source.text[source.starts[block[-1].lineno - 1] : source.span(block[-1])[0]].decode()
            if following and not inner.strip() and block[-1].lineno > node.lineno:
                yield Change(following[0], following[0] + len(following[2]), inner)
