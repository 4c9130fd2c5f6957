"""Which names an expression may use, by place: the context always, the payload and output where they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from statemachine.machine.expressions import Scope, Variable, variables_of
from statemachine.machine.model import Declaration

RESERVED = ("event", "output", "failure", "known", "fresh")


def base_variables(declaration: Declaration, types: Mapping[str, Any]) -> dict[str, Variable]:
    """Return the names that every expression of the machine may use."""
    found: dict[str, Variable] = {}
    for name, of in types.items():
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
    return found


class Scopes:
    """The scopes of one machine, each made once."""

    def __init__(self, declaration: Declaration, types: Mapping[str, Any]) -> None:
        self.base = base_variables(declaration, types)
        self._made: dict[tuple[object, object], Scope] = {}

    def plain(self) -> Scope:
        """Return the scope of inputs, outputs and reasons."""
        return self.after(None, None)

    def after(self, payload: Mapping[str, Any] | None, output: Any) -> Scope:
        """Return the scope after an event with a ``payload``, or a call whose ``output`` has this type."""
        key = (tuple(payload.items()) if payload else None, output)
        if key not in self._made:
            variables = dict(self.base)
            for name, of in (payload or {}).items():
                variables |= variables_of("event", f"event.{name}", (name,), of)
            if output is not None:
                variables |= variables_of("output", "output", (), output)
            self._made[key] = Scope(variables)
        return self._made[key]
