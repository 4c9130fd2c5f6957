"""Commands about machine files: new, show, schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from statemachine.cli.terminal import Json, say, say_json, stdout

File = Annotated[str, typer.Argument(help="A machine: FILE.yaml, FILE.py or FILE.py:NAME.", metavar="FILE")]


def new(
    name: Annotated[str, typer.Argument(help="Name of the machine: lower case letters, digits and _.")],
    folder: Annotated[Path, typer.Option("--in", help="Where to make the machine's folder.")] = Path(),
    as_json: Json = False,
) -> None:
    """Write a commented machine with seven states and its tools, to start from.

    Example: statemachine new shorten && statemachine check shorten/shorten.yaml
    """
    from statemachine.cli.template import write

    stdout()
    written = write(name, folder)
    if as_json:
        say_json({"written": [str(path) for path in written]})
        return
    for path in written:
        say(f"wrote {path}")
    machine = next(p for p in written if p.suffix == ".yaml")
    say(
        f"next:  statemachine check {machine}\n       statemachine render {machine} -o {machine.with_suffix('.svg')}"
    )


def show(
    file: File,
    yaml: Annotated[
        bool, typer.Option("--yaml", help="Print the declaration as YAML (the default).")
    ] = False,
    as_json: Json = False,
) -> None:
    """Print a machine's declaration as YAML or JSON, whichever language it is written in.

    Example: statemachine show machines/repair/repair.py --yaml
    """
    from statemachine.machine.load import load
    from statemachine.machine.yaml import to_yaml

    if yaml and as_json:
        raise typer.BadParameter("write one of --yaml and --json")
    stdout()
    definition = load(file)
    if as_json:
        say_json({"digest": definition.digest, "declaration": definition.declaration.as_data()})
    else:
        text = to_yaml(definition.declaration).rstrip("\n")
        say(text) if stdout().isatty() else print(text, file=stdout())  # in a file it is a machine again


def schema() -> None:
    """Print the JSON Schema of machine files, for editors.

    Example: statemachine schema > machine.schema.json
    """
    from importlib.resources import files

    say(
        files("statemachine.machine").joinpath("machine.schema.json").read_text(encoding="utf-8").rstrip("\n")
    )
