"""Driving runs: they are started, taken over, driven side by side by one committer, and given back."""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import secrets
import shutil
from collections.abc import AsyncIterator, Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from statemachine.clock import Clock, SystemClock
from statemachine.errors import (
    EventRefused,
    LeaseLost,
    RunOwned,
    StateMachineError,
    StoreUnusable,
)
from statemachine.host.approving import Desk
from statemachine.host.committing import Committer
from statemachine.host.driver import Driver, Observer, make_folder
from statemachine.host.given import (
    absolute,
    definition_of,
)
from statemachine.host.leasing import LEASE, Leases
from statemachine.host.owner import is_dead, new_owner, user
from statemachine.host.pinned import package_version, pin, pinned, warn_of_other_code
from statemachine.host.places import default_db, new_run, policy_file, work_folder
from statemachine.host.proved import proved_of
from statemachine.host.sealing import sealed
from statemachine.host.stopping import Stops
from statemachine.host.view import RunView, restore, view_of
from statemachine.journal import genesis
from statemachine.kernel import (
    Event,
    PendingCall,
    Step,
    queue,
    start,
    step,
)
from statemachine.machine.definition import Definition
from statemachine.machine.python import MachineBuilder
from statemachine.store import Change, NewRun, Release, Store

_CLAIMED = 500
"""Runs that are taken in one transaction: others need not wait long for the lock."""

_RUN = re.compile(r"[0-9a-f]{12}")


