"""What can be said of any run: what it did, what may be repeated, what is kept, and what to do now."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from statemachine.host.pinned import VERSION_OF, declared
from statemachine.host.view import restore
from statemachine.journal import decode, tell
from statemachine.kernel import PendingApproval, PendingCall, Snapshot
from statemachine.machine.definition import STALE, UNDO
from statemachine.machine.model import Declaration
from statemachine.store import Store, StoredRun

Advice = Literal["continue", "roll back", "escalate", "stop"]


@dataclass(frozen=True, slots=True)
class CallAccount:
    """One call, as far as the journal knows.

    Attributes:
        key: Its idempotency key.
        seq: The record of its last intent.
        tool: Its tool.
        effect: ``read`` or ``write``.
        reversibility: Of a write: full, partial or none.
        repeatable: Whether it may be made again under its key.
        input: Its input.
        attempts: How often it was made.
        at: When it was last made, in seconds since the epoch.
        ended: ``success``, ``partial``, the class of its failure, ``in doubt``, or empty while it is open.
        undo: The tool that can undo it; None when nothing does.
        undoes: Key of the call that this one undoes; None for any other.
        undone: Whether it was undone.
    """

    key: str
    seq: int
    tool: str
    effect: str
    reversibility: str | None
    repeatable: bool
    input: Mapping[str, Any]
    attempts: int
    at: float
    ended: str
    undo: str | None
    undoes: str | None
    undone: bool = False

    @property
    def stands(self) -> bool:
        """Whether the world is as it left it: a write of the run's own that happened and was not undone."""
        return self.effect == "write" and self.completed and not self.undone and self.undoes is None

    @property
    def completed(self) -> bool:
        """Whether it is known to have happened, at least in part."""
        return self.ended in ("success", "partial")


@dataclass(frozen=True, slots=True)
class Deviated:
    """The record that first put a run off its course.

    Attributes:
        seq: Its sequence number.
        what: What it says.
        path: The states from there on.
    """

    seq: int
    what: str
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answers to the five questions.

    Attributes:
        run: The run's id.
        status: Its status.
        state: Its state.
        calls: Every call, in the order in which they were first made.
        seq: Sequence number of the last record on disk.
        head: Hash of that record.
        saved_at: When it was written, in seconds since the epoch.
        off_course: Where it went wrong, if it did not succeed.
        advice: Continue, roll back, escalate or stop.
        why: The reason for that, in a sentence.
        command: What to type, if there is something.
    """

    run: str
    status: str
    state: str
    calls: tuple[CallAccount, ...]
    seq: int
    head: str
    saved_at: float
    off_course: Deviated | None
    advice: Advice
    why: str
    command: str

    def as_data(self) -> dict[str, Any]:
        """Return the explanation as plain data, the calls sorted by what is asked about them."""
        data = asdict(self)
        calls = {call.key: one for call, one in zip(self.calls, data.pop("calls"), strict=True)}
        return {
            **data,
            "completed": [calls[c.key] for c in self.calls if c.completed],
            "safe_to_repeat": [calls[c.key] for c in self.calls if c.repeatable and not c.completed],
            "irreversible": [calls[c.key] for c in self.calls if c.completed and c.reversibility == "none"],
            "undone": [calls[c.key] for c in self.calls if c.undone],
            "stands": [calls[c.key] for c in self.calls if c.stands],
            "in_doubt": [calls[c.key] for c in self.calls if c.ended == "in doubt"],
        }


def explain(store: Store, run: str) -> Explanation:
    """Explain a stored run, from its journal and the declaration that it is pinned to; nothing is loaded or called.

    Raises:
        UnknownRun: There is no such run.
    """
    stored = store.load(store.find(run))
    declaration, snapshot = declared(store, stored.machine), restore(store, stored)
    accounts: dict[str, CallAccount] = {}
    path: list[tuple[int, str]] = []
    first: tuple[int, str] | None = None
    for record in store.records(stored.id):
        body: Any = decode(record.body, store.blob)
        if record.kind in VERSION_OF:
            declaration = declared(store, body[VERSION_OF[record.kind]])
        if record.kind == "transition":
            path.append((record.seq, body["to"]))
        for account in _account(accounts, record.seq, record.at, record.kind, body, declaration):
            accounts[account.key] = account
        if first is None and _goes_wrong(record.kind, body):
            first = (record.seq, tell(record.kind, body))
    off_course = None
    if first is not None and stored.status != "succeeded":
        off_course = Deviated(*first, tuple(state for seq, state in path if seq >= first[0]))
    calls = tuple(accounts.values())
    advice, why, command = _advise(stored, snapshot, calls)
    return Explanation(
        stored.id,
        stored.status,
        stored.state,
        calls,
        stored.seq,
        stored.head,
        stored.updated,
        off_course,
        advice,
        why,
        command,
    )


def _account(
    accounts: Mapping[str, CallAccount],
    seq: int,
    at: float,
    kind: str,
    body: Mapping[str, Any],
    declaration: Declaration,
) -> Iterator[CallAccount]:
    if kind == "call_intended":
        tool = declaration.tools[body["tool"]]
        yield CallAccount(
            body["key"],
            seq,
            body["tool"],
            tool.effect,
            tool.reversibility,
            tool.repeatable,
            body["input"],
            body["attempt"],
            at,
            "",
            tool.undo,
            body.get("undoes"),
        )
    elif kind in ("call_finished", "call_in_doubt", "call_resolved"):
        call = accounts[body["key"]]
        ended = {
            "call_finished": body.get("class", body.get("kind")),
            "call_in_doubt": "in doubt",
            "call_resolved": call.ended if body.get("happened") is None else "",
        }[kind]
        yield replace(call, ended=ended)
        if call.undoes is not None and ended == "success":
            yield replace(accounts[call.undoes], undone=True)


def _goes_wrong(kind: str, body: Mapping[str, Any]) -> bool:
    """Say whether a record leads off the course that the machine's first choices would have taken."""
    if kind == "call_finished":
        return bool(body["kind"] != "success")
    if kind == "transition":
        event = body["event"] or ""
        turned = any(tried["verdict"] is not True for tried in body.get("tried", ()))
        return (
            "instead" in body
            or turned
            or event in ("timeout", "cancelled", "stuck", STALE)
            or "stale" in body
        )
    if kind == "event":
        return bool(body["name"] == UNDO)
    return kind == "call_in_doubt"


