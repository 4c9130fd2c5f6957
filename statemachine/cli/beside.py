"""What goes on beside the runs that a command drives: checkpoints, the compliance stream, OpenTelemetry."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from statemachine.cli.terminal import complain

if TYPE_CHECKING:
    from statemachine.host.background import Job
    from statemachine.host.runtime import Runtime
    from statemachine.store import Store

Anchor = Annotated[
    Path | None,
    typer.Option(
        "--anchor",
        metavar="FILE",
        help="Note all runs' heads there by itself, as `audit anchor` does; where whoever can write the store cannot.",
    ),
]
AnchorEvery = Annotated[
    str, typer.Option("--anchor-every", metavar="DURATION", help="With --anchor: at least so often.")
]
AnchorRecords = Annotated[
    int, typer.Option("--anchor-records", min=1, help="With --anchor: after so many records at the latest.")
]
AnchorCommand = Annotated[
    str | None,
    typer.Option(
        "--anchor-command",
        metavar="COMMAND",
        help="With --anchor: a command that gets each on its standard input, to keep it elsewhere.",
    ),
]
SignAs = Annotated[
    str, typer.Option("--as", metavar="NAME", help="With --anchor: who signs, a name in the policy.")
]
SigningKey = Annotated[
    Path | None, typer.Option("--key", help="With --as: the private key; else NAME.key in the usual folder.")
]
Compliance = Annotated[
    Path | None,
    typer.Option(
        "--compliance",
        metavar="FILE.jsonl",
        help="Append a record of each call, without payload, as `audit export` gives it.",
    ),
]


@dataclass(frozen=True, slots=True)
class Beside:
    """What a command is asked to do beside the runs; the names are those of its options."""

    anchor: Path | None = None
    every: str = "10m"
    records: int = 10_000
    command: str | None = None
    name: str = ""
    key: Path | None = None
    compliance: Path | None = None

    def __post_init__(self) -> None:
        """Raise BadParameter for what does not go together."""
        if self.anchor is None and (self.command or self.name):
            raise typer.BadParameter("--anchor-command and --as go with --anchor FILE")
        if self.key is not None and not self.name:
            raise typer.BadParameter("--key goes with --as NAME")


NOTHING = Beside()


@contextmanager
def beside(runtime: Runtime, asked: Beside) -> Iterator[None]:
    """Do what is asked, and what the environment says of OpenTelemetry, for as long as the context lasts."""
    telemetry = any(name.startswith("OTEL_") for name in os.environ)
    if not telemetry and asked.anchor is None and asked.compliance is None:
        yield
        return
    from statemachine.errors import MissingExtra
    from statemachine.host.background import Background

    with ExitStack() as stack:
        jobs: list[Job] = list(_audit(runtime, asked))
        if telemetry:
            try:
                jobs += _telemetry(runtime.store, stack)
            except MissingExtra as error:
                _say(str(error))  # the variables are often set for all programs of a host
        stack.enter_context(Background(jobs, _say))
        yield


def _say(what: str) -> None:
    complain(f"statemachine: {what}")


def _audit(runtime: Runtime, asked: Beside) -> Iterator[Job]:
    if asked.anchor is not None:
        from statemachine.approvals.keys import default_folder, load_key
        from statemachine.host.checkpoints import Checkpoints, Often
        from statemachine.machine.duration import seconds

        try:
            often = Often(asked.records, seconds(asked.every))
        except ValueError as error:
            raise typer.BadParameter(f"--anchor-every: {error}") from None
        key = load_key(asked.key or default_folder() / f"{asked.name}.key") if asked.name else None
        words = tuple(shlex.split(asked.command)) if asked.command else ()
        yield Checkpoints(
            runtime.store, asked.anchor, runtime.policy, often, by=asked.name, key=key, command=words
        )
    if asked.compliance is not None:
        from statemachine.host.sinks import ComplianceFile

        yield ComplianceFile(runtime.store, asked.compliance)


def _telemetry(store: Store, stack: ExitStack) -> Iterator[Job]:
    from statemachine.host.sinks import ComplianceLogs
    from statemachine.monitor import otel
    from statemachine.monitor.meters import Meters
    from statemachine.monitor.traces import Traces

    told, place = otel.exporters(os.environ), Path(store.name).absolute()
    if "traces" in told:
        traced = otel.tracing(told["traces"])
        stack.callback(traced.close)
        at = place.with_name(f"{place.name}.traces")
        yield Traces(store, traced.provider, traced.ids, traced.sampled, traced.flush, at)
    if "logs" in told:
        logged = otel.logging(told["logs"])
        stack.callback(logged.close)
        yield ComplianceLogs(store, logged.provider, logged.flush, place.with_name(f"{place.name}.logs"))
    if "metrics" in told:
        metered = otel.metering(told["metrics"])
        stack.callback(metered.close)
        yield Meters(store, metered.provider, metered.flush, place.with_name(f"{place.name}.metrics"))