class Hosting:
    """Runs machines on a store; the part of :class:`Runtime` that drives them.

    Args:
        db: A SQLite file or an SQLAlchemy URL.
        clock: What tells the time.
        observer: Told of each step after it is committed.
        create: Whether a database that is not there may be made.
        policy: Who may approve; without it ``STATEMACHINE_POLICY``, else ``policy.yaml`` beside the store.
        starter: Who starts runs, else whose process this is: nobody approves a call of a run of their own.
        follow: Whether to stay with a run that waits for an event or a person.
        patience: Seconds for which to stay with a run that waits for time.
        lease: Seconds for which a run is this process's before it must say again that it lives.
    """

    def __init__(
        self,
        db: str | Path | None = None,
        *,
        clock: Clock | None = None,
        observer: Observer | None = None,
        create: bool = True,
        policy: Path | None = None,
        starter: str | None = None,
        follow: bool = False,
        patience: float = math.inf,
        lease: float = LEASE,
    ) -> None:
        self._place = str(db) if db is not None else default_db()
        self._create = create
        self.clock: Clock = clock or SystemClock()
        self.observer = observer
        self.stopping = asyncio.Event()
        self.owner = new_owner()
        self.follow = follow
        self.patience = patience
        self.policy = policy or policy_file(self._place)
        self.starter = user() if starter is None else starter
        self._work = work_folder(self._place)
        self._committer = Committer(lambda: self.store)
        self.leases = Leases(lambda: self.store, self.owner, self.clock, lease)
        self._drivers: dict[str, Driver] = {}

    @cached_property
    def store(self) -> Store:
        """The store, opened when it is first needed: a start with wrong inputs leaves nothing behind."""
        return Store.open(self._place, create=self._create)

    @cached_property
    def stops(self) -> Stops:
        """What is stopped."""
        return Stops(self.store)

    @cached_property
    def desk(self) -> Desk:
        """Where requests for approval and decisions meet."""
        return Desk(self.store, self.policy)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What failed first is what must be told; that the store cannot be closed well follows from it.
        with contextlib.suppress(StoreUnusable) if error else contextlib.nullcontext():
            await self.close()

    async def close(self) -> None:
        """Stop renewing leases and close the store."""
        await self.leases.close()
        if "store" in self.__dict__:
            self.store.close()

    def stop(self) -> None:
        """Ask all runs to stop at the next safe point; they stay resumable."""
        self.stopping.set()
        for driver in self._drivers.values():
            driver.wake()

    # Running

    async def start(
        self, machine: Definition | MachineBuilder | str | Path, inputs: Mapping[str, Any] | None = None
    ) -> RunView:
        """Start a run and drive it until it ends or waits for something that only others can give.

        Args:
            machine: A machine, or the file that declares one.
            inputs: Values of the fields that the operator owns.

        Raises:
            InvalidMachine: The machine is wrong.
            InvalidInput: The inputs do not fit.
            StoreUnusable: The store refused.
        """
        definition = definition_of(machine)
        now = self.clock.now()
        made = start(definition, new_run(), absolute(definition, inputs or {}), now, self.noted(definition))
        if made.call is not None:
            self._refuse_stopped(definition, made.call.tool)
            make_folder(self.folder_of(made.snapshot.run), definition, made.call.tool)
        head = await self.begin(definition, made, self.owner)
        if self.observer is not None:
            self.observer(definition, made, made.at)
        driver = Driver(self, definition, made.snapshot, head, 1, follow=self.follow, patience=self.patience)
        return await self._drive(driver, made.at, made.call)

    async def queue(
        self, machine: Definition | MachineBuilder | str | Path, inputs: Mapping[str, Any] | None = None
    ) -> RunView:
        """Make a run that is pending until a worker, or :meth:`resume`, takes it; as :meth:`start` else."""
        definition = definition_of(machine)
        now = self.clock.now()
        made = queue(definition, new_run(), absolute(definition, inputs or {}), now, self.noted(definition))
        await self.begin(definition, made, None)
        return self._view(made.snapshot.run)

    def noted(self, definition: Definition) -> dict[str, Any]:
        """Return what is written down of a run that begins: who and what starts it, its tools' code, its salt, its bounds."""
        noted = {
            "by": self.starter,
            "runtime": package_version(),
            "code": definition.code,
            "bounds": proved_of(definition),
            "salt": secrets.token_hex(16),
        }
        return {name: value for name, value in noted.items() if value}

    async def begin(self, definition: Definition, made: Step, owner: str | None) -> str:
        """Store a run by its first step, for an owner or for nobody, and return the hash of its last record."""
        run = made.snapshot.run
        first = sealed(definition, made, seq=0, head=genesis(run, definition.digest), epoch=1, now=made.at)
        until = None if owner is None else made.at + self.leases.seconds
        await self.commit(NewRun(pin(definition), first, owner, until))
        return first.records[-1].hash

    async def resume(self, run: str) -> RunView:
        """Take a run over and drive it on; a run that has ended is returned as it is.

        Raises:
            UnknownRun: There is no such run.
            RunOwned: Another live process drives it.
            InvalidMachine: Its tools can no longer be loaded.
        """
        run = self.store.find(run)
        stored = self.store.load(run)
        if stored.finished is not None:
            return view_of(stored, restore(self.store, stored), self._place)
        if run in self._drivers:
            raise RunOwned(f"run {run} is driven by this process already")
        pinned(self.store, stored.machine)  # before it is taken: what cannot be driven is left as it is
        return await self._take(run)

    async def _take(self, run: str, first: Event | None = None) -> RunView:
        now = self.clock.now()
        epoch = self.store.acquire(run, self.owner, now, self.leases.seconds, is_dead)
        return await self.drive(run, epoch, now, first)

    async def drive(self, run: str, epoch: int, leased: float, first: Event | None = None) -> RunView:
        """Drive a run that this runtime has acquired, in that epoch and at that time; ``first`` moves it first.

        Raises:
            InvalidMachine: Its tools can no longer be loaded; the run is given back.
        """
        try:
            stored = self.store.load(run)  # as the owner before left it
            definition = pinned(self.store, stored.machine)
            snapshot = restore(self.store, stored)
            warn_of_other_code(definition, snapshot)
        except StateMachineError:
            await self.commit(Release(run, epoch))
            raise
        driver = Driver(
            self, definition, snapshot, stored.head, epoch, follow=self.follow, patience=self.patience
        )
        return await self._drive(driver, leased, first=first)

    async def resume_all(self) -> AsyncIterator[RunView | tuple[str, Exception]]:
        """Resume every run that has not ended and that nobody owns, all at once; yield each as it stops.

        Raises:
            StoreUnusable: No run can be taken; those that were are stopped first.
        """
        self.tidy()
        now = self.clock.now()
        gone = [owner for owner in self.store.owners() if is_dead(owner)]
        ready = [run for run in self.store.ready(now, gone, waiting=True) if run.id not in self._drivers]

        async def one(run: str, epoch: int, leased: float) -> RunView | tuple[str, Exception] | None:
            try:
                return await self.drive(run, epoch, leased)
            except (LeaseLost, RunOwned):
                return None  # another has it by now
            except Exception as error:  # one run that cannot go on must not hold up the others
                return run, error

        # As tasks they begin in this order, the oldest run first.
        tasks: list[asyncio.Task[RunView | tuple[str, Exception] | None]] = []
        try:
            for first in range(0, len(ready), _CLAIMED):
                now, some = self.clock.now(), ready[first : first + _CLAIMED]
                epochs = self.store.claim(some, self.owner, now, self.leases.seconds, gone)
                tasks += [
                    asyncio.create_task(one(run.id, epochs[run.id], now)) for run in some if run.id in epochs
                ]
                await asyncio.sleep(0)  # they begin, and their leases are kept up, before more are taken
            for finished in asyncio.as_completed(tasks):
                result = await finished
                if result is not None:
                    yield result
        finally:
            if not all(task.done() for task in tasks):  # the store refused, or nobody wants to know more
                self.stop()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _drive(
        self, driver: Driver, leased: float, call: PendingCall | None = None, first: Event | None = None
    ) -> RunView:
        run = driver.snapshot.run
        self.attach(driver, leased)
        try:
            if call is not None:
                driver.begin(call)
            if first is not None:
                await driver.take(step(driver.definition, driver.snapshot, first, self.clock.now()))
            await driver.drive()
        except BaseException:
            # What went wrong is what must be told; if the store is gone, the lease runs out by itself.
            with contextlib.suppress(StoreUnusable):
                await self.detach(driver)
            raise
        await self.detach(driver)
        # Who posted an event before the release found the run owned, and left it to this driver.
        if not self.stopping.is_set() and driver.has_mail():
            with contextlib.suppress(RunOwned):
                return await self.resume(run)
        return self._view(run)

    def attach(self, driver: Driver, leased: float) -> None:
        """Keep up the lease of a run that was taken at a time, until :meth:`detach`."""
        self.leases.keep(driver.lease, leased)
        self._drivers[driver.snapshot.run] = driver

    async def detach(self, driver: Driver) -> None:
        """Give a run back, and remove its folder if it has ended."""
        run = driver.snapshot.run
        try:
            if not driver.snapshot.finished:
                await self.commit(Release(run, driver.lease.epoch))
        finally:
            self.leases.drop(driver.lease)
            del self._drivers[run]
        if driver.snapshot.finished:
            shutil.rmtree(self.folder_of(run), ignore_errors=True)

    def status(self, run: str) -> RunView:
        """Return how a run stands; ``run`` may be shortened while it is unique."""
        return self._view(self.store.find(run))

    def _view(self, run: str) -> RunView:
        stored = self.store.load(run)
        return view_of(stored, restore(self.store, stored), self._place)

    def _refuse_stopped(self, definition: Definition, tool: str) -> None:
        """Raise EventRefused when the first call of a run is stopped: nothing is begun then."""
        stop = self.stops.holding("", definition.declaration.machine, tool)
        if stop is not None:
            raise EventRefused(f"{stop}; nothing was started")

    # What drivers need

    async def commit(self, change: Change) -> None:
        """Store a step, or a run that begins or is given back, together with all others that are ready."""
        alone = len(self._drivers) == 1 and not isinstance(change, NewRun)
        await self._committer.commit(change, alone=alone)

    def folder_of(self, run: str) -> Path:
        """Return the folder that belongs to a run; it may not exist yet."""
        return self._work / run

    def tidy(self) -> None:
        """Remove the folders of runs that have ended: a crash may have left some. Nothing else is touched."""
        folders = [f for f in self._work.iterdir() if _RUN.fullmatch(f.name)] if self._work.is_dir() else []
        unfinished = set(self.store.unfinished())  # read later: a run that begins meanwhile keeps its folder
        for folder in folders:
            if folder.name not in unfinished:
                shutil.rmtree(folder, ignore_errors=True)
