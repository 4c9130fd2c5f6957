"""Typed expressions over context, attempts and the event: CEL behind one small class.

Names are flattened (``verdict.ok`` is one variable), so a misspelt or ill-typed name fails when the
machine is loaded. A value that is missing at run time is an error of the expression, never ``false``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol, get_args, get_origin

from cel_expr_python import cel

from statemachine.errors import InvalidExpression
from statemachine.machine import types
from statemachine.machine.language import check_text, explain, names_in
from statemachine.machine.references import parameters_of, suggest

Root = Literal["context", "attempts", "history", "event", "output", "failure", "known", "fresh"]

_CEL = {
    "str": cel.Type.STRING,
    "int": cel.Type.INT,
    "float": cel.Type.DOUBLE,
    "bool": cel.Type.BOOL,
    "any": cel.Type.DYN,
}
_PATH = re.compile(r"[a-z_]\w*(\.[a-zA-Z_]\w*)*")


class Reader(Protocol):
    """Where an expression's values come from at run time."""

    def read(self, root: Root, path: tuple[str, ...]) -> Any:
        """Return the value at ``path`` below ``root``, or None when there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Variable:
    """One name that an expression may use.

    Attributes:
        root: Which part of a run it is read from.
        path: Keys below the root.
        type: Its Python type.
    """

    root: Root
    path: tuple[str, ...]
    type: Any


@dataclass(frozen=True, slots=True)
class Guard:
    """A compiled condition.

    Attributes:
        text: Its source.
        reads: Name, root and path of each value that it reads.
        opaque: Whether it is a Python function, which nothing can look into.
    """

    text: str
    reads: tuple[tuple[str, Root, tuple[str, ...]], ...]
    opaque: bool
    _evaluate: Callable[[dict[str, Any]], object]
    _compiled: Any = None

    @property
    def checked(self) -> bytes | None:
        """CEL's checked syntax tree, serialized; None of a Python function."""
        return None if self._compiled is None else bytes(self._compiled.serialize())

    def decide(self, reader: Reader) -> tuple[bool | None, dict[str, Any], str]:
        """Return the verdict (None: it failed to evaluate), the values it read, and the error's text."""
        values = {}
        for name, root, path in self.reads:
            value = reader.read(root, path)
            if value is not None:
                values[name] = value
        verdict = self._evaluate(values)
        if verdict is True or verdict is False:
            return verdict, values, ""
        return None, values, _describe(str(verdict), self.reads, values)


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression that gives a value: a path into what a run holds, or CEL.

    Attributes:
        text: Its source.
        type: Python type of a path's value; ``Any`` for the result of CEL that is not a plain type.
        reads: Name, root and path of each value that it reads.
    """

    text: str
    type: Any
    reads: tuple[tuple[str, Root, tuple[str, ...]], ...]
    _compiled: Any

    @property
    def checked(self) -> bytes | None:
        """CEL's checked syntax tree, serialized; None of a path."""
        return None if self._compiled is None else bytes(self._compiled.serialize())

    @property
    def computed(self) -> bool:
        """Whether it is CEL, which may fail to evaluate; a path never does."""
        return self._compiled is not None

    def value(self, reader: Reader) -> Any:
        """Return the value as JSON data; a path to what is not known gives None.

        Raises:
            InvalidExpression: It failed to evaluate.
        """
        if self._compiled is None:
            _, root, path = self.reads[0]
            return reader.read(root, path)
        values = {n: v for n, r, p in self.reads if (v := reader.read(r, p)) is not None}
        try:
            result = self._compiled.eval(data=values)
        except (RuntimeError, TypeError, ValueError) as error:  # a value that the library cannot take
            raise InvalidExpression(str(error)) from None
        if result.type() == cel.Type.ERROR:
            raise InvalidExpression(_describe(str(result.value()), self.reads, values))
        return _plain(result.plain_value())


def _plain(value: Any) -> Any:
    """Return CEL's result as JSON data; bytes, durations and times have no place in a context."""
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidExpression(f"gave {value}, which is no number in JSON")
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    return str(value)


def _describe(
    error: str, reads: Iterable[tuple[str, Root, tuple[str, ...]]], values: Mapping[str, Any]
) -> str:
    missing = [name for name, _, _ in reads if name not in values]
    if missing and "No value with name" in error:
        return f"no value for {', '.join(missing)}"
    return re.sub(r"^[A-Z_]+: ", "", error.splitlines()[0] if error else "gave no boolean")


