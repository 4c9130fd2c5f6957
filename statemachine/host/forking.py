"""Forks: a new run that goes on from a record of another one, which stays as it is."""

from __future__ import annotations

from statemachine.errors import WritesRepeated
from statemachine.host.explain import CallAccount, explain
from statemachine.host.history import History
from statemachine.host.pinned import package_version, pinned
from statemachine.host.places import new_run
from statemachine.host.runtime import Runtime
from statemachine.kernel import PendingCall, Step, fork
from statemachine.store import Store


def writes_after(store: Store, history: History, made: Step) -> list[CallAccount]:
    """Return the writes that a run made, or may have made, after a step: what a fork off it may repeat."""
    pending = made.snapshot.pending
    here = pending.key if isinstance(pending, PendingCall) else None
    return [
        call
        for call in explain(store, history.run).calls
        if call.effect == "write" and (call.seq > made.snapshot.seq or call.key == here)
    ]


async def fork_run(
    runtime: Runtime, run: str, seq: int, *, repeat_writes: bool = False, by: str = "", owned: bool = False
) -> Step:
    """Make a run that goes on from where another one was; return its first step.

    Args:
        runtime: Where the other run lies.
        run: Its id, which may be shortened.
        seq: One of its records; the new run begins after the step that this belongs to.
        repeat_writes: Whether the new run may make writes again that the other one made after that record.
        by: Who forks.
        owned: Whether this runtime keeps the new run for itself; else whoever comes first drives it.

    Raises:
        UnknownRun: There is no such run.
        EventRefused: It has no such record, or had ended there.
        WritesRepeated: It made writes after that record, and they are not to be repeated.
    """
    store = runtime.store
    stored = store.load(store.find(run))
    definition = pinned(store, stored.machine)
    history = History(store, definition, stored.id)
    parent = history.at(seq)
    last = parent.snapshot.seq
    definition = pinned(store, parent.snapshot.digest)  # the version that it was on then
    (record,) = store.records(stored.id, last - 1, last)
    now, noted = runtime.clock.now(), {"by": by, "runtime": package_version()}
    made = fork(definition, new_run(), parent.snapshot, parent.at, record.hash, now, noted)
    repeated = [] if repeat_writes else writes_after(store, history, parent)
    if repeated:
        raise WritesRepeated(stored.id, last, [f"{call.tool} (key {call.key})" for call in repeated])
    await runtime.begin(definition, made, runtime.owner if owned else None)
    return made
