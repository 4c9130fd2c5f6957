"""A run's way through its machine, folded from its journal: one pass, nothing replayed, nothing loaded."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import takewhile
from typing import Any

from statemachine.diagrams.trail import SHOWN, Passage, Stay, Stray, Trail
from statemachine.diagrams.ways import Way, candidates, every_way
from statemachine.host.pinned import VERSION_OF, declared
from statemachine.journal import ERASURE, Record, decode
from statemachine.journal.erasing import Erasure
from statemachine.machine.definition import REFUSED, STALE, STALE_FAILURE, event_names
from statemachine.machine.model import Declaration
from statemachine.store import Store

Written = tuple[int, float, str, Mapping[str, Any]]
"""A record: its sequence number, time, kind and body."""

_FAILING = ("failed", "timeout", "limit", "stuck", "cancelled", "partial", "denied", "expired")
_CALLS = ("call_intended", "call_finished", "call_in_doubt", "call_resolved")
_ASKED = ("approval_requested", "approval_decided", "call_held")
_TOLD = frozenset(
    ("run_started", "migrated", "event", "transition", "timer_set", "run_finished", ERASURE, *_CALLS, *_ASKED)
)


def trail_of(store: Store, run: str, *, at: float | None = None, until: int | None = None) -> Trail:
    """Return the way of a stored run.

    Args:
        store: Where it lies.
        run: Its id; it may be shortened while it is unique.
        at: The moment to draw, in seconds since the epoch: later records are left out. Without it an
            unfinished run is drawn as it stands now.
        until: The last record to draw; without it, all.

    Raises:
        UnknownRun: There is no such run.
    """
    stored = store.load(store.find(run))
    records = store.records(stored.id, until=until)
    if at is not None:
        moment = at  # for the type checker: the name in the closure is never None
        records = takewhile(lambda record: record.at <= moment, records)
    elif until is None and stored.finished is None:
        at = time.time()
    written = (
        (record.seq, record.at, record.kind, _body(record, store.blob))
        for record in records
        if record.kind in _TOLD
    )
    return trail(
        declared(store, stored.machine), stored.id, written, at, lambda digest: declared(store, digest)
    )


def trail(
    declaration: Declaration,
    run: str,
    records: Iterable[Written],
    until: float | None = None,
    version: Callable[[str], Declaration] | None = None,
) -> Trail:
    """Return the way that a run's records, from its first, tell of.

    Args:
        declaration: The machine that the run is pinned to.
        run: Id of the run.
        records: Its records; streamed, never held.
        until: The moment up to which an unfinished run has been in its last state; without it, its last record.
        version: Returns an earlier version of the machine by its digest. What a run did before it was moved to
            another version is told as far as that has a place for it.
    """
    fold = _Fold(declaration)
    for _, at, kind, body in records:
        if kind in VERSION_OF and version is not None:
            fold.move_to(version(body[VERSION_OF[kind]]), body.get("states", {}))
        fold.take(at, kind, body)
    return fold.trail(run, until)


def _body(record: Record, fetch: Callable[[str], bytes]) -> Any:
    # Of the large values that are kept apart a trail reads only a list of guards, or a whole body: few are fetched.
    needed = record.kind == "transition" or record.body.startswith('{"$blob"')
    return decode(record.body, fetch if needed else lambda digest: b"null")


@dataclass(slots=True)
class _Passing:
    """A passage in the making."""

    turns: list[int] = field(default_factory=list)
    count: int = 0
    failed: int = 0
    sources: dict[str, None] = field(default_factory=dict)

    def take(self, turn: int, source: str, failed: bool) -> None:
        if len(self.turns) > SHOWN - 1:
            self.turns[-1] = turn
        else:
            self.turns.append(turn)
        self.count += 1
        self.failed += failed
        self.sources[source] = None


class _Fold:
    """What is known of a run after some of its records."""

    def __init__(self, declaration: Declaration) -> None:
        self._use(declaration)
        self._state, self._status = declaration.initial, "pending"
        self._waiting = self._reason = self._parent = ""
        self._steps = 0
        self._began = self._entered = self._last = 0.0
        self._seconds: dict[str, float] = {}
        self._visits: Counter[str] = Counter()
        self._calls: Counter[str] = Counter()
        self._attempts: dict[str, int] = {}
        self._failures: dict[str, Counter[str]] = {}
        self._passages: dict[Way, _Passing] = {}
        self._strays: dict[Stray, _Passing] = {}

    def _use(self, declaration: Declaration) -> None:
        self._declaration, self._states = declaration, declaration.states
        self._ways = cache(lambda state, event: tuple(candidates(declaration, state, event)))

    def move_to(self, declaration: Declaration, states: Mapping[str, str | None]) -> None:
        """Go on in another version of the machine, whose states have other names."""
        old = {way: to for way, to in every_way(self._declaration) if way in self._passages}
        new = dict(every_way(declaration))
        if self._status == "pending":
            self._state = declaration.initial

        def name(state: str) -> str | None:
            there = states.get(state, state)
            return there if there in declaration.states else None

        passages, self._passages = self._passages, {}
        strays = [(stray, passing) for stray, passing in self._strays.items()]
        for way, passing in passages.items():
            there = way._replace(source=None if way.source is None else name(way.source))
            if (there.source is None) == (way.source is None) and new.get(there) == name(old[way]):
                self._passages[there] = passing
            else:
                label = f"{way.event or 'at once'}, in version {self._declaration.version}"
                strays.append((Stray(next(iter(passing.sources)), old[way], label), passing))
        named = ((name(s.source), name(s.target), s.label, passing) for s, passing in strays)
        self._strays = {Stray(a, b, label): passing for a, b, label, passing in named if a and b}
        for counted in (self._seconds, self._visits, self._calls, self._attempts, self._failures):
            self._rename(counted, name)
        self._state = name(self._state) or declaration.initial
        self._use(declaration)

    def _rename(self, counted: dict[str, Any], name: Callable[[str], str | None]) -> None:
        before = dict(counted)
        counted.clear()
        counted.update({there: value for state, value in before.items() if (there := name(state))})

    def take(self, at: float, kind: str, body: Mapping[str, Any]) -> None:
        if kind == ERASURE:
            self._reason = str(Erasure(at, body["by"], body["reason"], 0))
            return  # the run had ended before
        self._last = at
        match kind:
            case "run_started":
                self._began = self._entered = at
                if "snapshot" in body:
                    self._forked(body["parent"], body["snapshot"])
            case "transition":
                self._transition(at, body)
            case "call_intended":
                self._calls[self._state] += 1
                self._now("running")
            case "event" | "call_resolved":
                self._now("running")
            case "call_finished":
                if body["kind"] == "failure":
                    self._fail(body["class"])
                self._now("running")
            case "call_in_doubt":
                self._fail("in_doubt")
                asks = body["asks"]
                self._now("waiting", f"a decision on call {body['key']}") if asks == "a person" else None
            case "approval_requested":
                self._now("waiting", f"approval of {body['tool']}")
            case "approval_decided" if body["result"] in ("granted", "denied", "expired"):
                self._now("running")
            case "call_held":
                self._now("waiting", f"the stop to be lifted: {body['because']}")
            case "timer_set":
                self._now("waiting", "time")
            case "run_finished":
                self._status, self._reason, self._waiting = body["status"], body["reason"] or "", ""

    def _forked(self, parent: Mapping[str, Any], snapshot: Mapping[str, Any]) -> None:
        """Go on from where another run was: its steps and counters count, its visits and its time do not."""
        self._parent = f"{parent['run']}:{parent['seq']}"
        self._state, self._steps = snapshot["state"], snapshot["steps"]
        self._attempts = dict(snapshot["attempts"])
        if snapshot["status"] != "pending":
            self._visits[self._state] += 1
            self._now("running")

    def _now(self, status: str, waiting: str = "") -> None:
        self._status, self._waiting = status, waiting

    def _fail(self, failure: str) -> None:
        self._failures.setdefault(self._state, Counter())[failure] += 1

    def _transition(self, at: float, body: Mapping[str, Any]) -> None:
        before, target = body["from"], body["to"]
        if before is None:
            self._began = at  # a queued run's time counts from here
        else:
            self._seconds[self._state] = self._seconds.get(self._state, 0.0) + at - self._entered
        self._steps += 1
        if before is not None:
            self._pass(before, target, body)
        for name in body.get("resets", ()):
            self._attempts.pop(name, None)
        if "attempt" in body:
            self._attempts[target] = body["attempt"]
        self._state, self._entered = target, at
        self._visits[target] += 1
        state = self._states[target]
        if state.kind == "event":
            self._now("waiting", f"event {' or '.join(e for e in state.on if e != 'timeout') or 'timeout'}")
        else:
            self._now("running")

    def _pass(self, before: str, target: str, body: Mapping[str, Any]) -> None:
        event, instead = body["event"], body.get("instead", "")
        failed = event.partition(".")[0] in _FAILING or bool(instead)
        way, to = None, None
        tried = body.get("tried", ())
        if instead.startswith("limit."):
            names = event_names(instead)
            way, to = self._chosen(before, (instead,), [one for one in tried if one["on"] in names])
        elif instead != "otherwise":
            way, to = self._chosen(before, _asked(event, body), tried)
        passed = []
        while way is not None and to is not None:
            passed.append(way)
            if to == target or instead != "exhausted" or len(passed) > len(self._states):
                break
            way, to = Way(to, None, 0, exhausted=True), self._states[to].exhausted
        if not passed or to != target:
            label = f"unanswered: {event}" if instead in ("", "otherwise") else instead
            passing = self._strays.setdefault(Stray(before, target, label), _Passing())
            passing.take(self._steps, before, failed)
            return
        for way in passed:
            self._passages.setdefault(way, _Passing()).take(self._steps, before, failed)

    def _chosen(
        self, state: str, events: Iterable[str], tried: Iterable[Mapping[str, Any]]
    ) -> tuple[Way | None, str | None]:
        """Return the transition that was taken: candidates are tried in order, so their number tells which."""
        left = deque(tried)
        alone = not left  # the only candidate, without a guard, is not written down
        for event in events:
            for way, to in self._ways(state, event):
                if alone:
                    return way, to
                if not left or (left[0]["on"], left[0]["to"]) != (way.event or "always", to):
                    break
                verdict = left.popleft()["verdict"]
                if verdict is True:
                    return way, to
                if verdict is None:
                    break
        return None, None

    def trail(self, run: str, until: float | None) -> Trail:
        if self._status not in ("succeeded", "failed", "cancelled"):
            self._last = max(self._last, until or 0.0)
        seconds = {self._state: 0.0, **self._seconds}
        seconds[self._state] += self._last - self._entered
        stays = {
            name: Stay(
                visits,
                self._attempts.get(name, 0),
                max(seconds.get(name, 0.0), 0.0),
                self._calls[name],
                dict(self._failures.get(name, {})),
            )
            for name, visits in self._visits.items()
        }
        return Trail(
            run,
            self._status,
            self._state,
            self._waiting,
            self._reason,
            self._steps,
            max(self._last - self._began, 0.0),
            stays,
            {way: _passage(passing) for way, passing in self._passages.items()},
            {stray: _passage(passing) for stray, passing in self._strays.items()},
            self._parent,
        )


def _asked(event: str, body: Mapping[str, Any]) -> Iterable[str]:
    """Return the events that a machine was asked about, one after another, for one that a run moved on by."""
    tried = "tried" in body
    if "stale" in body:
        return (event, STALE, STALE_FAILURE) if tried and event != STALE else (STALE, STALE_FAILURE)
    return (event, REFUSED) if tried else (event,)  # a guard failed to evaluate


def _passage(passing: _Passing) -> Passage:
    return Passage(tuple(passing.turns), passing.count, passing.failed, tuple(passing.sources))
