"""Machines in Python: decorated functions are tools or states; the result is the same declaration."""

from __future__ import annotations

import enum
import linecache
import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticUndefined

from statemachine.errors import Finding, InvalidMachine, InvalidReference, Place
from statemachine.machine.definition import Definition
from statemachine.machine.model import OPERATOR, Declaration, FailureClass
from statemachine.machine.references import Folder
from statemachine.machine.resolve import resolve
from statemachine.machine.types import spell_type

Function = TypeVar("Function", bound=Callable[..., Any])
DurationText = str | float
Guarded = str | Callable[..., bool]


class Final(enum.StrEnum):
    """The outcome of a final state."""

    succeeded = "succeeded"
    failed = "failed"


@dataclass(frozen=True, slots=True)
class Owner:
    """Marks a context field in Python: ``Annotated[str, Owner("plan", fresh_for="10m")]``.

    Without it a field is owned by the states that save into it, or else by the operator.
    """

    states: tuple[str, ...]
    fresh_for: DurationText | None

    def __init__(self, *states: str, fresh_for: DurationText | None = None) -> None:
        object.__setattr__(self, "states", states)
        object.__setattr__(self, "fresh_for", fresh_for)


@dataclass(frozen=True, slots=True)
class To:
    """A transition: ``To("retry", when="cause.recoverable")``; ``when`` may be a pure function.

    Attributes:
        target: The state it leads to.
        when: Its guard.
        resets: States whose attempts fall to zero.
    """

    target: str
    when: Guarded | None = None
    resets: Sequence[str] = ()


Route = str | To | Sequence[To]


def Limits(
    *,
    steps: int | None = None,
    calls: int | None = None,
    elapsed: DurationText | None = None,
    cost: Mapping[str, float] | None = None,
    otherwise: str | None = None,
) -> Mapping[str, Any]:
    """Return a machine's limits; see :class:`statemachine.machine.model.Limits`."""
    return _given(steps=steps, calls=calls, elapsed=elapsed, cost=cost, otherwise=otherwise)


def Backoff(
    initial: DurationText = "1s", *, factor: float = 2.0, cap: DurationText = "1m"
) -> Mapping[str, Any]:
    """Return a wait that grows; see :class:`statemachine.machine.model.Backoff`."""
    return {"initial": initial, "factor": factor, "cap": cap}


def Retry(
    max: int,
    *,
    initial: DurationText = "1s",
    factor: float = 2.0,
    cap: DurationText = "1m",
    jitter: Literal["full", "none"] = "full",
) -> Mapping[str, Any]:
    """Return a retry policy; see :class:`statemachine.machine.model.Retry`."""
    return {"max": max, "initial": initial, "factor": factor, "cap": cap, "jitter": jitter}


