"""From plain data to a declaration: every fault of form at its place, without what only follows from it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from statemachine.machine import contract, model
from statemachine.machine.model import Declaration
from statemachine.machine.references import suggest
from statemachine.machine.report import Keys, Report

_PLACEHOLDERS: dict[str, Any] = {
    "machine": "unnamed",
    "version": "0",
    "initial": "unnamed",
    "states": {"unnamed": {"final": "failed"}},
}
"""What stands in for a damaged part that a declaration cannot be without."""

Written = Callable[[Keys], str]
"""Returns a value as its author wrote it."""


def validate(data: dict[str, Any], report: Report, written: Written | None = None) -> Declaration:
    """Return the declaration that ``data`` holds, with its damaged parts taken out.

    Args:
        data: Plain data; it is used up.
        report: Takes the faults, and already holds the paths that are damaged.
        written: How a value stands in its source, where that may differ from its text.
    """
    for path in list(report.damaged):
        _take_out(data, path, report.damaged)
    while True:
        try:
            return Declaration.model_validate(data)
        except ValidationError as error:
            faults = [(*_locate(f["loc"], f["type"], data), f) for f in error.errors(include_url=False)]
        damaged, told = frozenset(report.damaged), list[Keys]()
        for path, absent, fault in faults:
            # What misses a part that was taken out, and a second reading of one value, are no new faults.
            if any(path == d[: len(path)] for d in damaged) or (
                path in told if absent else _told(path, told)
            ):
                continue
            code, message, key = _judge(fault, path, absent, written)
            report.add(code, path, message, key=key)
            if not absent:
                told.append(path)
        for path, absent, _ in faults:
            _take_out(data, (absent,) if absent and not path else path, report.damaged)


def _locate(loc: Iterable[int | str], kind: str, data: Any) -> tuple[Keys, str]:
    """Return the path in the data that pydantic's ``loc`` means, and the key that is missing there."""
    loc = tuple(loc)
    absent = str(loc[-1]) if kind == "missing" and loc else ""
    path: Keys = ()
    for part in loc:
        inside = range(len(data)) if isinstance(data, list) else data if isinstance(data, dict) else ()
        if part in inside:
            data, path = data[part], (*path, part)
    return path, absent


def _told(path: Keys, told: Iterable[Keys]) -> bool:
    return any(path == t[: len(path)] or t == path[: len(t)] for t in told)


def _take_out(data: Any, path: Keys, damaged: set[Keys]) -> None:
    # Taking one entry out of a list would move the places of the others: the whole list goes.
    path = path[: next((i for i, part in enumerate(path) if isinstance(part, int)), len(path))]
    damaged.add(path)
    if len(path) == 1 and path[0] in _PLACEHOLDERS:
        data[path[0]] = _PLACEHOLDERS[path[0]]
        return
    for part in path[:-1]:
        data = data.get(part, {})
    data.pop(path[-1], None)


def _judge(fault: Any, path: Keys, absent: str, written: Written | None) -> tuple[str, str, bool]:
    """Return the code and message of pydantic's fault, and whether the key is meant rather than the value."""
    kind, message, given = fault["type"], fault["msg"].removeprefix("Value error, "), fault["input"]
    if path and path[-1] == "when" and isinstance(given, Mapping):
        return (
            "SM108",
            "a guard is an expression; only a machine written in Python can have a function",
            False,
        )
    if kind == "extra_forbidden":
        allowed = _keys(_part(path[:-1]))
        hint = suggest(str(path[-1]), allowed) or f"; known here: {', '.join(allowed)}"
        return "SM104", f"unknown key `{path[-1]}`{hint}", True
    if kind == "missing":
        return "SM105", f"`{absent}` is missing", True
    if kind == "literal_error":
        options = re.findall(r"'([^']*)'", fault["ctx"]["expected"])
        hint = suggest(str(given), options)
        return "SM106", f"`{given}` is none of {', '.join(options)}{hint}", fault["loc"][-1] == "[key]"
    if fault["loc"][-1] == "[key]":
        return "SM106", message, True
    if kind == "value_error":
        whole = isinstance(given, Mapping)
        return "SM107" if whole else "SM106", message, whole
    if kind == "string_type" and isinstance(given, int | float):
        shown = written(path) if written else given
        return "SM106", f'this must be text; put quotes around it: "{shown}"', False
    if kind.endswith(("_type", "_parsing")):
        return "SM106", f"this must be {_WANTED[kind.rpartition('_')[0]]}", False
    if kind == "too_short":
        return "SM106", "must not be empty", False
    return "SM106", message.replace("Input should be", "must be"), False


_WANTED = {
    "string": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "dict": "a mapping",
    "mapping": "a mapping",
    "model": "a mapping",
    "model_attributes": "a mapping",
    "tuple": "a list",
}


def _part(path: Keys) -> type[BaseModel]:
    """Return the part of a declaration that a mapping at ``path`` is."""
    match path:
        case ():
            return model.Declaration
        case ("context", _):
            return model.ContextField
        case ("limits",):
            return model.Limits
        case ("expects",):
            return model.Expects
        case ("tools", _):
            return contract.Tool
        case ("tools", _, "retry", _):
            return contract.Retry
        case ("states", _):
            return model.State
        case ("migrations", _):
            return model.Migration
        case ("states", _, "approval"):
            return model.Approval
        case ("states", _, "approval", "escalate", _):
            return model.Level
        case ("states", _, "wait"):
            return contract.Backoff
    return model.Transition


def _keys(part: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in part.model_fields.items()]
