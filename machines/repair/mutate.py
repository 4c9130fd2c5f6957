"""Candidate patches: every single edit that the mutation operators offer, the most promising first."""

from __future__ import annotations

import ast
import bisect
import warnings
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from . import expressions, names, statements  # noqa: F401  (they register their operators)
from .operators import OPERATORS, Change, Operator
from .source import Source, digest


@dataclass(frozen=True, slots=True)
class Candidate:
    """One edit of a program.

    Attributes:
        id: A short SHA-256 of the program with the edit: equal programs have equal ids.
        operator: The mutation operator that offers it.
        line: The first line that it changes, from 1.
        start: Where it begins, in bytes of the program's UTF-8 text.
        end: Where it ends.
        before: The text there.
        after: The text instead.
        score: How promising it is; more is better.
    """

    id: str
    operator: str
    line: int
    start: int
    end: int
    before: str
    after: str
    score: float


def candidates(
    source: Source,
    suspects: Mapping[int, float],
    lessons: Mapping[str, float],
    tried: Collection[str],
    count: int,
) -> list[Candidate]:
    """The next edits to try: suspiciousness of the line x prior of the operator x lessons, the highest first.

    Args:
        source: The program.
        suspects: Suspiciousness of lines; no other line is edited.
        lessons: Weights learnt so far, by ``line 12`` and ``operator boundary``; 1 where nothing is known.
        tried: Ids of candidates to leave out.
        count: How many at most.

    Returns:
        Candidates that compile and differ from the program and from each other.
    """
    ranked = sorted(offers(source, suspects, lessons), key=lambda offer: (-offer[0], offer[1:]))
    found: list[Candidate] = []
    seen = {digest(source.data), *tried}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the compiler thinks of a mutant is of no use to anyone
        for score, line, change, name in ranked:
            if len(found) == count:
                break
            data = source.patched(change.start, change.end, change.text)
            identity = digest(data)
            if identity not in seen and compiles(data):
                before = source.text[change.start : change.end].decode()
                found.append(
                    Candidate(
                        identity, name, line, change.start, change.end, before, change.text, round(score, 4)
                    )
                )
            seen.add(identity)
    return found


def offers(
    source: Source, suspects: Mapping[int, float], lessons: Mapping[str, float]
) -> Iterator[tuple[float, int, Change, str]]:
    """Every change on a suspicious line, with its score, line and operator."""
    by_type: dict[type[ast.AST], list[Operator]] = {}
    for operator in OPERATORS.values():
        for kind in operator.on:
            by_type.setdefault(kind, []).append(operator)
    for node in walk(source.tree):
        operators = by_type.get(type(node), ())
        own = source.lines(node) if operators else range(0)
        suspicion = max((suspects.get(line, 0.0) for line in own), default=0.0)
        inside = isinstance(node, ast.stmt) and hasattr(
            node, "body"
        )  # changes of its statements, not of its header
        for operator in operators if suspicion or inside else ():
            for change in operator.changes(source, node):
                line = bisect.bisect_right(source.starts, change.start)
                score = suspicion if line in own else suspects.get(line, 0.0)
                score *= lessons.get(f"line {line}", 1.0) * lessons.get(f"operator {operator.name}", 1.0)
                if score:
                    yield score * operator.prior * change.factor, line, change, operator.name


def walk(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that may be edited: not annotations, not decorators, not text templates, not the main guard."""
    for name, value in ast.iter_fields(node):
        if name in (
            "annotation",
            "returns",
            "decorator_list",
            "type_params",
            "keywords" if is_class(node) else "",
        ):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not isinstance(child, ast.JoinedStr) and not main_guard(child):
                yield child
                yield from walk(child)


def is_class(node: ast.AST) -> bool:
    """Is this a class definition?"""
    return isinstance(node, ast.ClassDef)


def main_guard(node: ast.AST) -> bool:
    """Is this ``if __name__ == "__main__":``?"""
    return isinstance(node, ast.If) and any(
        getattr(part, "id", "") == "__name__" for part in ast.walk(node.test)
    )


def compiles(data: bytes) -> bool:
    """Is this a valid Python program?"""
    try:
        compile(data, "<candidate>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError):
        return False
    return True
