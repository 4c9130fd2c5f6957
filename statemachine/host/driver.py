"""Drive one run: wait for what moves it, ask the kernel for the step, commit it, then act."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

from statemachine.clock import Clock
from statemachine.errors import disk_refused
from statemachine.host.approving import Desk
from statemachine.host.inbox import takeable
from statemachine.host.leasing import Lease, Leases
from statemachine.host.past import past_calls
from statemachine.host.sealing import sealed
from statemachine.host.sleep import Sleep
from statemachine.host.standing import ledger_of
from statemachine.host.stopping import Stops
from statemachine.kernel import (
    ANNOUNCED,
    FINISH,
    RECOVER,
    RELEASED,
    RESOLVE,
    UNDO_NEXT,
    Event,
    Ledger,
    PendingApproval,
    PendingCall,
    Snapshot,
    Step,
    due,
    step,
)
from statemachine.machine.call import Call
from statemachine.machine.definition import EXPIRED, Definition
from statemachine.machine.outcome import Outcome
from statemachine.store import Change, Stop, Store
from statemachine.tools import Deadline, Invocation, invoke

_POLL = 0.2
"""Seconds between two looks into the inbox."""

Observer = Callable[[Definition, Step, float], None]
"""Told of each step after it is committed: the machine, the step and its time."""


class Services(Protocol):
    """What a driver needs of the runtime that it belongs to."""

    clock: Clock
    stopping: asyncio.Event
    observer: Observer | None

    @property
    def store(self) -> Store:
        """Where runs lie."""
        ...

    @property
    def stops(self) -> Stops:
        """What is stopped."""
        ...

    @property
    def desk(self) -> Desk:
        """Where requests for approval and decisions meet."""
        ...

    @property
    def leases(self) -> Leases:
        """The runs that this process owns."""
        ...

    async def commit(self, change: Change) -> None:
        """Store a step; raise LeaseLost when the run is another's by now."""
        ...

    def folder_of(self, run: str) -> Path:
        """Return the folder that belongs to a run."""
        ...


def make_folder(folder: Path, definition: Definition, tool: str) -> None:
    """Make a run's folder if a tool is told of it: before the call is intended, so that a full disk leaves nothing in doubt.

    Raises:
        StoreUnusable: It cannot be made.
    """
    if definition.signatures[tool].call_parameter is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            told = (
                f"{folder} cannot be made: {error.strerror}; make room, or its folder writable, then resume"
            )
            raise disk_refused(error, told) from error