@dataclass(frozen=True)
class Scope:
    """The names that an expression may use in one place, and the compiler for it."""

    variables: Mapping[str, Variable] = field(default_factory=dict)

    @cached_property
    def _env(self) -> cel.Env:
        return cel.NewEnv(
            variables={name: _cel_type(v.type) for name, v in self.variables.items() if _is_leaf(v.type)}
        )

    def guard(self, text: str) -> Guard:
        """Compile a condition.

        Raises:
            InvalidExpression: It is misspelt, ill-typed, or gives no boolean.
        """
        compiled = self._compile(text)
        if compiled.return_type() != cel.Type.BOOL:
            raise InvalidExpression(
                f"a guard gives true or false; this gives {compiled.return_type().name().lower()}"
            )

        def evaluate(values: dict[str, Any]) -> object:
            try:
                return compiled.eval(data=values).value()
            except (RuntimeError, TypeError, ValueError) as error:  # a value that the library cannot take
                return str(error)

        return Guard(text, self._reads(text), False, evaluate, compiled)

    def expression(self, text: str) -> Expression:
        """Compile an expression that gives a value.

        Raises:
            InvalidExpression: It is misspelt or ill-typed.
        """
        if _PATH.fullmatch(text) and text in self.variables:
            variable = self.variables[text]
            return Expression(text, variable.type, ((text, variable.root, variable.path),), None)
        compiled = self._compile(text)
        plain = {"BOOL": bool, "INT": int, "DOUBLE": float, "STRING": str}
        return Expression(text, plain.get(compiled.return_type().name(), Any), self._reads(text), compiled)

    def _compile(self, text: str) -> cel.Expression:
        check_text(text, self.variables)
        try:
            compiled = self._env.compile(text)
            compiled.return_type()  # of some results that it compiles the library has no type
            return compiled
        except RuntimeError as error:
            raise explain(str(error), text, self.variables) from None

    def _reads(self, text: str) -> tuple[tuple[str, Root, tuple[str, ...]], ...]:
        found: dict[str, Variable] = {}
        for names in names_in(text):
            for name in names:
                if name in self.variables and _is_leaf(self.variables[name].type):
                    found[name] = self.variables[name]
                    break
        return tuple((name, v.root, v.path) for name, v in found.items())


def function_guard(
    reference: str, function: Any, variables: Mapping[str, Variable], lost: Iterable[str] = ()
) -> Guard | None:
    """Return a guard that calls a pure Python function with the context fields that its parameters name.

    Returns None where a field is ``lost``: declared, but wrongly.

    Raises:
        InvalidExpression: A parameter names no field, or has no type.
        InvalidReference: It is not a function, or its types cannot be checked.
    """
    parameters = parameters_of(reference, function)
    if not parameters.keys().isdisjoint(lost):
        return None
    for name in parameters:
        if name not in variables:
            raise InvalidExpression(
                f"`{reference}` takes `{name}`, which is no context field{suggest(name, variables)}"
            )
    adapters = {name: types.adapter(parameter.annotation) for name, parameter in parameters.items()}

    def evaluate(values: dict[str, Any]) -> object:
        try:
            verdict = function(**{n: a.validate_python(values.get(n)) for n, a in adapters.items()})
        except Exception as error:  # a guard may raise anything; the receipt shows it
            return f"{type(error).__name__}: {error}"
        return verdict if isinstance(verdict, bool) else f"gave {type(verdict).__name__}, not a bool"

    reads = tuple((name, variables[name].root, variables[name].path) for name in parameters)
    return Guard(reference, reads, True, evaluate)


def variables_of(root: Root, name: str, path: tuple[str, ...], of: Any) -> dict[str, Variable]:
    """Return the flattened variables of a value of type ``of`` that is called ``name``."""
    found: dict[str, Variable] = {}

    def visit(inner: tuple[str, ...], leaf: Any, optional: bool) -> None:
        full = ".".join((name, *inner))
        found[full] = Variable(root, (*path, *inner), leaf | None if optional and leaf is not Any else leaf)

    types.leaves(of, (), visit)
    return found


def _is_leaf(of: Any) -> bool:
    return types.members(types.required(of)[0]) is None


def _cel_type(of: Any) -> cel.Type:
    of, _ = types.required(of)
    kind = types.kind(of)
    if kind == "list":
        inner = get_args(of)
        return cel.Type.List(_cel_type(inner[0]) if inner and get_origin(of) is not tuple else cel.Type.DYN)
    if kind == "map":
        inner = get_args(of)
        return cel.Type.Map(cel.Type.STRING, _cel_type(inner[1]) if inner else cel.Type.DYN)
    return _CEL[kind]
