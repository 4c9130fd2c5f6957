"""A run's way through its machine, folded from its journal: one pass, nothing replayed, nothing loaded."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import takewhile
from typing import Any

from statemachine.diagrams.trail import SHOWN, Passage, Stay, Stray, Trail, Way
from statemachine.host.pinned import declared
from statemachine.journal import Record, decode
from statemachine.machine.definition import REFUSED, event_names
from statemachine.machine.model import Declaration, Transition
from statemachine.store import Store

Written = tuple[int, float, str, Mapping[str, Any]]
"""A record: its sequence number, time, kind and body."""

_FAILING = ("failed", "timeout", "limit", "stuck", "cancelled", "partial", "denied", "expired")
_CALLS = ("call_intended", "call_finished", "call_in_doubt", "call_resolved")
_ASKED = ("approval_requested", "approval_decided", "call_held")
_TOLD = frozenset(("run_started", "event", "transition", "timer_set", "run_finished", *_CALLS, *_ASKED))


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
    return trail(declared(store, stored.machine), stored.id, written, at)


def trail(
    declaration: Declaration, run: str, records: Iterable[Written], until: float | None = None
) -> Trail:
    """Return the way that a run's records, from its first, tell of.

    Args:
        declaration: The machine that the run is pinned to.
        run: Id of the run.
        records: Its records; streamed, never held.
        until: The moment up to which an unfinished run has been in its last state; without it, its last record.
    """
    fold = _Fold(declaration)
    for _, at, kind, body in records:
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
        self._states = declaration.states
        self._ways = cache(lambda state, event: tuple(_candidates(declaration, state, event)))
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

    def take(self, at: float, kind: str, body: Mapping[str, Any]) -> None:
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
            way, to = self._chosen(before, instead, [one for one in tried if one["on"] in names])
        elif instead != "otherwise":
            way, to = self._chosen(before, event, tried)
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
        self, state: str, event: str, tried: Iterable[Mapping[str, Any]]
    ) -> tuple[Way | None, str | None]:
        """Return the transition that was taken: candidates are tried in order, so their number tells which."""
        verdicts = [one["verdict"] for one in tried] or [True]
        if None in verdicts[:-1]:  # a guard failed to evaluate, and `failed.guard` was tried after that
            event, verdicts = REFUSED, verdicts[verdicts.index(None) + 1 :]
        found = self._ways(state, event)
        return found[len(verdicts) - 1] if verdicts[-1] and len(verdicts) <= len(found) else (None, None)

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


def _passage(passing: _Passing) -> Passage:
    return Passage(tuple(passing.turns), passing.count, passing.failed, tuple(passing.sources))


def _candidates(declaration: Declaration, state: str, event: str) -> Iterator[tuple[Way, str]]:
    """Yield the transitions that an event may take from a state, in the order in which they are tried."""
    declared = declaration.states[state]
    own: dict[str, tuple[Transition, ...]] = {**declared.on, "always": declared.always or ()}
    tables: list[tuple[str | None, Mapping[str, tuple[Transition, ...]]]] = [(state, own)]
    if declared.final is None:
        tables.append((None, declaration.on))
    for source, table in tables:
        for name in event_names(event):
            for index, transition in enumerate(table.get(name, ())):
                yield Way(source, None if name == "always" else name, index), transition.to
