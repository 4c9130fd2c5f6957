"""Breaks of the protocol, made on purpose: each must be noticed by a check.

A mutant replaces one function of the product while runs are driven, never while the invariants are checked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from unittest.mock import patch

from sqlalchemy import true, update

from statemachine.errors import LeaseLost, StoreUnusable
from statemachine.host import approving, hosting
from statemachine.host.driver import Driver
from statemachine.host.leasing import Leases
from statemachine.host.runtime import Runtime
from statemachine.journal import record
from statemachine.kernel import (
    ANNOUNCED,
    FINISH,
    RESOLVE,
    Event,
    PendingApproval,
    PendingCall,
    Snapshot,
    Step,
    calls,
)
from statemachine.kernel.draft import Draft
from statemachine.kernel.enter import enter
from statemachine.machine.contract import Tool
from statemachine.machine.load import load
from statemachine.machine.outcome import Failure
from statemachine.store import Change, Commit, Store, database, queries, store, writer
from statemachine.store.schema import runs
from tests.faults import world as worlds


class Check(NamedTuple):
    """A sweep that ought to notice a mutant.

    Attributes:
        kind: The kind of fault.
        at: The one point at which it strikes, by name and number; None for a sample of all, from several seeds.
        laps: How often the run goes round.
    """

    kind: str
    at: tuple[str, int] | None = None
    laps: int = 1


@dataclass(frozen=True, slots=True)
class Mutant:
    """One break of the protocol.

    Attributes:
        what: What it breaks, in words.
        owner: The module or class whose attribute it replaces.
        name: The attribute.
        broken: Makes the replacement from what is there.
        checks: The kinds of faults that ought to notice, the quickest first; one with ``at`` strikes at one point.
    """

    what: str
    owner: Any
    name: str
    broken: Callable[[Any], Any]
    checks: tuple[Check, ...] = (Check("simulation"), Check("kill"))


def _intent_after(_take: Any) -> Any:
    async def take(self: Driver, made: Step, handled: tuple[int, ...] = ()) -> None:
        if made.call is not None:
            await self.drop_call()
            self.begin(made.call)
            await asyncio.sleep(0.001)
            await _take(self, made._replace(call=None), handled)
        else:
            await _take(self, made, handled)

    return take


def _commit_unawaited(_commit: Any) -> Any:
    async def commit(self: Runtime, step: Change) -> None:
        # Else a driver would find the same message in its inbox for ever.
        if not isinstance(step, Commit) or step.consumed:
            await _commit(self, step)
            return
        task = asyncio.create_task(delayed(self, step))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def delayed(self: Runtime, step: Commit) -> None:
        await asyncio.sleep(0.002)
        await _commit(self, step)

    return commit


def _unfenced(_refusal: Any) -> Any:
    return lambda commit, held: None if held is not None else _refusal(commit, held)


def _any_epoch(_refusal: Any) -> Any:
    return lambda commit, held: _refusal(commit, held and {**held, "epoch": commit.epoch})


def _same_epoch(leased: Any) -> Any:
    return lambda owner, until: leased(owner, until).values(epoch=runs.c.epoch)


def _new_key(send: Any) -> Any:
    def sent(draft: Any, call: PendingCall) -> None:
        send(draft, call if call.attempt == 1 else call._replace(key=f"{call.key}{call.attempt}"))

    return sent


def _doubt_failed(doubt: Any) -> Any:
    return lambda draft, call, event, ask=True: calls._failed(
        draft, call, Failure("fatal", "it was interrupted")
    )


def _timeout_retried(doubt: Any) -> Any:
    def doubted(draft: Any, call: PendingCall, event: str, *, ask: bool = True) -> Step:
        if event == FINISH:
            return calls._failed(draft, call, Failure("timeout", "no answer"))
        return doubt(draft, call, event, ask=ask)  # type: ignore[no-any-return]

    return doubted


def _doubt_happened(doubt: Any) -> Any:
    def doubted(draft: Any, call: PendingCall, event: str, *, ask: bool = True) -> Step:
        return calls._finished(draft, call, calls.Outcome(call.seq), checked=False)

    return doubted


def _without(field: str, empty: Any) -> Callable[[Any], Any]:
    return lambda as_data: lambda self: {**as_data(self), field: empty}


def _answer(happened: bool) -> Callable[[Any], Any]:
    async def probed(self: Driver, call: PendingCall) -> Event:
        output = {"output": call.seq} if happened else {}
        return Event(RESOLVE, {"happened": happened, **output}, key=call.key, by="nobody")

    return lambda probe: probed


def _deaf(_resolve: Any) -> Any:
    async def resolved(self: Runtime, run: str, happened: bool, output: Any = None, *, by: str = "") -> Any:
        return await _resolve(self, run, False, None, by=by)

    return resolved


def _timer_lost(restore: Any) -> Any:
    def restored(store: Store, stored: Any) -> Snapshot:
        snapshot: Snapshot = restore(store, stored)
        waits = isinstance(snapshot.pending, PendingCall) and snapshot.pending.phase == "backoff"
        return snapshot._replace(pending=None) if waits else snapshot

    return restored


def _forgets(field: str, empty: Any) -> Callable[[Any], Any]:
    return lambda restore: lambda store, stored: restore(store, stored)._replace(**{field: empty})


def _snapshot_later(commit: Any) -> Any:
    def committed(self: Store, commits: Sequence[Change]) -> Any:
        kept = [
            replace(step, snapshot=self.load(step.run).snapshot) if isinstance(step, Commit) else step
            for step in commits
        ]
        verdicts = commit(self, kept)
        worlds.current.reached("between records and snapshot")
        with self._write() as connection:
            for step, refused in zip(commits, verdicts, strict=True):
                if refused is None and isinstance(step, Commit):
                    connection.execute(
                        update(runs).where(runs.c.id == step.run).values(snapshot=step.snapshot)
                    )
        return verdicts

    return committed


def _swallowed(commit: Any) -> Any:
    def committed(self: Store, commits: Sequence[Change]) -> Any:
        try:
            return commit(self, commits)
        except StoreUnusable:
            return [None] * len(commits)

    return committed


def _refusal_ignored(commit: Any) -> Any:
    async def committed(self: Runtime, step: Commit) -> None:
        try:
            await commit(self, step)
        except LeaseLost:
            return

    return committed


def _restored_call(resume: Any) -> Any:
    async def driven(
        self: Runtime, drove: Driver, leased: float, call: PendingCall | None = None, **more: Any
    ) -> Any:
        pending = drove.snapshot.pending
        if call is None and isinstance(pending, PendingCall) and pending.phase == "sent":
            call = pending
        return await resume(self, drove, leased, call, **more)

    return driven


def _entered_anew(resume: Any) -> Any:
    async def driven(
        self: Runtime, drove: Driver, leased: float, call: PendingCall | None = None, **more: Any
    ) -> Any:
        pending = drove.snapshot.pending
        if call is None and isinstance(pending, PendingCall) and pending.phase == "sent":
            draft = Draft(drove.definition, drove.snapshot, leased)
            enter(draft, drove.snapshot.state, "restored")
            await drove.take(draft.step("restored", "taken"))
        return await resume(self, drove, leased, call, **more)

    return driven


def _unchained(canonical: Any) -> Any:
    return lambda run, seq, at, kind, digest, prev: canonical(run, seq, at, kind, digest, "0" * 64)


def _told_first(take: Any) -> Any:
    async def taken(self: Driver, made: Step, handled: tuple[int, ...] = ()) -> None:
        asked = [body for kind, body in made.entries if kind == "approval_requested"]
        for way in self.services.desk.policy.notify if asked else ():
            await approving._tell(way, asked[0])
        await take(self, made, handled)

    return taken


def _told_nobody(_announce: Any) -> Any:
    async def announce(self: approving.Desk, pending: PendingApproval, _clock: Any) -> Event:
        return Event(ANNOUNCED, {"request": pending.request, "told": ["everybody"]})

    return announce


_POWER, _SIMULATED, _KILLED = Check("power"), Check("simulation"), Check("kill")
_FENCED = Check("stop", ("before a commit", 1))
"""Stopped before it stores its second step: for another it is too early, or that one has gone on, or just taken over."""

MUTANTS: dict[str, Mutant] = {
    "no-sync": Mutant(
        "commits are not synced", database, "_PRAGMAS", lambda p: {**p, "synchronous": 0}, (_POWER,)
    ),
    "intent-after-effect": Mutant("the intent is stored after the call began", Driver, "take", _intent_after),
    "commit-not-awaited": Mutant(
        "an outcome is stored after the next call began", Runtime, "commit", _commit_unawaited
    ),
    "no-fence": Mutant("whatever is committed is stored", writer, "_refusal", _unfenced, (_FENCED,)),
    "epoch-not-checked": Mutant(
        "a late writer may store what fits", writer, "_refusal", _any_epoch, (_FENCED,)
    ),
    "lease-ignored": Mutant(
        "a lease that lasts is taken", queries, "free", lambda _: lambda *_: true(), (_FENCED,)
    ),
    "epoch-not-raised": Mutant("who takes over has the same epoch", store, "leased", _same_epoch),
    "lease-not-held": Mutant(
        "calls are made on a lease that has run out",
        Leases,
        "hold",
        lambda _: lambda *_: None,
        (Check("stop", ("after a commit", 1)),),
    ),
    "refusal-ignored": Mutant("who lost the run goes on", Runtime, "commit", _refusal_ignored, (_FENCED,)),
    "key-changes": Mutant("a repeated call has a new key", calls, "send", _new_key),
    "doubt-failed": Mutant("a call in doubt counts as failed", calls, "_doubt", _doubt_failed),
    "doubt-happened": Mutant("a call in doubt counts as done", calls, "_doubt", _doubt_happened),
    "unsafe-repeated": Mutant(
        "recovery repeats whatever was interrupted", Tool, "repeatable", lambda _: property(lambda _: True)
    ),
    "timeout-retried": Mutant("an unsafe call that timed out is retried", calls, "_doubt", _timeout_retried),
    "probe-denies": Mutant("the probe's answer is taken for no", Driver, "_probe", _answer(False)),
    "probe-affirms": Mutant("the probe's answer is taken for yes", Driver, "_probe", _answer(True)),
    "person-unheard": Mutant("a person's yes is taken for no", Runtime, "resolve", _deaf),
    "counters-not-stored": Mutant(
        "attempts are not in the snapshot", Snapshot, "as_data", _without("attempts", {})
    ),
    "counters-not-restored": Mutant(
        "attempts are not read back",
        hosting,
        "restore",
        _forgets("attempts", {}),
        (Check("kill", ("before look", 2), laps=2),),
    ),
    "backoff-not-durable": Mutant(
        "a back-off does not outlive its process",
        hosting,
        "restore",
        _timer_lost,
        (Check("kill", ("in back-off", 1)),),
    ),
    "snapshot-apart": Mutant(
        "the snapshot is stored in a transaction of its own",
        Store,
        "commit",
        _snapshot_later,
        (Check("kill", ("between records and snapshot", 2)),),
    ),
    "full-disk-ignored": Mutant("a commit that failed counts as stored", Store, "commit", _swallowed),
    "restore-calls": Mutant(
        "restoring makes the interrupted call",
        Runtime,
        "_drive",
        _restored_call,
        (Check("kill", ("after pay", 1)),),
    ),
    "restore-enters": Mutant(
        "restoring enters the state anew, with its call",
        Runtime,
        "_drive",
        _entered_anew,
        (Check("kill", ("after pay", 1)),),
    ),
    "other-machine": Mutant(
        "a run goes on with the file as it is now",
        hosting,
        "pinned",
        lambda _: lambda store, digest: load(worlds.current.machine),
        (Check("kill", ("before look", 1)),),
    ),
    "unasked": Mutant(
        "what is irreversible asks nobody", Tool, "irreversible", lambda _: property(lambda _: False)
    ),
    "forged-yes": Mutant("a yes with any signature counts", approving, "why_void", lambda _: lambda *_: ""),
    "told-first": Mutant(
        "people are told of a request that is not stored yet",
        Driver,
        "take",
        _told_first,
        (Check("kill", ("after people are told", 1)),),
    ),
    "told-nobody": Mutant(
        "nobody is told, and that is not noticed", approving.Desk, "announce", _told_nobody
    ),
    "unscrubbed": Mutant(
        "what was erased stays in free pages",
        Store,
        "scrub",
        lambda _: lambda self: None,
        (Check("keeping"),),
    ),
    "unchained": Mutant("records are not chained", record, "_canonical", _unchained),
}


@contextmanager
def broken(name: str) -> Iterator[None]:
    """Break what a mutant breaks while the context lasts; the empty name breaks nothing."""
    if not name:
        yield
        return
    mutant = MUTANTS[name]
    with patch.object(mutant.owner, mutant.name, mutant.broken(getattr(mutant.owner, mutant.name))):
        yield
