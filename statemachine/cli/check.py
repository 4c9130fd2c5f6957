"""The command `check`: what is wrong with machines, and what each rule is for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from statemachine.cli.terminal import Json, say, say_json, stdout

if TYPE_CHECKING:
    from statemachine.errors import Finding
    from statemachine.machine.definition import Definition


Language = Literal["prism", "tla", "promela"]


@dataclass(frozen=True, slots=True)
class Checked:
    """One file: the machine in it, None if it does not load, and what was found."""

    file: str
    definition: Definition | None
    findings: Sequence[Finding]

    @property
    def ok(self) -> bool:
        """Whether it has no error that is not silenced."""
        return not any(f.severity == "error" and not f.allowed for f in self.findings)


def check(
    files: Annotated[
        list[str] | None,
        typer.Argument(help="Machines: FILE.yaml, FILE.py or FILE.py:NAME.", metavar="FILE…"),
    ] = None,
    sarif: Annotated[
        bool, typer.Option("--sarif", help="Print SARIF 2.1.0, for code hosts and editors.")
    ] = False,
    bounds: Annotated[
        bool,
        typer.Option(
            "--bounds", help="Also print the proved worst case: steps, calls, attempts, time, cost."
        ),
    ] = False,
    explain: Annotated[
        str | None,
        typer.Option(
            "--explain", help="Say what a rule is for, with a bad and a good machine.", metavar="CODE"
        ),
    ] = None,
    export: Annotated[
        Language | None,
        typer.Option("--export", help="Print the machine, guards left open, for a model checker instead."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="With --export, a folder for the model and its properties."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say everything that is wrong with machines, each fault with its line, column and a caret.

    PROVED holds in every run, REFUTED shows the run that breaks the rule, UNKNOWN could not be decided. A
    comment on the line, or alone on the line above, silences a rule:
    # statemachine: allow SM301 because REASON

    Example: statemachine check machines/agent/agent.yaml --bounds; statemachine check --explain SM301
    """
    stdout()
    if explain is not None:
        _explain(explain, as_json)
        return
    if not files:
        raise typer.BadParameter("name a machine's file, or a rule with --explain CODE")
    if sarif and as_json:
        raise typer.BadParameter("write one of --json and --sarif")
    if export is not None:
        from statemachine.cli.bounds import write_exported

        write_exported(files, export, output, as_json)
        return
    if output is not None:
        raise typer.BadParameter("-o goes with --export")
    results = [_examine(file) for file in files]
    if sarif:
        from statemachine.check import rules
        from statemachine.check.sarif import as_sarif

        say_json(as_sarif([f for result in results for f in result.findings], rules()))
    elif as_json:
        say_json([_data(result, bounds) for result in results])
    else:
        for result in results:
            _tell(result)
            if bounds and result.definition is not None:
                _tell_bounds(result.definition)
        _count([f for result in results for f in result.findings])
    if not all(result.ok for result in results):
        raise typer.Exit(2 if any(result.definition is None for result in results) else 1)


def _examine(file: str) -> Checked:
    from statemachine.check import check as examine
    from statemachine.errors import InvalidMachine
    from statemachine.machine.load import load

    try:
        loaded = load(file)
    except InvalidMachine as error:
        return Checked(file, None, error.findings)
    return Checked(file, loaded, examine(loaded))


def _tell_bounds(definition: Definition) -> None:
    from statemachine.check.bounds import prover_of
    from statemachine.cli.bounds import tell

    tell(f"{definition.declaration.machine} {definition.declaration.version}", prover_of(definition).bounds)


def _data(result: Checked, bounds: bool) -> dict[str, Any]:
    from statemachine.check.bounds import prover_of

    definition = result.definition
    more = {"bounds": prover_of(definition).bounds.as_json()} if bounds and definition is not None else {}
    return {
        "file": result.file,
        "ok": result.ok,
        "machine": definition.declaration.machine if definition else None,
        "version": definition.declaration.version if definition else None,
        "digest": definition.digest if definition else None,
        "findings": [f.as_json() for f in result.findings],
        **more,
    }


def _tell(result: Checked) -> None:
    for finding in result.findings:
        if not finding.allowed:
            say(finding.render())
    if result.definition is None or not result.ok:
        return
    declared = result.definition.declaration
    silenced = sum(bool(f.allowed) for f in result.findings)
    more = f", {silenced} silenced with a reason" if silenced else ""
    say(
        f"{result.file}: ok: {declared.machine} {declared.version}, {len(declared.states)} states, "
        f"sha256:{result.definition.digest[:12]}{more}"
    )


def _count(findings: Sequence[Finding]) -> None:
    counted = Counter(f.severity for f in findings if not f.allowed)
    told = [f"{n} {kind}{'s' if n != 1 else ''}" for kind in ("error", "warning") if (n := counted[kind])]
    if told:
        say(", ".join(told))


def _explain(code: str, as_json: bool) -> None:
    from statemachine.check import rules
    from statemachine.machine.references import suggest

    known = rules()
    rule = known.get(code.upper())
    if rule is None:
        raise typer.BadParameter(
            f"there is no rule {code}{suggest(code, known)}; rules are: {', '.join(known)}"
        )
    if as_json:
        parts = ("code", "title", "severity", "summary", "why", "bad", "good")
        say_json({part: getattr(rule, part) for part in parts})
        return
    say(f"{rule.code}: {rule.title} ({rule.severity})\n\n{rule.summary}\n{rule.why}")
    for kind, example in (("Bad", rule.bad), ("Good", rule.good)):
        indented = "".join(f"    {line}\n" if line else "\n" for line in example.splitlines())
        say(f"\n{kind}:\n\n{indented.rstrip()}")
