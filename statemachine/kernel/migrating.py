"""Moving a run to another version of its machine: what maps, what does not, and the step that does it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from statemachine.clock import instant
from statemachine.errors import InvalidExpression
from statemachine.kernel.draft import Draft
from statemachine.kernel.events import INTEND, NOTHING, Step
from statemachine.kernel.limits import limit_reached, limit_reason
from statemachine.kernel.snapshot import Immediate, PendingApproval, PendingCall, Snapshot, Source
from statemachine.machine import types
from statemachine.machine.definition import AMENDED, Definition
from statemachine.machine.expressions import Scope
from statemachine.machine.model import OPERATOR, Migration
from statemachine.machine.scopes import base_variables
from statemachine.machine.signature import Parameter

MIGRATED = "migrated"
"""The kind of the record, and the event, of a run that is moved to another version."""


@dataclass(frozen=True, slots=True)
class Move:
    """What becomes of a run in another version of its machine.

    Attributes:
        step: The step that moves it; None when something has no place there.
        maps: What is renamed, filled or dropped, one line each.
        problems: What has no place, one line each.
    """

    step: Step | None
    maps: tuple[str, ...]
    problems: tuple[str, ...]


def move(
    old: Definition, new: Definition, snapshot: Snapshot, now: float, by: str = "", code: str = ""
) -> Move:
    """Return what becomes of a run in another version of its machine.

    Args:
        old: The version that it is on.
        new: The version to move it to; its ``migrations`` say what names alone do not.
        snapshot: The run.
        now: The time, in seconds since the epoch.
        by: Who moves it.
        code: A fingerprint of the code of the new version's tools.
    """
    return _Mover(old, new, snapshot, instant(now)).move(by, code)


class _Mover:
    def __init__(self, old: Definition, new: Definition, snapshot: Snapshot, now: float) -> None:
        self.old, self.new, self.snapshot, self.now = old, new, snapshot, now
        migrations = new.declaration.migrations
        self.version = old.declaration.version
        self.rules = migrations.get(old.digest) or migrations.get(self.version) or Migration()
        self.maps: list[str] = []
        self.problems: list[str] = []

    def move(self, by: str, code: str) -> Move:
        before, rules, new = self.snapshot, self.rules, self.new.declaration
        impossible = self._impossible()
        if impossible:
            return Move(None, (), (impossible,))
        state, attempts = self._state(), self._attempts()  # first: it is what a report begins with
        context, sources, filled = self._context()
        watched = {self._renamed(name): seen for name, seen in before.watched.items()}
        after = before._replace(
            digest=self.new.digest,
            seq=before.seq + 1,
            state=state,
            context=context,
            sources=sources,
            attempts=attempts,
            history=self._history(),
            watched={name: seen for name, seen in watched.items() if name in new.states},
            code=code,
        )
        if isinstance(before.pending, PendingCall) and before.pending.granted is not None:
            after = after._replace(
                pending=before.pending._replace(granted=None)
            )  # it was for the old version
        if isinstance(before.pending, PendingApproval):
            # What was approved of the old version is not approved of the new one, whatever that calls there.
            after = after._replace(pending=Immediate(INTEND), status="running")
            self.maps.append(f"request {before.pending.request} is void; what is called is asked for anew")
        if not self.problems:
            self._call(after)
            self._limits(after)
        if self.problems:
            return Move(None, tuple(self.maps), tuple(self.problems))
        body = {
            "by": by,
            "from": self.old.digest,
            "to": self.new.digest,
            "version": new.version,
            "states": dict(rules.states),
            "fields": dict(rules.fields),
            "set": filled,
            "code": code,
        }
        receipt = Draft(self.new, after, self.now).refuse(MIGRATED, "noted").receipt
        return Move(Step(after, receipt, ((MIGRATED, body),), None, self.now), tuple(self.maps), ())

    def _impossible(self) -> str:
        """Return why the run cannot be moved to any version like this; empty if it can."""
        old, new = self.old.declaration, self.new.declaration
        if self.snapshot.finished:
            return f"it has ended ({self.snapshot.status})"
        if old.machine != new.machine:
            return f"it is a run of {old.machine}, not of {new.machine}"
        if self.old.digest == self.new.digest:
            return "it is on this version already"
        return "it rolls back; migrate it when that is over" if self.snapshot.rollback is not None else ""

    def _renamed(self, state: str) -> str:
        return self.rules.states.get(state, state)

    def _state(self) -> str:
        before, states = self.snapshot.state, self.new.declaration.states
        if self.snapshot.status == "pending":
            return self.new.declaration.initial  # it has not begun: it begins as the new version says
        after, kind = self._renamed(before), self.old.declaration.states[before].kind
        if after not in states:
            rule = f'migrations: {{"{self.version}": {{states: {{{before}: …}}}}}}'
            self.problems.append(f"its state `{before}` is gone; say which one it is now: {rule}")
        elif states[after].kind != kind:
            self.problems.append(f"its state `{after}` is of another kind: {states[after].kind}, not {kind}")
        elif after != before:
            self.maps.append(f"state {before} is {after} now")
        return after

    def _attempts(self) -> dict[str, int]:
        states, found = self.new.declaration.states, {}
        for before, count in self.snapshot.attempts.items():
            after = self._renamed(before)
            most = states[after].attempts if after in states else None
            if most is None:
                why = "counts no attempts any more" if after in states else "is gone"
                self.problems.append(f"`{before}` was entered {count} times, and `{after}` {why}")
            elif count > most:
                self.problems.append(f"`{after}` was entered {count} times, and may be {most} times at most")
            else:
                found[after] = count
        return found

    def _history(self) -> dict[str, int]:
        """Return the counts that the new version reads; what the old one did not read was not counted."""
        kept, new = self.snapshot.history, self.new.counted
        self.maps += [f"history.{n}, {kept[n]} so far, is not counted any more" for n in kept if n not in new]
        self.maps += [f"history.{n} counts from here on" for n in sorted(new - self.old.counted)]
        return {name: count for name, count in kept.items() if name in new}

    def _context(self) -> tuple[dict[str, Any], dict[str, Source], dict[str, Any]]:
        """Return the fields, their sources, and those fields that were filled."""
        context, sources = self._carried()
        filled = dict(self._filled())
        for name, field in self.new.declaration.context.items():
            if name in filled:
                context[name], of = filled[name], "migration"
            elif name not in context and field.default is not None:
                context[name], of = field.default, "default"
            else:
                optional = types.required(self.new.types[name])[1] or field.has_default
                if name not in context and field.owner == (OPERATOR,) and not optional:
                    self.problems.append(f"nobody would ever give it `{name}`; fill it: set: {{{name}: …}}")
                continue
            sources[name] = Source(OPERATOR, self.now, of)
            self.maps.append(f"field {name} is {context[name]!r} ({of})")
        return context, sources, filled

    def _carried(self) -> tuple[dict[str, Any], dict[str, Source]]:
        context: dict[str, Any] = {}
        sources: dict[str, Source] = {}
        for before, value in self.snapshot.context.items():
            after = self.rules.fields.get(before, before)
            if after is None:
                self.maps.append(f"field {before} is dropped")
            elif value is None or after in self.rules.set:
                continue
            elif after not in self.new.declaration.context:
                rule = f"fields: {{{before}: NEW}}, or {{{before}: null}} to drop it"
                self.problems.append(f"its field `{before}` is gone; {rule}")
            elif (fitting := self._fitting(after, value)) is not None:
                source = self.snapshot.sources[before]
                context[after] = fitting
                sources[after] = Source(self._renamed(source.by), source.at, source.of)
                if after != before:
                    self.maps.append(f"field {before} is {after} now")
        return context, sources

    def _filled(self) -> Iterator[tuple[str, Any]]:
        """Yield the fields that are computed from the old context."""
        scope = Scope(base_variables(self.old.declaration, self.old.types))
        reader = Draft(self.old, self.snapshot, self.now)
        reader.perishable = NOTHING  # it is what the run knows, however old
        for name, text in self.rules.set.items():
            try:
                value = scope.expression(text).value(reader)
            except InvalidExpression as error:
                self.problems.append(f"`{name}` cannot be filled with {text}: {error}")
                continue
            if value is None:
                self.problems.append(f"`{name}` cannot be filled with {text}: it is not known")
            elif (fitting := self._fitting(name, value)) is not None:
                yield name, fitting

    def _fitting(self, name: str, value: Any) -> Any:
        """Return a value as the new version's type has it; None, and note why, when it does not fit."""
        wanted = types.adapter(self.new.types[name])
        try:
            return wanted.dump_python(wanted.validate_python(value), mode="json")
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]["msg"]
            self.problems.append(
                f"its field `{name}` is no {self.new.declaration.context[name].type}: {fault}"
            )
            return None

    def _call(self, after: Snapshot) -> None:
        """Note why the call that is under way could not go on."""
        call = self.snapshot.pending
        if not isinstance(call, PendingCall):
            return
        what, tool = f"its call {call.key} of {call.tool}", self.new.declaration.tools.get(call.tool)
        does = self.new.declaration.states[after.state].do
        if tool is None or does != (call.refreshes or call.tool):
            self.problems.append(f"{what} has no place in {after.state}, which calls {does}")
            return
        if tool.effect != self.old.declaration.tools[call.tool].effect:
            self.problems.append(f"{what} is a {tool.effect} now")
        if call.phase == "probe" and tool.probe is None:
            self.problems.append(f"{what} is to be asked for, and has no probe any more")
        wanted = self.new.signatures[call.tool].input
        self.problems += [f"{what} takes no `{name}` any more" for name in call.input if name not in wanted]
        before = self.old.signatures[call.tool].input
        for name, parameter in wanted.items():
            why = _misfit(name, parameter, call.input)
            # What does not fit the old version either, the call itself will tell, in whichever version.
            if why and not (name in before and _misfit(name, before[name], call.input)):
                self.problems.append(f"{what}: its input `{name}` does not fit: {why}")
        if self.snapshot.amended and not self.new.candidates(after.state, AMENDED):
            self.problems.append(f"it was amended, and nothing leads out of {after.state} on `amended`")

    def _limits(self, after: Snapshot) -> None:
        draft = Draft(self.new, after, self.now)
        limit = limit_reached(draft, step=True, call=True)
        if limit is not None:
            self.problems.append(limit_reason(draft, limit))


def _misfit(name: str, parameter: Parameter, given: Mapping[str, Any]) -> str:
    """Return why a tool does not take what a call gives it under a name; empty when it does."""
    if name not in given and not parameter.required:
        return ""
    try:
        types.adapter(parameter.type).validate_python(given.get(name))
    except ValidationError as error:
        return error.errors(include_url=False)[0]["msg"]
    return ""
