"""What a state gives to a tool, and what it keeps of an output or an event, typed."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from statemachine.machine import types
from statemachine.machine.definition import Action, Asking, Save
from statemachine.machine.expressions import Expression
from statemachine.machine.model import OPERATOR, Declaration, State
from statemachine.machine.references import suggest
from statemachine.machine.report import Keys, Report
from statemachine.machine.scopes import LOST, Scopes
from statemachine.machine.signature import Signature


class Calls:
    """Types the calls of one machine's states and reports what does not fit."""

    def __init__(self, declared: Declaration, report: Report, scopes: Scopes) -> None:
        self.declared = declared
        self.report = report
        self.scopes = scopes

    def action(self, name: str, state: State, signature: Signature | None) -> Action | None:
        """Return what a calling state does; None if its tool is not known."""
        path: Keys = ("states", name)
        assert state.do is not None
        given = {
            argument: self.scopes.expression(self.report, (*path, "with", argument), text)
            for argument, text in state.arguments.items()
        }
        output = LOST if signature is None else signature.output
        saves = [self._save(name, field, text, "output", output) for field, text in state.save.items()]
        if signature is None:
            return None
        for argument, expression in given.items():
            if argument not in signature.input:
                message = f"`{state.do}` takes no `{argument}`{suggest(argument, signature.input)}"
                self.report.add("SM117", (*path, "with", argument), message, key=True)
            elif expression is not None:
                self._fits((*path, "with", argument), expression, signature.input[argument].type)
        for parameter, wanted in signature.input.items():
            if parameter in given or (*path, "with", parameter) in self.report.damaged:
                continue
            if parameter in self.declared.context:
                given[parameter] = expression = self.scopes.expression(self.report, (*path, "do"), parameter)
                if expression is not None:
                    self._fits((*path, "do"), expression, wanted.type)
            elif wanted.required and self.report.missing("context", parameter, ()):
                message = (
                    f"`{state.do}` needs `{parameter}`: give it under with:, "
                    "or declare a context field of that name"
                )
                self.report.add("SM117", (*path, "do"), message)
        sufficient = self.scopes.guard(
            self.report, (*path, "sufficient"), state.sufficient, output=signature.output
        )
        arguments = {n: e for n, e in given.items() if e is not None}
        return Action(
            state.do,
            MappingProxyType(arguments),
            tuple(s for s in saves if s is not None),
            sufficient,
            self._asking(name, state),
            self._told((*path, "reasoning"), state.reasoning),
            self._told((*path, "expects"), state.expects),
        )

    def _asking(self, name: str, state: State) -> Asking | None:
        approval = self.declared.approval(state)
        if approval is None:
            return None
        path: Keys = ("states", name, "approval")
        tool = self.declared.tools[state.do or ""]
        by_time = approval.unanswered == "approve"
        if by_time and tool.reversibility != "full":
            kind = f"of reversibility {tool.reversibility}" if tool.reversibility else "a read"
            message = f"time approves only what can be undone wholly; `{state.do}` is {kind}"
            self.report.add("SM117", (*path, "unanswered"), message)
        guard = self.scopes.guard(self.report, (*path, "when"), approval.when)
        return Asking(approval.levels, guard, by_time)

    def _told(self, path: Keys, text: str | None) -> Expression | None:
        told = None if text is None else self.scopes.expression(self.report, path, text)
        if told is not None and types.kind(told.type) not in ("str", "any"):
            self.report.add("SM119", path, f"this is told to people as text; it is {types.kind(told.type)}")
        return told

    def _fits(self, path: Keys, expression: Expression, wanted: Any) -> None:
        if not assignable(expression.type, wanted):
            given, takes = types.kind(expression.type), types.kind(wanted)
            self.report.add("SM119", path, f"`{expression.text}` is {given}, but the tool takes {takes}")

    def received(
        self, name: str, state: State, payloads: Mapping[str, Mapping[str, Any]]
    ) -> tuple[Save, ...]:
        """Return what a state that waits keeps of the events that it takes."""
        parts: dict[str, Any] = {}
        for event in state.on:
            parts |= payloads.get(event, {})
        saves = [self._save(name, field, text, "event", parts) for field, text in state.save.items()]
        return tuple(save for save in saves if save is not None)

    def _save(self, state: str, field: str, text: str, root: str, source: Any) -> Save | None:
        """Return one field that a state saves into; ``source`` is a type, or the types of named parts."""
        path: Keys = ("states", state, "save", field)
        self._owned(path, state, field)
        first, *parts = text.split(".")
        if first != root or (root == "event" and not parts):
            wanted = (
                "the output: `output` or `output.part`" if root == "output" else "the event: `event.part`"
            )
            self.report.add("SM119", path, f"a save takes a path into {wanted}")
            return None
        if source is LOST:
            return None
        try:
            given = self._part(source, tuple(parts))
        except KeyError as error:
            known = source if root == "event" else types.members(types.required(source)[0]) or {}
            message = f"the {root} has no `{error.args[0]}`{suggest(error.args[0], known)}"
            self.report.add("SM119", path, message)
            return None
        wanted = self.scopes.types.get(field, LOST)
        if LOST not in (given, wanted) and not assignable(given, wanted):
            message = f"`{text}` is {types.kind(given)}, but `{field}` is {types.kind(wanted)}"
            self.report.add("SM119", path, message)
        return field, tuple(parts), given != wanted

    def _part(self, source: Any, parts: tuple[str, ...]) -> Any:
        if not isinstance(source, Mapping):
            return types.member_type(source, parts)
        if parts[0] not in source:
            raise KeyError(parts[0])
        of = source[parts[0]]
        return LOST if of is LOST else types.member_type(of, parts[1:])

    def _owned(self, path: Keys, state: str, field: str) -> None:
        if self.report.missing("context", field, self.declared.context):
            hint = suggest(field, self.declared.context) or "; declare it under context:"
            self.report.add("SM113", path, f"there is no context field `{field}`{hint}", key=True)
        elif field in self.declared.context:
            owners = self.declared.context[field].owner
            known = {OPERATOR, *self.declared.states}
            if state not in owners and not any(self.report.missing("states", o, known) for o in owners):
                message = f"`{state}` does not own `{field}`; its owner is {', '.join(owners)}"
                self.report.add("SM118", path, message, key=True)


def assignable(given: Any, wanted: Any) -> bool:
    """Return whether a value of one type may be given where another is wanted, as far as the types tell."""
    kinds = types.kind(given), types.kind(wanted)
    return "any" in kinds or kinds[0] == kinds[1] or kinds == ("int", "float")
