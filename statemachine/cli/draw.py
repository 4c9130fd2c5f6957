"""The command that draws machines, runs and differences: render."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from statemachine.cli.terminal import Db, Json, run_ids, say, say_json, stdout
from statemachine.errors import InvalidInput

if TYPE_CHECKING:
    from statemachine.machine.definition import Definition


def render(
    files: Annotated[
        list[str] | None,
        typer.Argument(help="Machines; none means all in the folder machines/.", metavar="[FILE…]"),
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="A file, a folder, or - for standard output.")
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            "-f",
            help="svg, png, pdf, dot, mermaid or text, of a difference also markdown; else by OUTPUT's ending.",
        ),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(
            help="Draw this run on its machine; the id may be shortened.",
            metavar="ID",
            autocompletion=run_ids,
        ),
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="Draw what changed since this older machine.", metavar="OLD")
    ] = None,
    bounds: Annotated[
        bool, typer.Option("--bounds", help="Mark every loop with how often it goes round, as proved.")
    ] = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Write nothing; fail when a committed picture is missing or out of date."
        ),
    ] = False,
    machines: Annotated[Path, typer.Option(help="The folder of all machines.")] = Path("machines"),
    diagrams: Annotated[Path, typer.Option(help="The folder of their pictures.")] = Path("diagrams"),
    db: Db = None,
    as_json: Json = False,
) -> None:
    """Draw machines, a run, or what changed between two machines.

    Without FILE, draw every machine in machines/ into diagrams/ (SVG, DOT and Mermaid) with its bounds, or with
    --check compare them.

    With --run, the machine that the run is pinned to shows where the run is, in which order and how often it took
    each transition, its attempts, its failures, and where its time went. With --against, what was added is green
    and solid (+), what was removed red and dashed (-), what was changed amber, with the old value and the new one
    (~); text and markdown list the changes.

    Example: statemachine render machines/agent/agent.yaml -o agent.svg

    Example: statemachine render --run 3f2a -o run.svg

    Example: statemachine render new.yaml --against old.yaml -f markdown
    """
    stdout()
    if run is not None or against is not None:
        if check:
            raise typer.BadParameter("--check compares the pictures of all machines, and no others")
        if run is not None and (files or against):
            raise typer.BadParameter("--run draws a run on its own machine; name no other")
        if run is not None:
            _run(run, output, format, db, as_json)
        elif against is not None:
            _difference(files or [], against, output, format, as_json)
    elif not files:
        if output or format:
            raise typer.BadParameter("name the machines to draw")
        _all(machines, diagrams, check, as_json)
    elif check:
        raise typer.BadParameter("--check compares all machines; name none")
    else:
        _some(files, output, format, as_json, bounds)


def _some(files: list[str], output: str | None, format: str | None, as_json: bool, bounds: bool) -> None:
    from statemachine.cli.bounds import marks
    from statemachine.diagrams import FORMATS, render
    from statemachine.machine.load import load

    chosen = _format(output, format, FORMATS)
    if len(files) > 1 and not (_printed(output, chosen) or _is_folder(output)):
        raise InvalidInput("several machines do not fit in one file; give a folder with -o")
    loaded = (load(file) for file in files)
    pictures = (
        (one.declaration.machine, render(one.declaration, chosen, marks(one) if bounds else None))
        for one in loaded
    )
    _put(pictures, output, chosen, FORMATS[chosen], as_json)


def _run(run: str, output: str | None, format: str | None, db: str | None, as_json: bool) -> None:
    from dataclasses import asdict

    from statemachine.cli.look import open_store
    from statemachine.diagrams import FORMATS, render_run
    from statemachine.host.pinned import declared
    from statemachine.host.trail import trail_of

    chosen = _format(output, format, FORMATS)
    with open_store(db) as store:
        trail = trail_of(store, run)
        declaration = declared(store, store.load(trail.run).machine)
    told = asdict(trail)
    for name in ("passages", "strays"):
        told[name] = [{**way._asdict(), **asdict(passage)} for way, passage in getattr(trail, name).items()]
    picture = (f"{declaration.machine}-{trail.run}", render_run(declaration, trail, chosen))
    _put([picture], output, chosen, FORMATS[chosen], as_json, told)


def _difference(
    files: list[str], against: str, output: str | None, format: str | None, as_json: bool
) -> None:
    from dataclasses import asdict

    from statemachine.diagrams import CHANGE_FORMATS, render_difference
    from statemachine.machine.compare import compare
    from statemachine.machine.load import load

    if len(files) != 1:
        raise typer.BadParameter("--against compares one machine with an older one: name the new one")
    chosen = _format(output, format, CHANGE_FORMATS)
    old, new = load(against).declaration, load(files[0]).declaration
    picture = (f"{new.machine}-changes", render_difference(old, new, chosen))
    _put([picture], output, chosen, CHANGE_FORMATS[chosen], as_json, asdict(compare(old, new)))


def _format(output: str | None, format: str | None, formats: Mapping[str, str]) -> str:
    from statemachine.diagrams import named

    chosen = format or (_by_ending(output) if output else None) or "svg"
    try:
        return named(chosen, formats)
    except ValueError:
        raise InvalidInput(f"there is no format `{chosen}`; write one of {', '.join(formats)}") from None


def _printed(output: str | None, format: str) -> bool:
    return output == "-" or (output is None and format in ("text", "markdown"))


def _is_folder(output: str | None) -> bool:
    return output is None or Path(output).is_dir() or output.endswith("/")


def _put(
    pictures: Iterable[tuple[str, bytes]],
    output: str | None,
    format: str,
    suffix: str,
    as_json: bool,
    told: Mapping[str, Any] | None = None,
) -> None:
    """Write pictures, each with its name, to where the user wants them; with --json, say so and what they tell."""
    from statemachine.diagrams.committed import save

    written: list[str] = []
    printed: list[str] = []
    for name, picture in pictures:
        if output == "-" or (_printed(output, format) and not as_json):
            stdout().flush()
            stdout().buffer.write(picture)
            stdout().buffer.flush()
        elif _printed(output, format):
            printed.append(picture.decode())
        else:
            path = Path(output or ".") / f"{name}{suffix}" if _is_folder(output) else Path(output or ".")
            save(path, picture)
            written.append(str(path))
    if not as_json:
        for path_written in written:
            say(f"wrote {path_written}")
    elif output != "-":
        say_json({"written": written, **({"text": "".join(printed)} if printed else {}), **(told or {})})


def _by_ending(output: str) -> str | None:
    ending = Path(output).suffix.removeprefix(".")
    return ending or None


def _all(machines: Path, diagrams: Path, check: bool, as_json: bool) -> None:
    from statemachine.cli.bounds import marks
    from statemachine.diagrams.committed import stale, write

    definitions = _definitions(machines)
    declarations = {stem: definition.declaration for stem, definition in definitions.items()}
    bounds = {stem: marks(definition) for stem, definition in definitions.items()}
    if not check:
        written = [str(path) for path in write(diagrams, declarations, bounds)]
        if as_json:
            say_json({"written": written})
        else:
            say("\n".join(f"wrote {path}" for path in written) or "all pictures are current")
        return
    old = stale(diagrams, declarations, bounds)
    if as_json:
        say_json({"ok": not old, "stale": [{"path": str(s.path), "why": s.why} for s in old]})
    else:
        for picture in old:
            say(f"{picture.path}: {picture.why}")
        say(
            "run `statemachine render` and commit the pictures"
            if old
            else f"pictures of {', '.join(declarations) or 'no machines'} are current"
        )
    if old:
        raise typer.Exit(1)


def _definitions(machines: Path) -> dict[str, Definition]:
    """Return each machine below a folder by name; a Python twin of a YAML file is the same machine."""
    from statemachine.machine.load import load

    if not machines.is_dir():
        raise InvalidInput(
            f"there is no folder {machines}; name the machines to draw, or write --machines FOLDER"
        )
    files = sorted(machines.glob("*/*.yaml"))
    files += [
        p
        for p in sorted(machines.glob("*/*.py"))
        if p.stem == p.parent.name and not p.with_suffix(".yaml").exists()
    ]
    named: dict[str, Path] = {}
    for file in files:
        if (other := named.setdefault(file.stem, file)) != file:
            raise InvalidInput(f"{other} and {file} would share their pictures; give one another name")
    return {stem: load(file) for stem, file in named.items()}
