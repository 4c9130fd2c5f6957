"""Machines in YAML: read with every fault at its place, and printed."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from statemachine.errors import Finding, InvalidMachine, Place
from statemachine.machine import model
from statemachine.machine.definition import Definition
from statemachine.machine.model import Declaration
from statemachine.machine.references import Folder, suggest
from statemachine.machine.resolve import resolve
from statemachine.machine.source import Key, Source

_PLACEHOLDERS: dict[str, Any] = {"machine": "unnamed", "version": "0", "initial": "", "states": {}}


def define(source: Source, folder: Folder) -> Definition:
    """Return the definition of a machine in YAML.

    Raises:
        InvalidMachine: With everything that is wrong, in the order of the file.
    """
    findings = list(source.findings)
    declaration, damaged = _validate(source, findings)
    if declaration is not None:
        _refuse_functions(declaration, source, findings)
        try:
            definition = resolve(declaration, folder, source.place, damaged=damaged)
            if not findings:
                return definition
        except InvalidMachine as error:
            findings += error.findings
    raise InvalidMachine(sorted(findings, key=lambda f: (f.place.line, f.place.column)))


def _validate(source: Source, findings: list[Finding]) -> tuple[Declaration | None, frozenset[Key]]:
    """Return the declaration with its damaged parts taken out, so that the rest can be judged as well."""
    data, damaged = source.data, set[Key]()
    if not isinstance(data, dict):
        return None, frozenset()
    while True:
        try:
            return Declaration.model_validate(data), frozenset(damaged)
        except ValidationError as error:
            before = len(damaged)
            for fault in error.errors(include_url=False):
                path, absent = _locate(fault["loc"], fault["type"], source.data)
                # What is reported of a part is not reported again of the whole that it was taken out of.
                if path not in damaged and not any(d[: len(path)] == path for d in damaged):
                    findings.append(_finding(fault, path, absent, source))
                _take_out(data, path, absent, damaged)
            if len(damaged) == before:
                return None, frozenset(damaged)


def _locate(loc: Iterable[int | str], kind: str, data: Any) -> tuple[Key, str]:
    """Return the path in the file that pydantic's ``loc`` means, and the key that is missing there."""
    loc = tuple(loc)
    absent = str(loc[-1]) if kind == "missing" and loc else ""
    path: Key = ()
    for part in loc:
        inside = range(len(data)) if isinstance(data, list) else data if isinstance(data, dict) else ()
        if part in inside:
            data, path = data[part], (*path, part)
    return path, absent


def _take_out(data: Any, path: Key, absent: str, damaged: set[Key]) -> None:
    if len(path) == 0:
        if absent in _PLACEHOLDERS:
            data[absent] = _PLACEHOLDERS[absent]
        damaged.add((absent,))
        return
    # Taking one entry out of a list would move the places of the others: the whole list goes.
    numbers = [i for i, part in enumerate(path) if isinstance(part, int)]
    path = path[: numbers[0]] if numbers else path
    damaged.add(path)
    part: str | int
    for part in path[:-1]:
        data = data.get(part, {})
    data.pop(path[-1], None)


def _finding(fault: Any, path: Key, absent: str, source: Source) -> Finding:
    kind, context = fault["type"], fault.get("ctx", {})
    key = False
    code, message = "SM106", fault["msg"]
    if kind == "extra_forbidden":
        allowed = _keys(_part(path[:-1]))
        listed = "" if suggest(str(path[-1]), allowed) else f"; known here: {', '.join(allowed)}"
        code, message, key = (
            "SM104",
            f"unknown key `{path[-1]}`{suggest(str(path[-1]), allowed)}{listed}",
            True,
        )
    elif kind == "missing":
        code, message, key = "SM105", f"`{absent}` is missing", True
    elif fault["loc"] and fault["loc"][-1] == "[key]":
        key, message = True, message.removeprefix("Value error, ")
        if kind == "literal_error":
            message = f"`{path[-1]}` is none of {context['expected']}{suggest(str(path[-1]), model.FAILURE_CLASSES)}"
    elif kind == "value_error":
        message = message.removeprefix("Value error, ")
        if isinstance(fault["input"], dict):
            code, key = "SM107", True
    elif kind == "literal_error":
        options = re.findall(r"'([^']*)'", context["expected"])
        message = f"`{fault['input']}` is none of {', '.join(options)}{suggest(str(fault['input']), options)}"
    elif kind == "string_type":
        plain = isinstance(fault["input"], int | float | bool)
        message = (
            f'this must be text; put quotes around it: "{_written(path, source)}"'
            if plain
            else "this must be text"
        )
    elif kind.endswith(("_type", "_parsing")):
        message = _kind_wanted(kind)
    else:
        message = message[0].lower() + message[1:]
    return Finding(code, message, source.place(path, key), path)


