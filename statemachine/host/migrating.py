"""Stored runs and the versions of their machines: which are on an old one, and moving them to another."""

from __future__ import annotations

from dataclasses import replace

from statemachine.errors import StateMachineError
from statemachine.host.leasing import LEASE
from statemachine.host.owner import is_dead, new_owner
from statemachine.host.pinned import pin, pinned
from statemachine.host.sealing import sealed
from statemachine.host.view import restore
from statemachine.kernel.migrating import Move, move
from statemachine.machine.definition import Definition
from statemachine.store import Release, Store


def foresee(store: Store, run: str, new: Definition, now: float) -> Move:
    """Return what would become of a stored run in another version of its machine; nothing is changed.

    Raises:
        UnknownRun: There is no such run.
        InvalidMachine: The version that it is on can no longer be loaded.
    """
    stored = store.load(store.find(run))
    return move(pinned(store, stored.machine), new, restore(store, stored), now)


def migrate(store: Store, run: str, new: Definition, now: float, by: str = "") -> Move:
    """Move a stored run that nobody drives to another version of its machine, in one commit, if all has a place there.

    Raises:
        UnknownRun: There is no such run.
        RunOwned: A live process drives it.
        LeaseLost: Another process took it meanwhile.
    """
    run = store.find(run)
    epoch = store.acquire(run, new_owner(), now, LEASE, is_dead)
    try:
        stored = store.load(run)
        snapshot = restore(store, stored)
        found = move(pinned(store, stored.machine), new, snapshot, max(now, snapshot.entered), by, new.code)
        if found.step is not None:
            at, seq = found.step.at, stored.seq
            commit = sealed(new, found.step, seq=seq, head=stored.head, epoch=epoch, now=at)
            refused: list[StateMachineError] = [
                error for error in store.commit([replace(commit, machine=pin(new))]) if error is not None
            ]
            if refused:
                raise refused[0]
    finally:
        store.commit([Release(run, epoch)])
    return found
