"""Why a run does not move: what it waits for, since when, until when and what then, and who can do something."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from statemachine.approvals.policy import Policy
from statemachine.host.owner import is_dead
from statemachine.host.pinned import declared
from statemachine.journal import decode
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


def standstill(
    store: Store, stored: StoredRun, snapshot: Snapshot, policy: Policy, now: float
) -> Standstill | None:
    """Return why a run does not move; None when it has ended.

    Args:
        store: Where it lies.
        stored: The run.
        snapshot: Where it is.
        policy: Who may approve.
        now: The time, in seconds since the epoch.
    """
    if stored.finished is not None:
        return None
    declaration, pending, run = declared(store, stored.machine), snapshot.pending, stored.id
    held = _stop(store, declaration, snapshot)
    also = str(held) if held is not None else ""
    match pending:
        case PendingApproval() if pending.held > now:
            return _frozen(pending, policy, also)
        case PendingApproval() if not pending.held and pending.expires > now:
            return _approval(store, stored, pending, policy, now, also)
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


def _approval(
    store: Store, stored: StoredRun, pending: PendingApproval, policy: Policy, now: float, also: str
) -> Standstill:
    _, _, seq = pending.request.partition(":")
    (record,) = store.records(stored.id, after=int(seq) - 1, until=int(seq))
    asked: Any = decode(record.body, store.blob)
    (first,) = store.records(stored.id, until=1)
    starter = json.loads(first.body).get("by", "")
    roles, missing = tuple(asked["approvers"]), asked["needed"] - len(pending.granted)
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
        lift = {"run": held.name, "all": "--all"}.get(held.scope, f"--{held.scope} {held.name}")
        says = f"the stop to be lifted: {held}"
        return Standstill(
            "stop",
            says,
            max(held.at, stored.updated),
            who="who may operate",
            act=f"statemachine start {lift}",
        )
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
