"""Rolling back: finished writes are undone, the newest first, each by a call of its own.

A run that rolls back does nothing else until it is over: no limit, timer or cancellation leaves it half-way.
It ends by itself: it makes at most one call, and its retries, for each write that the run has finished.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from statemachine.kernel.counting import ended, unwrote
from statemachine.kernel.draft import Draft, described
from statemachine.kernel.enter import finish, send
from statemachine.kernel.events import FINISH, UNDO_NEXT, Event, Step
from statemachine.kernel.ledger import Written
from statemachine.kernel.route import route, take
from statemachine.kernel.snapshot import FINISHED, PendingCall, Rollback, Status
from statemachine.machine.definition import AMENDED, UNDO
from statemachine.machine.outcome import Failure


def demanded(draft: Draft, event: Event) -> Step:
    """Roll back because a person asks for it: where no transition says how, in place, and end the run."""
    draft.add("event", {"name": UNDO, "by": event.by})
    before = draft.before.status
    if before not in FINISHED:
        draft.because = f"{event.by} asked to roll back" if event.by else "a roll back was asked for"
        edge = draft.select(UNDO)
        if edge is not None:
            return take(draft, edge, UNDO)
    # What has failed, has failed; what succeeded no longer stands when it is undone.
    draft.rollback = Rollback({}, before if before == "failed" else "cancelled")
    draft.at_once(UNDO_NEXT)
    return draft.step(UNDO, "taken")


def undo_next(draft: Draft, rollback: Rollback, event: Event) -> Step:
    """Undo the write that the event offers; end the roll back when it offers none, or one could not be undone."""
    write = event.payload.get("write")
    if write is None or rollback.failed:
        return _end(draft, rollback, event.payload.get("left", {}))
    undo(draft, rollback, Written(**write))
    return draft.step(UNDO_NEXT, "noted")


def undo(draft: Draft, rollback: Rollback, write: Written) -> None:
    """Intend the call that undoes a write."""
    tool = draft.definition.declaration.tools[write.tool].undo
    assert tool is not None  # only such writes are offered
    known = {**write.input, "key": write.key, "output": write.output}
    given = {n: known[n] for n in draft.definition.undoes[write.tool] if known.get(n) is not None}
    seq = draft.before.seq + len(draft.entries) + 1
    key = f"{draft.before.run}:{seq}"
    draft.rollback = replace(rollback, undoing=write.tool)
    send(draft, PendingCall(key, seq, tool, given, 1, "sent", draft.now, undoes=write.key))


def undone(draft: Draft, rollback: Rollback) -> Step:
    """Go on after a write was undone."""
    doubted = rollback.doubted
    if doubted is not None:
        draft.rollback = None
        failure = Failure("in_doubt", "it may have happened, and was undone")
        ended(draft, doubted.tool, failure)
        draft.fail(failure.failure, failure.message, doubted.tool)
        return route(draft, AMENDED if draft.amended else "failed.in_doubt")
    unwrote(draft, rollback.undoing)
    count = rollback.undone.get(rollback.undoing, 0) + 1
    draft.rollback = replace(rollback, undone={**rollback.undone, rollback.undoing: count})
    draft.at_once(UNDO_NEXT)
    return draft.step(FINISH, "noted")


def not_undone(draft: Draft, rollback: Rollback, failure: Failure, event: str) -> Step:
    """Stop undoing: a write could not be undone, and what is older than it may rest on it."""
    doubted = rollback.doubted
    if doubted is not None:
        draft.rollback = None
        draft.pending, draft.status = doubted._replace(phase="doubt"), "waiting"
        body = {"key": doubted.key, "after": doubted.after or "crash", "asks": "a person"}
        draft.add("call_in_doubt", body)
    else:
        draft.rollback = replace(rollback, failed=failure.failure)
        draft.at_once(UNDO_NEXT)
    return draft.step(event, "noted")


def _end(draft: Draft, rollback: Rollback, left: Mapping[str, int]) -> Step:
    draft.rollback = None
    body = {"undone": dict(rollback.undone), "left": dict(left)}
    draft.add("rolled_back", body | ({"failed": rollback.failed} if rollback.failed else {}))
    told = account(rollback.undone, left)
    if rollback.failed and draft.failure is not None:
        draft.failure = {**draft.failure, "message": f"{draft.failure['message']}; {told}"}
        draft.because = described(draft.failure)
    else:
        draft.because = f"{draft.because}; {told}" if draft.because else told
    if rollback.ends:
        ends: Status = "failed" if rollback.failed else rollback.ends
        draft.failure = draft.failure if rollback.failed else None  # what failed is undone
        finish(draft, ends)
        return draft.step(UNDO_NEXT, "taken")
    return route(draft, f"failed.{rollback.failed}" if rollback.failed else "partial" if left else "done")


def account(done: Mapping[str, int], left: Mapping[str, int]) -> str:
    """Return what a roll back did and did not do, in words."""
    parts = [("undone", done), ("not undone", left)]
    # By name: in which order they were counted is lost on the way through the store.
    told = [
        f"{word}: {', '.join(_times(*one) for one in sorted(tools.items()))}"
        for word, tools in parts
        if tools
    ]
    return "; ".join(told) or "nothing to undo"


def _times(tool: str, count: int) -> str:
    return tool if count == 1 else f"{tool} ×{count}"
