"""Replay: drive the kernel with what a journal holds, and compare what it gives with what is written."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from statemachine.errors import StateMachineError
from statemachine.journal.erasing import refuse_erased
from statemachine.kernel import (
    AGAIN,
    ANNOUNCED,
    DECIDED,
    EDIT,
    FINISH,
    RECOVER,
    RELEASED,
    RESOLVE,
    REVIEWED,
    START,
    Event,
    Immediate,
    Ledger,
    PendingApproval,
    PendingCall,
    Snapshot,
    Step,
    fork,
    queue,
    start,
    step,
)
from statemachine.kernel.migrating import MIGRATED, move
from statemachine.kernel.step import STARTED
from statemachine.machine.definition import AMENDED, EXPIRED, REFUSED, STALE, Definition
from statemachine.machine.outcome import Outcome

Written = tuple[int, float, str, Mapping[str, Any]]
"""A journal record as replay reads it: its sequence number, time, kind and body."""

Ahead = deque[Written]
"""The next record, and the few after it."""

_AHEAD = 3
"""How many records tell what began a step: its first, and what that says only together with the next."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """The first record that the machine would not have written.

    Attributes:
        seq: Its sequence number.
        expected: Kind and body of the record that belongs there; None when nothing does.
        found: Kind and body of what is written; None when the journal ends before it.
        why: What is wrong, for people.
    """

    seq: int
    expected: tuple[str, Mapping[str, Any]] | None
    found: tuple[str, Mapping[str, Any]] | None
    why: str


@dataclass(frozen=True, slots=True)
class Conformance:
    """Whether a journal is a path of its machine.

    Attributes:
        steps: Steps that conform, from the first on.
        snapshot: The run after them; None when there are none.
        deviation: The first record that does not conform; None when all do.
    """

    steps: int
    snapshot: Snapshot | None
    deviation: Deviation | None

    @property
    def conforms(self) -> bool:
        """Whether every record does."""
        return self.deviation is None


class Deviates(StateMachineError):
    """A journal is no path of its machine; ``deviation`` says where."""

    def __init__(self, deviation: Deviation) -> None:
        self.deviation = deviation
        super().__init__(f"record {deviation.seq}: {deviation.why}")


Versions = Callable[[str], Definition]
"""Returns the version of a machine with a digest."""


def replay(
    definition: Definition,
    run: str,
    records: Iterable[Written],
    versions: Versions | None = None,
    seen: Callable[[Step], object] | None = None,
) -> Conformance:
    """Return whether the records of a run, from its first, are a path of its machine.

    What the world answered (outputs, events, decisions) is taken as written; all that the machine made of it
    must be what is written next. That records are missing at the end shows only in the snapshot.

    Args:
        definition: The machine that the run was started with.
        run: Id of the run.
        records: Its records; bodies as plain JSON data.
        versions: Finds the versions of the machine that the run was migrated to; needed only if it was.
        seen: Is given each step that conforms.

    Raises:
        NotReplayable: The run was erased.
    """
    steps, snapshot = 0, None
    try:
        for made in retrace(definition, run, records, versions=versions):
            steps, snapshot = steps + 1, made.snapshot
            if seen is not None:
                seen(made)
    except Deviates as error:
        return Conformance(steps, snapshot, error.deviation)
    return Conformance(steps, snapshot, None)


def retrace(
    definition: Definition,
    run: str,
    records: Iterable[Written],
    after: Snapshot | None = None,
    ledger: Ledger | None = None,
    versions: Versions | None = None,
) -> Iterator[Step]:
    """Yield the steps that a run took; nothing is called, answers come from the records.

    Args:
        definition: The machine that the run is pinned to.
        run: Id of the run.
        records: Its records, from its first or from the one after ``after``; streamed, never held.
        after: The run as it was at the end of a step; None begins with the run.
        ledger: What the records up to ``after`` tell of the run's writes, if it rolls back later.

    Raises:
        Deviates: A record is not what the machine would have written.
        NotReplayable: The run was erased.
    """
    return (made for _, made in moves(definition, run, records, after, ledger, versions))


def moves(
    definition: Definition,
    run: str,
    records: Iterable[Written],
    after: Snapshot | None = None,
    ledger: Ledger | None = None,
    versions: Versions | None = None,
) -> Iterator[tuple[Event | None, Step]]:
    """Yield the steps as :func:`retrace` does, each with the event that led to it; None begins a run."""
    snapshot = after
    coming, ledger = _whole(run, records), Ledger(definition) if ledger is None else ledger
    ahead = deque(islice(coming, _AHEAD))
    while ahead:
        event, made = _step(definition, run, snapshot, ahead, ledger, versions)
        seq = made.snapshot.seq - len(made.entries)
        for entry in made.entries:
            seq += 1
            _compare(made, entry, seq, ahead.popleft() if ahead else None)
            ahead.extend(islice(coming, 1))
            ledger.add(*entry)
        if made.snapshot.digest != definition.digest and versions is not None:
            definition = versions(made.snapshot.digest)
            ledger.migrate(definition)
        yield event, made
        snapshot = made.snapshot


def _whole(run: str, records: Iterable[Written]) -> Iterator[Written]:
    for record in records:
        refuse_erased(run, record[3])
        yield record


def _step(
    definition: Definition,
    run: str,
    snapshot: Snapshot | None,
    ahead: Ahead,
    ledger: Ledger,
    versions: Versions | None,
) -> tuple[Event | None, Step]:
    """Return the step that begins with the next record, and its event."""
    _, now, kind, body = ahead[0]
    event = made = None
    try:
        if snapshot is None:
            made = first(definition, run, now, body) if kind == "run_started" else None
        elif kind == MIGRATED and versions is not None:
            event = Event(MIGRATED, body, by=body["by"])
            made = _migrated(definition, versions(body["to"]), snapshot, ahead[0])
        elif (event := _event(snapshot, ahead, ledger)) is not None:
            event = event._replace(hold=_held(ahead))
            made = step(definition, snapshot, event, now)
    except Deviates:
        raise
    except (StateMachineError, LookupError, TypeError, ValueError, AttributeError) as error:
        # What is written may be anything once a hand has been at it.
        why = f"the {kind} record cannot be read: {type(error).__name__}: {error}"
        raise Deviates(Deviation(_next(snapshot), None, (kind, body), why)) from error
    if made is None or not made.entries:
        state = f"in {snapshot.state}" if snapshot else "before the run has started"
        why = f"nothing that can happen {state} begins with this {kind} record"
        raise Deviates(Deviation(_next(snapshot), None, (kind, body), why))
    return event, made


def first(definition: Definition, run: str, now: float, body: Mapping[str, Any]) -> Step:
    """Return the step that a run began with, by its first record: started, queued, or forked off another one.

    Raises:
        InvalidInput: The machine does not take what is written there.
    """
    noted = {name: value for name, value in body.items() if name not in STARTED}
    if (parent := body.get("parent")) is not None:
        before = Snapshot.from_data(body["snapshot"])
        return fork(definition, run, before, parent["at"], parent["hash"], now, noted)
    begin = queue if body.get("queued") else start
    return begin(definition, run, body["inputs"], now, noted)


def _migrated(old: Definition, new: Definition, snapshot: Snapshot, written: Written) -> Step:
    """Return the step that moved a run to another version.

    Raises:
        StateMachineError: It has no place there.
    """
    _, now, kind, body = written
    found = move(old, new, snapshot, now, body["by"], body["code"])
    if found.step is None:
        why = f"the run has no place in version {new.declaration.version}: {'; '.join(found.problems)}"
        raise Deviates(Deviation(snapshot.seq + 1, None, (kind, body), why))
    return found.step


def _held(ahead: Ahead) -> bool:
    """Return whether the step that begins with the next record held the run before a call."""
    moved = next((body for _, _, kind, body in islice(ahead, 3) if kind == "transition"), {})
    return moved.get("held") is True


def _next(snapshot: Snapshot | None) -> int:
    return 1 if snapshot is None else snapshot.seq + 1


def _event(snapshot: Snapshot, ahead: Ahead, ledger: Ledger) -> Event | None:
    """Return the event that made the next record, the first of its step."""
    number, _, kind, body = ahead[0]
    pending = snapshot.pending
    key = pending.key if isinstance(pending, PendingCall) else ""
    if snapshot.rollback is not None and isinstance(pending, Immediate):
        return ledger.next()
    match kind:
        case "event":
            return Event(body["name"], body.get("payload", {}), by=body["by"])
        case "amended":
            return Event(AMENDED, body["values"], by=body["by"])
        case "context_changed":
            return Event(EDIT, body["values"], by=body["by"])
        case "call_finished":
            return Event(FINISH, outcome=Outcome.from_data(body), key=body["key"])
        case "call_resolved":
            payload = {name: body[name] for name in ("happened", "undo") if name in body}
            if body["happened"] is True:
                if len(ahead) == 1:
                    raise _ended(number + 1, ("call_finished", {"key": body["key"]}))
                payload["output"] = ahead[1][3]["output"]
            return Event(RESOLVE, payload, key=body["key"], by=body["by"])
        case "approval_decided":
            if "because" in body:
                return Event(RELEASED, {"void": body["because"]})
            return Event(DECIDED, body["decision"]) if "decision" in body else Event(EXPIRED)
        case "approval_reviewed":
            return Event(REVIEWED, body)
        case "approval_announced":
            return Event(ANNOUNCED, body)
        case "approval_held":
            return Event(RELEASED, {"hold": body["until"], "because": body["because"]})
        case "call_intended" | "approval_requested" if isinstance(pending, PendingApproval):
            return Event(RELEASED)
        case "call_intended" | "call_in_doubt":
            failed = isinstance(pending, PendingCall) and pending.phase == "backoff"
            return Event(AGAIN if failed else RECOVER, key=key)
        case "transition" if isinstance(pending, PendingApproval) and body["event"] in (REFUSED, STALE):
            return Event(RELEASED)  # a call that was held can no longer be made
        case "transition":  # no other record of what happened: it was time, or a limit at one more call
            return Event(START if body["event"] is None else body["event"], key=key)
    return None


def _ended(seq: int, expected: tuple[str, Mapping[str, Any]]) -> Deviates:
    why = f"the journal ends where a {expected[0]} record belongs"
    return Deviates(Deviation(seq, expected, None, why))


def _compare(made: Step, entry: tuple[str, Mapping[str, Any]], seq: int, found: Written | None) -> None:
    kind, body = entry
    if found is not None and found == (seq, made.at, kind, body):
        return
    body = _plain(body)
    if found is None:
        raise _ended(seq, (kind, body))
    number, at, found_kind, found_body = found[0], found[1], found[2], _plain(found[3])
    if (number, at, found_kind, found_body) == (seq, made.at, kind, body):
        return
    if number != seq:
        why = f"it is numbered {number}"
    elif found_kind != kind:
        why = f"a {kind} record belongs here, not {found_kind}"
    elif found_body != body:
        wrong = [key for key in {**body, **found_body} if body.get(key) != found_body.get(key)]
        why = f"the machine gives another {', '.join(wrong)}"
    else:
        why = f"it is of another time ({at}) than its step ({made.at})"
    raise Deviates(Deviation(seq, (kind, body), (found_kind, found_body), why))


def _plain(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a body as it is after the way through JSON: tuples are lists there."""
    plain: dict[str, Any] = json.loads(json.dumps(dict(body)))
    return plain
