"""What must hold whatever fails, and when: stated once, over the store and the world."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from statemachine.approvals.decision import Decision
from statemachine.approvals.keys import public_text, verifies
from statemachine.host.pinned import first_digest, pinned
from statemachine.host.view import restore
from statemachine.journal import decode, verify
from statemachine.journal.replay import Written, replay
from statemachine.store import Store
from tests.faults.world import BY_NAME, UNDOES, Line, World, approver_key


class Acknowledged(NamedTuple):
    """A commit, or a lease, that a process knew as its own.

    Attributes:
        run: The run.
        epoch: The epoch that the process held.
        seq: Sequence number of the run's last record by then.
        hash: Hash of that record.
        by: The owner.
        leased: Whether this is where the epoch began.
    """

    run: str
    epoch: int
    seq: int
    hash: str
    by: str
    leased: bool


def acknowledged(file: Path) -> list[Acknowledged]:
    """Return what is noted in a file of acknowledgements; a last line that was cut off does not count."""
    text = file.read_text() if file.exists() else ""
    rows = [line.split() for line in text.split("\n")[:-1]]
    return [
        Acknowledged(run, int(e), int(seq), hash, by, kind == "lease") for kind, run, e, seq, hash, by in rows
    ]


_UNDOING = frozenset(effect.name for effect in UNDOES.values())


def violations(
    store: Store, world: World, noted: Iterable[Acknowledged] = (), *, settled: bool = True
) -> list[str]:
    """Return every invariant that does not hold, in words.

    Args:
        store: The store.
        world: The world that its runs touched.
        noted: The commits that were acknowledged.
        settled: Whether faults have stopped and every run was resumed since.
    """
    noted, effects = list(noted), defaultdict[str, list[Line]](list)
    for line in world.lines():
        effects[line.key].append(line)
    runs = [run.id for run in store.runs()]
    found = [f"effect {key} is of no run" for key in effects if key.partition(":")[0] not in runs]
    found += _acknowledgements(noted)
    kept = {f"{run}:{r.seq}" for run in runs for r in store.records(run, kind="approval_requested")}
    found += [
        f"people were told of request {request}, which is not kept" for request in world.requests() - kept
    ]
    requests = world.requests()
    for run in runs:
        mine = {key: lines for key, lines in effects.items() if key.partition(":")[0] == run}
        told = [note for note in noted if note.run == run]
        found += [f"{run}: {what}" for what in _of_run(store, run, mine, told, requests, settled=settled)]
    return found


def _acknowledgements(noted: list[Acknowledged]) -> Iterator[str]:
    owners = defaultdict[tuple[str, int], set[str]](set)
    for note in noted:
        owners[note.run, note.epoch].add(note.by)
    for (run, epoch), names in owners.items():
        if len(names) > 1:
            yield f"{run}: epoch {epoch} had {len(names)} owners"
    ends = {(note.run, note.epoch - 1): note.seq for note in noted if note.leased}
    for note in noted:
        if note.seq > ends.get((note.run, note.epoch), note.seq):
            yield f"{note.run}: epoch {note.epoch} stored record {note.seq} after epoch {note.epoch + 1} had begun"


def _of_run(
    store: Store,
    run: str,
    effects: dict[str, list[Line]],
    noted: list[Acknowledged],
    requests: set[str],
    *,
    settled: bool,
) -> Iterator[str]:
    stored = store.load(run)
    records = list(store.records(run))
    first = first_digest(store, run)
    if (bad := verify(records, first)) is not None:
        yield f"the hash chain breaks at record {bad.seq}"
    if (stored.seq, stored.head) != (len(records), records[-1].hash):
        yield "the run is not where its journal ends"
    for note in noted:
        if note.seq > len(records) or records[note.seq - 1].hash != note.hash:
            yield f"record {note.seq} was acknowledged and is lost"
    written: list[Written] = [(r.seq, r.at, r.kind, _body(decode(r.body, store.blob))) for r in records]
    # A machine is read back from what the store holds of it, so this also finds one that was swapped.
    conforms = replay(pinned(store, first), run, written, partial(pinned, store))
    if conforms.deviation is not None:
        yield f"no path of its machine: record {conforms.deviation.seq}: {conforms.deviation.why}"
    elif conforms.snapshot != restore(store, stored):
        yield "the snapshot is not the one that its journal leads to"
    yield from _effects(written, effects)
    yield from _counters(written)
    yield from _undone(written)
    yield from _approved(written, requests)
    if settled and stored.finished is None and not (stored.waiting or "").startswith("a decision on call"):
        yield f"it neither ended nor waits for a person: {stored.status} in {stored.state}"


def _effects(written: list[Written], effects: dict[str, list[Line]]) -> Iterator[str]:
    intents = {
        (b["key"], b["tool"], b["attempt"]): seq for seq, _, kind, b in written if kind == "call_intended"
    }
    tools = {key: tool for key, tool, _ in intents}
    outcomes = [body for _, _, kind, body in written if kind == "call_finished"]
    for key, lines in effects.items():
        for line in lines:
            if not line.intended or (key, line.tool, line.attempt) not in intents:
                yield f"effect {key} ({line.tool}, attempt {line.attempt}) came before its intent"
            if not line.owned:
                yield f"effect {key} ({line.tool}) was had by process {line.pid}, which did not own the run"
        # Whoever decides on a call in doubt here (a person, a probe) asks the world: so there is no excuse.
        if BY_NAME[lines[0].tool].unsafe and len(lines) > 1:
            yield f"unsafe {lines[0].tool} happened {len(lines)} times ({key})"
    for outcome in outcomes:
        key, tool = outcome["key"], tools.get(outcome["key"], "")
        if outcome["kind"] != "failure" and tool in BY_NAME and key not in effects:
            yield f"{tool} ({key}) is told to have succeeded and never happened"
    for key, tool in tools.items():
        if key in effects and BY_NAME[tool].unsafe and _denied(key, written):
            yield f"unsafe {tool} ({key}) is told not to have happened, but did"
    keys, entered = (
        Counter(tools.values()),
        Counter(b["to"] for _, _, kind, b in written if kind == "transition"),
    )
    for tool, count in keys.items():
        if tool not in _UNDOING and count > entered[tool]:
            yield f"{tool} was called under {count} keys for {entered[tool]} entries of its state"


def _undone(written: list[Written]) -> Iterator[str]:
    """A finished write is undone once at most, and by the end of a roll back that no failure stopped."""
    undoes = {b["key"]: b["undoes"] for _, _, kind, b in written if kind == "call_intended" and "undoes" in b}
    tools = {b["key"]: b["tool"] for _, _, kind, b in written if kind == "call_intended"}
    standing: set[str] = set()
    for seq, _, kind, body in written:
        if kind == "call_finished" and body["kind"] != "failure":
            key = body["key"]
            if key not in undoes and tools[key] in UNDOES:
                standing.add(key)
            elif key in undoes and undoes[key] not in standing:
                yield f"record {seq}: {undoes[key]} is undone and did not stand"
            standing.discard(undoes.get(key, ""))
        elif kind == "rolled_back" and "failed" not in body and standing:
            yield f"record {seq}: rolled back, and {', '.join(sorted(standing))} stands"


def _approved(written: list[Written], told: set[str]) -> Iterator[str]:
    """What is irreversible is intended once for each request, after a yes to that request; no answer counts unasked."""
    open_: set[str] = set()
    for seq, _, kind, body in written:
        # Who decided has seen it, told or not: what waits is listed.
        if kind == "approval_decided" and body["result"] == "expired" and body["request"] not in told:
            yield f"record {seq}: request {body['request']} expired and nobody was told of it"
        if kind == "approval_announced" and body["request"] not in told:
            yield f"record {seq}: request {body['request']} is noted as told and nobody was"
        if kind == "approval_decided" and body["result"] == "granted":
            decision = Decision.from_data(body["decision"])
            if not verifies(public_text(approver_key()), decision.signature, decision.message()):
                yield f"record {seq}: the yes to {body['request']} is not signed by who may say so"
            open_.add(body["request"])
        elif kind == "call_intended" and BY_NAME[body["tool"]].irreversible and body["attempt"] == 1:
            if body.get("approval") not in open_:
                yield f"record {seq}: {body['tool']} is intended without a yes of its own"
            open_.discard(body.get("approval", ""))


def _denied(key: str, written: list[Written]) -> bool:
    """Return whether the last word on a call is that it did not happen."""
    kind, body = [(kind, body) for _, _, kind, body in written if body.get("key") == key][-1]
    if kind == "call_finished":  # what answers nonsense has acted, and the journal does not say otherwise
        return body["kind"] == "failure" and body["class"] != "contract"
    return kind == "call_resolved" and body["happened"] is False


def _counters(written: list[Written]) -> Iterator[str]:
    counts: dict[str, int] = {}
    attempts: dict[str, int] = {}
    for seq, _, kind, body in written:
        if kind == "transition" and "attempt" in body:
            if body["attempt"] != counts.get(body["to"], 0) + 1:
                yield f"record {seq}: the counter of {body['to']} fell to {body['attempt']}"
            counts[body["to"]] = body["attempt"]
        if kind == "call_intended":
            if body["attempt"] != attempts.get(body["key"], 0) + 1:
                yield f"record {seq}: the attempts at {body['key']} fell to {body['attempt']}"
            attempts[body["key"]] = body["attempt"]


def _body(value: object) -> dict[str, Any]:
    assert isinstance(value, dict)
    return value
