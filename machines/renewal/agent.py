"""What an agent would decide, as plain rules over the contract: what to write, and what a failure means."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import date

from statemachine import ToolFailure

from .crm import Contract, Verdict

_ANEW = {
    "stale_data": "the contract was changed while we were at it",
    "guard": "the contract is no longer the one that was planned with",
    "transient": "the CRM was busy",
    "rate_limited": "the CRM was busy",
    "timeout": "the CRM took too long",
    "in_doubt": "nobody knew whether it was written, and it was taken back",
}
"""Failures after which a new attempt can help."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A renewal, and why.

    Attributes:
        ends: The new last day.
        price: What a year is to cost, in euros.
        from_ends: The last day so far.
        from_price: What a year has cost so far.
        confidence: How sure the plan is, from 0 to 1.
        why: The reasons, for who approves it.
        expects: What it leads to.
        subject: Of the mail to the vendor.
        letter: Its text, word for word: who approves the mail approves this.
    """

    ends: str
    price: int
    from_ends: str
    from_price: int
    confidence: float
    why: str
    expects: str
    subject: str
    letter: str


@dataclass(frozen=True, slots=True)
class Cause:
    """What went wrong.

    Attributes:
        why: In a sentence.
        recoverable: Whether a new attempt can help.
    """

    why: str
    recoverable: bool


def choose(contract: Contract, months: int, ceiling: int) -> Plan:
    """Return the renewal: the term that was asked for, at the price that the contract allows.

    Raises:
        ToolFailure: No renewal is right: the term makes no sense, or the price is above the ceiling.
    """
    if not 1 <= months <= 60:
        raise ToolFailure("data_error", f"{months} months is no term; renew for 1 to 60")
    rise = min(contract.asked, contract.allowed)
    price = round(contract.price * (1 + rise / 100))
    if price > ceiling:
        raise ToolFailure("data_error", f"{price} a year is more than the {ceiling} that it may cost")
    ends = _later(date.fromisoformat(contract.ends), months).isoformat()
    why = [f"{contract.used} of {contract.seats} seats are used."]
    confidence = 0.9
    if contract.used * 2 < contract.seats:
        confidence -= 0.5
        why.append("That is less than half: fewer seats may do.")
    if contract.asked > contract.allowed:
        confidence -= 0.2
        why.append(
            f"{contract.vendor} asks for {contract.asked:g} % more; the contract allows {contract.allowed:g} %, "
            "and that is what is written."
        )
    else:
        why.append(f"The {contract.asked:g} % more that {contract.vendor} asks for is within the contract.")
    return Plan(
        ends=ends,
        price=price,
        from_ends=contract.ends,
        from_price=contract.price,
        confidence=round(confidence, 2),
        why=" ".join(why),
        expects=f"It ends {ends} instead of {contract.ends} and costs {price} a year instead of {contract.price}.",
        subject=f"{contract.vendor}: our contract is renewed until {ends}",
        letter=f"Dear {contract.vendor},\n\nwe renew our contract with you until {ends}, for {price} euros a year.",
    )


def find_cause(failure: str, message: str, plan: Plan | None = None, verdict: Verdict | None = None) -> Cause:
    """Return what went wrong: a call has failed, or the plan is unsure, or the CRM does not say what it should."""
    if failure:
        known = failure in _ANEW
        return Cause(f"{_ANEW[failure]} ({message})" if known else message, recoverable=known)
    if plan is not None and plan.confidence < 0.5:
        return Cause(f"a person should look at this one: {plan.why}", recoverable=False)
    found = verdict.found if verdict is not None else "is not there"
    return Cause(f"somebody has changed the contract after us: it {found}", recoverable=True)


def _later(day: date, months: int) -> date:
    """Return the day so many months later; the last of a month stays the last of a month."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    last = day.day == monthrange(day.year, day.month)[1]
    most = monthrange(year, month + 1)[1]
    return date(year, month + 1, most if last else min(day.day, most))
