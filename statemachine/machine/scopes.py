"""Which names an expression may use, by place: the context always, the payload and output where they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from statemachine.errors import InvalidExpression, InvalidReference
from statemachine.machine.contract import FAILURE_CLASSES
from statemachine.machine.expressions import (
    Expression,
    Guard,
    Scope,
    Variable,
    function_guard,
    variables_of,
)
from statemachine.machine.language import mentions
from statemachine.machine.model import Declaration, PythonGuard
from statemachine.machine.references import Folder
from statemachine.machine.report import Keys, Report

LOST: Any = object()
"""A type that is not known because its declaration is wrong; what uses it is not judged."""


def base_variables(declaration: Declaration, types: Mapping[str, Any]) -> dict[str, Variable]:
    """Return the names that every expression of the machine may use."""
    found: dict[str, Variable] = {}
    for name, of in types.items():
        if of is LOST:
            continue
        fields = variables_of("context", name, (name,), of)
        found |= fields
        found[f"known.{name}"] = Variable("known", (name,), bool)
        found[f"fresh.{name}"] = Variable("fresh", (name,), bool)
        found |= {
            f"known.{inner}": Variable("known", v.path, bool)
            for inner, v in fields.items()
            if inner != name and type(None) in getattr(v.type, "__args__", ())
        }
    for name, state in declaration.states.items():
        if state.attempts is not None:
            found[f"attempts.{name}"] = Variable("attempts", (name,), int)
    for part in ("class", "message", "tool", "state"):
        found[f"failure.{part}"] = Variable("failure", (part,), str)
    found["known.failure"] = Variable("known", ("failure",), bool)
    found["event.name"] = Variable("event", ("name",), str)
    if "history" not in declaration.context:  # a field of that name is the machine's own
        found |= {f"history.{n}": Variable("history", (n,), int) for n in _counts(declaration)}
    return found


def _counts(declaration: Declaration) -> Iterator[str]:
    """Yield the names of what is counted of the calls of a run: `failed.TOOL`, and so on."""
    for name, tool in declaration.tools.items():
        yield f"succeeded.{name}"
        yield f"failed.{name}"
        if tool.effect == "write":
            yield f"standing.{name}"
    for of in FAILURE_CLASSES:
        yield f"failures.{of}"


class Scopes:
    """The scopes of one machine, each made once, and the compiling of its expressions in them.

    Args:
        declaration: The machine.
        types: Type of each context field; ``LOST`` for those whose declaration is wrong.
        lost_states: States whose declaration is wrong.
        lost_tools: Tools whose declaration is wrong.
        folder: What references to functions are relative to.
        functions: Functions that are already at hand, by reference.
    """

    def __init__(
        self,
        declaration: Declaration,
        types: Mapping[str, Any],
        lost_states: set[str],
        lost_tools: set[str],
        folder: Folder,
        functions: Mapping[str, Callable[..., Any]],
    ) -> None:
        self.types = types
        self.base = base_variables(declaration, types)
        self.folder = folder
        self.functions = functions
        gone = [n for n, of in types.items() if of is LOST]
        self._lost = {f"{root}{n}" for n in gone for root in ("", "known.", "fresh.")}
        self._lost |= {f"attempts.{state}" for state in lost_states}
        self._lost |= {f"history.{of}.{n}" for n in lost_tools for of in ("succeeded", "failed", "standing")}
        self._made: dict[tuple[int, int], tuple[Scope, set[str]]] = {}

    def guard(
        self,
        report: Report,
        path: Keys,
        when: str | PythonGuard | None,
        *,
        payload: Mapping[str, Any] | None = None,
        output: Any = None,
    ) -> Guard | None:
        """Compile a guard after an event with a ``payload``, or a call whose ``output`` has this type."""
        if path in report.damaged:
            return None
        try:
            if isinstance(when, PythonGuard):
                function = self.functions.get(when.python) or self.folder.resolve(when.python)
                return function_guard(when.python, function, self.base, self._lost)
            scope, lost = self._scope(payload, output)
            return None if when is None or mentions(when, lost) else scope.guard(when)
        except InvalidExpression as error:
            report.add("SM114", path, str(error), offset=error.column - 1)
        except InvalidReference as error:
            report.add("SM116", path, str(error))
        return None

    def expression(self, report: Report, path: Keys, text: str) -> Expression | None:
        """Compile an expression over the context."""
        try:
            scope, lost = self._scope(None, None)
            return None if mentions(text, lost) else scope.expression(text)
        except InvalidExpression as error:
            report.add("SM114", path, str(error), offset=error.column - 1)
            return None

    def _scope(self, payload: Mapping[str, Any] | None, output: Any) -> tuple[Scope, set[str]]:
        """Return a scope, and the names that would be in it if their declaration were not wrong."""
        # The machine holds its payloads and output types, so their identities stay theirs.
        key = (id(payload or None), id(output))
        if key not in self._made:
            variables, lost = dict(self.base), set(self._lost)
            if payload is LOST:
                lost.add("event")
            elif payload:
                for name, of in payload.items():
                    if of is LOST:
                        lost.add(f"event.{name}")
                    else:
                        variables |= variables_of("event", f"event.{name}", (name,), of)
            if output is LOST:
                lost.add("output")
            elif output is not None:
                variables |= variables_of("output", "output", (), output)
            self._made[key] = Scope(variables), lost
        return self._made[key]
