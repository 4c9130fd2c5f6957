"""What goes to the terminal, and the options that commands share."""

from __future__ import annotations

import json
import os
import sys
from functools import cache
from typing import Annotated, Any, TextIO

import typer

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
    """Print a line of the result."""
    print(text, file=stdout(), flush=True)


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
