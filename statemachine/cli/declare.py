"""Commands about machine files: new, check, show, schema."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from statemachine.cli.terminal import Json, say, say_json, stdout

if TYPE_CHECKING:
    from statemachine.errors import Finding
    from statemachine.machine.definition import Definition

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


def check(
    files: Annotated[
        list[str], typer.Argument(help="Machines: FILE.yaml, FILE.py or FILE.py:NAME.", metavar="FILE…")
    ],
    as_json: Json = False,
) -> None:
    """Say everything that is wrong with machines, each fault with its line, column and a caret.

    Example: statemachine check machines/agent/agent.yaml
    """
    from statemachine.check import check as examine
    from statemachine.errors import InvalidMachine
    from statemachine.machine.load import load

    stdout()
    results: list[tuple[str, Definition | None, Sequence[Finding]]] = []
    for file in files:
        try:
            loaded = load(file)
            results.append((file, loaded, examine(loaded)))
        except InvalidMachine as error:
            results.append((file, None, error.findings))
    wrong = sum(f.severity == "error" for _, _, findings in results for f in findings)
    if as_json:
        say_json(
            [
                {
                    "file": file,
                    "ok": not any(f.severity == "error" for f in findings),
                    "machine": definition.declaration.machine if definition else None,
                    "version": definition.declaration.version if definition else None,
                    "digest": definition.digest if definition else None,
                    "findings": [f.as_json() for f in findings],
                }
                for file, definition, findings in results
            ]
        )
    else:
        for file, definition, findings in results:
            for finding in findings:
                say(finding.render())
            if definition is not None and not any(f.severity == "error" for f in findings):
                declared = definition.declaration
                say(
                    f"{file}: ok: {declared.machine} {declared.version}, {len(declared.states)} states, "
                    f"sha256:{definition.digest[:12]}"
                )
        if wrong:
            say(f"{wrong} error{'s' if wrong != 1 else ''}")
    if wrong:
        raise typer.Exit(2 if any(definition is None for _, definition, _ in results) else 1)


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
        say(to_yaml(definition.declaration).rstrip("\n"))


def schema() -> None:
    """Print the JSON Schema of machine files, for editors.

    Example: statemachine schema > machine.schema.json
    """
    from importlib.resources import files

    say(
        files("statemachine.machine").joinpath("machine.schema.json").read_text(encoding="utf-8").rstrip("\n")
    )