class MachineBuilder:
    """Collects a machine's parts; :attr:`declaration` and :attr:`definition` are what they make.

    Args:
        name: The machine's name.
        version: Its version.
        context: A pydantic model whose fields are the context; it is never instantiated.
        events: Events from outside, each with the types of its payload.
        limits: What ends any run.
        on: Transitions from every state that is not final.
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
        on: Mapping[str, Route] | None = None,
        summary: str | None = None,
    ) -> None:
        frame = sys._getframe(1)
        # A subclass's __init__ may stand between the caller and us.
        while frame.f_back is not None and isinstance(frame.f_locals.get("self"), MachineBuilder):
            frame = frame.f_back
        self._file = Path(frame.f_code.co_filename)
        self._lines: dict[tuple[str | int, ...], int] = {(): frame.f_lineno}
        self._folder = Folder(self._file.resolve().parent)
        self._functions: dict[str, Callable[..., Any]] = {}
        self._context = context
        self._initial: str | None = None
        self._tools: dict[str, Any] = {}
        self._states: dict[str, Any] = {}
        self._head = _given(machine=name, version=version, summary=summary, limits=limits)
        self._events = dict(events or {})
        self._on = dict(on or {})

    def tool(
        self,
        name: str | None = None,
        *,
        effect: Literal["read", "write"],
        reversibility: Literal["full", "partial", "none"] | None = None,
        idempotent: bool | None = None,
        probe: str | None = None,
        timeout: DurationText | None = None,
        failures: Mapping[str, FailureClass] | None = None,
        retry: Mapping[FailureClass, Mapping[str, Any]] | None = None,
        summary: str | None = None,
    ) -> Callable[[Function], Function]:
        """Declare the decorated function as a tool, by its own name unless another is given."""
        line = sys._getframe(1).f_lineno

        def declare(function: Function) -> Function:
            title = name or function.__name__
            reference = self._reference(function)
            self._lines["tools", title] = line
            self._tools[title] = _given(
                python=reference,
                effect=effect,
                reversibility=reversibility,
                idempotent=idempotent,
                probe=probe,
                timeout=timeout,
                failures=failures,
                retry=retry,
                summary=summary,
            )
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
        **contract: Any,
    ) -> None:
        """Declare a shell command as a tool; ``contract`` is as for :meth:`tool`."""
        self._lines["tools", name] = sys._getframe(1).f_lineno
        self._tools[name] = _given(
            shell=command if isinstance(command, str) else list(command),
            effect=effect,
            input={n: self._spell(t) for n, t in (input or {}).items()} or None,
            output=None if output is str else self._spell(output),
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
        on: Mapping[str, Route] | None = None,
        attempts: int | None = None,
        exhausted: str | None = None,
        state_timeout: DurationText | None = None,
        summary: str | None = None,
        **contract: Any,
    ) -> Callable[[Function], Function]:
        """Declare the decorated function as a tool and a state of the same name that calls it.

        ``inputs`` is YAML's ``with``; ``contract`` is as for :meth:`tool`.
        """
        line = sys._getframe(1).f_lineno

        def declare(function: Function) -> Function:
            title = name or function.__name__
            self.tool(title, effect=effect, **contract)(function)
            self._add(
                title,
                line,
                initial,
                on,
                do=title,
                save=save,
                sufficient=sufficient,
                attempts=attempts,
                exhausted=exhausted,
                timeout=state_timeout,
                summary=summary,
                **{"with": inputs},
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
        wait: DurationText | Mapping[str, Any] | None = None,
        always: Route | None = None,
        on: Mapping[str, Route] | None = None,
        attempts: int | None = None,
        exhausted: str | None = None,
        timeout: DurationText | None = None,
        output: Mapping[str, str] | None = None,
        reason: str | None = None,
        summary: str | None = None,
    ) -> None:
        """Add a state; the arguments are those of :class:`statemachine.machine.model.State`."""
        self._add(
            name,
            sys._getframe(1).f_lineno,
            initial,
            on,
            final=final.value if isinstance(final, Final) else final,
            do=do,
            save=save,
            sufficient=sufficient,
            wait=wait,
            always=None if always is None else self._route(always),
            attempts=attempts,
            exhausted=exhausted,
            timeout=timeout,
            output=output,
            reason=reason,
            summary=summary,
            **{"with": inputs},
        )

    def _add(self, name: str, line: int, initial: bool, on: Mapping[str, Route] | None, **parts: Any) -> None:
        if name in self._states:
            raise ValueError(f"state `{name}` is declared twice")
        if initial:
            self._initial = name
        self._lines["states", name] = line
        self._states[name] = _given(on={e: self._route(r) for e, r in on.items()} if on else None, **parts)

    def _route(self, route: Route) -> Any:
        if isinstance(route, str):
            return route
        routes = [route] if isinstance(route, To) else route
        return [
            _given(to=r.target, when=self._when(r.when), resets=list(r.resets) if r.resets else None)
            for r in routes
        ]

    def _when(self, when: Guarded | None) -> Any:
        return {"python": self._reference(when)} if callable(when) else when

    def _reference(self, function: Callable[..., Any]) -> str:
        reference = self._folder.spell(function)
        self._functions[reference] = function
        return reference

    def _spell(self, of: Any) -> str:
        return of if isinstance(of, str) else spell_type(of, self._folder)

    def _place(self, path: tuple[str | int, ...], key: bool = False, offset: int | None = 0) -> Place:
        line = next(self._lines[path[:n]] for n in range(len(path), -1, -1) if path[:n] in self._lines)
        where = ".".join(str(p) for p in path)
        source = linecache.getline(str(self._file), line).rstrip("\n")
        column = len(source) - len(source.lstrip()) + 1
        return Place(f"{self._file} ({where})" if where else str(self._file), line, column, source)

    @cached_property
    def declaration(self) -> Declaration:
        """The machine as data.

        Raises:
            InvalidMachine: With what is wrong with its parts.
        """
        data = dict(self._head)
        try:
            data["context"] = self._fields()
            data["events"] = {
                e: {n: self._spell(t) for n, t in payload.items()} for e, payload in self._events.items()
            }
            data["on"] = {e: self._route(r) for e, r in self._on.items()}
        except InvalidReference as error:
            raise InvalidMachine([Finding("SM115", str(error), self._place(()))]) from None
        data |= {"tools": self._tools, "states": self._states, "initial": self._initial or ""}
        if self._initial is None:
            raise InvalidMachine(
                [Finding("SM105", "no state is declared with initial=True", self._place(()))]
            )
        try:
            return Declaration.model_validate(data)
        except ValidationError as error:
            raise InvalidMachine(
                [
                    Finding("SM106", f["msg"].removeprefix("Value error, "), self._place(f["loc"]), f["loc"])
                    for f in error.errors(include_url=False)
                ]
            ) from None

    @cached_property
    def definition(self) -> Definition:
        """The machine with everything resolved.

        Raises:
            InvalidMachine: With everything that is wrong.
        """
        return resolve(self.declaration, self._folder, self._place, functions=self._functions)

    def _fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        if self._context is None:
            return fields
        hints = typing.get_type_hints(self._context, include_extras=True)
        for name, info in self._context.model_fields.items():
            marks = [m for m in getattr(hints[name], "__metadata__", ()) if isinstance(m, Owner)]
            saving = [n for n, s in self._states.items() if name in _saved(s.get("save"))]
            owners = (marks[0].states if marks else ()) or tuple(saving) or (OPERATOR,)
            fields[name] = _given(
                type=spell_type(info.annotation, self._folder),
                owner=list(owners),
                fresh_for=marks[0].fresh_for if marks else None,
                summary=info.description,
            )
            default = info.get_default(call_default_factory=True)
            if default is not PydanticUndefined:
                fields[name]["default"] = _as_json(default)
        return fields


def _saved(save: str | Mapping[str, str] | None) -> tuple[str, ...]:
    return (save,) if isinstance(save, str) else tuple(save or ())


def _as_json(value: Any) -> Any:
    from pydantic_core import to_jsonable_python

    return to_jsonable_python(value)


def _given(**parts: Any) -> dict[str, Any]:
    return {name: value for name, value in parts.items() if value is not None}