def _written(path: Key, source: Source) -> str:
    """Return a plain scalar as it stands in the file: YAML reads ``1.10`` as 1.1."""
    line, column, _ = source.values[path]
    found = re.match(r"[^\s,#\]}]+", source.lines[line][column:])
    return found[0] if found else ""


def _kind_wanted(kind: str) -> str:
    wanted = kind.removesuffix("_type").removesuffix("_parsing")
    names = {
        "int": "a whole number",
        "float": "a number",
        "dict": "a mapping",
        "model": "a mapping",
        "tuple": "a list",
    }
    return f"this must be {names.get(wanted, wanted)}"


def _part(path: Key) -> type[BaseModel]:
    """Return the part of a declaration that a mapping at ``path`` is."""
    match path:
        case ():
            return model.Declaration
        case ("context", _):
            return model.ContextField
        case ("limits",):
            return model.Limits
        case ("tools", _):
            return model.Tool
        case ("tools", _, "retry", _):
            return model.Retry
        case ("states", _):
            return model.State
        case ("states", _, "wait"):
            return model.Backoff
    return model.Transition


def _keys(part: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in part.model_fields.items()]


def _refuse_functions(declaration: Declaration, source: Source, findings: list[Finding]) -> None:
    places: list[tuple[Key, Iterable[model.Transition]]] = [(("on", e), t) for e, t in declaration.on.items()]
    for name, state in declaration.states.items():
        places += [(("states", name, "on", e), t) for e, t in state.on.items()]
        places += [(("states", name, "always"), state.always or ())]
    for path, transitions in places:
        for index, transition in enumerate(transitions):
            if isinstance(transition.when, model.PythonGuard):
                where = source.place((*path, index, "when"))
                message = "a guard in YAML is an expression; a function can only guard in a machine written in Python"
                findings.append(Finding("SM108", message, where, (*path, index, "when")))


def to_yaml(declaration: Declaration) -> str:
    """Print a declaration as YAML that reads back as an equal one.

    Raises:
        InvalidMachine: It has a guard that is a function, which YAML cannot say.
    """
    functions = sorted(_function_guards(declaration.as_data()))
    if functions:
        message = (
            f"YAML cannot say a guard that is a function: {', '.join(functions)}; write it as an expression"
        )
        raise InvalidMachine([Finding("SM108", message, Place(declaration.machine))])
    from ruamel.yaml import YAML
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    yaml = YAML()
    yaml.width = 110
    yaml.indent(mapping=2, sequence=4, offset=2)
    data = _shorten(declaration.as_data())
    data["version"] = DoubleQuotedScalarString(data["version"])
    text = io.StringIO()
    yaml.dump(_flow(data, 0), text)
    return text.getvalue()


def _function_guards(data: Any) -> Iterable[str]:
    if isinstance(data, Mapping):
        when = data.get("when")
        if isinstance(when, Mapping):
            yield when["python"]
        for value in data.values():
            yield from _function_guards(value)
    elif isinstance(data, list | tuple):
        for value in data:
            yield from _function_guards(value)


def _shorten(data: dict[str, Any]) -> dict[str, Any]:
    """Write what has a short form in its short form."""
    for field in data.get("context", {}).values():
        if len(field["owner"]) == 1:
            field["owner"] = field["owner"][0]
    for table in [data, *data["states"].values()]:
        for event, transitions in table.get("on", {}).items():
            table["on"][event] = _short_transitions(transitions)
        if "always" in table:
            table["always"] = _short_transitions(table["always"])
        wait = table.get("wait")
        if wait and wait.get("factor") == 1 and wait.get("initial", "1s") == wait.get("cap", "1m"):
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
        mapping = CommentedMap({k: _flow(v, depth + 1) for k, v in value.items()})
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
    return value
