"""Why a run does not move: what it waits for, since when, until when and what then, and who can do something."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from statemachine.approvals.decision import Decision
from statemachine.approvals.policy import Policy
from statemachine.host.approving import Desk
from statemachine.host.owner import is_dead
from statemachine.host.pinned import declared
from statemachine.kernel import PendingApproval, PendingCall, Snapshot, Untold
from statemachine.machine.model import Declaration
from statemachine.store import Stop, Store, StoredRun

For = Literal["approval", "freeze", "decision", "event", "time", "call", "worker", "owner", "stop", "process"]
"""What a run waits for: people's yes, the end of a freeze, a word on a call in doubt, an event, time, the answer of a
tool, a worker, an owner that does not say any more that it lives, the end of a stop, or the process that drives it."""


@dataclass(frozen=True, slots=True)
class Standstill:
    """Why a run does not move.

    Attributes:
        what: What it waits for, as a word.
        says: The same for people.
        since: Since when, in seconds since the epoch.
        until: When it moves by itself; None when it does not.
        then: What happens then.
        who: Who can act.
        act: What they would type; empty when there is nothing to do but wait.
        also: What would hold it up next.
        untold: The ways in which people could not be told that they are waited for.
    """

    what: For
    says: str
    since: float
    until: float | None = None
    then: str = ""
    who: str = ""
    act: str = ""
    also: str = ""
    untold: tuple[Untold, ...] = ()

    def as_data(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def standstill(desk: Desk, stored: StoredRun, snapshot: Snapshot, now: float) -> Standstill | None:
    """Return why a run does not move; None when it has ended.

    Args:
        desk: Who may approve, and the store in which it lies.
        stored: The run.
        snapshot: Where it is.
        now: The time, in seconds since the epoch.
    """
    if stored.finished is not None:
        return None
    declaration, pending, run = declared(desk.store, stored.machine), snapshot.pending, stored.id
    held = _stop(desk.store, declaration, snapshot)
    also = str(held) if held is not None else ""
    match pending:
        case PendingApproval() if pending.held > now:
            return _frozen(pending, desk.policy, also)
        case PendingApproval() if held is not None and (yeses := _enough(desk, pending, now)):
            return _stopped(held, pending, yeses)
        case PendingApproval() if not pending.held and pending.expires > now:
            return _approval(desk, pending, now, also)
        case PendingCall(phase="doubt", key=key, tool=tool):
            return Standstill(
                "decision",
                f"a decision on the call {key} of {tool}, which may have happened",
                stored.updated,
                who="anyone who can find out whether it did",
                act=f"statemachine explain {run}, then: statemachine resolve {run} --happened | --not-happened | --undo",
                also=also,
            )
    timed = f"the timeout of {stored.state}, or a limit," if pending is None else ""
    if (stored.waiting or "").startswith("event ") and not _over(stored, now):
        events = (stored.waiting or "").removeprefix("event ").split(" or ")
        return Standstill(
            "event",
            stored.waiting or "",
            stored.updated,
            stored.due,
            f"{timed} moves it on" if stored.due is not None else "",
            "whoever has the answer",
            "; or: ".join(f"statemachine send {run} {event}" for event in events),
            also,
        )
    if stored.status == "waiting" and not _over(stored, now):
        says = stored.waiting or "time"
        return Standstill(
            "time", says, stored.updated, stored.due, "it goes on, where a worker runs", also=also
        )
    return _to_be_driven(stored, snapshot, declaration, held, now)


def _over(stored: StoredRun, now: float) -> bool:
    """Return whether time should have moved the run by now."""
    return stored.due is not None and stored.due <= now


def _stop(store: Store, declaration: Declaration, snapshot: Snapshot) -> Stop | None:
    """Return the stop that holds the run's next call."""
    pending = snapshot.pending
    named = isinstance(pending, PendingCall | PendingApproval)
    tool = pending.tool if named else declaration.states[snapshot.state].do  # type: ignore[union-attr]  # it is named
    machine = declaration.machine
    return next((s for s in store.stops() if s.holds(snapshot.run, machine, tool or "")), None)


def _enough(desk: Desk, pending: PendingApproval, now: float) -> list[Decision]:
    """Return the yeses that let a call be made, were it not stopped; none if they are not enough, or too late."""
    if not pending.held and pending.expires <= now:
        return []
    yeses = list(desk.yeses(pending.request, now).values())
    glass = pending.break_glass or any(yes.break_glass for yes in yeses)
    needed = max(desk.request(pending.request)[1]["needed"], 2 if glass else 1)
    return yeses if pending.held or len(yeses) >= needed else []


