"""A stored run taken again from its journal: the chain, the path and the snapshot; nothing is loaded or called."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from statemachine.errors import InvalidMachine, NotReplayable
from statemachine.host.pinned import first_digest, package_version, pinned, unloaded
from statemachine.host.view import restore
from statemachine.journal import Chain, Record, decode
from statemachine.journal.replay import Conformance, Deviates, Deviation, Written, replay
from statemachine.kernel import Step
from statemachine.machine.definition import Definition
from statemachine.store import Store, StoredRun


@dataclass(frozen=True, slots=True)
class Replayed:
    """Whether a stored run is a path of its machine.

    Attributes:
        run: Its id.
        machine: Name of its machine.
        version: Version of the machine.
        digest: Digest of the machine.
        status: The run's status.
        state: The state that it is in.
        steps: Steps that conform, from the first on.
        records: Records of the run.
        seconds: From its first record to its last.
        deviation: The first record that does not conform or is not what was written; None when all is well.
    """

    run: str
    machine: str
    version: str
    digest: str
    status: str
    state: str
    steps: int
    records: int
    seconds: float
    deviation: Deviation | None

    @property
    def conforms(self) -> bool:
        """Whether the chain is whole, every record is what the machine gives, and so is the snapshot."""
        return self.deviation is None

    def as_data(self) -> dict[str, Any]:
        """Return it as plain data."""
        data: dict[str, Any] = {name: getattr(self, name) for name in Replayed.__slots__}
        if (wrong := self.deviation) is not None:
            sides = {"expected": entry_data(wrong.expected), "found": entry_data(wrong.found)}
            data["deviation"] = {"seq": wrong.seq, "why": wrong.why, **sides}
        return {"conforms": self.conforms, **data}


def entry_data(entry: tuple[str, Mapping[str, Any]] | None) -> dict[str, Any] | None:
    """Return a record's kind and body as plain data."""
    return None if entry is None else {"kind": entry[0], "body": dict(entry[1])}


def replay_run(store: Store, run: str, seen: Callable[[Step], object] | None = None) -> Replayed:
    """Take the steps of a stored run again from its journal, up to where it is now.

    Args:
        store: Where it lies.
        run: Its id.
        seen: Is given each step that conforms; all of them twice, if they are judged again with the tools' code.

    Raises:
        UnknownRun: There is no such run.
        NotReplayable: Its machine decides by Python functions that can no longer be loaded.
    """
    stored = store.load(run)
    journal = Journal(store, stored)
    found = replay(journal.definition, run, journal.written(), journal.version, seen)
    wrong = _wrong(store, journal, found)
    if wrong is not None and journal.altered is None and (wrong.expected or wrong.found):
        found, wrong = _with_code(store, journal, found, wrong, seen)
    if wrong is not None and journal.runtime not in ("", package_version()):
        others = f"version {journal.runtime} of this package began the run, and this is {package_version()}"
        wrong = replace(wrong, why=f"{wrong.why} ({others}: rules and words may differ)")
    return Replayed(
        run,
        stored.name,
        stored.version,
        stored.machine,
        stored.status,
        stored.state,
        found.steps,
        stored.seq,
        stored.updated - stored.started,
        wrong,
    )


class Journal:
    """A stored run's records, for replay.

    Attributes:
        stored: The run.
        first: Digest of the machine that it was started with.
        definition: That machine, resolved without its tools.
        head: Hash of the last record that was read and continues the chain.
        runtime: The version of this package that began the run; empty if its first record does not say.
        altered: The first record read that is not what was written: the chain breaks there.
    """

    def __init__(self, store: Store, stored: StoredRun) -> None:
        self._store, self.stored = store, stored
        self.head = self.runtime = ""
        self.altered: Record | None = None
        self.first = first_digest(store, stored.id)
        self._given = frozenset(self._inputs())
        self.definition = self.version(self.first)

    def version(self, digest: str) -> Definition:
        """Return a version of its machine, resolved without its tools if its text tells enough.

        Raises:
            NotReplayable: It is not kept, or decides by code that can no longer be loaded.
        """
        if self._store.machine(digest) is None:
            raise NotReplayable(f"the store keeps no machine with the digest {digest}")
        try:
            return unloaded(self._store, digest, self._given)
        except InvalidMachine:
            return pinned_or_refused(self._store, self.stored, digest)

    def written(self) -> Iterator[Written]:
        """Yield the records from the first; each is held against the chain as it is read."""
        chain = Chain(self.first)
        self.altered = None
        for record in self._store.records(self.stored.id, until=self.stored.seq):
            if self.altered is None and chain.follows(record):
                self.head = record.hash
            elif self.altered is None:
                self.altered = record
            body = self.body(record)
            if body is None:
                raise Deviates(
                    Deviation(record.seq, None, None, f"the {record.kind} record is no JSON object")
                )
            if record.kind == "run_started":
                self.runtime = str(body.get("runtime", ""))
            yield record.seq, record.at, record.kind, body

    def _inputs(self) -> Iterator[tuple[str, str]]:
        """Yield with what tools were called: what a call takes by name is written in the tool's code only."""
        stored = self.stored
        for kind in ("call_intended", "approval_requested"):
            for record in self._store.records(stored.id, until=stored.seq, kind=kind):
                match self.body(record):
                    case {"tool": str(tool), "input": dict(given)}:
                        yield from ((tool, name) for name in given)

    def body(self, record: Record) -> dict[str, Any] | None:
        """Return a record's body; None when a hand has made something else of it."""
        try:
            body = decode(record.body, self._store.blob)
        except (TypeError, ValueError):
            return None
        return body if isinstance(body, dict) else None


