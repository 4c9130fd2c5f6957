"""Commands that move many runs: what `run` does with several inputs or leaves to workers, and worker."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from statemachine.cli.beside import (
    Anchor,
    AnchorCommand,
    AnchorEvery,
    AnchorRecords,
    Beside,
    Compliance,
    SignAs,
    SigningKey,
    beside,
)
from statemachine.cli.signals import stop_on_signals
from statemachine.cli.terminal import Db, Json, complain, say, say_json, say_json_line, stdout
from statemachine.errors import InvalidInput, StateMachineError

if TYPE_CHECKING:
    from statemachine.host.many import Given
    from statemachine.host.runtime import Runtime
    from statemachine.machine.definition import Definition

AtOnce = Annotated[int, typer.Option("--at-once", min=1, help="Of many runs, how many go on at a time.")]
_MOST_PROBLEMS = 50


def read_lines(definition: Definition, file: str, common: dict[str, Any]) -> list[Given]:
    """Return the inputs of many runs, each with its line number.

    Args:
        definition: The machine.
        file: A file with a JSON object a line, or ``-`` for standard input; empty lines are passed over.
        common: Inputs of all of them, which a line may replace.

    Raises:
        InvalidInput: With everything that is wrong, by line.
    """
    from statemachine.kernel.inputs import checked_inputs

    given: list[Given] = []
    problems: list[str] = []
    for number, line in enumerate(_lines(file), start=1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
            if not isinstance(data, dict):
                raise InvalidInput("this is no JSON object")
            given.append((number, common | data))
            checked_inputs(definition, given[-1][1])
        except InvalidInput as error:
            problems += [f"{file}:{number}: {problem}" for problem in str(error).splitlines()]
        except (ValueError, RecursionError) as error:
            problems.append(f"{file}:{number}: not JSON: {error}")
    if problems:
        more = len(problems) - _MOST_PROBLEMS
        raise InvalidInput(
            "\n".join([*problems[:_MOST_PROBLEMS], *([f"… and {more} more"] if more > 0 else [])])
        )
    if not given:
        raise InvalidInput(f"{file} holds no inputs; write a JSON object a line")
    return given


def _lines(file: str) -> Iterator[str]:
    try:
        if file == "-":
            yield from sys.stdin
        else:
            with Path(file).open(encoding="utf-8") as lines:
                yield from lines
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{file} is not text in UTF-8: {error}") from None


def run_all(
    definition: Definition,
    given: Sequence[Given],
    db: str | None,
    *,
    at_once: int,
    follow: bool,
    as_json: bool,
    asked: Beside,
) -> None:
    """Start a run for each of the inputs, tell of each as it ends, and exit with the worst of them."""
    from statemachine.cli.tally import tally
    from statemachine.host.many import run_many
    from statemachine.host.runtime import Runtime
    from statemachine.host.view import RunView, path_of

    stopped: list[int] = []

    async def work() -> int:
        async with Runtime(db, follow=follow) as runtime:
            stop_on_signals(runtime, stopped)
            with beside(runtime, asked), tally(as_json, len(given)) as counted:
                started = run_many(
                    runtime, lambda inputs: runtime.start(definition, inputs), given, at_once=at_once
                )
                async with aclosing(started):
                    async for number, result in started:
                        if isinstance(result, RunView):
                            path = {"path": path_of(runtime.store, result.run)} if as_json else {}
                            counted.left(result, input=number, **path)
                        else:
                            counted.impossible(result, f"input {number}", input=number)
            counted.sum_up()
            unstarted = len(given) - counted.counts.total()
            if unstarted:
                complain(f"{unstarted} runs were not started")
            return counted.exit_code

    code = asyncio.run(work())
    raise typer.Exit(128 + stopped[0] if stopped else code)


def detach_all(
    definition: Definition, given: Sequence[Given], db: str | None, *, single: bool, as_json: bool
) -> None:
    """Queue a run for each of the inputs and print its id."""
    from statemachine.host.many import run_many
    from statemachine.host.runtime import Runtime

    async def work() -> None:
        async with Runtime(db) as runtime:
            queued = run_many(runtime, lambda inputs: runtime.queue(definition, inputs), given, at_once=500)
            async with aclosing(queued):
                async for number, result in queued:
                    if isinstance(result, StateMachineError):
                        raise result
                    if not as_json:
                        say(result.run)
                    elif single:
                        say_json(result.as_data())
                    else:
                        say_json_line({"input": number, **result.as_data()})

    asyncio.run(work())


def worker(
    db: Db = None,
    at_once: AtOnce = 100,
    until_idle: Annotated[
        bool,
        typer.Option("--until-idle", help="End when every run has ended or waits for an event or a person."),
    ] = False,
    poll: Annotated[
        float, typer.Option(min=0.01, help="Seconds between two looks for runs that can move.")
    ] = 1.0,
    metrics: Annotated[
        str | None,
        typer.Option(
            "--metrics", metavar="HOST:PORT", help="Serve the measures of the store to Prometheus there."
        ),
    ] = None,
    anchor: Anchor = None,
    anchor_every: AnchorEvery = "10m",
    anchor_records: AnchorRecords = 10_000,
    anchor_command: AnchorCommand = None,
    name: SignAs = "",
    key: SigningKey = None,
    compliance: Compliance = None,
    as_json: Json = False,
) -> None:
    """Drive runs that can move and that nobody drives; several workers may share a database.

    It takes runs that were left to it (run --detach), that were interrupted, whose timer is due, or that an event
    was sent to, and says how each stands when it leaves it; --json prints one JSON object a line for that. A run
    of a worker that died is taken over at once on the same host, elsewhere when its lease of 30 s is over. Ctrl-C
    and SIGTERM stop it at a safe point. Exit codes: 0 idle, 4 the store refused or a run could not be driven (it
    is tried again by the next worker that starts), 128 + signal; how the runs ended does not count.

    Beside the runs it can note their heads outside of the store, signed (--anchor), and append a record of each call to
    a file (--compliance); of several workers with the same file one does. OpenTelemetry gets spans, metrics and log
    records where the environment says so (OTEL_EXPORTER_OTLP_ENDPOINT, …).

    Example: statemachine worker --at-once 50 --metrics 127.0.0.1:9464 --anchor /mnt/worm/runs.anchors --as worker
    """
    from statemachine.cli.tally import tally
    from statemachine.host.runtime import Runtime
    from statemachine.host.worker import Worker

    asked = Beside(anchor, anchor_every, anchor_records, anchor_command, name, key, compliance)
    stdout()
    stopped: list[int] = []

    async def work() -> int:
        # A service may be up before the first run; whoever waits for the end of runs has some.
        async with Runtime(db, create=not until_idle) as runtime:
            stop_on_signals(runtime, stopped)
            with _metrics(runtime, metrics), beside(runtime, asked), tally(as_json, None) as counted:
                at_work = Worker(runtime, at_once=at_once, poll=poll, until_idle=until_idle).work()
                async with aclosing(at_work):
                    async for result in at_work:
                        if isinstance(result, tuple):
                            counted.impossible(result[1], f"run {result[0]}", run=result[0])
                        elif not result.waiting.startswith("time") and result.status != "running":
                            counted.left(result)
            counted.sum_up()
            return 4 if counted.counts["impossible"] else 0

    code = asyncio.run(work())
    raise typer.Exit(128 + stopped[0] if stopped else code)


@contextmanager
def _metrics(runtime: Runtime, address: str | None) -> Iterator[None]:
    """Serve the measures of the runtime's store at an address, if one is given, and say where."""
    if address is None:
        yield
        return
    from statemachine.monitor.prometheus import served

    with served(runtime.store, address) as url:
        complain(f"metrics at {url}")
        yield
