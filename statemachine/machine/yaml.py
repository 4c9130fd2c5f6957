"""Machines in YAML: read with every fault at its place, and printed."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from typing import Any

from statemachine.errors import InvalidMachine
from statemachine.machine.contract import Backoff
from statemachine.machine.definition import Definition
from statemachine.machine.model import Declaration, PythonGuard
from statemachine.machine.references import Folder
from statemachine.machine.report import Keys, Report, nowhere
from statemachine.machine.resolve import resolve_into
from statemachine.machine.source import Source
from statemachine.machine.validate import validate

_BACKOFF = Backoff().model_dump(mode="json")
_WORDS = re.compile(r"\*|\d+(?:ms|[smhd])|[A-Za-z_](?:[\w./ -]*[\w.])?", re.ASCII)


def define(source: Source, folder: Folder) -> Definition:
    """Return the definition of a machine in YAML.

    Raises:
        InvalidMachine: With everything that is wrong, in the order of the file.
    """
    report = Report(source.place, list(source.findings), set(source.damaged), allowances=source.allowances)
    if not isinstance(source.data, dict):
        raise InvalidMachine(report.findings)
    declaration = validate(source.data, report, source.written)
    for path, function in _function_guards(declaration):
        report.add("SM108", path, f"{function} is a function; a guard in YAML is an expression")
        report.damaged.add(path)
    return resolve_into(report, declaration, folder)


def to_yaml(declaration: Declaration) -> str:
    """Print a declaration as YAML that reads back as an equal one.

    Raises:
        InvalidMachine: It has a guard that is a function, which YAML cannot say.
    """
    report = Report(nowhere(declaration.machine))
    for path, function in _function_guards(declaration):
        report.add("SM108", path, f"YAML cannot say the function {function}; write it as an expression")
    report.refuse()
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = 110
    yaml.brace_single_entry_mapping_in_flow_sequence = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    data = _shorten(declaration.as_data())
    text = io.StringIO()
    yaml.dump(_flow(data, 0), text)
    return text.getvalue()


def _function_guards(declaration: Declaration) -> Iterator[tuple[Keys, str]]:
    """Yield the place and name of each guard that is a function."""
    for path, transition in declaration.transitions():
        if isinstance(transition.when, PythonGuard):
            yield (*path, "when"), transition.when.python


def _shorten(data: dict[str, Any]) -> dict[str, Any]:
    """Write what has a short form in its short form."""
    for field in data.get("context", {}).values():
        if len(field["owner"]) == 1:
            field["owner"] = field["owner"][0]
        if len(field.get("derived_from", ())) == 1:
            field["derived_from"] = field["derived_from"][0]
    for table in [data, *data["states"].values()]:
        for event, transitions in table.get("on", {}).items():
            table["on"][event] = _short_transitions(transitions)
        if "always" in table:
            table["always"] = _short_transitions(table["always"])
        wait = _BACKOFF | table.get("wait", {})
        if wait["factor"] == 1 and wait["initial"] == wait["cap"]:
            table["wait"] = wait["cap"]
        if list(table.get("save", {}).values()) == ["output"]:
            table["save"] = next(iter(table["save"]))
    return data


def _short_transitions(transitions: list[dict[str, Any]]) -> Any:
    if len(transitions) == 1:
        return transitions[0]["to"] if set(transitions[0]) == {"to"} else transitions[0]
    return transitions


def _flow(value: Any, depth: int) -> Any:
    """Return ruamel's form of the data: what fits in a line stands in a line."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq

    if isinstance(value, Mapping):
        mapping = CommentedMap({_quoted(k): _flow(v, depth + 1) for k, v in value.items()})
        if (
            depth >= 1
            and len(str(value)) <= 90
            and not (depth == 1 and any(isinstance(v, dict) for v in value.values()))
        ):
            mapping.fa.set_flow_style()
        return mapping
    if isinstance(value, list | tuple):
        sequence = CommentedSeq(_flow(v, depth + 1) for v in value)
        if len(str(value)) <= 90:
            sequence.fa.set_flow_style()
        return sequence
    return _quoted(value) if isinstance(value, str) else value


def _quoted(text: str) -> str:
    """Quote what is more than words: ruamel writes ``:0`` bare within braces, and cannot read it back."""
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString, SingleQuotedScalarString

    if _WORDS.fullmatch(text):
        return text
    single = '"' in text and text.isprintable() and text.isascii()
    quoted: str = SingleQuotedScalarString(text) if single else DoubleQuotedScalarString(text)
    return quoted
