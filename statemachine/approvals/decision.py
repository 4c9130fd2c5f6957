"""A decision is a signature: over the request, the exact input, the verdict, and for how long it counts."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import rfc8785

from statemachine.approvals.keys import verifies
from statemachine.approvals.policy import Policy, Verdict

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be decided, as far as a decision is bound to it.

    Attributes:
        id: The request's id, ``run:seq``; it names the run.
        machine: Digest of the machine that asks.
        digest: SHA-256 of the call's input.
        approvers: Roles or names that are asked; nobody in particular means anyone of the policy.
        starter: Who started the run.
    """

    id: str
    machine: str
    digest: str
    approvers: tuple[str, ...]
    starter: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person decided.

    Attributes:
        request: Id of the request.
        machine: Digest of the machine.
        digest: SHA-256 of the input that was looked at.
        verdict: ``approve`` or ``deny``; ``review`` says that one who broke no glass has looked at who did.
        approver: The person's name in the policy.
        reason: Why, for the record.
        at: When it was signed, in seconds since the epoch.
        until: From when on it does not count any more, likewise.
        nonce: Makes each decision a different one.
        break_glass: Whether it is made out of turn.
        signature: Ed25519, in base64, over all of the above as RFC 8785 JSON.
    """

    request: str
    machine: str
    digest: str
    verdict: Verdict
    approver: str
    reason: str
    at: float
    until: float
    nonce: str
    break_glass: bool = False
    signature: str = ""

    def as_data(self) -> dict[str, Any]:
        """Return the decision as plain data."""
        return {name: getattr(self, name) for name in Decision.__slots__}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Decision:
        """Return the decision that :meth:`as_data` gave; other keys are passed over.

        Raises:
            KeyError: A part is missing.
        """
        return cls(**{name: data[name] for name in Decision.__slots__})

    def message(self) -> bytes:
        """Return what is signed."""
        data = self.as_data()
        del data["signature"]
        return rfc8785.dumps(data)


def signed(
    request: Request,
    verdict: Verdict,
    approver: str,
    key: Ed25519PrivateKey,
    *,
    now: float,
    until: float,
    reason: str = "",
    break_glass: bool = False,
) -> Decision:
    """Return a person's decision, signed."""
    decision = Decision(
        request.id, request.machine, request.digest, verdict, approver, reason, now, until,
        secrets.token_hex(16), break_glass,
    )  # fmt: skip
    return replace(decision, signature=base64.b64encode(key.sign(decision.message())).decode())


def why_void(decision: Decision, request: Request, policy: Policy, now: float) -> str:
    """Return why a decision does not count; empty when it does.

    Whether it comes in time for its request, and whether it was made before, is the kernel's to say.
    """
    name = decision.approver
    asked = policy.break_glass if decision.break_glass else request.approvers
    asked = () if decision.verdict == "review" else asked
    if (decision.request, decision.machine, decision.digest) != (request.id, request.machine, request.digest):
        return "it is a decision on something else"
    if name not in policy.approvers:
        return f"{name} is no approver of the policy"
    if not verifies(policy.approvers[name].key, decision.signature, decision.message()):
        return f"its signature is not {name}'s"
    if decision.break_glass and not policy.break_glass:
        return "the policy lets nobody break the glass"
    if not policy.may_answer(name, asked, now):
        return f"{name} is not among those who may: {', '.join(asked) or 'any approver'}"
    if name == request.starter:
        return f"{name} started the run, and does not approve its calls"
    if now >= decision.until:
        return "it has expired"
    return ""
