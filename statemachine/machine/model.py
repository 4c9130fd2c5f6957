"""What a machine is: plain, frozen data with one digest. A declaration never runs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

import rfc8785
from pydantic import BeforeValidator, Field, model_validator

from statemachine.machine.contract import Backoff, Part, Tool
from statemachine.machine.duration import Duration
from statemachine.machine.names import (
    Count,
    DottedName,
    EventName,
    Json,
    Name,
    Text,
    TypeText,
    Word,
    variable_of,
)

OPERATOR = "operator"
"""The owner of a context field that is given when the run starts."""


Names = Annotated[
    tuple[Name, ...],
    BeforeValidator(
        lambda v: (v,) if isinstance(v, str) else v, json_schema_input_type=Name | tuple[Name, ...]
    ),
]
"""One name or several."""


class ContextField(Part):
    """One typed field of the context.

    Attributes:
        type: ``str``, ``list[str]``, ``str | None``, ``path``, ``tools.py:Verdict``, …
        owner: Who may write it: ``operator`` (an input of the run) or the states that save into it.
        default: Its value from the start; without one the field is unknown until it is written.
        fresh_for: How long a value counts as fresh, in seconds; without it, for ever. Whoever reads an older one
            gets the event ``stale`` instead.
        derived_from: The fields that a value rests on: when the operator amends one of them, the value is as it
            was at the start, unknown or the default.
        summary: What it means.
    """

    type: TypeText
    owner: Annotated[Names, Field(min_length=1)]
    default: Json = None
    fresh_for: Duration | None = None
    derived_from: Names = ()
    summary: Text | None = None

    @property
    def has_default(self) -> bool:
        """Whether a default is declared; it may be null."""
        return "default" in self.model_fields_set


class Limits(Part):
    """What ends any run of the machine.

    Attributes:
        steps: Transitions that a run may take.
        calls: Tool calls that a run may make, retries included.
        elapsed: Seconds from the start of the run.
        cost: For each unit (``usd``, ``tokens``, …), how much a run may spend.
        stuck_after: How often the same call with the same input, a cycle of up to five calls, or a round in
            which no field to ``watch`` changes, may come in a row before ``stuck`` is raised.
        watch: The fields that progress shows in; a round begins when a state that counts attempts is entered.
        otherwise: The final state for a limit, or an unanswered event, that no transition takes; without
            it the machine's only ``final: failed`` state.
    """

    steps: Count = 1000
    calls: Count | None = None
    elapsed: Duration | None = None
    cost: dict[Name, Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]] = {}
    stuck_after: Annotated[int, Field(ge=2, le=100, strict=True)] | None = None
    watch: tuple[Name, ...] = ()
    otherwise: Name | None = None

    @model_validator(mode="after")
    def _watched(self) -> Limits:
        if self.watch and self.stuck_after is None:
            raise ValueError("watch needs stuck_after: how many rounds without a change are too many")
        return self


class Expects(Part):
    """What a usual run of the machine takes. It limits nothing: what goes beyond it is shown by monitoring.

    Attributes:
        elapsed: Seconds from the start of a run to its end.
        interventions: The share of runs in which a person has to do something, from 0 to 1.
    """

    elapsed: Duration | None = None
    interventions: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, strict=True)] | None = None


Approvers = Annotated[
    tuple[Word, ...],
    BeforeValidator(
        lambda v: (v,) if isinstance(v, str) else v, json_schema_input_type=Word | tuple[Word, ...]
    ),
]


class Level(Part):
    """Who is asked to approve a call, and for how long.

    Attributes:
        approvers: Roles or names of the policy; nobody in particular means anyone that it names.
        needed: How many different people must approve.
        expires: Seconds after which nobody's answer counts any more.
    """

    approvers: Approvers = ()
    needed: Annotated[int, Field(ge=1, le=20, strict=True)] = 1
    expires: Duration = 86400.0


class Approval(Level):
    """What a call needs besides its input before it is made.

    Attributes:
        when: A guard that must hold when people are asked, and again right before the call.
        escalate: Who is asked next when an answer does not come in time, one level after another.
        unanswered: What no answer at the last level means: ``deny``; or ``approve``, only of a write of
            reversibility full, and only where the policy allows it.
    """

    when: Text | None = None
    escalate: tuple[Level, ...] = ()
    unanswered: Literal["deny", "approve"] = "deny"

    @property
    def levels(self) -> tuple[Level, ...]:
        """Who is asked first, and then."""
        return (self, *self.escalate)


class PythonGuard(Part):
    """A guard that is a pure Python function; only machines declared in Python have one."""

    python: Text


class Transition(Part):
    """One way out of a state.

    Attributes:
        to: The target state.
        when: The guard: a CEL expression, or a function in a machine declared in Python.
        resets: States whose attempts fall to zero when the transition is taken.
    """

    to: Name
    when: Text | PythonGuard | None = None
    resets: tuple[Name, ...] = ()


def _transitions(value: Any) -> Any:
    if isinstance(value, str):
        return ({"to": value},)
    return (value,) if isinstance(value, Mapping | Transition) else value


Transitions = Annotated[
    tuple[Transition, ...],
    BeforeValidator(_transitions, json_schema_input_type=Name | Transition | tuple[Transition, ...]),
    Field(min_length=1),
]
OnEvents = dict[EventName, Transitions]


def _save(value: Any) -> Any:
    return {value: "output"} if isinstance(value, str) else value


def _wait(value: Any) -> Any:
    return {"initial": value, "factor": 1, "cap": value} if isinstance(value, str | int | float) else value


_OF_CALLS = ("arguments", "sufficient", "approval", "reasoning", "expects")


class State(Part):
    """A state. It calls a tool (``do``), waits for an event (only ``on``), waits for time (``wait``),
    leaves at once by guard (``always``), rolls back (``undo``), or is final.

    Attributes:
        do: The tool to call on entry.
        arguments: ``with``: the tool's inputs as expressions over the context; those left out are taken
            from the context fields of the same name.
        save: The field that takes the tool's output, or fields with a path into it (``output.part``). Of a
            state that waits for events: fields with a part of what they carry (``event.part``).
        sufficient: A guard over ``output`` and the context: is a valid answer enough? If not, the call
            fails with ``data_error``.
        approval: Who must approve the call; one of an irreversible tool always needs approval.
        reasoning: Why the call is to be made, in the agent's words: an expression that gives text.
        expects: What it is expected to lead to: an expression that gives text.
        wait: Seconds to wait, or a back-off that grows with the state's attempts.
        always: Transitions to take at once.
        undo: ``all``: undo every finished write of the run that still stands, the newest first. ``done`` says
            that none is left, ``partial`` that those are which nothing undoes, ``failed.<class>`` that the
            undoing of one failed; the rest then stands.
        on: Transitions by event.
        attempts: How often the state may be entered.
        exhausted: Where one more entry goes.
        timeout: Seconds from entry after which the event ``timeout`` is raised.
        final: The outcome; a final state ends the run.
        output: Of a final state: the run's output, as expressions over the context.
        reason: Of a final state: why, as an expression over the context that gives text.
        summary: What it is for.
    """

    do: DottedName | None = None
    arguments: Annotated[dict[Name, Text], Field(alias="with")] = {}
    save: Annotated[
        dict[Name, Text], BeforeValidator(_save, json_schema_input_type=Name | dict[Name, Text])
    ] = {}
    sufficient: Text | None = None
    approval: Approval | None = None
    reasoning: Text | None = None
    expects: Text | None = None
    wait: Annotated[
        Backoff | None, BeforeValidator(_wait, json_schema_input_type=Duration | Backoff | None)
    ] = None
    always: Transitions | None = None
    undo: Literal["all"] | None = None
    on: OnEvents = {}
    attempts: Count | None = None
    exhausted: Name | None = None
    timeout: Duration | None = None
    final: Literal["succeeded", "failed"] | None = None
    output: dict[Name, Text] = {}
    reason: Text | None = None
    summary: Text | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> State:
        kinds = [k for k in ("do", "wait", "always", "undo", "final") if getattr(self, k) is not None]
        if len(kinds) > 1:
            raise ValueError(f"a state is one thing; this one has {' and '.join(kinds)}")
        if not kinds and not self.on:
            raise ValueError(
                "write one of do, wait, always, undo, final, or on: with the events it waits for"
            )
        if self.do is None and any(getattr(self, part) for part in _OF_CALLS):
            raise ValueError(
                "with, sufficient, approval, reasoning and expects belong to a state that calls a tool"
            )
        if self.do is None and self.save and kinds:
            raise ValueError("save belongs to a state that calls a tool (do:) or waits for events (only on:)")
        if self.final is None and (self.output or self.reason):
            raise ValueError("output and reason belong to a final state")
        if self.final is not None and (self.on or self.attempts or self.timeout):
            raise ValueError("a final state has no on, attempts or timeout")
        if self.always is not None and (self.on or self.timeout):
            raise ValueError("a state with always leaves at once: it takes no events and has no timeout")
        if self.undo is not None and self.timeout is not None:
            raise ValueError("a roll back is not left half-way: it has no timeout but those of its tools")
        if (self.attempts is None) != (self.exhausted is None):
            raise ValueError("attempts and exhausted go together: how often, and where one more entry goes")
        return self

    @property
    def kind(self) -> Literal["call", "wait", "choice", "undo", "final", "event"]:
        """What the state does."""
        if self.do is not None:
            return "call"
        if self.wait is not None:
            return "wait"
        if self.always is not None:
            return "choice"
        if self.undo is not None:
            return "undo"
        return "event" if self.final is None else "final"


class Migration(Part):
    """How runs of an older version are moved to this one, where names alone do not say it.

    Attributes:
        states: Old state to new state, of those that have another name.
        fields: Old context field to new one, of those that have another name; null drops what it holds.
        set: New fields, each with its value as an expression over the old context.
    """

    states: dict[Name, Name] = {}
    fields: dict[Name, Name | None] = {}
    set: dict[Name, Text] = {}


class Declaration(Part):
    """A whole machine as data.

    Attributes:
        machine: Its name.
        version: Its version, any text.
        summary: What it does, in a line.
        context: The typed fields that a run carries.
        events: Events that come from outside, each with the types of its payload.
        limits: What ends any run.
        expects: What a usual run takes.
        tools: The tools that states may call.
        initial: The state a run starts in.
        on: Transitions by event from every state that is not final, after the state's own.
        states: The states.
        migrations: By the version or the digest of an older one: how its runs are moved to this one.
    """

    machine: Name
    version: Text
    summary: Text | None = None
    context: dict[Name, ContextField] = {}
    events: dict[DottedName, dict[Name, TypeText]] = {}
    limits: Limits = Limits()
    expects: Expects = Expects()
    tools: dict[DottedName, Tool] = {}
    initial: Name
    on: OnEvents = {}
    states: Annotated[dict[Name, State], Field(min_length=1)]
    migrations: dict[Text, Migration] = {}

    def as_data(self) -> dict[str, Any]:
        """Return the declaration as plain JSON data without what is left at its default."""
        # exclude_unset keeps a declared `default: null`; exclude_defaults makes two spellings of one
        # machine equal. They differ only for ContextField.default, which is put back here.
        data = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        for name, field in self.context.items():
            if field.has_default and field.default is None:
                data["context"][name]["default"] = None
        return data

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the canonical JSON (RFC 8785) of :meth:`as_data`, in hexadecimal."""
        return hashlib.sha256(rfc8785.dumps(self.as_data())).hexdigest()

    @cached_property
    def secrets(self) -> tuple[str, ...]:
        """The environment variables that its tools take secrets from."""
        return tuple(sorted({variable_of(s) for tool in self.tools.values() for s in tool.secrets.values()}))

    def transitions(self) -> Iterator[tuple[tuple[str | int, ...], Transition]]:
        """Yield every transition with its path."""
        tables: list[tuple[tuple[str, ...], Mapping[str, tuple[Transition, ...]]]] = [(("on",), self.on)]
        for name, state in self.states.items():
            tables.append((("states", name, "on"), state.on))
            tables.append((("states", name), {"always": state.always or ()}))
        for path, table in tables:
            for event, transitions in table.items():
                for index, transition in enumerate(transitions):
                    yield (*path, event, index), transition

    def approval(self, state: State) -> Approval | None:
        """Return what the call of a state needs to be made; None when it needs nothing, or calls nothing."""
        tool = self.tools.get(state.do or "")
        return state.approval or (Approval() if tool is not None and tool.irreversible else None)

    @property
    def otherwise(self) -> str:
        """The final state for limits and for what no transition answers."""
        if self.limits.otherwise is not None:
            return self.limits.otherwise
        return next(name for name, state in self.states.items() if state.final == "failed")
