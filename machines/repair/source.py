"""A Python source text, its syntax tree, and the byte span of every node."""

from __future__ import annotations

import ast
import functools
import hashlib
import io
import re
import tokenize
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

Node = TypeVar("Node", bound=ast.AST)


class BadInput(ValueError):
    """The program or its tests cannot be worked with; the message says which and why, in one line."""


class ProgramChanged(ValueError):
    """The program or its tests are no longer the files that the run began with."""


@dataclass(frozen=True, eq=False)
class Source:
    """One program.

    Attributes:
        path: The program's file, absolute.
        data: The file's bytes.
        encoding: How they are encoded (PEP 263); ``utf-8-sig`` where there is a byte order mark.
        text: The decoded text in UTF-8, without a byte order mark; every offset counts bytes in it.
        tree: Its syntax tree.
    """

    path: Path
    data: bytes
    encoding: str
    text: bytes
    tree: ast.Module

    @functools.cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        """The node above each node."""
        return {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}

    @functools.cached_property
    def nodes(self) -> dict[type[ast.AST], list[Any]]:
        """All nodes by their type."""
        found: dict[type[ast.AST], list[Any]] = {}
        for node in ast.walk(self.tree):
            found.setdefault(type(node), []).append(node)
        return found

    def all(self, kind: type[Node]) -> list[Node]:
        """All nodes of one type."""
        return self.nodes.get(kind, [])

    @functools.cached_property
    def starts(self) -> list[int]:
        """The offset at which each line starts; line 1 is the first element."""
        return [0, *(match.end() for match in re.finditer(rb"\r\n|\n|\r", self.text))]

    def span(self, node: ast.expr | ast.stmt | ast.ExceptHandler) -> tuple[int, int]:
        """Offsets of a node's first byte and of the byte after its last."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return (
            self.starts[node.lineno - 1] + node.col_offset,
            self.starts[node.end_lineno - 1] + node.end_col_offset,
        )

    def code(self, node: ast.expr | ast.stmt) -> str:
        """The text of a node."""
        start, end = self.span(node)
        return self.text[start:end].decode()

    def between(self, left: ast.expr, right: ast.expr, symbol: str) -> tuple[int, int]:
        """The span of the operator `symbol` that stands between two operands."""
        start, end = self.span(left)[1], self.span(right)[0]
        gap = re.sub(rb"#[^\r\n]*", lambda match: b" " * len(match[0]), self.text[start:end])
        found = re.search(r"[\s\\]+".join(map(re.escape, symbol.split())).encode(), gap)
        assert found is not None, f"no {symbol} between {ast.dump(left)} and {ast.dump(right)}"
        return start + found.start(), start + found.end()

    def statement(self, node: ast.AST) -> ast.AST:
        """The innermost statement, handler or case that a node belongs to; the module for none."""
        while not isinstance(node, (ast.stmt, ast.ExceptHandler, ast.Module)):
            node = self.parents[node]
        return node

    def lines(self, node: ast.AST) -> range:
        """The lines of a node's own statement: all of a simple one, the header of a compound one."""
        owner = self.statement(node)
        if not isinstance(owner, (ast.stmt, ast.ExceptHandler)):
            return range(0)
        body = getattr(owner, "body", None) or getattr(owner, "cases", None)
        first = min([owner.lineno, *(each.lineno for each in getattr(owner, "decorator_list", []))])
        if not body:
            return range(first, (owner.end_lineno or first) + 1)
        inner = body[0].pattern if isinstance(body[0], ast.match_case) else body[0]
        return range(first, max(inner.lineno, owner.lineno + 1))

    def patched(self, start: int, end: int, replacement: str) -> bytes:
        """The file's bytes with one span replaced, in the file's own encoding."""
        text = self.text[:start] + replacement.encode() + self.text[end:]
        return text.decode().encode(self.encoding)


def read(path: Path) -> Source:
    """Read a program; `BadInput` says what is wrong with it."""
    data = contents(path, "program")
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        text = data.decode(encoding)
        tree = ast.parse(text, filename=path.name)
    except SyntaxError as error:
        line = f", line {error.lineno}" if error.lineno else ""
        raise BadInput(f"program {path} is not valid Python{line}: {error.msg}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise BadInput(f"program {path} is not valid Python: {error}") from error
    return Source(path=path, data=data, encoding=encoding, text=text.encode(), tree=tree)


def contents(path: Path, what: str) -> bytes:
    """The bytes of the user's file; `BadInput` where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"{what} {path} cannot be read: {error.strerror}") from error


def digest(data: bytes) -> str:
    """A short SHA-256 of a file's bytes."""
    return hashlib.sha256(data).hexdigest()[:12]
