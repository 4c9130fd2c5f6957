"""Replay: drive the kernel with what a journal holds, and compare what it gives with what is written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from statemachine.errors import StateMachineError
from statemachine.kernel import (
    AGAIN,
    ANNOUNCED,
    DECIDED,
    FINISH,
    HELD,
    LIFTED,
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
    queue,
    start,
    step,
)
from statemachine.kernel.migrating import MIGRATED, move
from statemachine.kernel.step import STARTED
from statemachine.machine.definition import AMENDED, EXPIRED, Definition
from statemachine.machine.outcome import Outcome

Written = tuple[int, float, str, Mapping[str, Any]]
"""A journal record as replay reads it: its sequence number, time, kind and body."""


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
    definition: Definition, run: str, records: Iterable[Written], versions: Versions | None = None
) -> Conformance:
    """Return whether the records of a run, from its first, are a path of its machine.

    What the world answered (outputs, events, decisions) is taken as written; all that the machine made of it
    must be what is written next. That records are missing at the end shows only in the snapshot.

    Args:
        definition: The machine that the run was started with.
        run: Id of the run.
        records: Its records; bodies as plain JSON data.
        versions: Finds the versions of the machine that the run was migrated to; needed only if it was.
    """
    steps, snapshot = 0, None
    try:
        for made in retrace(definition, run, records, versions):
            steps, snapshot = steps + 1, made.snapshot
    except Deviates as error:
        return Conformance(steps, snapshot, error.deviation)
    return Conformance(steps, snapshot, None)


def retrace(
    definition: Definition, run: str, records: Iterable[Written], versions: Versions | None = None
) -> Iterator[Step]:
    """Yield the steps that a run took; nothing is called, answers come from the records.

    Raises:
        Deviates: A record is not what the machine would have written.
    """
    written, at, snapshot = list(records), 0, None
    ledger = Ledger(definition)
    while at < len(written):
        made = _step(definition, run, snapshot, written, at, ledger, versions)
        for offset, entry in enumerate(made.entries):
            _compare(
                made, entry, at + offset + 1, written[at + offset] if at + offset < len(written) else None
            )
        for kind, body in made.entries:
            ledger.add(kind, body)
        if made.entries[0][0] == MIGRATED and versions is not None:
            definition = versions(made.snapshot.digest)
            ledger.migrate(definition)
        yield made
        at, snapshot = at + len(made.entries), made.snapshot


def _step(
    definition: Definition,
    run: str,
    snapshot: Snapshot | None,
    written: list[Written],
    at: int,
    ledger: Ledger,
    versions: Versions | None,
) -> Step:
    """Return the step that begins with the record at a place."""
    _, now, kind, body = written[at]
    made = None
    try:
        if snapshot is None:
            begin = queue if body.get("queued") else start
            noted = {name: value for name, value in body.items() if name not in STARTED}
            made = begin(definition, run, body["inputs"], now, noted) if kind == "run_started" else None
        elif kind == MIGRATED and versions is not None:
            made = move(definition, versions(body["to"]), snapshot, now, body["by"], body["code"]).step
        elif (event := _event(snapshot, written, at, ledger)) is not None:
            made = step(definition, snapshot, event, now)
    except (StateMachineError, LookupError, TypeError, ValueError, AttributeError) as error:
        # What is written may be anything once a hand has been at it.
        why = f"the {kind} record cannot be read: {type(error).__name__}: {error}"
        raise Deviates(Deviation(at + 1, None, (kind, body), why)) from error
    if made is None or not made.entries:
        state = f"in {snapshot.state}" if snapshot else "before the run has started"
        why = f"nothing that can happen {state} begins with this {kind} record"
        raise Deviates(Deviation(at + 1, None, (kind, body), why))
    return made


def _event(snapshot: Snapshot, written: list[Written], at: int, ledger: Ledger) -> Event | None:
    """Return the event that made the record at a place: the first of its step."""
    _, _, kind, body = written[at]
    pending = snapshot.pending
    key = pending.key if isinstance(pending, PendingCall) else ""
    if snapshot.rollback is not None and isinstance(pending, Immediate):
        return ledger.next()
    match kind:
        case "event":
            return Event(body["name"], body.get("payload", {}), by=body["by"])
        case "amended":
            return Event(AMENDED, body["values"], by=body["by"])
        case "call_finished":
            return Event(FINISH, outcome=Outcome.from_data(body), key=body["key"])
        case "call_resolved":
            payload = {name: body[name] for name in ("happened", "undo") if name in body}
            if body["happened"] is True:
                payload["output"] = written[at + 1][3]["output"]
            return Event(RESOLVE, payload, key=body["key"], by=body["by"])
        case "approval_decided":
            return Event(DECIDED, body["decision"]) if "decision" in body else Event(EXPIRED)
        case "approval_reviewed":
            return Event(REVIEWED, body)
        case "approval_announced":
            return Event(ANNOUNCED, body)
        case "approval_held":
            return Event(RELEASED, {"hold": body["until"], "because": body["because"]})
        case "call_held":
            return Event(HELD, body, key=key)
        case "call_intended" | "approval_requested" if isinstance(pending, PendingApproval):
            return Event(RELEASED)
        case "approval_requested":
            return Event(LIFTED, key=key)
        case "call_intended" if isinstance(pending, PendingCall) and pending.phase == "held":
            return Event(LIFTED, key=key)
        case "call_intended" | "call_in_doubt":
            failed = isinstance(pending, PendingCall) and pending.phase == "backoff"
            return Event(AGAIN if failed else RECOVER, key=key)
        case "transition":  # no other record of what happened: it was time, or a limit at one more call
            return Event(START if body["event"] is None else body["event"], key=key)
    return None


def _compare(made: Step, entry: tuple[str, Mapping[str, Any]], seq: int, found: Written | None) -> None:
    kind, body = entry[0], _plain(entry[1])
    if found is None:
        raise Deviates(Deviation(seq, (kind, body), None, f"the journal ends where a {kind} record belongs"))
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
