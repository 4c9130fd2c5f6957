"""A run that is open: made or taken over, held between two steps, and looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from statemachine.clock import Clock
from statemachine.errors import EventRefused, RunOwned
from statemachine.host.driver import Driver, Observer
from statemachine.host.given import absolute, definition_of
from statemachine.host.history import History
from statemachine.host.owner import is_dead, spoken, user
from statemachine.host.pinned import pinned
from statemachine.host.places import new_run
from statemachine.host.runtime import Runtime
from statemachine.host.view import RunView, restore
from statemachine.kernel import (
    FINISH,
    INTEND,
    START,
    Event,
    Immediate,
    PendingCall,
    Snapshot,
    Step,
    due,
    queue,
    step,
)
from statemachine.machine.definition import Definition
from statemachine.machine.python import MachineBuilder
from statemachine.repl.breakpoints import Breakpoints
from statemachine.repl.inspected import Inspected, Stop, Why
from statemachine.store import Store


class Opened(Inspected):
    """A run that is open; :class:`~statemachine.repl.debugger.Debugger` moves it. An async context manager.

    Args:
        db: A SQLite file or an SQLAlchemy URL.
        clock: What tells the time.
        observer: Told of each step, of a recording too.
        by: Who steps; the journal tells of what is done by hand.
    """

    def __init__(
        self,
        db: str | Path | None = None,
        *,
        clock: Clock | None = None,
        observer: Observer | None = None,
        by: str | None = None,
        create: bool = True,
    ) -> None:
        self.runtime = Runtime(db, clock=clock, create=create)
        super().__init__(self.runtime.clock)
        self.observer = observer
        self.by = user() if by is None else by
        self.breakpoints = Breakpoints()
        self.displays: list[str] = []
        self.driven_by = ""
        """Who drives the run if this debugger only looks at it: in words, with the end of the lease."""
        self.file: Path | None = None
        self._driver: Driver | None = None
        self._last: Step | None = None
        self._next: tuple[Event, tuple[int, ...]] | None = None

    @property
    def store(self) -> Store:
        """Where the run lies."""
        return self.runtime.store

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Leave the run, which stays resumable, and close the store."""
        try:
            await self._leave()
        finally:
            await self.runtime.close()

    async def start(
        self, machine: Definition | MachineBuilder | str | Path, inputs: Mapping[str, Any] | None = None
    ) -> RunView:
        """Make a run, and hold it in its first state.

        Raises:
            InvalidMachine: The machine is wrong.
            InvalidInput: The inputs do not fit.
        """
        definition = definition_of(machine)
        made = queue(
            definition,
            new_run(),
            absolute(definition, inputs or {}),
            self.runtime.clock.now(),
            self.runtime.noted(definition),
        )
        await self._leave()
        head = await self.runtime.begin(definition, made, self.runtime.owner)
        self.file = Path(machine) if isinstance(machine, str | Path) else self.file
        self._attach(Driver(self.runtime, definition, made.snapshot, head, 1), made.at)
        begun = step(definition, made.snapshot, Event(START, hold=True), self.runtime.clock.now())
        await self._mover().take(begun)
        self._last = begun
        await self._look_ahead()
        return self.view()

    async def open(self, run: str) -> RunView:
        """Open a stored run; it is taken over unless it has ended or another process drives it.

        A run that is open is left first; its breakpoints stay if both are of the same machine.

        Raises:
            UnknownRun: There is no such run.
            InvalidMachine: Its tools can no longer be loaded.
        """
        store = self.runtime.store
        stored = store.load(store.find(run))
        pinned(store, stored.machine)  # before the other is left
        if self._definition is not None and self._definition.digest != stored.machine:
            self.breakpoints, self.displays, self.file = Breakpoints(), [], None
        await self._leave()
        self._show(stored)
        self._last, self.driven_by = None, ""
        if stored.finished is None:
            try:
                self._acquire()
            except RunOwned:
                held = store.load(self.run)  # it may have been taken since it was read
                until = datetime.fromtimestamp(held.lease_until or self.now).astimezone()
                self.driven_by = f"{spoken(held.owner or '')} until {until:%H:%M:%S}"
            else:
                await self._look_ahead()
        return self.view()

    def _acquire(self) -> None:
        """Take a stored run over; raise RunOwned when another process drives it."""
        store, now = self.runtime.store, self.runtime.clock.now()
        epoch = store.acquire(self.run, self.runtime.owner, now, self.runtime.leases.seconds, is_dead)
        stored = store.load(self.run)  # as the owner before left it
        snapshot = restore(store, stored)
        self._attach(Driver(self.runtime, self.definition, snapshot, stored.head, epoch), now)

    def _attach(self, driver: Driver, leased: float) -> None:
        self.runtime.attach(driver, leased)
        self._driver, self._definition, self._run = driver, driver.definition, driver.snapshot.run
        self._history = History(self.runtime.store, driver.definition, self._run)
        self._past = self._last = self._next = None
        self.driven_by = ""

    async def _leave(self) -> None:
        driver, self._driver, self._next = self._driver, None, None
        if driver is not None:
            await driver.drop_call()
            await self.runtime.detach(driver)

    @property
    def live(self) -> bool:
        """Whether this debugger can move the run."""
        return self._driver is not None and not self._driver.snapshot.finished

    @property
    def snapshot(self) -> Snapshot:
        """The run as it is, or was where the debugger went back to."""
        if self._past is None and self._driver is not None:
            return self._driver.snapshot
        return super().snapshot

    @property
    def last(self) -> Step | None:
        """The step that led to :attr:`snapshot`; its receipt says why."""
        if self._past is None and self._driver is not None and self._last is not None:
            return self._last
        return super().last

    def _newest(self) -> int:
        return super()._newest() if self._driver is None else self._driver.snapshot.seq

    @property
    def coming(self) -> Step | None:
        """What the next step of a held run would be, computed and not taken; None when nothing is to come."""
        if self._past is not None or self._next is None or self._driver is None:
            return None
        return step(self.definition, self._driver.snapshot, self._next[0], self._driver.now())

    @property
    def about(self) -> PendingCall | None:
        """The call that the next step makes, of which nothing is intended yet."""
        coming = self.coming
        return None if coming is None else coming.call

    def _mover(self) -> Driver:
        if self._driver is None:
            if self.driven_by:
                raise RunOwned(
                    f"run {self.run} is driven by {self.driven_by}; it can only be looked at, or forked; "
                    f"`open {self.run}` tries again"
                )
            raise EventRefused(
                f"run {self.run} has ended; `back` looks at how, `fork` goes on from an earlier record"
            )
        if self._driver.snapshot.finished:
            raise EventRefused(
                f"run {self.run} has ended; `back` looks at how, `fork` goes on from an earlier record"
            )
        return self._driver

    async def _fetch(self) -> bool:
        """Look what moves the run next, and wait for it; return whether there is something."""
        driver = self._mover()
        if self._next is not None and self._next[0].name == FINISH:
            return True  # an outcome that was told is not told again
        driver.wake()  # what lies in the inbox may be what was shown
        event, handled = await driver.next_event()
        if event is None:
            self._next = None
            return False
        by = self.by if event.name == INTEND else event.by
        self._next = event._replace(hold=True, by=by), handled
        return True

    async def _look_ahead(self) -> None:
        """Look what a run does next that need not wait for anything."""
        driver = self._driver
        if driver is None or driver.snapshot.finished or driver.call is not None:
            return
        timed = due(self.definition, driver.snapshot)
        pending = driver.snapshot.pending
        crashed = isinstance(pending, PendingCall) and pending.phase == "sent"
        if crashed or (timed is not None and timed[0] <= driver.now()):
            await self._fetch()

    def _play(self, done: Callable[[Step], Why | None], at_calls: bool) -> Stop:
        """Go on in the recording: answers come from the journal, and nothing is called."""
        steps = 0
        assert self._past is not None
        self.breakpoints.watch(self.definition, self._past.snapshot, self._past.at)
        while self._past is not None:
            made = self.history.after(self._past)
            assert made is not None
            steps += 1
            if self.observer is not None:
                self.observer(self.definition, made, made.at)
            self._past = self._unless_present(made)
            hit = self.breakpoints.after(self.definition, made)
            tool = self._calls(made)
            if hit is None and tool is not None:
                hit = self.breakpoints.before(self.definition, made.snapshot, tool, made.at)
            why = done(made) or ("call" if at_calls and tool is not None else None)
            if (hit or why) and self._past is not None:
                return self._stop(
                    "breakpoint" if hit else why or "step", f"{hit.number}: {hit}" if hit else "", steps
                )
        return self._stop("present", "", steps)

    def _calls(self, made: Step) -> str | None:
        """Return the tool that a run was about to call after a recorded step."""
        if made.snapshot.pending == Immediate(INTEND):
            return self.definition.actions[made.snapshot.state].tool
        return made.call.tool if made.call is not None and made.receipt.event != INTEND else None
