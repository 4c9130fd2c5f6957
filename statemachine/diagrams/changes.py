"""A difference in words: for a terminal, and as Markdown for a pull request."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from itertools import groupby

from statemachine.diagrams.changed import SIGNS, counts
from statemachine.diagrams.drawing import Drawing, printable
from statemachine.diagrams.mermaid import source as mermaid
from statemachine.diagrams.text import WIDTH
from statemachine.machine.compare import Change, Detail, Difference

_TITLES = {
    "machine": "Machine",
    "limits": "Limits",
    "context": "Context",
    "event": "Events",
    "tool": "Tools",
    "state": "States",
    "transition": "Transitions",
}


def text(difference: Difference) -> str:
    """Return a difference as lines of at most 80 columns, part by part."""
    return "\n".join(_lines(difference)) + "\n"


def markdown(difference: Difference, drawing: Drawing) -> str:
    """Return a difference as Markdown: counts, a Mermaid diagram, and a table for each sort of part."""
    head = f"{_code(difference.old)} → {_code(difference.new)}: {counts(difference)}"
    if not difference.changes:
        return f"{head}\n"
    blocks = [head, f"```mermaid\n{mermaid(drawing)}```"]
    for part, changes in groupby(difference.changes, lambda change: change.part):
        rows = [row for change in changes for row in _rows(change)]
        table = ["| | name | what | before | now |", "|---|---|---|---|---|"]
        table += [f"| {' | '.join(row)} |" for row in rows]
        blocks.append(f"**{_TITLES[part]}**\n\n" + "\n".join(table))
    return "\n\n".join(blocks) + "\n"


def _lines(difference: Difference) -> Iterator[str]:
    yield from textwrap.wrap(
        printable(f"{difference.old} -> {difference.new}"), WIDTH, subsequent_indent="  "
    )
    yield from textwrap.wrap(counts(difference), WIDTH, subsequent_indent="  ")
    for part, changes in groupby(difference.changes, lambda change: change.part):
        yield ""
        yield _TITLES[part].lower()
        for change in changes:
            name = "" if change.part in ("machine", "limits") else f" {change.name}"
            if name:
                yield from _wrapped(f"{SIGNS[change.kind]}{name}", "  ", "      ")
            for detail in _values(change):
                yield from _wrapped(_told(change, detail), "      " if name else "  ~ ", "          ")


def _values(change: Change) -> list[Detail]:
    """Return what differs, leaving out what the name tells: where an added or removed transition leads."""
    named = "to" if change.part == "transition" and change.kind != "changed" else ""
    return [detail for detail in change.details if detail.what != named]


def _told(change: Change, detail: Detail) -> str:
    value = {"added": detail.new, "removed": detail.old}.get(change.kind)
    return printable(detail.text if value is None else f"{detail.what} {value}")


def _wrapped(line: str, first: str, rest: str) -> list[str]:
    return textwrap.wrap(line, WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)


def _rows(change: Change) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield the cells of a change: one row for each value, or one for all of what was added or removed."""
    sign, name = SIGNS[change.kind], _code(change.name)
    if change.kind == "changed":
        for detail in change.details:
            yield sign, name, detail.what, _cell(detail.old), _cell(detail.new)
        return
    cells = (f"{d.what} {_cell(d.new if d.old is None else d.old)}" for d in _values(change))
    values = "<br>".join(cells)
    yield sign, name, change.kind, *((values, "") if change.kind == "removed" else ("", values))


def _cell(value: str | None) -> str:
    return "" if value is None else _code(value).replace("|", "\\|")


def _code(value: str) -> str:
    """Return text as code, whatever it holds."""
    line = printable(value)
    fence = "`" * (max((len(run) for run in re.findall("`+", line)), default=0) + 1)
    # Code that begins or ends with a backtick needs a space, which is not shown.
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}"
