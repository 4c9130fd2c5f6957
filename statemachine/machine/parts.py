"""The pieces that a machine in Python is written with: outcomes, owners, transitions, limits, policies."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from statemachine.machine.contract import FailureClass

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
    derived_from: str | Sequence[str]

    def __init__(
        self, *states: str, fresh_for: DurationText | None = None, derived_from: str | Sequence[str] = ()
    ) -> None:
        object.__setattr__(self, "states", states)
        object.__setattr__(self, "fresh_for", fresh_for)
        object.__setattr__(self, "derived_from", derived_from)


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
    stuck_after: int | None = None,
    watch: Sequence[str] | None = None,
    otherwise: str | None = None,
) -> Mapping[str, Any]:
    """Return a machine's limits; see :class:`statemachine.machine.model.Limits`."""
    return given(
        steps=steps,
        calls=calls,
        elapsed=elapsed,
        cost=cost,
        stuck_after=stuck_after,
        watch=watch,
        otherwise=otherwise,
    )


def Expects(*, elapsed: DurationText | None = None, interventions: float | None = None) -> Mapping[str, Any]:
    """Return what a usual run takes; see :class:`statemachine.machine.model.Expects`."""
    return given(elapsed=elapsed, interventions=interventions)


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
    refresh: str | None = None,
) -> Mapping[str, Any]:
    """Return a retry policy; see :class:`statemachine.machine.model.Retry`."""
    if refresh is not None:
        return {"max": max, "refresh": refresh}
    return {"max": max, "initial": initial, "factor": factor, "cap": cap, "jitter": jitter}


def Approval(
    *approvers: str,
    needed: int | None = None,
    expires: DurationText | None = None,
    when: str | None = None,
    escalate: Sequence[Mapping[str, Any]] | None = None,
    unanswered: Literal["deny", "approve"] | None = None,
) -> Mapping[str, Any]:
    """Return who must approve a call; see :class:`statemachine.machine.model.Approval`."""
    more = given(needed=needed, expires=expires, when=when, escalate=escalate, unanswered=unanswered)
    return {"approvers": list(approvers), **more} if approvers else more


class Contract(TypedDict, total=False):
    """What a tool promises; the keys are those of :class:`statemachine.machine.model.Tool`."""

    reversibility: Literal["full", "partial", "none"] | None
    idempotent: bool | None
    probe: str | None
    undo: str | None
    says: str | None
    reads: Sequence[str] | None
    modifies: Sequence[str] | None
    blast_radius: str | None
    secrets: Mapping[str, str] | None
    timeout: DurationText | None
    failures: Mapping[str, FailureClass] | None
    retry: Mapping[FailureClass, Mapping[str, Any]] | None


def given(**parts: Any) -> dict[str, Any]:
    """Return what is not None."""
    return {name: value for name, value in parts.items() if value is not None}
