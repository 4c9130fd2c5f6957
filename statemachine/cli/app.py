"""The program `statemachine`: its commands, and what an error becomes."""

from __future__ import annotations

import errno
import json
import os
import sys

import typer

from statemachine.cli import (
    approve,
    audit,
    check,
    declare,
    doctor,
    draw,
    drive,
    look,
    many,
    migrate,
    repl,
    replay,
    stats,
    stops,
)
from statemachine.cli.terminal import complain, stdout
from statemachine.errors import InvalidMachine, LeaseLost, RunOwned, StateMachineError, StoreUnusable

app = typer.Typer(
    name="statemachine",
    help="Declare an agent as a state machine, run it durably, and see what it does.",
    epilog="Exit codes: 0 succeeded, 1 the run failed, 2 the call or the file is wrong, 3 the run waits for "
    "a person or an event, 4 the store refused or is damaged.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    declare.new,
    check.check,
    declare.show,
    declare.schema,
    draw.render,
    drive.run,
    drive.resume,
    many.worker,
    drive.send,
    drive.amend,
    drive.cancel,
    drive.undo,
    stops.stop,
    stops.start,
    drive.resolve,
    repl.repl,
    repl.fork,
    migrate.migrate,
    look.runs,
    look.status,
    look.explain,
    look.journal,
    replay.replay,
    stats.stats,
    doctor.doctor,
):
    app.command()(command)

app.add_typer(approve.key, name="key")
app.add_typer(approve.approvals, name="approvals")
app.add_typer(audit.audit, name="audit")


def main() -> None:
    """Run the program; a user's mistake ends in a message and an exit code, never in a traceback."""
    try:
        app()
    except StateMachineError as error:
        _report(error)
        sys.exit(4 if isinstance(error, StoreUnusable | RunOwned | LeaseLost) else 2)
    except KeyboardInterrupt:
        sys.exit(130)
    except SystemExit as end:
        if not isinstance(end.__context__, BrokenPipeError):
            raise
        # Whoever reads us has gone, as `head` does: typer says 1, and Python would complain when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout().fileno())
        sys.exit(141)
    except OSError as error:
        # Whatever it was that could not be written; what is in the store is whole.
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise
        where = f"{error.filename}: " if error.filename else ""
        complain(
            f"statemachine: {where}{error.strerror}; make room, then go on with: statemachine resume --all"
        )
        sys.exit(4)


def _report(error: StateMachineError) -> None:
    if "--json" in sys.argv:
        told: dict[str, object] = {"error": type(error).__name__, "message": str(error)}
        if isinstance(error, InvalidMachine):
            told["findings"] = [finding.as_json() for finding in error.findings]
        print(json.dumps(told, ensure_ascii=False), file=stdout(), flush=True)
    elif isinstance(error, InvalidMachine):
        count = len(error.findings)
        complain(f"{error}\n{count} error{'s' if count != 1 else ''}")
    else:
        complain(f"statemachine: {error}")