def pinned_or_refused(store: Store, stored: StoredRun, digest: str) -> Definition:
    """Return a run's machine with its code; raise NotReplayable when that cannot be loaded."""
    try:
        return pinned(store, digest)
    except InvalidMachine as error:
        missing = "; ".join(finding.message for finding in error.findings[:3])
        raise NotReplayable(
            f"run {stored.id} needs the code of {stored.name} {stored.version} to be replayed: {missing}"
        ) from None


def _wrong(store: Store, journal: Journal, found: Conformance) -> Deviation | None:
    return _alteration(journal, found.deviation) or _wrong_end(store, journal, found)


def _with_code(
    store: Store,
    journal: Journal,
    found: Conformance,
    wrong: Deviation,
    seen: Callable[[Step], object] | None,
) -> tuple[Conformance, Deviation | None]:
    """Judge a journal that deviates, with its chain whole, by the machine with its code.

    Only the code knows the types of its classes, which fill defaults in and refuse values, and what a call takes
    that was never recorded, because it was given up before it was intended.
    """
    stored = journal.stored
    try:
        first = pinned_or_refused(store, stored, journal.first)
        again = replay(
            first,
            stored.id,
            journal.written(),
            lambda digest: pinned_or_refused(store, stored, digest),
            seen,
        )
    except NotReplayable as error:
        return found, replace(wrong, why=f"{wrong.why}. It was judged without the code of its tools: {error}")
    still = _wrong(store, journal, again)
    return (again, still) if still is None or again.steps >= found.steps else (found, wrong)


def _alteration(journal: Journal, deviation: Deviation | None) -> Deviation | None:
    """Return the first thing that is wrong with the records: a break of the chain, or a deviation."""
    record = journal.altered
    if record is None or (deviation is not None and deviation.seq < record.seq):
        return deviation
    why = "it is not what was written here: the chain of hashes breaks"
    if deviation is None:
        return Deviation(record.seq, None, (record.kind, journal.body(record) or {}), why)
    at = "" if deviation.seq == record.seq else f"record {deviation.seq}: "
    return replace(deviation, seq=record.seq, why=f"{why}, and {at}{deviation.why}")


def _wrong_end(store: Store, journal: Journal, found: Conformance) -> Deviation | None:
    """Return what is wrong with the snapshot that is stored beside a journal that conforms."""
    stored, snapshot = journal.stored, found.snapshot
    if snapshot is None or snapshot.seq != stored.seq:
        last = 0 if snapshot is None else snapshot.seq
        why = f"the journal ends after record {last}, and the run is at record {stored.seq}"
        return Deviation(last + 1, None, None, why)
    if journal.head != stored.head:
        why = "its hash is not the one that the run ends with"
        return Deviation(stored.seq, ("hash", {"hash": stored.head}), ("hash", {"hash": journal.head}), why)
    summary = {"digest": stored.machine, "status": stored.status, "state": stored.state}
    there = {**restore(store, stored).as_data(), **summary}
    leads = json.loads(json.dumps(snapshot.as_data()))
    wrong = [name for name in leads if there.get(name) != leads[name]]
    if not wrong:
        return None
    why = f"the snapshot that is stored is not the one that the journal leads to: another {', '.join(wrong)}"
    expected, kept = ({name: data.get(name) for name in wrong} for data in (leads, there))
    return Deviation(stored.seq, ("snapshot", expected), ("snapshot", kept), why)
