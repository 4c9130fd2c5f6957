"""Comments that silence a rule of the checker: ``# statemachine: allow SM301 because REASON``.

One stands on the line that it is about, or on a line of its own above it.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from statemachine.errors import Place

_COMMENT = re.compile(r"(?:^|(?<=\s))#[ \t]*statemachine:[ \t]*(.*?)[ \t\r]*$", re.MULTILINE)
_SENTENCE = re.compile(r"allow\s+(SM\d+(?:\s*,\s*SM\d+)*)(?:\s+because\s+(\S.*))?")


@dataclass(frozen=True, slots=True)
class Allowance:
    """One such comment.

    Attributes:
        codes: The rules that it silences; none when it is not the sentence that it must be.
        reason: Why; empty when it gives none.
        line: The line that it is about, from 1.
        place: Where the comment is.
    """

    codes: tuple[str, ...]
    reason: str
    line: int
    place: Place


def in_yaml(text: str, file: str, lines: Sequence[str]) -> tuple[Allowance, ...]:
    """Return the allowances of a YAML text that parses; ``lines`` are its lines."""
    found = list(_COMMENT.finditer(text))
    if not found:
        return ()
    from ruamel.yaml import YAML
    from ruamel.yaml import events as ev

    # What looks like a comment within a quoted or a block scalar is text.
    scalars = [
        (event.start_mark.index, event.end_mark.index)
        for event in YAML(typ="safe", pure=True).parse(text)
        if isinstance(event, ev.ScalarEvent)
    ]
    comments = [m for m in found if not any(start <= m.start() < end for start, end in scalars)]
    places = (
        (text.count("\n", 0, m.start()), m.start() - text.rfind("\n", 0, m.start()) - 1) for m in comments
    )
    return tuple(_read(((*at, m[0]) for at, m in zip(places, comments, strict=True)), file, lines))


def in_python(text: str, file: str) -> tuple[Allowance, ...]:
    """Return the allowances of a Python source that runs."""
    if "statemachine:" not in text:
        return ()
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    comments = ((t.start[0] - 1, t.start[1], t.string) for t in tokens if t.type == tokenize.COMMENT)
    return tuple(_read(comments, file, text.splitlines()))


def _read(comments: Iterable[tuple[int, int, str]], file: str, lines: Sequence[str]) -> Iterator[Allowance]:
    """Yield what comments allow, each given with its line and column, from 0."""
    for row, column, comment in comments:
        match = _COMMENT.fullmatch(comment)
        if match is None:
            continue
        about = row
        if not lines[row][:column].strip():
            below = range(row + 1, len(lines))
            about = next((n for n in below if not lines[n].lstrip().startswith("#")), row)
        said = _SENTENCE.fullmatch(match[1])
        codes = tuple(re.findall(r"SM\d+", said[1])) if said else ()
        reason = said[2] or "" if said else ""
        yield Allowance(codes, reason, about + 1, Place(file, row + 1, column + 1, lines[row]))
