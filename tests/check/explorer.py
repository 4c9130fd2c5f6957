"""Every run of the real kernel, driven with every event and outcome that there is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from statemachine.check.components import components
from statemachine.kernel import (
    AGAIN,
    DECIDED,
    FINISH,
    RESOLVE,
    UNDO_NEXT,
    Event,
    Immediate,
    PendingApproval,
    PendingCall,
    Snapshot,
    due,
    start,
    step,
)
from statemachine.kernel.snapshot import Pending
from statemachine.machine.contract import FAILURE_CLASSES
from statemachine.machine.definition import AMENDED, Definition
from statemachine.machine.outcome import Failure, Outcome
from tests.kernel.driving import GOOD

MOST = 40_000


@dataclass
class Explored:
    """What the kernel can do.

    Attributes:
        reached: The states that some run reaches.
        endless: Whether some run need not end. (A person may have a call in doubt undone again and again in
            vain; that is no step.)
        steps: The most steps of a run, -1 if there is no most.
        calls: The most calls, likewise.
    """

    reached: set[str]
    endless: bool
    steps: int
    calls: int


def explore_kernel(definition: Definition, inputs: dict[str, Any] | None = None) -> Explored | None:
    """Return what every run of a machine can do; None if there is too much of it.

    Two snapshots count as one when the same can still happen after both; what they have used is told by the
    moves between them.
    """
    first = start(definition, "run", inputs or {}, 0.0).snapshot
    snapshots, numbers = [first], {_key(first): 0}
    moves: list[list[tuple[int, int, int]]] = []
    for snapshot in snapshots:  # grows meanwhile
        found = []
        for event, now in possible(definition, snapshot):
            after = step(definition, snapshot, event, now).snapshot
            if after is snapshot:
                continue
            number = numbers.setdefault(_key(after), len(snapshots))
            if number == len(snapshots):
                snapshots.append(after)
            found.append((number, after.steps - snapshot.steps, after.calls - snapshot.calls))
        moves.append(found)
        if len(snapshots) > MOST:
            return None
    following = [[to for to, _, _ in found] for found in moves]
    order = components(following)
    steps, calls = _longest(moves, order, 1), _longest(moves, order, 2)
    return Explored(
        {snapshot.state for snapshot in snapshots},
        steps < 0,
        -1 if steps < 0 else first.steps + steps,
        -1 if calls < 0 else first.calls + calls,
    )


def _longest(moves: list[list[tuple[int, int, int]]], order: list[list[int]], what: int) -> int:
    best: dict[int, int] = {}
    for part in order:
        inside, most = set(part), 0
        for node in part:
            for move in moves[node]:
                if move[0] not in inside:
                    most = -1 if best[move[0]] < 0 or most < 0 else max(most, move[what] + best[move[0]])
                elif move[what]:
                    most = -1
        best |= dict.fromkeys(part, most)
    return best[0]


def _key(snapshot: Snapshot) -> Any:
    back: Any = snapshot.rollback
    if back is not None:
        back = (tuple(back.undone), back.ends, back.undoing, back.failed, _waits(back.doubted))
    attempts = tuple(sorted(snapshot.attempts.items()))
    waits = _waits(snapshot.pending), snapshot.amended
    # Beyond what any guard in these tests asks for, counts of calls are alike.
    history = tuple(sorted((name, min(count, 4)) for name, count in snapshot.history.items()))
    return snapshot.state, snapshot.status, attempts, waits, snapshot.failure is None, back, history


def _waits(pending: Pending) -> Any:
    if isinstance(pending, PendingCall):
        retries = tuple(sorted(pending.retries.items()))
        return pending.tool, pending.phase, retries, pending.after, pending.refreshes
    if isinstance(pending, PendingApproval):
        return pending.tool, pending.level, pending.granted, tuple(sorted(pending.retries.items()))
    return None if pending is None else (type(pending), getattr(pending, "event", ""))


def possible(definition: Definition, snapshot: Snapshot) -> Iterator[tuple[Event, float]]:
    """Yield every event that may move a run, each at a time at which it can; crashes are left out."""
    now = snapshot.entered
    if snapshot.finished:
        return
    for event in (*definition.payloads, "cancelled", "undo"):
        yield Event(event), now
    yield Event(AMENDED, {"n": 1 if snapshot.context["n"] == 2 else 2}), now
    if isinstance(snapshot.pending, Immediate) and snapshot.rollback is not None:
        # What a run has written is not followed: any write may stand, and one is undone at most.
        yield Event(UNDO_NEXT, {"write": None, "left": {}}), now
        yield Event(UNDO_NEXT, {"write": None, "left": {"mail": 1}}), now
        for tool in definition.undoes if not snapshot.rollback.undone else ():
            write = {"key": "run:1", "tool": tool, "input": {"n": 1}, "output": GOOD}
            yield Event(UNDO_NEXT, {"write": write, "left": {}}), now
    timed = due(definition, snapshot)
    later = now + 1e6
    for event in ("elapsed", "timeout", "always", "failed.guard", "stuck", "stale"):
        yield Event(event), later
    pending = snapshot.pending
    assert timed is None or timed[0] <= later
    if isinstance(pending, PendingApproval):
        yield Event("expired"), later
        yield Event("denied"), later
        for verdict, who in (("approve", "ann"), ("approve", "bob"), ("deny", "eve")):
            payload = {"request": pending.request, "verdict": verdict, "approver": who}
            yield Event(DECIDED, payload), now
    if isinstance(pending, PendingCall):
        yield Event(AGAIN, key=pending.key), later
        if pending.phase == "sent":
            for outcome in OUTCOMES:
                yield Event(FINISH, outcome=outcome, key=pending.key), now
        elif pending.phase in ("probe", "doubt"):
            for payload in RESOLUTIONS:
                yield Event(RESOLVE, payload, key=pending.key), now


RESOLUTIONS: list[dict[str, Any]] = [
    {"happened": True, "output": GOOD},
    {"happened": False},
    {"happened": None},
    {"undo": True},
]
OUTCOMES = [Outcome(GOOD), Outcome(GOOD, not_done=("b",))] + [
    Outcome(failure=Failure(failure, "it went wrong")) for failure in FAILURE_CLASSES
]
