"""Whether a store still holds what was written into it: each run's chain, path and decisions, and what lies apart."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal

from statemachine.approvals.decision import Decision
from statemachine.approvals.keys import verifies
from statemachine.approvals.policy import Policy
from statemachine.errors import NotReplayable, StateMachineError, StoreUnusable, UnknownRun
from statemachine.host.anchoring import Anchored
from statemachine.host.erasing import signed_wrongly
from statemachine.host.pinned import VERSION_OF
from statemachine.host.replay import Journal, replay_run
from statemachine.host.view import restore
from statemachine.journal import ERASURE, Chain, Record, decode
from statemachine.kernel import Snapshot, Step, due, waiting_for
from statemachine.machine.model import Declaration
from statemachine.store import ReadOnlyStore, StoredRun

What = Literal["file", "run", "record", "end", "path", "snapshot", "decision", "value", "machine", "anchor"]

_APART = re.compile(r'"\$blob":"([0-9a-f]{64})"')


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing in a store that is not as it was written.

    Attributes:
        what: What is wrong: the ``file``, a ``run``, a ``record``, the ``end`` of a journal, a run's ``path``
            or ``snapshot``, a ``decision``, a ``value`` that is kept apart, a ``machine``, or the store
            against its ``anchor``.
        why: What is wrong, for people.
        run: Id of the run; empty when it is about no run.
        seq: The first bad record; None when it is about none.
    """

    what: What
    why: str
    run: str = ""
    seq: int | None = None

    def as_data(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {name: getattr(self, name) for name in Problem.__slots__}

    def __str__(self) -> str:
        where = f"run {self.run}" + (f", record {self.seq}" if self.seq is not None else "")
        return f"{where}: {self.why}" if self.run else self.why


@dataclass(frozen=True, slots=True)
class RunAudit:
    """What verifying a run found.

    Attributes:
        run: Its id.
        records: Records that it has.
        problems: What is wrong with it; empty when all is as it was written.
        note: What could not be looked at, and why.
    """

    run: str
    records: int
    problems: tuple[Problem, ...]
    note: str = ""


def audit_runs(
    store: ReadOnlyStore, policy: Policy, runs: Sequence[str] | None = None, anchored: Anchored | None = None
) -> Iterator[RunAudit]:
    """Verify runs one after the other; nothing is written, loaded or called.

    Args:
        store: Where they lie.
        policy: Whose signatures count. Who has left stays in it, with the time: ``until``.
        runs: Their ids; None verifies all.
        anchored: What was noted of them outside.
    """
    ids = runs if runs is not None else [run for run, _, _ in store.heads()]
    for run in ids:
        yield _audit_run(store, policy, run, anchored)


def audit_rest(store: ReadOnlyStore, anchored: Anchored | None = None) -> Iterator[Problem]:
    """Verify what belongs to no single run: the file, the machines, the values kept apart, which runs there are."""
    yield from (Problem("file", f"SQLite finds the file damaged: {fault}") for fault in store.faults())
    if back := store.rolled_back():
        yield Problem("file", back)
    for run in store.orphans():
        yield Problem("run", "there are records of it, and no run", run)
    for machine in store.pinned_machines():
        if why := _why_other(machine.digest, machine.name, machine.version, machine.declaration):
            yield Problem("machine", f"machine {str(machine.digest)[:12]}: {why}")
    for digest, data in store.kept_blobs():
        if not isinstance(data, bytes) or sha256(data).hexdigest() != digest:
            yield Problem("value", f"value {str(digest)[:12]} is not the one that was kept")
    if anchored is not None:
        here = store.identity()
        if anchored.store and anchored.store != here:
            yield Problem(
                "anchor", f"the anchor is of store {anchored.store[:12]}, this is store {here[:12]}"
            )
        present = {run for run, _, _ in store.heads()}
        for run, (seq, _) in anchored.heads.items():
            if run not in present:
                yield Problem("anchor", f"it had {seq} records when it was anchored, and is gone", run)


def _audit_run(store: ReadOnlyStore, policy: Policy, run: str, anchored: Anchored | None) -> RunAudit:
    """Verify one run; what its records say counts only once the chain is whole."""
    try:
        stored = store.load(run)
    except UnknownRun as error:
        gone = Problem("machine", f"the run, or the machine that it is on, is gone: {error}", run)
        return RunAudit(run, 0, (gone,))
    reader = _Reader(store, policy, stored)
    problems = list(reader.read())
    if anchored is not None and run in anchored.heads:
        seq, head = anchored.heads[run]
        found = store.hash_at(run, seq)
        if found != head:
            how = "is another one now" if found is not None else "is gone: the run was cut or rolled back"
            problems.append(Problem("anchor", f"the record that was anchored {how}", run, seq))
    note = ""
    if not problems:
        try:
            problems += _path(store, stored)
        except NotReplayable as error:
            note = f"its chain is whole, but its path was not verified: {error}"
    if not problems and reader.erasure:
        problems += _what_is_left(store, stored, reader.erasure)
        signed = f"signed by {reader.erasure['by']}" if "signature" in reader.erasure else "not signed"
        note += f"; the erasure of records {reader.erasure['records']} is {signed}"
    return RunAudit(run, reader.count, tuple(problems), note)


class _Reader:
    """Reads a run's records once: the chain, the decisions, the values kept apart, and what the run's row says.

    Attributes:
        count: Records that were read.
        erasure: What the last record of an erasure says; empty when nothing was erased.
    """

    def __init__(self, store: ReadOnlyStore, policy: Policy, stored: StoredRun) -> None:
        self._store, self._policy, self._stored = store, policy, stored
        self._requests: dict[str, Mapping[str, Any]] = {}
        self._starter, self._version = "", ""
        self.count = 0
        self.erasure: Mapping[str, Any] = {}

    def read(self) -> Iterator[Problem]:
        stored, run = self._stored, self._stored.id
        chain, last = None, None
        for record in self._store.records(run):
            if chain is None:
                chain = Chain(_started_with(record))
            if not chain.follows(record):
                seq = self.count + 1 if record.seq == self.count + 1 else record.seq
                yield Problem("record", _why_broken(record, self.count + 1), run, seq)
                return
            self.count, last = self.count + 1, record
            yield from self._look_into(record)
        if last is None or chain is None:
            yield Problem("end", "it has no records", run, 1)
            return
        if (suspect := chain.unaccounted) is not None:
            why = "what is left of it is not what its erasure left, or nothing says that it was erased"
            yield Problem("record", why, run, suspect.seq)
        if (last.seq, last.hash) != (stored.seq, stored.head):
            gone = last.seq < stored.seq
            why = (
                f"the journal ends here, and the run is at record {stored.seq}"
                if gone
                else "the run does not end with this record's number and hash"
            )
            yield Problem("end", why, run, last.seq + gone)
        if self._version != stored.machine:
            yield Problem("machine", "its records are of another machine than the run is on", run)

    def _look_into(self, record: Record) -> Iterator[Problem]:
        """Yield what is wrong with a record of a whole chain."""
        run, kind = self._stored.id, record.kind
        for digest in _APART.findall(record.body):
            try:
                self._store.blob(digest)
            except StoreUnusable as error:
                yield Problem("value", str(error), run, record.seq)
                return
        if kind not in _TOLD:
            return
        body = decode(record.body, self._store.blob)
        if not isinstance(body, dict):
            yield Problem("record", f"the {kind} record is no JSON object", run, record.seq)
        elif kind in VERSION_OF:
            self._version = str(body.get(VERSION_OF[kind]))
            if kind == "run_started":
                self._starter = str(body.get("by", ""))
                yield from self._parent(body, record.seq)
        elif kind == ERASURE:
            self.erasure = body
            if why := signed_wrongly(run, record.seq, body, self._policy):
                yield Problem("record", f"its erasure is not what was signed: {why}", run, record.seq)
        elif kind == "approval_requested":
            self._requests[str(body.get("request"))] = body
        elif body.get("result") not in ("void", "expired") and "decision" in body:
            decision = body["decision"]
            why = "" if decision.get("by_time") else self._why_void(decision, record)
            if why:
                yield Problem("decision", f"a decision that counted should not have: {why}", run, record.seq)

    def _parent(self, body: Mapping[str, Any], seq: int) -> Iterator[Problem]:
        """Yield what is wrong with the run that this one was forked off: a fork names a record, an edit does not."""
        if (parent := body.get("parent")) is None:
            return
        found = self._store.hash_at(parent["run"], parent["seq"])
        if found != parent["hash"]:
            how = "is another one now" if found is not None else "is gone"
            why = f"record {parent['seq']} of run {parent['run']}, which it was forked off, {how}"
            yield Problem("record", why, self._stored.id, seq)

    def _why_void(self, data: Mapping[str, Any], record: Record) -> str:
        """Return why a decision does not count; roles are not asked for again, for they change."""
        try:
            decision = Decision.from_data(data)
        except KeyError as error:
            return f"it has no {error.args[0]}"
        name, asked = decision.approver, self._requests.get(decision.request)
        if asked is None:
            return f"this run never asked for {decision.request}"
        if (decision.machine, decision.digest) != (asked["machine"], asked["digest"]):
            return "it is a decision on something else"
        if name not in self._policy.approvers:
            return f"{name} is not in the policy (who has left stays in it, with `until:`)"
        if not verifies(self._policy.approvers[name].key, decision.signature, decision.message()):
            return f"its signature is not {name}'s"
        if record.at >= decision.until:
            return "it had expired"
        if decision.verdict == "approve" and name == self._starter:
            return f"{name} started the run"
        return ""


_TOLD = frozenset(("run_started", "migrated", "approval_requested", "approval_decided", ERASURE))
"""The kinds of records whose bodies are verified against something else than the chain and the path."""


def _started_with(record: Record) -> str:
    """Return the digest of the machine that a first record says it began with."""
    try:
        return str(json.loads(record.body)["digest"])
    except (TypeError, ValueError, LookupError):
        return ""


def _why_broken(record: Record, place: int) -> str:
    if record.seq != place:
        return f"record {place} belongs here: one was taken out, put in, or numbered anew"
    return "it is not what was written here: the chain of hashes breaks"


def _path(store: ReadOnlyStore, stored: StoredRun) -> Iterator[Problem]:
    """Yield what is wrong with a run whose records are those that were written: its path, its row, its snapshots."""
    run = stored.id
    kept, led = store.snapshots(run) | {stored.seq: stored.snapshot}, dict[int, Any]()

    def seen(made: Step) -> None:
        if made.snapshot.seq in kept:
            led[made.snapshot.seq] = _plain(made.snapshot)

    try:
        found = replay_run(store, run, seen)
        if (wrong := found.deviation) is not None:
            what: What = "snapshot" if wrong.found and wrong.found[0] == "snapshot" else "path"
            yield Problem(what, wrong.why, run, wrong.seq)
            return
        for seq, text in kept.items():
            data = decode(text, store.blob)
            # Read first: an older version may have left out what has come since.
            if not isinstance(data, dict) or _plain(Snapshot.from_data(data)) != led.get(seq):
                yield Problem(
                    "snapshot", "the snapshot that is kept here is not what the journal leads to", run, seq
                )
        if other := _row(store, stored):
            yield Problem(
                "run", f"its row says another {', '.join(other)} than the journal leads to", run, stored.seq
            )
    except NotReplayable:
        raise
    except (StateMachineError, LookupError, TypeError, ValueError, AttributeError, AssertionError) as error:
        # The chain is whole, so that what cannot be read is beside it: the machine, or the snapshot.
        yield Problem("snapshot", f"the run cannot be read: {type(error).__name__}: {error}", run, stored.seq)


def _what_is_left(store: ReadOnlyStore, stored: StoredRun, erasure: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong with the row of an erased run, whose path cannot be taken again."""
    if sha256(stored.snapshot.encode()).hexdigest() != erasure["snapshot"]:
        yield Problem("snapshot", "the snapshot is not what its erasure left", stored.id, stored.seq)
        return
    snapshot = restore(store, stored)
    said = {"status": snapshot.status, "state": snapshot.state} | dict.fromkeys(_row(store, stored))
    if other := [name for name, value in said.items() if getattr(stored, name) != value or value is None]:
        why = f"its row says another {', '.join(other)} than its erasure left"
        yield Problem("run", why, stored.id, stored.seq)


def _plain(snapshot: Snapshot) -> Any:
    """Return a snapshot as it is after the way through JSON."""
    return json.loads(json.dumps(snapshot.as_data()))


def _row(store: ReadOnlyStore, stored: StoredRun) -> list[str]:
    """Return the columns of a run's row that are not what its snapshot, which is verified, says."""
    snapshot, definition = restore(store, stored), Journal(store, stored).version(stored.machine)
    timed = due(definition, snapshot)
    (first,) = store.records(stored.id, until=1)
    (last,) = store.records(stored.id, after=stored.seq - 1)
    there = {
        "waiting": waiting_for(definition, snapshot) or None,
        "due": timed[0] if timed else None,
        "reason": snapshot.because or None,
        "started": first.at,
        "updated": last.at,
        "finished": stored.finished is not None,
    }
    said = {name: getattr(stored, name) for name in there} | {"finished": snapshot.finished}
    if stored.finished is not None and abs(stored.finished - last.at) > _SAME and not _reviewed(last):
        return ["finished"]
    return [name for name, value in there.items() if said[name] != value]


_SAME = 1e-6
"""Seconds; a record's time is rounded to them."""


def _reviewed(last: Record) -> bool:
    """Return whether a run's last record came after its end."""
    return last.kind in ("approval_reviewed", ERASURE)


def _why_other(digest: str, name: str, version: str, declaration: str) -> str:
    """Return why a stored machine is not the one with its digest; empty when it is."""
    try:
        declared = Declaration.model_validate_json(declaration)
    except ValueError:
        return "its declaration cannot be read"
    if declared.digest != digest:
        return "its declaration is not the one that was stored"
    if (declared.machine, declared.version) != (name, version):
        return "its name or version is not the declaration's"
    return ""
