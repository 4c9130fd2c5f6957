"""The path of a run while it runs: live in a terminal, plain lines in a pipe."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from statemachine.cli.bounds import line
from statemachine.cli.terminal import lasting, say, stdout

if TYPE_CHECKING:
    from statemachine.host.driver import Observer
    from statemachine.kernel import Step
    from statemachine.machine.definition import Definition

_SHOWN = 12
"""Past states that the live view keeps in sight."""


@contextmanager
def progress(*, quiet: bool) -> Iterator[Observer | None]:
    """Give an observer that shows each step of a run."""
    if quiet:
        yield None
    elif stdout().isatty():
        yield from _live()
    else:
        yield _print


def _print(definition: Definition, made: Step, now: float) -> None:
    from statemachine.host.wording import arrow, doing

    after = made.snapshot
    if made.receipt.event == "start":
        declared = definition.declaration
        say(f"run {after.run}: {declared.machine} {declared.version} sha256:{definition.digest[:12]}")
    elapsed = lasting(now - after.started)
    if made.receipt.target is not None:
        say(f"{elapsed:>8}  {arrow(definition, made)}")
    elif made.receipt.verdict == "retry":
        say(f"{elapsed:>8}  {after.state}: {doing(definition, after)}")


def _live() -> Iterator[Observer]:
    from rich.console import Console
    from rich.live import Live
    from rich.spinner import Spinner
    from rich.table import Table
    from rich.text import Text

    from statemachine.host.wording import arrow, doing

    console = Console(file=stdout())
    steps: list[tuple[Definition, Step, float]] = []
    spinner = Spinner("dots")

    def picture() -> Any:
        table = Table.grid(padding=(0, 2))
        if not steps:
            return table
        definition, last, _ = steps[-1]
        after, declared = last.snapshot, definition.declaration
        moved = [s for s in steps if s[1].receipt.target is not None]
        if len(moved) > _SHOWN:
            table.add_row("", Text(f"… {after.steps - _SHOWN} earlier transitions", style="dim"))
        for _, made, now in moved[-_SHOWN:]:
            table.add_row(Text(lasting(now - after.started), style="dim"), Text(arrow(definition, made)))
        if not after.finished:
            elapsed = lasting(time.time() - after.started)
            most = (
                f" of {declared.states[after.state].attempts}"
                if declared.states[after.state].attempts
                else ""
            )
            attempt = (
                f", attempt {after.attempts[after.state]}{most}" if after.state in after.attempts else ""
            )
            text = Text(f"{after.state}{attempt}: {doing(definition, after)}, {elapsed}", style="bold")
            table.add_row(spinner, text)
        return table

    def observe(definition: Definition, made: Step, now: float) -> None:
        if not steps:
            declared = definition.declaration
            console.print(f"run {made.snapshot.run}: {declared.machine} {declared.version}", highlight=False)
            for bounds in (body["bounds"] for _, body in made.entries if "bounds" in body):
                console.print(f"proved: {line(bounds)}", style="dim", highlight=False)
        steps.append((definition, made, now))
        del steps[: -4 * _SHOWN]

    with Live(get_renderable=picture, console=console, refresh_per_second=8):
        yield observe
