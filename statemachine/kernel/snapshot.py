"""Where a run is: frozen data, enough to go on from. Restoring a run is reading this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

Status = Literal["pending", "running", "waiting", "succeeded", "failed", "cancelled"]
FINISHED: tuple[Status, ...] = ("succeeded", "failed", "cancelled")
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Source:
    """Where a context value comes from.

    Attributes:
        by: The state that wrote it, or ``operator``.
        at: When it was observed, in seconds since the epoch.
        of: The tool or the event that gave it, ``input``, ``default`` or ``amendment``.
    """

    by: str
    at: float
    of: str = ""


@dataclass(frozen=True, slots=True)
class Grant:
    """An approval that counts for one call.

    Attributes:
        request: The request that was approved.
        digest: SHA-256 of the input that it is for.
        until: When it counts no more, if the call has not been made by then.
    """

    request: str
    digest: str
    until: float


class PendingCall(NamedTuple):
    """A call whose intent is journaled and whose outcome is not.

    Attributes:
        key: Its idempotency key, ``run:seq``.
        seq: Sequence number of its first intent.
        tool: The tool's name.
        input: Its input as JSON data.
        attempt: 1 for the first time it is made.
        phase: ``sent`` (it may be happening), ``backoff`` (it failed and is due again), ``probe`` (it may
            have happened and the world is to be asked), ``doubt`` (a person decides).
        due: In back-off, when it is made again; otherwise when it was sent.
        retries: Retries so far, by failure class.
        after: The failure class that left it in doubt; None after a crash.
        refreshes: The tool whose call found stale data and is made anew after this read; None for any other.
        undoes: Key of the call that this one undoes; None for any other.
        approval: The request whose approval it uses up; None for a call that needs none.
        granted: Of a read that refreshes what an approved call needs: the approval of that call.
    """

    key: str
    seq: int
    tool: str
    input: Mapping[str, Any]
    attempt: int
    phase: Literal["sent", "backoff", "probe", "doubt"]
    due: float
    retries: Mapping[str, int] = _NOTHING
    after: str | None = None
    refreshes: str | None = None
    undoes: str | None = None
    approval: str | None = None
    granted: Grant | None = None


@dataclass(frozen=True, slots=True)
class Untold:
    """A way in which people could not be told of a request.

    Attributes:
        way: Its name in the policy.
        since: When it first failed.
        attempt: How often it was tried.
        error: What went wrong the last time.
        again: When it is tried again; 0 when it is not.
    """

    way: str
    since: float
    attempt: int
    error: str
    again: float = 0.0


@dataclass(frozen=True, slots=True)
class PendingApproval:
    """A call that is not intended yet, because people must approve it first.

    Attributes:
        request: The request's id, ``run:seq`` of its record.
        tool: The tool's name.
        input: The call's input as JSON data.
        digest: SHA-256 of the run's salt and the input.
        level: Who is asked: an index into the state's levels.
        asked: When they were asked.
        expires: From when on no answer counts any more.
        granted: Who has approved so far.
        announced: Whether it is journaled that they were told, or in which ways that failed.
        break_glass: Whether one of them did so out of turn.
        held: Until when the call, approved, must wait all the same; 0 when it need not.
        retries: Retries of the call so far, by failure class.
        untold: The ways in which they could not be told yet.
    """

    request: str
    tool: str
    input: Mapping[str, Any]
    digest: str
    level: int
    asked: float
    expires: float
    granted: tuple[str, ...] = ()
    announced: bool = False
    break_glass: bool = False
    held: float = 0.0
    retries: Mapping[str, int] = field(default_factory=lambda: _NOTHING)
    untold: tuple[Untold, ...] = ()

    @property
    def told_again(self) -> float:
        """When people are told again; 0 when they are not: it worked, or was tried often enough."""
        return min((way.again for way in self.untold if way.again), default=0.0)


@dataclass(frozen=True, slots=True)
class Timer:
    """A wait for time.

    Attributes:
        due: When the event ``elapsed`` is raised, in seconds since the epoch.
    """

    due: float


@dataclass(frozen=True, slots=True)
class Immediate:
    """An event that is to be handled next, without waiting for anything.

    Attributes:
        event: Its name: ``always``; INTEND when the run is held before the call of its state, with nothing
            intended yet; of a call whose input could not be computed ``failed.guard``, and ``stale`` where it
            would have been too old.
        fields: What is too old.
    """

    event: str
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rollback:
    """A roll back that is under way.

    Attributes:
        undone: How many calls of each tool were undone.
        ends: The status that the run ends with afterwards; empty in a state that rolls back.
        undoing: The tool whose call is being undone.
        failed: The class of the failure that stopped it; empty as long as none did.
        doubted: The one call in doubt that is undone, and nothing else, because a person said so.
    """

    undone: Mapping[str, int]
    ends: Status | Literal[""] = ""
    undoing: str = ""
    failed: str = ""
    doubted: PendingCall | None = None


Pending = PendingCall | PendingApproval | Timer | Immediate | None


class Snapshot(NamedTuple):
    """A run at one moment.

    Attributes:
        run: Its id.
        digest: Digest of the machine that it is pinned to.
        seq: Sequence number of its last journal record.
        status: One of the six statuses.
        state: The current state.
        started: When the run started.
        entered: When the state was entered.
        context: The known context fields as JSON data.
        sources: Where each of them comes from.
        attempts: How often each state that counts attempts was entered.
        steps: Transitions taken.
        calls: Calls made, retries included.
        cost: What was spent, by unit.
        pending: What the run waits for; None when it is an event, or nothing any more.
        failure: The last failure: class, message, tool, state.
        because: What last went wrong, for people.
        cancelled: Whether a cancellation was accepted.
        output: The output of a finished run.
        recent: Digests of the last calls, where the machine wants to know whether it is stuck.
        watched: For each state that counts attempts, the digest of the watched fields when it was last
            entered, and at how many entries in a row it was that.
        rollback: The roll back that is under way.
        denied: Digests of the inputs that were denied, and how often each was asked for.
        reviews: Requests for which glass was broken, and at which nobody has looked since.
        edited: What a person changed by hand: fields, and calls whose outcome was pretended.
        parent: The record that the run was forked off, ``run:seq``; empty for any other.
        amended: Whether an amendment waits for the end of the pending call, whose outcome is not trusted then.
        code: Fingerprint of the code of the tools that the run was started with, or migrated to.
        salt: What the digests of inputs that approvals are bound to begin with, drawn by chance by the host: who
            knows a digest alone cannot try out inputs. Empty in runs of old, and in erased ones.
        history: How many calls ended how, as far as the machine reads it: `failed.TOOL` and the like, without
            those that are 0.
        erased: When, by whom and why payloads of the run were erased, in words; empty for any other.
    """

    run: str
    digest: str
    seq: int
    status: Status
    state: str
    started: float
    entered: float
    context: Mapping[str, Any]
    sources: Mapping[str, Source]
    attempts: Mapping[str, int]
    steps: int
    calls: int
    cost: Mapping[str, float]
    pending: Pending
    failure: Mapping[str, str] | None
    because: str
    cancelled: bool
    output: Mapping[str, Any] | None
    recent: tuple[str, ...] = ()
    watched: Mapping[str, tuple[str, int]] = _NOTHING
    rollback: Rollback | None = None
    denied: Mapping[str, int] = _NOTHING
    reviews: tuple[str, ...] = ()
    edited: tuple[str, ...] = ()
    parent: str = ""
    amended: bool = False
    code: str = ""
    salt: str = ""
    history: Mapping[str, int] = _NOTHING
    erased: str = ""

    @property
    def finished(self) -> bool:
        """Whether the run has ended."""
        return self.status in FINISHED

    def as_data(self) -> dict[str, Any]:
        """Return the snapshot as plain JSON data, without what is None."""
        data: dict[str, Any] = {
            "run": self.run,
            "digest": self.digest,
            "seq": self.seq,
            "status": self.status,
            "state": self.state,
            "started": self.started,
            "entered": self.entered,
            "context": dict(self.context),
            "sources": {name: [s.by, s.at, s.of] for name, s in self.sources.items()},
            "attempts": dict(self.attempts),
            "steps": self.steps,
            "calls": self.calls,
            "cost": dict(self.cost),
            "because": self.because,
            "cancelled": self.cancelled,
            "recent": list(self.recent),
            "watched": {state: list(seen) for state, seen in self.watched.items()},
            "edited": list(self.edited),
            "parent": self.parent,
        }
        match self.pending:
            case PendingCall() as call:
                data["pending"] = {"kind": "call"} | _call_data(call)
            case PendingApproval() as asked:
                pending = {n: getattr(asked, n) for n in PendingApproval.__slots__}
                pending |= {"input": dict(asked.input), "retries": dict(asked.retries)}
                pending |= {"kind": "approval", "granted": list(asked.granted)}
                pending |= {"untold": [list(astuple(way)) for way in asked.untold]}
                data["pending"] = pending
            case Timer(due):
                data["pending"] = {"kind": "timer", "due": due}
            case Immediate(event, fields):
                data["pending"] = {"kind": "immediate", "event": event}
                if fields:
                    data["pending"]["fields"] = list(fields)
        if self.failure is not None:
            data["failure"] = dict(self.failure)
        if self.output is not None:
            data["output"] = dict(self.output)
        if self.denied:
            data["denied"] = dict(self.denied)
        if self.history:
            data["history"] = dict(self.history)
        if self.reviews:
            data["reviews"] = list(self.reviews)
        if self.rollback is not None:
            rollback = {n: getattr(self.rollback, n) for n in Rollback.__slots__}
            doubted = self.rollback.doubted and _call_data(self.rollback.doubted)
            data["rollback"] = rollback | {"undone": dict(self.rollback.undone), "doubted": doubted}
        if self.amended:
            data["amended"] = True
        for name in ("code", "salt", "erased"):
            if text := getattr(self, name):
                data[name] = text
        return data

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Snapshot:
        """Return the snapshot that :meth:`as_data` gave."""
        pending: Pending = None
        if data.get("pending") is not None:
            parts = dict(data["pending"])
            kind = parts.pop("kind")
            kinds = {
                "call": PendingCall,
                "approval": PendingApproval,
                "timer": Timer,
                "immediate": Immediate,
            }
            for several in ("granted", "fields"):
                if several in parts:
                    parts[several] = Grant(*parts[several]) if kind == "call" else tuple(parts[several])
            if "untold" in parts:
                parts["untold"] = tuple(Untold(*way) for way in parts["untold"])
            pending = kinds[kind](**parts)
        sources = {name: Source(*source) for name, source in data["sources"].items()}
        watched = {state: (digest, rounds) for state, (digest, rounds) in data.get("watched", {}).items()}
        rollback = data.get("rollback")
        if rollback is not None:
            doubted = rollback.get("doubted") and PendingCall(**rollback["doubted"])
            rollback = Rollback(**{**rollback, "doubted": doubted})
        data = {"failure": None, "output": None, **data}
        read = {"pending": pending, "sources": sources, "watched": watched, "rollback": rollback}
        tuples = {name: tuple(data.get(name, ())) for name in ("recent", "edited", "reviews")}
        return cls(**{**data, **read, **tuples})


def _call_data(call: PendingCall) -> dict[str, Any]:
    data: dict[str, Any] = {
        name: value for name, value in zip(call._fields, call, strict=True) if value is not None
    }
    if call.granted is not None:
        data["granted"] = list(astuple(call.granted))
    return data | {"input": dict(call.input), "retries": dict(call.retries)}