class Driver:
    """Drives one run that this process owns.

    Args:
        services: The runtime.
        definition: The run's machine.
        snapshot: Where the run is.
        head: Hash of its last record.
        epoch: The fencing epoch of the lease that this process holds.
        follow: Whether to stay while the run waits for an event or a person.
        patience: Seconds for which to stay while the run waits for time.
    """

    def __init__(
        self,
        services: Services,
        definition: Definition,
        snapshot: Snapshot,
        head: str,
        epoch: int,
        *,
        follow: bool = False,
        patience: float = math.inf,
    ) -> None:
        self.services = services
        self.definition = definition
        self.snapshot = snapshot
        self.head = head
        self.lease = Lease(snapshot.run, epoch)
        self.follow = follow
        self.patience = patience
        self.call: Invocation | None = None
        self._looked = float("-inf")
        self._sleep = Sleep()
        self._deadline = Deadline()
        self._folder = services.folder_of(snapshot.run)
        self._ledger: Ledger | None = None

    def wake(self) -> None:
        """Look at once whether there is something to do: a stop, or an event in the inbox."""
        self._looked = float("-inf")
        self._sleep.rouse()

    async def drive(self) -> Snapshot:
        """Drive until the run ends, waits for something that only others can give, or the host stops."""
        try:
            while not self.snapshot.finished:
                event, handled = await self.next_event()
                if event is None:
                    break
                made = self.step(event)
                if made is not None:
                    await self.take(made, handled)
                elif not self.follow:
                    break
                else:
                    await asyncio.sleep(_POLL)
        finally:
            self._sleep.close()
            await self.drop_call()
            self._deadline.close()
        return self.snapshot

    def step(self, event: Event) -> Step | None:
        """Return what an event leads to; None when it would make a call that is stopped, and must wait for that.

        What else it leads to happens: a run that is stopped is held where it would make its next call.
        """
        made = step(self.definition, self.snapshot, event, self.now())
        if made.call is None or self.stop_of(made.call) is None:
            return made
        held = step(self.definition, self.snapshot, event._replace(hold=True), self.now())
        # An outcome is never left lying: of a call that has just ended another one may be made (a refresh).
        return made if held.call is not None and event.name == FINISH else None if held.call else held

    def stop_of(self, call: PendingCall) -> Stop | None:
        """Return the stop that holds a call; None when none does."""
        machine = self.definition.declaration.machine
        return self.services.stops.holding(self.snapshot.run, machine, call.tool)

    def now(self) -> float:
        """Return the time, never before the run's last move."""
        # A clock that was set back must not make a record older than the one before it.
        return max(self.services.clock.now(), self.snapshot.entered)

    async def next_event(self) -> tuple[Event | None, tuple[int, ...]]:
        """Return the next event and the inbox ids that it handles; no event when the drive is over."""
        while True:
            self._sleep.watch()
            if self.call is not None and self.call.done():
                return self._outcome(), ()
            posted = self._deliverable()
            if posted is not None:
                return posted
            now, pending = self.now(), self.snapshot.pending
            if isinstance(pending, PendingApproval) and not pending.announced:
                # Before its time is looked at: what expired while nobody drove the run is told of all the same.
                return await self.services.desk.announce(pending, self.now), ()
            timed = due(self.definition, self.snapshot, now)
            if timed is not None and timed[0] <= now:
                if timed[1].name == ANNOUNCED and isinstance(pending, PendingApproval):
                    return await self.services.desk.announce(pending, self.now), ()
                return self._timed(timed[1], now), ()
            if isinstance(pending, PendingCall) and self.call is None:
                if pending.phase == "sent":
                    return Event(RECOVER, key=pending.key), ()
                if pending.phase == "probe":
                    return await self._probe(pending), ()
            # By the clock itself: one that was set back would otherwise be asked again and again.
            seconds = None if timed is None else timed[0] - self.services.clock.now()
            if self._may_stop(seconds):
                return None, ()
            await self._wait(seconds)

    def _timed(self, event: Event, now: float) -> Event | None:
        """Return an event that is due, with what only the host can say of it."""
        if event.name == RELEASED:
            return self.services.desk.release(self.definition.declaration.machine, self.snapshot, now)
        if event.name == EXPIRED and isinstance(self.snapshot.pending, PendingApproval):
            return self.services.desk.unanswered(self.definition, self.snapshot) or event
        if event.name != UNDO_NEXT:
            return event
        if self.services.stopping.is_set():
            return None  # between two of its calls a roll back may be left; it goes on where it was
        if self._ledger is None:
            self._ledger = ledger_of(self.services.store, self.definition, self.snapshot.run)
        return self._ledger.next()

    def _outcome(self) -> Event:
        assert self.call is not None
        assert isinstance(self.snapshot.pending, PendingCall)
        outcome, self.call = self.call.result(), None
        return Event(FINISH, outcome=outcome, key=self.snapshot.pending.key)

    def _may_stop(self, seconds: float | None) -> bool:
        pending = self.snapshot.pending
        if self.services.stopping.is_set():
            # A call that could not be made again is waited for: leaving now would leave it in doubt.
            return (
                self.call is None
                or not isinstance(pending, PendingCall)
                or self.definition.declaration.tools[pending.tool].repeatable
            )
        parked = (
            pending is None
            or isinstance(pending, PendingApproval)
            or (isinstance(pending, PendingCall) and pending.phase in ("doubt", "held"))
        )
        if not parked and self.call is None and seconds is not None:
            return seconds > self.patience
        return parked and not self.follow

    async def _wait(self, seconds: float | None) -> None:
        """Wait for the call, or to be woken; never longer than until the next look into the inbox."""
        # A wall clock may jump: waking up early is harmless, sleeping through a due time is not.
        await self._sleep.sleep(_POLL if seconds is None else min(seconds, _POLL))

    def has_mail(self) -> bool:
        """Return whether the run, where it stopped, can take an event that was posted to it."""
        return not self.snapshot.finished and self._first() is not None

    def _deliverable(self) -> tuple[Event, tuple[int, ...]] | None:
        """Return the first posted event that the run can take now; the others stay in the inbox."""
        now = asyncio.get_running_loop().time()
        if now - self._looked < _POLL:
            return None
        self._looked = now
        return self._first()

    def _first(self) -> tuple[Event, tuple[int, ...]] | None:
        """Return the first posted event that the run can take, and may: one that would make a stopped call waits."""
        posted, desk = self.services.store.inbox(self.snapshot.run), self.services.desk
        found = takeable(self.definition, self.snapshot, posted, desk, self.now())
        return next((one for one in found if self.step(one[0]) is not None), None)

    async def take(self, made: Step, handled: tuple[int, ...] = ()) -> None:
        """Commit a step, then make the call that it intends."""
        now = made.at
        if made.call is not None:
            make_folder(self._folder, self.definition, made.call.tool)
        if made.entries or handled:
            commit = sealed(
                self.definition,
                made,
                seq=self.snapshot.seq,
                head=self.head,
                epoch=self.lease.epoch,
                now=now,
                consumed=handled,
            )
            await self.services.commit(commit)
            self.snapshot = made.snapshot
            if self.snapshot.rollback is None:
                self._ledger = None
            elif self._ledger is not None:
                for kind, body in made.entries:
                    self._ledger.add(kind, body)
            self.head = commit.records[-1].hash if commit.records else self.head
            # More may lie in the inbox, and the state that now is may take it.
            self._looked = float("-inf") if handled else self._looked
        if not isinstance(self.snapshot.pending, PendingCall) or self.snapshot.pending.phase != "sent":
            await self.drop_call()
        if self.services.observer is not None:
            self.services.observer(self.definition, made, now)
        if made.call is not None:
            await self.drop_call()
            self.begin(made.call)
        else:
            # Steps that wait for nothing must not keep the loop from all else, such as being asked to stop.
            await asyncio.sleep(0)

    def begin(self, call: PendingCall) -> None:
        """Make a call whose intent is committed."""
        tool = self.definition.declaration.tools[call.tool]
        self.call = Invocation(tool, partial(self._make, call), self._sleep.rouse, self._deadline)

    async def _make(self, call: PendingCall) -> Outcome:
        # Since the intent was committed this process may have been paused for longer than its lease.
        self.services.leases.hold(self.lease, self.definition.declaration.tools[call.tool].timeout)
        return await invoke(self.definition, call.tool, call.input, self._call(call, call.tool))

    def _call(self, call: PendingCall, tool: str) -> Call:
        timeout = self.definition.declaration.tools[tool].timeout
        return Call(
            call.key,
            self.snapshot.run,
            call.seq,
            call.attempt,
            self.services.clock.now() + timeout,
            self._folder,
            partial(
                past_calls,
                self.services.store,
                self.definition.declaration.tools,
                self.snapshot.run,
                call.seq if call.attempt == 1 else self.snapshot.seq,
            ),
        )

    async def _probe(self, call: PendingCall) -> Event:
        """Ask the world whether a call happened; no clear answer leaves the decision to a person."""
        probe = self.definition.declaration.tools[call.tool].probe
        assert probe is not None
        make_folder(self._folder, self.definition, probe)
        known = {**call.input, "key": call.key}
        given = {name: known[name] for name in self.definition.signatures[probe].input if name in known}
        about = self._call(call, probe)
        contract = self.definition.declaration.tools[probe]
        self.call = Invocation(
            contract,
            partial(invoke, self.definition, probe, given, about),
            self._sleep.rouse,
            self._deadline,
        )
        while not self.call.done():
            self._sleep.watch()
            await self._wait(None)
        outcome, self.call = self.call.result(), None
        happened = outcome.output if outcome.kind == "success" else None
        return Event(RESOLVE, {"happened": happened}, key=call.key, by=f"probe {probe}")

    async def drop_call(self) -> None:
        """Stop waiting for the call that is under way, if one is."""
        call, self.call = self.call, None
        if call is not None:
            await call.drop()