def _stopped(held: Stop, pending: PendingApproval, yeses: list[Decision]) -> Standstill:
    """Return that nobody needs to answer any more, and a stop holds the call."""
    until = min(yes.until for yes in yeses)
    return _by_stop(
        held,
        max(held.at, *(yes.at for yes in yeses)),
        f", to call {pending.tool}, which {' and '.join(yes.approver for yes in yeses)} approved",
        until if pending.held else min(until, pending.expires),
        "the approval counts no more",
    )


def _by_stop(
    held: Stop, since: float, about: str = "", until: float | None = None, then: str = ""
) -> Standstill:
    """Return that a run waits for a stop to be lifted."""
    lift = {"run": held.name, "all": "--all"}.get(held.scope, f"--{held.scope} {held.name}")
    says = f"the stop to be lifted{about}: {held}"
    return Standstill("stop", says, since, until, then, "who may operate", f"statemachine start {lift}")


def _approval(desk: Desk, pending: PendingApproval, now: float, also: str) -> Standstill:
    request, asked = desk.request(pending.request)
    policy, starter = desk.policy, request.starter
    roles, missing = request.approvers, asked["needed"] - len(pending.granted)
    may = [
        name
        for name in policy.approvers
        if name != starter and name not in pending.granted and policy.may_answer(name, roles, now)
    ]
    whom = ", ".join(roles) or "anyone in the policy"
    who = " or ".join(may) or f"nobody yet: the policy names no other who is {whom}"
    more = f", {missing} of them" if missing > 1 else ""
    then = {
        "deny": "it counts as denied",
        "approve": "it counts as approved, if the policy says so",
        "escalate": "the next level is asked",
    }[asked["unanswered"]]
    name = may[0] if may else "NAME"
    return Standstill(
        "approval",
        f"approval of {pending.tool} by {whom}{more}",
        pending.asked,
        pending.expires,
        then,
        who,
        f"statemachine approvals show {pending.request}, then: statemachine approvals approve | deny {pending.request} "
        f"--as {name}",
        also,
        pending.untold,
    )


def _frozen(pending: PendingApproval, policy: Policy, also: str) -> Standstill:
    glass = set(policy.break_glass)
    may = [n for n, who in policy.approvers.items() if n in glass or not glass.isdisjoint(who.roles)]
    two = len(may) > 1
    return Standstill(
        "freeze",
        f"a freeze to end, to call {pending.tool}, which is approved",
        pending.asked,
        pending.held,
        f"{pending.tool} is called, where a worker runs",
        f"two of {', '.join(may)}, out of turn"
        if two
        else "nobody: two people may break the glass, if the policy says who",
        f"statemachine approvals approve {pending.request} --as {may[0]} --break-glass" if two else "",
        also,
    )


def _to_be_driven(
    stored: StoredRun, snapshot: Snapshot, declaration: Declaration, held: Stop | None, now: float
) -> Standstill:
    """Return why a run that can move does not: it is stopped, or has no owner, or an owner that does something."""
    run, owner, until = stored.id, stored.owner, stored.lease_until or 0.0
    pending, worker = snapshot.pending, f"statemachine worker, or: statemachine resume {run}"
    calling = pending if isinstance(pending, PendingCall) and pending.phase == "sent" else None
    alive = owner is not None and not is_dead(owner)
    if held is not None and calling is None:
        return _by_stop(held, max(held.at, stored.updated))
    if alive and until > now:
        if calling is None:
            return Standstill(
                "process", f"nothing: {owner} drives it", stored.updated, who=f"the process {owner}"
            )
        timeout = declaration.tools[calling.tool].timeout
        return Standstill(
            "call",
            f"the answer of {calling.tool}, called by {owner}",
            calling.due,
            calling.due + timeout,
            "it counts as timed out",
            f"the process {owner}",
        )
    if alive:
        return Standstill(
            "owner",
            f"{owner}, which has not said since that it lives: it is paused, or its host is gone",
            until,
            who="any worker, which takes it over",
            act=worker,
        )
    if stored.status == "pending":
        return Standstill("worker", "a worker to take it", stored.started, who="any worker", act=worker)
    since = stored.due if _over(stored, now) and stored.due is not None else stored.updated
    why = (
        "its time has come, and nobody drives it"
        if _over(stored, now)
        else "it was interrupted, and nobody drives it"
    )
    return Standstill("worker", f"a worker: {why}", since, who="any worker", act=worker)