def _advise(stored: StoredRun, snapshot: Snapshot, calls: tuple[CallAccount, ...]) -> tuple[Advice, str, str]:
    run = shlex.quote(stored.id)
    pending = snapshot.pending
    if isinstance(pending, PendingCall) and pending.phase in ("probe", "doubt"):
        why = f"nobody knows whether {pending.tool} (key {pending.key}) happened; find out, then decide"
        undo = next((" | --undo" for c in calls if c.key == pending.key and c.undo and c.undoes is None), "")
        return "escalate", why, f"statemachine resolve {run} --happened | --not-happened{undo}"
    if stored.finished is None:
        if isinstance(pending, PendingApproval):
            why = f"{pending.tool} is not called before somebody approves it (request {pending.request})"
            return "escalate", why, f"statemachine approvals show {pending.request}"
        if stored.status == "waiting" and pending is None:
            event = (stored.waiting or "").removeprefix("event ").split(" ")[0]
            return "escalate", f"it waits for {stored.waiting}", f"statemachine send {run} {event}"
        return "continue", "what is completed is not done again", f"statemachine resume {run}"
    if snapshot.erased:
        return (
            "stop",
            f"it was {snapshot.erased}; nobody knows any more how to undo or repeat what it did",
            "",
        )
    if stored.status == "succeeded":
        return "stop", "it has succeeded; there is nothing to do", ""
    written = [call for call in calls if call.stands]
    undoable = [call for call in reversed(written) if call.undo is not None]
    lasting = ", ".join(dict.fromkeys(call.tool for call in written if call.undo is None))
    if snapshot.failure is not None and snapshot.failure["class"] == "permission":
        then = f"statemachine undo {run}" if undoable else ""
        return "escalate", f"a person must give the permission: {snapshot.failure['message']}", then
    if undoable:
        names = ", ".join(f"{call.tool} ({call.key})" for call in undoable)
        rest = f"; nothing undoes {lasting}" if lasting else ""
        why = f"it has not succeeded; what it wrote can be undone, the newest first: {names}{rest}"
        return "roll back", why, f"statemachine undo {run}"
    if lasting:
        return "escalate", f"it has not succeeded, and what {lasting} did stands; no tool undoes it", ""
    if any(call.undone for call in calls):
        return "stop", "it has not succeeded, and all that it wrote is undone", ""
    return "stop", "it has not succeeded, and has changed nothing", ""
