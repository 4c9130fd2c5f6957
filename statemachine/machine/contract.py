"""The contract of a tool: what its calls do to the world, and what a failure, a crash or a timeout of one leads to."""

from __future__ import annotations

import shlex
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from statemachine.machine.duration import Duration
from statemachine.machine.names import DottedName, Name, Secret, Text, TypeText, Variable, Word

FailureClass = Literal[
    "transient",
    "rate_limited",
    "stale_data",
    "permission",
    "data_error",
    "contract",
    "timeout",
    "in_doubt",
    "fatal",
    "unknown",
]
"""The class that each failed call gets exactly one of."""

FAILURE_CLASSES: tuple[FailureClass, ...] = get_args(FailureClass)
REPEATABLE: tuple[FailureClass, ...] = ("transient", "rate_limited", "timeout")
"""Failure classes after which the identical call may succeed; only these may be retried by a policy."""


class Part(BaseModel):
    """Base of every part of a declaration: frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Backoff(Part):
    """A wait that grows: ``initial * factor ** (n - 1)`` seconds the n-th time, at most ``cap``.

    The names are those of Temporal's and Step Functions' retry policies, shortened.

    Attributes:
        initial: The first wait, in seconds.
        factor: How much longer each wait is than the one before.
        cap: The longest wait, in seconds.
    """

    initial: Duration = 1.0
    factor: Annotated[float, Field(ge=1, le=100, strict=True)] = 2.0
    cap: Duration = 60.0

    @model_validator(mode="after")
    def _ordered(self) -> Backoff:
        if self.cap < self.initial:
            raise ValueError("cap is shorter than initial")
        return self

    def seconds(self, n: int) -> float:
        """Return the n-th wait in seconds, n from 1."""
        # Past 64 doublings any factor above 1 has met the cap; larger powers would overflow.
        return float(min(self.cap, self.initial * self.factor ** min(n - 1, 64)))


class Retry(Backoff):
    """How a tool's call is repeated after one class of failure.

    Attributes:
        max: Retries after the first try.
        jitter: ``full`` waits a share of the back-off that is fixed by the call's key; ``none`` waits all.
        refresh: Of ``stale_data``: the read tool that is called first, as the one state that calls it does,
            with its inputs and saves. The call is then made with what its inputs are by now, at once.
    """

    max: Annotated[int, Field(ge=1, le=1000, strict=True)]
    jitter: Literal["full", "none"] = "full"
    refresh: DottedName | None = None

    @model_validator(mode="after")
    def _at_once(self) -> Retry:
        if self.refresh is not None and self.model_fields_set - {"max", "refresh"}:
            raise ValueError("with refresh the call is made at once: only max goes with it")
        return self


def _words(command: Any) -> Any:
    if not isinstance(command, str):
        return command
    try:
        return tuple(shlex.split(command))
    except ValueError as error:
        raise ValueError(f"the command cannot be split into words: {error}") from None


class Tool(Part):
    """A tool and the contract that decides what its failures and crashes lead to.

    Attributes:
        python: ``file.py:function`` beside the machine, or ``package.module:function``.
        shell: A command, as words or as a line that is split into words; ``{name}`` in a word is replaced by
            that input. No shell reads it.
        effect: ``read`` leaves the world as it was; ``write`` does not.
        reversibility: Of a write: ``full``, ``partial`` or ``none``.
        idempotent: The same key may be sent twice without doing it twice. A read always is.
        probe: A read tool that says whether the call with a key happened. It takes that ``key`` and, by name,
            inputs of the call.
        undo: The write tool that takes such a call back. Its parameters are, by name, inputs of the call, the
            call's ``key`` and its ``output``.
        timeout: Seconds that one call may take.
        failures: Exception name, errno name, exit status, or a server's code (HTTP, SMTP, SQL) to failure class.
        retry: For a failure class, how often and when the call is repeated.
        input: Types of a shell tool's inputs; a Python tool's are those of its function.
        secrets: What the tool needs and nobody may read, each as ``${env:NAME}``, read when the call is made: for a
            function a parameter, for a command an environment variable. It is no input, and is never recorded.
        output: Type of a shell tool's output: ``str`` is its standard output, any other is read as JSON.
        says: What a call did, for auditors; ``{name}`` is replaced by that input, and no other is told.
        reads: What a call reads, such as ``vendor:{vendor}``.
        modifies: What it changes.
        blast_radius: What is touched at most, for who approves it.
        summary: What it does.
    """

    python: Text | None = None
    shell: Annotated[
        tuple[Word, ...] | None,
        BeforeValidator(_words, json_schema_input_type=Text | tuple[Word, ...] | None),
        Field(min_length=1),
    ] = None
    effect: Literal["read", "write"]
    reversibility: Literal["full", "partial", "none"] | None = None
    idempotent: Annotated[bool, Field(strict=True)] | None = None
    probe: DottedName | None = None
    undo: DottedName | None = None
    timeout: Duration = 60.0
    failures: dict[Text, FailureClass] = {}
    retry: dict[FailureClass, Retry] = {}
    input: dict[Name, TypeText] = {}
    secrets: dict[Variable, Secret] = {}
    output: TypeText | None = None
    says: Text | None = None
    reads: tuple[Text, ...] = ()
    modifies: tuple[Text, ...] = ()
    blast_radius: Text | None = None
    summary: Text | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Tool:
        if (self.python is None) == (self.shell is None):
            raise ValueError("write exactly one of python: or shell:")
        if self.python is not None and (self.input or self.output):
            raise ValueError("a python tool's input and output are the types of its function")
        if self.effect == "write" and self.reversibility is None:
            raise ValueError("a write declares its reversibility: full, partial or none")
        if self.effect == "write" and self.idempotent is None:
            raise ValueError("a write declares idempotent: true or false")
        of_writes = (self.reversibility, self.probe, self.undo)
        if self.effect == "read" and (any(of_writes) or self.idempotent is not None):
            raise ValueError("reversibility, idempotent, probe and undo belong to a write")
        if self.undo is not None and self.reversibility == "none":
            raise ValueError(
                "reversibility: none says that nothing undoes it; take undo out, or say full or partial"
            )
        for failure, policy in self.retry.items():
            if (failure == "stale_data") != (policy.refresh is not None):
                raise ValueError("a retry after stale_data names the tool to refresh with, and no other does")
            if failure not in (*REPEATABLE, "stale_data"):
                raise ValueError(
                    f"retry after {failure} would repeat the identical call; only {', '.join(REPEATABLE)} may be"
                )
        return self

    @property
    def repeatable(self) -> bool:
        """Whether a call that may have happened can be made again under its key."""
        return self.effect == "read" or bool(self.idempotent)

    @property
    def irreversible(self) -> bool:
        """Whether nothing undoes it."""
        return self.reversibility == "none"
