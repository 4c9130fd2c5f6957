"""The command that draws: render."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from statemachine.cli.terminal import Json, say, say_json, stdout
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
        typer.Option("--format", "-f", help="svg, png, pdf, dot, mermaid or text; else by OUTPUT's ending."),
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
    as_json: Json = False,
) -> None:
    """Draw machines.

    Without FILE, draw every machine in machines/ into diagrams/ (SVG, DOT and Mermaid) with its bounds, or with
    --check compare them.

    Example: statemachine render machines/agent/agent.yaml -o agent.svg
    """
    stdout()
    if not files:
        if output or format:
            raise typer.BadParameter("name the machines to draw")
        _all(machines, diagrams, check, as_json)
    elif check:
        raise typer.BadParameter("--check compares all machines; name none")
    else:
        _some(files, output, format, as_json, bounds)


def _some(files: list[str], output: str | None, format: str | None, as_json: bool, bounds: bool) -> None:
    from statemachine.cli.bounds import marks
    from statemachine.diagrams import FORMATS
    from statemachine.diagrams import render as draw
    from statemachine.diagrams.committed import save
    from statemachine.machine.load import load

    chosen = format or (_by_ending(output) if output else None) or "svg"
    chosen = {suffix: name for name, suffix in FORMATS.items()}.get(f".{chosen}", chosen)
    if chosen not in FORMATS:
        raise InvalidInput(f"there is no format `{chosen}`; write one of {', '.join(FORMATS)}")
    if output == "-" or (output is None and chosen == "text"):
        for file in files:
            stdout().flush()
            loaded = load(file)
            stdout().buffer.write(draw(loaded.declaration, chosen, marks(loaded) if bounds else None))
            stdout().buffer.flush()
        return
    into_folder = output is None or Path(output).is_dir() or output.endswith("/")
    if len(files) > 1 and not into_folder:
        raise InvalidInput("several machines do not fit in one file; give a folder with -o")
    written = []
    for file in files:
        loaded = load(file)
        declared = loaded.declaration
        path = Path(output or ".")
        if into_folder:
            path = path / f"{declared.machine}{FORMATS[chosen]}"
        save(path, draw(declared, chosen, marks(loaded) if bounds else None))
        written.append(str(path))
    if as_json:
        say_json({"written": written})
    else:
        for name in written:
            say(f"wrote {name}")


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
