"""What goes into the store and what comes out of it, as plain frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from statemachine.journal import Record

UNFINISHED = ("pending", "running", "waiting")
FINAL = ("succeeded", "failed", "cancelled")
STATUSES = UNFINISHED + FINAL


Scope = Literal["run", "machine", "tool", "all"]
"""What a stop holds."""


@dataclass(frozen=True, slots=True)
class StoredMachine:
    """A machine that runs were started with.

    Attributes:
        digest: SHA-256 of the declaration.
        name: Its name.
        version: Its version.
        declaration: The whole declaration, as JSON text.
        source: The file or folder it was loaded from.
    """

    digest: str
    name: str
    version: str
    declaration: str
    source: str


@dataclass(frozen=True, slots=True)
class Commit:
    """One step of one run, to be stored whole or not at all.

    Attributes:
        run: Id of the run.
        expected_seq: The run's stored sequence number that this step was computed from.
        epoch: The lease's fencing epoch that this process holds.
        records: What happened, continuing the run's chain.
        snapshot: The run as it is after them, as text.
        status: One of ``STATUSES``.
        state: The machine's state.
        blobs: What records and snapshot keep apart, by SHA-256.
        waiting: What the run waits for, in words; None when it does not.
        due: When the next timer fires, in seconds since the epoch; None without one.
        reason: Why the run is where it is, for people.
        finished: When the run ended; given if and only if ``status`` is final. Ending gives up the lease.
        consumed: Ids of inbox messages that this step has dealt with.
        machine: The version of its machine that the run is moved to; None leaves it on the one that it is on.
    """

    run: str
    expected_seq: int
    epoch: int
    records: tuple[Record, ...]
    snapshot: str
    status: str
    state: str
    blobs: Mapping[str, bytes] = field(default_factory=dict)
    waiting: str | None = None
    due: float | None = None
    reason: str | None = None
    finished: float | None = None
    consumed: tuple[int, ...] = ()
    machine: StoredMachine | None = None

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"{self.status!r} is none of {', '.join(STATUSES)}")
        if (self.status in FINAL) != (self.finished is not None):
            raise ValueError("a run has a time of finishing if and only if its status is final")
        for seq, record in enumerate(self.records, start=self.expected_seq + 1):
            if (record.run, record.seq) != (self.run, seq):
                raise ValueError(f"record {record.run}:{record.seq} is where {self.run}:{seq} should be")


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run that begins, to be stored whole or not at all.

    Attributes:
        machine: What it is started with.
        first: Its first step: ``expected_seq`` 0, ``epoch`` 1, at least one record.
        owner: Who holds the lease; None leaves the run to whoever takes it.
        lease_until: Until when, in seconds since the epoch.
    """

    machine: StoredMachine
    first: Commit
    owner: str | None = None
    lease_until: float | None = None

    def __post_init__(self) -> None:
        if self.first.expected_seq != 0 or self.first.epoch != 1 or not self.first.records:
            raise ValueError("a run starts with expected_seq 0, epoch 1 and at least one record")
        if self.first.consumed:
            raise ValueError("a run that starts has no inbox yet")


@dataclass(frozen=True, slots=True)
class Release:
    """A run to be given back, if nobody has taken it over meanwhile.

    Attributes:
        run: Its id.
        epoch: The epoch in which it was held.
    """

    run: str
    epoch: int


Change = Commit | NewRun | Release
"""What is stored in one transaction together with others of its kind."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run without its snapshot; times are seconds since the epoch.

    Attributes:
        id: Its id.
        machine: Digest of its machine.
        name: The machine's name.
        version: The machine's version.
        status: One of ``STATUSES``.
        state: The machine's state.
        waiting: What it waits for, in words.
        due: When its next timer fires.
        seq: Sequence number of its last record.
        head: Hash of its last record.
        epoch: Fencing epoch of the newest lease.
        owner: Who holds the lease.
        lease_until: Until when.
        started: Time of its first record.
        updated: Time of its last record.
        finished: When it ended.
        reason: Why it is where it is.
    """

    id: str
    machine: str
    name: str
    version: str
    status: str
    state: str
    waiting: str | None
    due: float | None
    seq: int
    head: str
    epoch: int
    owner: str | None
    lease_until: float | None
    started: float
    updated: float
    finished: float | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class StoredRun(RunSummary):
    """A run with all that is needed to go on with it.

    Attributes:
        snapshot: The text that its last commit stored.
    """

    snapshot: str


@dataclass(frozen=True, slots=True)
class Ready:
    """A run that can move and that nobody owns.

    Attributes:
        id: Its id.
        epoch: Fencing epoch of its newest lease.
        seq: Sequence number of its last record.
        mail: Id of the newest event in its inbox; None when there is none.
        timed: Whether its timer is due.
    """

    id: str
    epoch: int
    seq: int
    mail: int | None
    timed: bool


@dataclass(frozen=True, slots=True)
class Stop:
    """What a person has stopped: no call of it is made until it is started again.

    Attributes:
        scope: ``run``, ``machine``, ``tool`` or ``all``.
        name: Which one: a run's id, a machine's or a tool's name; empty for all.
        by: Who stopped it.
        reason: Why.
        at: When, in seconds since the epoch.
    """

    scope: Scope
    name: str
    by: str
    reason: str
    at: float

    def holds(self, run: str, machine: str, tool: str) -> bool:
        """Return whether a call of a tool, by a run of a machine, is stopped."""
        return self.name == {"run": run, "machine": machine, "tool": tool, "all": ""}[self.scope]

    def __str__(self) -> str:
        what = "everything" if self.scope == "all" else f"{self.scope} {self.name}"
        by = f" by {self.by}" if self.by else ""
        return f"{what} is stopped{by}" + (f": {self.reason}" if self.reason else "")


@dataclass(frozen=True, slots=True)
class Posted:
    """An event that was sent to a run and not yet dealt with.

    Attributes:
        id: Its id, which ``Commit.consumed`` names.
        run: Id of the run.
        event: Name of the event.
        payload: What came with it: plain JSON data.
        at: When it was sent, in seconds since the epoch.
    """

    id: int
    run: str
    event: str
    payload: object
    at: float
