"""What goes to the terminal, and the options that commands share."""

from __future__ import annotations

import json
import os
import sys
from functools import cache
from typing import Annotated, Any, TextIO
from unicodedata import east_asian_width

import typer

from statemachine.legible import legible

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Db = Annotated[
    str | None,
    typer.Option(
        "--db",
        help="The store: a SQLite file, or its URL. Else $STATEMACHINE_DB, else .statemachine/runs.db.",
        metavar="URL",
    ),
]


def run_ids(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Return ids of runs for a shell's completion, the newest first, each with how the run stands."""
    from statemachine.errors import StateMachineError
    from statemachine.host.places import default_db
    from statemachine.store.reading import ReadOnlyStore

    try:
        with ReadOnlyStore.open(ctx.params.get("db") or default_db()) as store:
            found = store.runs(limit=200)
    except StateMachineError:  # where nothing can be read there is nothing to complete
        return []
    return [
        (row.id, f"{row.name} {row.status} in {row.state}") for row in found if row.id.startswith(incomplete)
    ]


RunId = Annotated[
    str,
    typer.Argument(help="Id of a run; it may be shortened while it is unique.", autocompletion=run_ids),
]
MaybeRunId = Annotated[
    str | None, typer.Argument(help="Id of a run; it may be shortened.", autocompletion=run_ids)
]


@cache
def stdout() -> TextIO:
    """Return where results go. From the first call on, whatever a tool prints goes to standard error."""
    sys.stdout.flush()
    real = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="backslashreplace", buffering=1)
    os.dup2(2, 1)
    return real


def say(text: str = "") -> None:
    """Print a line of the result; what would move the cursor, or turn the text round, is spelled out."""
    print(legible(text), file=stdout(), flush=True)


def complain(text: str) -> None:
    """Print a line that is no result, such as why something failed, on standard error."""
    print(legible(text), file=sys.stderr, flush=True)


def say_under(head: str, text: str) -> None:
    """Print a text that may be anybody's after words of ours.

    It is one line; in a terminal, what of it has no room there goes on under its beginning, not under the words of ours,
    so that it cannot pose as one of them.
    """
    line = plain(text)
    if stdout().isatty():
        indent = max(2, len(head))
        line = f"\n{' ' * indent}".join(wrapped(line, columns() - indent))
    say(f"{head}{line}")


def columns() -> int:
    """Return how wide the terminal is; where there is none, as wide as it need be."""
    return max(40, os.get_terminal_size(stdout().fileno()).columns) if stdout().isatty() else 1 << 20


def plain(text: str) -> str:
    """Return a text on one line, with what does not print spelled out."""
    line = " ".join(text.split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def wrapped(text: str, width: int) -> list[str]:
    """Return a text's words in lines of at most so many cells; a word that is longer is cut."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        while word:
            room = width - _cells(line) - bool(line)
            if _cells(word) <= room:
                line, word = f"{line} {word}" if line else word, ""
            elif line:
                lines, line = [*lines, line], ""
            else:
                cut = next(n for n in range(len(word), 0, -1) if n == 1 or _cells(word[:n]) <= width)
                lines, word = [*lines, word[:cut]], word[cut:]
    return [*lines, line] if line or not lines else lines


def _cells(text: str) -> int:
    """Return how many places a text takes on a screen."""
    return sum(2 if east_asian_width(c) in "WF" else 1 for c in text)


def say_json(data: Any) -> None:
    """Print the result as one JSON document."""
    say(json.dumps(data, ensure_ascii=False, indent=None if not stdout().isatty() else 2))


def say_json_line(data: Any) -> None:
    """Print one of several results as JSON on a line of its own."""
    say(json.dumps(data, ensure_ascii=False))


def when(at: float | None) -> str:
    """Return a time for people, in the local time zone; empty for none."""
    from datetime import datetime

    return "" if at is None else datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def lasting(seconds: float) -> str:
    """Return a duration for people: ``0.4s``, ``12s``, ``3m05s``, ``2h10m``."""
    if seconds < 10:
        return f"{max(seconds, 0):.1f}s"
    if seconds < 60:
        return f"{seconds:.0f}s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest:02d}s" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02d}m"
