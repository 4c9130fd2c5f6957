"""How a call ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from statemachine.machine.contract import FailureClass


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a call failed.

    Attributes:
        failure: Its class.
        message: What happened, for people.
        retry_after: Seconds that the other side asked to wait, if it did.
    """

    failure: FailureClass
    message: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended: success, partial success or failure.

    Attributes:
        output: The output as JSON data, validated against the tool's output type.
        cost: What the call spent, by unit.
        done: Of a partial success, what was done.
        not_done: Of a partial success, what was not.
        failure: Why it failed, if it did.
        pretended: Who answered instead of the world; empty when the call was made.
        observed: When the output was so, in seconds since the epoch, if the tool said.
    """

    output: Any = None
    cost: Mapping[str, float] | None = None
    done: tuple[str, ...] = ()
    not_done: tuple[str, ...] = ()
    failure: Failure | None = None
    pretended: str = ""
    observed: float | None = None

    @property
    def kind(self) -> Literal["success", "partial", "failure"]:
        """Success, partial or failure."""
        if self.failure is not None:
            return "failure"
        return "partial" if self.not_done else "success"

    def as_data(self) -> dict[str, Any]:
        """Return the outcome as plain data."""
        data: dict[str, Any] = {"kind": self.kind}
        if self.cost:
            data["cost"] = dict(self.cost)
        if self.pretended:
            data["pretended"] = self.pretended
        if self.failure is not None:
            data |= {"class": self.failure.failure, "message": self.failure.message}
            if self.failure.retry_after is not None:
                data["retry_after"] = self.failure.retry_after
            return data
        data["output"] = self.output
        if self.not_done:
            data |= {"done": list(self.done), "not_done": list(self.not_done)}
        if self.observed is not None:
            data["observed"] = self.observed
        return data

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Outcome:
        """Return the outcome that :meth:`as_data` gave."""
        if data["kind"] == "failure":
            return cls(
                cost=data.get("cost"),
                failure=Failure(data["class"], data["message"], data.get("retry_after")),
                pretended=data.get("pretended", ""),
            )
        return cls(
            data["output"],
            data.get("cost"),
            tuple(data.get("done", ())),
            tuple(data.get("not_done", ())),
            pretended=data.get("pretended", ""),
            observed=data.get("observed"),
        )
