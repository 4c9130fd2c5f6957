"""A run as people and programs see it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from statemachine.errors import StoreUnusable
from statemachine.journal import decode
from statemachine.kernel import PendingApproval, PendingCall, Snapshot
from statemachine.store import Store, StoredRun


@dataclass(frozen=True, slots=True)
class RunView:
    """A run at one moment.

    Attributes:
        run: Its id.
        machine: Name of its machine.
        version: Version of the machine.
        digest: Digest of the machine.
        status: One of pending, running, waiting, succeeded, failed, cancelled.
        state: Its state.
        waiting: What it waits for; empty when it does not.
        due: When time moves it next, in seconds since the epoch.
        reason: Why it ended as it did, or what last went wrong.
        attempts: How often each state that counts attempts was entered.
        steps: Transitions taken.
        calls: Calls made.
        cost: What was spent, by unit.
        started: When it started, in seconds since the epoch.
        updated: When it last moved.
        finished: When it ended.
        owner: The process that drives it, if one does.
        pending: The call that is under way, in doubt, held, or waits for approval.
        context: Its context.
        output: Its output, once it has ended.
        erased: When, by whom and why payloads of it were erased, in words; empty for any other.
        db: The store that it lies in; empty when that is not known.
        edited: What a person changed by hand: fields, and calls whose outcome was pretended.
        parent: The record that it was forked off, ``run:seq``; empty for any other.
    """

    run: str
    machine: str
    version: str
    digest: str
    status: str
    state: str
    waiting: str
    due: float | None
    reason: str
    attempts: Mapping[str, int]
    steps: int
    calls: int
    cost: Mapping[str, float]
    started: float
    updated: float
    finished: float | None
    owner: str | None
    pending: Mapping[str, Any] | None
    context: Mapping[str, Any]
    output: Mapping[str, Any]
    edited: tuple[str, ...]
    parent: str
    erased: str = ""
    db: str = field(default="", repr=False, compare=False)

    @property
    def outcome(self) -> str | None:
        """``succeeded``, ``failed`` or ``cancelled`` once the run has ended."""
        return self.status if self.finished is not None else None

    def as_data(self) -> dict[str, Any]:
        """Return the view as plain data."""
        data = {name: getattr(self, name) for name in RunView.__slots__ if name not in ("context", "db")}
        return {"outcome": self.outcome, **data}

    def _repr_svg_(self) -> str | None:
        """Return the run's picture as of this moment, which notebooks show; None when its store is not known."""
        from statemachine.diagrams import render_run
        from statemachine.host.pinned import declared
        from statemachine.host.trail import trail_of

        if not self.db:
            return None
        with Store.open(self.db, create=False) as store:
            trail = trail_of(store, self.run, at=self.updated)
            return render_run(declared(store, self.digest), trail, "svg").decode()


def view_of(stored: StoredRun, snapshot: Snapshot, db: str = "") -> RunView:
    """Return the view of a run that is stored in ``db``."""
    pending = None
    if isinstance(snapshot.pending, PendingCall):
        call = snapshot.pending
        pending = {
            "key": call.key,
            "tool": call.tool,
            "input": dict(call.input),
            "attempt": call.attempt,
            "phase": call.phase,
            **({"undoes": call.undoes} if call.undoes is not None else {}),
            "due" if call.phase == "backoff" else "sent": call.due,
        }
    elif isinstance(snapshot.pending, PendingApproval):
        asked = snapshot.pending
        pending = {
            "tool": asked.tool,
            "input": dict(asked.input),
            "phase": "approval",
            "request": asked.request,
            "granted": list(asked.granted),
            "asked": asked.asked,
            "expires": asked.expires,
        }
    return RunView(
        run=stored.id,
        machine=stored.name,
        version=stored.version,
        digest=stored.machine,
        status=stored.status,
        state=stored.state,
        waiting=stored.waiting or "",
        due=stored.due,
        reason=stored.reason or "",
        attempts=dict(snapshot.attempts),
        steps=snapshot.steps,
        calls=snapshot.calls,
        cost=dict(snapshot.cost),
        started=stored.started,
        updated=stored.updated,
        finished=stored.finished,
        owner=stored.owner,
        pending=pending,
        context=dict(snapshot.context),
        output=dict(snapshot.output or {}),
        edited=snapshot.edited,
        parent=snapshot.parent,
        erased=snapshot.erased,
        db=db,
    )


def restore(store: Store, stored: StoredRun) -> Snapshot:
    """Return the snapshot of a stored run.

    Raises:
        StoreUnusable: It is of another machine than the run.
    """
    data = decode(stored.snapshot, store.blob)
    assert isinstance(data, dict)
    snapshot = Snapshot.from_data(data)
    if snapshot.digest != stored.machine:
        raise StoreUnusable(
            f"{store.name} is damaged: run {stored.id} has a snapshot of another machine; restore a backup"
        )
    return snapshot


def path_of(store: Store, run: str) -> list[str]:
    """Return the states that a run was in, in order."""
    return [json.loads(r.body)["to"] for r in store.records(run) if r.kind == "transition"]
