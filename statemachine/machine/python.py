"""Machines in Python: decorated functions are tools or states; the result is the same declaration."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar, Unpack

from pydantic import BaseModel
from pydantic_core import PydanticUndefined, to_jsonable_python

from statemachine.errors import InvalidReference, Place
from statemachine.machine.allowances import Allowance, in_python
from statemachine.machine.definition import Definition
from statemachine.machine.model import OPERATOR, Declaration
from statemachine.machine.parts import Approval as Approval
from statemachine.machine.parts import Backoff as Backoff
from statemachine.machine.parts import Contract, DurationText, Guarded, Route, given
from statemachine.machine.parts import Expects as Expects
from statemachine.machine.parts import Final as Final
from statemachine.machine.parts import Limits as Limits
from statemachine.machine.parts import Owner as Owner
from statemachine.machine.parts import Retry as Retry
from statemachine.machine.parts import To as To
from statemachine.machine.references import Folder
from statemachine.machine.report import Keys, Report
from statemachine.machine.resolve import resolve_into
from statemachine.machine.types import spell_type
from statemachine.machine.validate import validate

Function = TypeVar("Function", bound=Callable[..., Any])


class MachineBuilder:
    """Collects a machine's parts; :attr:`declaration` and :attr:`definition` are what they make.

    Whatever is wrong with a part is reported with all else when the machine is used, at the line of the
    call that gave the part.

    Args:
        name: The machine's name.
        version: Its version.
        context: A pydantic model whose fields are the context; it is never instantiated.
        events: Events from outside, each with the types of its payload.
        limits: What ends any run.
        expects: What a usual run takes; it limits nothing.
        on: Transitions from every state that is not final.
        migrations: By older version: how its runs are moved to this one; see
            :class:`statemachine.machine.model.Migration`.
        summary: What the machine does, in a line.
    """

    def __init__(
        self,
        name: str,
        *,
        version: str,
        context: type[BaseModel] | None = None,
        events: Mapping[str, Mapping[str, Any]] | None = None,
        limits: Mapping[str, Any] | None = None,
        expects: Mapping[str, Any] | None = None,
        on: Mapping[str, Route] | None = None,
        migrations: Mapping[str, Mapping[str, Mapping[str, str | None]]] | None = None,
        summary: str | None = None,
    ) -> None:
        self._places: dict[Keys, tuple[str, int]] = {(): self._here()}
        self._folder = Folder(Path(self._places[()][0]).resolve().parent)
        self._functions: dict[str, Callable[..., Any]] = {}
        self._report = Report(self._place, named=True)
        self._context = context
        self._head = given(
            machine=name,
            version=version,
            summary=summary,
            limits=limits,
            expects=expects,
            migrations=migrations,
        )
        self._tools: dict[str, Any] = {}
        self._states: dict[str, Any] = {}
        self._events = self._payloads(events)
        self._on = self._table(("on",), on)

    def tool(
        self,
        name: str | None = None,
        *,
        effect: Literal["read", "write"],
        summary: str | None = None,
        **contract: Unpack[Contract],
    ) -> Callable[[Function], Function]:
        """Declare the decorated function as a tool, by its own name unless another is given."""

        def declare(function: Function) -> Function:
            title = name or function.__name__
            path: Keys = ("tools", title)
            self._put(self._tools, path)
            reference = self._reference(path, function)
            self._tools[title] = given(python=reference, effect=effect, summary=summary, **contract)
            return function

        return declare

    def shell(
        self,
        name: str,
        command: str | Sequence[str],
        *,
        effect: Literal["read", "write"],
        input: Mapping[str, Any] | None = None,
        output: Any = str,
        summary: str | None = None,
        **contract: Unpack[Contract],
    ) -> None:
        """Declare a shell command as a tool; ``contract`` is as for :meth:`tool`."""
        path: Keys = ("tools", name)
        self._put(self._tools, path)
        self._tools[name] = given(
            shell=command,
            effect=effect,
            input=self._spelled((*path, "input"), input),
            output=None if output is str else self._spell((*path, "output"), output),
            summary=summary,
            **contract,
        )

    def state(
        self,
        name: str | None = None,
        *,
        effect: Literal["read", "write"],
        initial: bool = False,
        inputs: Mapping[str, str] | None = None,
        save: str | Mapping[str, str] | None = None,
        sufficient: str | None = None,
        approval: Mapping[str, Any] | None = None,
        reasoning: str | None = None,
        expects: str | None = None,
        on: Mapping[str, Route] | None = None,
        attempts: int | None = None,
        exhausted: str | None = None,
        state_timeout: DurationText | None = None,
        summary: str | None = None,
        **contract: Unpack[Contract],
    ) -> Callable[[Function], Function]:
        """Declare the decorated function as a tool and a state of the same name that calls it.

        ``inputs`` is YAML's ``with``; ``contract`` is as for :meth:`tool`, and ``state_timeout`` bounds the
        time in the state where ``timeout`` bounds one call.
        """

        def declare(function: Function) -> Function:
            title = name or function.__name__
            self.tool(name, effect=effect, **contract)(function)
            self.add(
                title,
                initial=initial,
                do=title,
                inputs=inputs,
                save=save,
                sufficient=sufficient,
                approval=approval,
                reasoning=reasoning,
                expects=expects,
                on=on,
                attempts=attempts,
                exhausted=exhausted,
                timeout=state_timeout,
                summary=summary,
            )
            return function

        return declare

    def add(
        self,
        name: str,
        final: Final | Literal["succeeded", "failed"] | None = None,
        *,
        initial: bool = False,
        do: str | None = None,
        inputs: Mapping[str, str] | None = None,
        save: str | Mapping[str, str] | None = None,
        sufficient: str | None = None,
        approval: Mapping[str, Any] | None = None,
        reasoning: str | None = None,
        expects: str | None = None,
        wait: DurationText | Mapping[str, Any] | None = None,
        always: Route | None = None,
        undo: Literal["all"] | None = None,
        on: Mapping[str, Route] | None = None,
        attempts: int | None = None,
        exhausted: str | None = None,
        timeout: DurationText | None = None,
        output: Mapping[str, str] | None = None,
        reason: str | None = None,
        summary: str | None = None,
    ) -> None:
        """Add a state; the arguments are those of :class:`statemachine.machine.model.State`."""
        path: Keys = ("states", name)
        self._put(self._states, path)
        if initial and "initial" in self._head:
            first = self._head["initial"]
            self._report.add(
                "SM107", path, f"both `{first}` and `{name}` are initial; a run starts in one state"
            )
        elif initial:
            self._head["initial"] = name
        self._states[name] = given(
            final=final.value if isinstance(final, Final) else final,
            do=do,
            save=save,
            sufficient=sufficient,
            approval=approval,
            reasoning=reasoning,
            expects=expects,
            wait=wait,
            always=None if always is None else self._route((*path, "always"), always),
            undo=undo,
            on=self._table((*path, "on"), on),
            attempts=attempts,
            exhausted=exhausted,
            timeout=timeout,
            output=output,
            reason=reason,
            summary=summary,
            **{"with": inputs},
        )

    @property
    def declaration(self) -> Declaration:
        """The machine as data.

        Raises:
            InvalidMachine: With everything that is wrong with the form of its parts.
        """
        declared, report = self._read
        report.refuse()
        return declared

    @cached_property
    def definition(self) -> Definition:
        """The machine with everything resolved.

        Raises:
            InvalidMachine: With everything that is wrong.
        """
        declared, read = self._read
        report = Report(
            self._place, list(read.findings), set(read.damaged), named=True, allowances=self._allowances()
        )
        return resolve_into(report, declared, self._folder, self._functions)

    @cached_property
    def _read(self) -> tuple[Declaration, Report]:
        data = _copied(self._head | {"tools": self._tools, "states": self._states})
        data |= given(events=self._events, on=self._on)
        report = Report(self._place, list(self._report.findings), set(self._report.damaged), named=True)
        data["context"] = self._fields(report)
        if "initial" not in data:
            report.add("SM105", (), "no state is the first: give one initial=True")
            report.damaged.add(("initial",))
        return validate(data, report), report

    def _fields(self, report: Report) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        if self._context is None:
            return fields
        if not (isinstance(self._context, type) and issubclass(self._context, BaseModel)):
            report.add("SM106", ("context",), "context is a class derived from pydantic's BaseModel")
            report.damaged.add(("context",))
            return fields
        for name, info in self._context.model_fields.items():
            marks = [m for m in info.metadata if isinstance(m, Owner)]
            saving = [n for n, s in self._states.items() if name in _names(s.get("save"))]
            owners = (marks[0].states if marks else ()) or tuple(saving) or (OPERATOR,)
            fields[name] = given(
                owner=list(owners),
                fresh_for=marks[0].fresh_for if marks else None,
                derived_from=(marks[0].derived_from or None) if marks else None,
                summary=info.description,
            )
            try:
                if len(info.metadata) > len(marks):
                    raise InvalidReference(
                        "a constraint on a context field has no spelling; put it into a class and use that"
                    )
                fields[name]["type"] = spell_type(info.annotation, self._folder)
                default = info.get_default(call_default_factory=True)
                if default is not PydanticUndefined:
                    fields[name]["default"] = to_jsonable_python(default)
            except (InvalidReference, ValueError, TypeError) as error:
                report.add("SM115", ("context", name), f"context field `{name}`: {error}")
                report.damaged.add(("context", name))
        return fields

    def _allowances(self) -> tuple[Allowance, ...]:
        """Return the comments that silence a rule, among or next to the calls that made this machine."""
        file = self._places[()][0]
        lines = [line for name, line in self._places.values() if name == file]
        found = in_python("".join(linecache.getlines(file)), file)
        return tuple(a for a in found if min(lines) <= a.line <= max(lines) + 1)

    def _here(self) -> tuple[str, int]:
        """Return the file and line of the call into this object, whatever subclass stands between."""
        frame = sys._getframe(1)
        while frame.f_back is not None and frame.f_locals.get("self") is self:
            frame = frame.f_back
        return frame.f_code.co_filename, frame.f_lineno

    def _place(self, path: Keys, key: bool = False, offset: int | None = None) -> Place:
        file, line = next(
            self._places[path[:n]] for n in range(len(path), -1, -1) if path[:n] in self._places
        )
        source = linecache.getline(file, line).rstrip("\n")
        return Place(file, line, len(source) - len(source.lstrip()) + 1, source)

    def _put(self, table: Mapping[str, Any], path: Keys) -> None:
        here = self._here()
        if "_read" in self.__dict__:
            self._report.add(
                "SM109", path, "the machine is in use already; declare all its parts before that"
            )
            self._report.refuse()
        if path[-1] in table:
            line = self._places[path][1]
            self._places[path] = here
            self._report.add("SM102", path, f"`{path[-1]}` is there already, in line {line}")
        self._places.setdefault(path, here)

    def _table(self, path: Keys, on: Mapping[str, Route] | None) -> Any:
        if not isinstance(on, Mapping):
            return on
        return {event: self._route((*path, event), route) for event, route in on.items()}

    def _route(self, path: Keys, route: Route) -> Any:
        routes = [route] if isinstance(route, To) else route
        if isinstance(routes, str) or not isinstance(routes, Sequence):
            return routes
        return [
            given(to=r.target, when=self._when((*path, i), r.when), resets=r.resets or None)
            if isinstance(r, To)
            else r
            for i, r in enumerate(routes)
        ]

    def _when(self, path: Keys, when: Guarded | None) -> Any:
        return {"python": self._reference((*path, "when"), when)} if callable(when) else when

    def _reference(self, path: Keys, function: Callable[..., Any]) -> str:
        try:
            reference = self._folder.spell(function)
        except InvalidReference as error:
            self._report.add("SM116", path, str(error))
            self._report.damaged.add(path)
            return ""
        self._functions[reference] = function
        return reference

    def _payloads(self, events: Any) -> Any:
        if not isinstance(events, Mapping):
            return events
        return {event: self._spelled(("events", event), payload) for event, payload in events.items()}

    def _spelled(self, path: Keys, types: Any) -> Any:
        if not isinstance(types, Mapping):
            return types
        return {name: self._spell((*path, name), of) for name, of in types.items()}

    def _spell(self, path: Keys, of: Any) -> str:
        try:
            return of if isinstance(of, str) else spell_type(of, self._folder)
        except InvalidReference as error:
            self._report.add("SM115", path, str(error))
            self._report.damaged.add(path)
            return ""


def _names(save: object) -> tuple[str, ...]:
    return (save,) if isinstance(save, str) else tuple(save) if isinstance(save, Mapping) else ()


def _copied(value: Any) -> Any:
    """Return plain lists and dicts that can be taken apart."""
    if isinstance(value, Mapping):
        return {key: _copied(inner) for key, inner in value.items()}
    return [_copied(inner) for inner in value] if isinstance(value, list | tuple) else value
