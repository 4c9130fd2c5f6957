"""Expressions over a run as it is, in the language of guards, with the same errors and a caret."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from statemachine.errors import Finding, InvalidExpression, Place
from statemachine.kernel import Snapshot
from statemachine.kernel.draft import Draft
from statemachine.machine.definition import Definition
from statemachine.machine.expressions import Guard, Scope
from statemachine.machine.language import names_in
from statemachine.machine.scopes import base_variables


@lru_cache(maxsize=16)
def scope_of(definition: Definition) -> Scope:
    """Return the names that expressions over a run of a machine may use; what is not counted is none of them."""
    names = base_variables(definition.declaration, definition.types)
    counted = definition.counted
    return Scope({n: v for n, v in names.items() if v.root != "history" or v.path[0] in counted})


def compile_guard(definition: Definition, text: str) -> Guard:
    """Return a condition.

    Raises:
        InvalidExpression: It is misspelt, ill-typed, or gives no boolean; the text shows where.
    """
    try:
        return scope_of(definition).guard(text)
    except InvalidExpression as error:
        raise _pointing(definition, text, error) from None


def checked(definition: Definition, text: str) -> None:
    """Raise InvalidExpression if an expression is misspelt or ill-typed; its value may not be known yet."""
    try:
        scope_of(definition).expression(text)
    except InvalidExpression as error:
        raise _pointing(definition, text, error) from None


def value_of(definition: Definition, snapshot: Snapshot, now: float, text: str) -> Any:
    """Return the value of an expression over a run as it is.

    Raises:
        InvalidExpression: It is misspelt or ill-typed, or cannot be evaluated.
    """
    try:
        return scope_of(definition).expression(text).value(Draft(definition, snapshot, now))
    except InvalidExpression as error:
        raise _pointing(definition, text, error) from None


def decided(
    guard: Guard, definition: Definition, snapshot: Snapshot, now: float
) -> tuple[bool | None, dict[str, Any], str]:
    """Return what a guard gives for a run as it is, the values that it read, and why it gives nothing."""
    return guard.decide(Draft(definition, snapshot, now))


def _pointing(definition: Definition, text: str, error: InvalidExpression) -> InvalidExpression:
    place, message = Place("expression", 1, error.column, text), str(error)
    known = (
        base_variables(definition.declaration, definition.types).keys()
        - scope_of(definition).variables.keys()
    )
    if uncounted := next((name for names in names_in(text) for name in names[:1] if name in known), ""):
        message = f"`{uncounted}` is not counted: nothing in the machine reads it"
    return InvalidExpression(Finding("SM114", message, place).render(), error.column)
