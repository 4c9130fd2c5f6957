"""The command stats: how all runs of a store are doing, on one screen."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from statemachine.cli.look import open_store
from statemachine.cli.terminal import Db, Json, lasting, say, say_json, say_json_line, stdout

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from statemachine.monitor import Measures, Warning
    from statemachine.monitor.measures import MachineMeasures


class Export(StrEnum):
    """What ships for those who scrape."""

    grafana = "grafana"
    alerts = "alerts"


def stats(
    machine: Annotated[str | None, typer.Option(help="Only runs of the machine of this name.")] = None,
    since: Annotated[
        str, typer.Option(help="How far back to count what has ended: 30m, 24h, 7d.", metavar="DURATION")
    ] = "24h",
    watch: Annotated[bool, typer.Option("--watch", help="Look again and again, until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(min=0.1, help="With --watch: seconds between two looks.")] = 2.0,
    export: Annotated[
        Export | None,
        typer.Option(help="Print the Grafana dashboard, or the Prometheus alert rules, and end."),
    ] = None,
    db: Db = None,
    as_json: Json = False,
) -> None:
    """Say how all runs are doing: what is not as it should be first, then machines and tools.

    With --json one document, with --watch --json one a line. Workers give the same to Prometheus (worker
    --metrics).

    Example: statemachine stats --since 6h --watch
    """
    from statemachine.machine.duration import seconds
    from statemachine.monitor import Monitor, warnings

    stdout()
    if export is not None:
        from statemachine.monitor.data import text

        say(text(export.value).rstrip("\n"))
        return
    try:
        window = seconds(since)
    except ValueError as error:
        raise typer.BadParameter(f"--since: {error}") from None
    with open_store(db) as store:
        monitor = Monitor(store, window=window, machine=machine)
        measures = monitor.look(time.time())
        if not watch:
            if as_json:
                say_json(_data(measures, warnings(measures)))
            else:
                _console().print(_screen(measures, warnings(measures)))
            return
        if as_json:
            while True:
                say_json_line(_data(measures, warnings(measures)))
                time.sleep(every)
                measures = monitor.look(time.time())
        from rich.live import Live

        with Live(console=_console(), screen=stdout().isatty(), auto_refresh=False) as live:
            while True:
                live.update(_screen(measures, warnings(measures)), refresh=True)
                time.sleep(every)
                measures = monitor.look(time.time())


def _data(measures: Measures, found: tuple[Warning, ...]) -> dict[str, Any]:
    return {"warnings": [asdict(warning) for warning in found], **measures.as_data()}


def _console() -> Any:
    from rich.console import Console

    return Console(file=stdout(), width=None if stdout().isatty() else 140, highlight=False)


def _screen(measures: Measures, found: tuple[Warning, ...]) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    if not measures.machines:
        return Text("no run in this time; `statemachine runs` lists older ones")
    parts: list[RenderableType] = []
    for warning in found:
        line = Text.assemble((f"{warning.what}: ", "bold red"), warning.says)
        parts += [line, Text(f"    {warning.look}", style="dim")]
    parts += [Text("nothing is out of the ordinary", style="green")] if not found else []
    parts += [Text(), _machines(measures)]
    if measures.tools:
        parts += [Text(), _tools(measures)]
    return Group(*parts)


def _table(*columns: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="left" if column in ("machine", "tool", "failures") else "right")
    return table


def _machines(measures: Measures) -> Table:
    table = _table(
        *("machine", "queued", "running", "waiting", "beyond", "on people", "longest", "succeeded", "failed"),
        *("cancelled", "stuck", "approved", "decided in", "intervened"),
    )
    for machine in measures.machines:
        on_people = sum(waiting.count for waiting in machine.waiting)
        longest = max((waiting.oldest for waiting in machine.waiting), default=None)
        counts = [machine.unfinished.get(status, 0) for status in ("pending", "running", "waiting")]
        ended = [machine.finished.get(status, 0) for status in ("succeeded", "failed", "cancelled")]
        table.add_row(
            machine.machine,
            *_numbers(*counts, machine.beyond, on_people),
            _took(longest),
            *_numbers(*ended, machine.stuck),
            _share(machine.approval_rate),
            _took(machine.decided_in.percentile(0.5)),
            _intervened(machine),
        )
    return table


def _tools(measures: Measures) -> Table:
    table = _table(
        "tool", "machine", "calls", "succeeded", "lately", "p50", "p95", "again", "in doubt", "failures"
    )
    for tool in measures.tools:
        failures = {c: n for c, n in tool.calls.results.items() if c not in ("success", "partial")}
        table.add_row(
            tool.tool,
            tool.machine,
            str(tool.calls.count),
            _share(tool.calls.success),
            _share(tool.recent.success),
            _took(tool.calls.took.percentile(0.5)),
            _took(tool.calls.took.percentile(0.95)),
            *_numbers(sum(tool.retries.values()), tool.in_doubt),
            _listed(failures),
        )
    return table


def _numbers(*numbers: int) -> list[str]:
    return [str(number) if number else "" for number in numbers]


def _share(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"


def _took(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{1000 * seconds:.0f}ms" if seconds < 1 else lasting(seconds)


def _intervened(machine: MachineMeasures) -> str:
    expected = machine.expected_interventions
    usual = "" if expected is None else f" of {expected:.0%}"
    return f"{_share(machine.intervention_rate)}{usual}" if machine.intervened or usual else ""


def _listed(failures: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(failures.items(), key=lambda f: -f[1]))
