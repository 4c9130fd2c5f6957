"""The debugger: everything that the prompt does, as a typed Python API."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from statemachine.clock import Clock
from statemachine.errors import EventRefused, InvalidInput, LeaseLost, RunOwned, UnknownEvent
from statemachine.host.driver import Driver, Observer
from statemachine.host.forking import fork_run
from statemachine.host.given import absolute, checked_payload, definition_of, refusal
from statemachine.host.history import History
from statemachine.host.owner import is_dead
from statemachine.host.pinned import pinned
from statemachine.host.runtime import LEASE, Runtime, new_run
from statemachine.host.view import RunView, restore, view_of
from statemachine.kernel import (
    EDIT,
    FINISH,
    FORK,
    INTEND,
    START,
    Event,
    Immediate,
    PendingCall,
    Snapshot,
    Step,
    checked_edit,
    due,
    queue,
    step,
    waiting_for,
)
from statemachine.machine.definition import Definition, event_names
from statemachine.machine.model import FAILURE_CLASSES
from statemachine.machine.outcome import Failure, Outcome
from statemachine.machine.python import MachineBuilder
from statemachine.machine.references import suggest
from statemachine.repl.breakpoints import Breakpoints
from statemachine.repl.expressions import value_of

Why = Literal["step", "call", "until", "breakpoint", "ended", "waits", "interrupted", "present", "start"]


@dataclass(frozen=True, slots=True)
class Stop:
    """Where a run stopped.

    Attributes:
        why: ``step`` (a transition was taken), ``call`` (a call is about to be made), ``until``, ``breakpoint``,
            ``ended``, ``waits`` (for what only others can give), ``interrupted``, ``present`` (the recording is
            over) or ``start`` (there is nothing before).
        what: More about it, for people.
        steps: Steps that were taken on the way.
        state: The state that the run is in.
        seq: Its last record.
    """

    why: Why
    what: str
    steps: int
    state: str
    seq: int


class Debugger:
    """Steps a run: a new one, a stored one, or one that has ended. An async context manager.

    The run is driven by the same host and kernel as any other; between two steps it is held before its call, with
    nothing intended, so that leaving it at any time leaves nothing in doubt.

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
        self.observer = observer
        self.by = _user() if by is None else by
        self.breakpoints = Breakpoints()
        self.displays: list[str] = []
        self.driven_by = ""
        """Who drives the run if this debugger only looks at it: in words, with the end of the lease."""
        self.file: Path | None = None
        self._definition: Definition | None = None
        self._history: History | None = None
        self._driver: Driver | None = None
        self._past: Step | None = None
        self._last: Step | None = None
        self._next: tuple[Event, tuple[int, ...]] | None = None
        self._run = ""

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

    # Beginning

    async def start(
        self, machine: Definition | MachineBuilder | str | Path, inputs: Mapping[str, Any] | None = None
    ) -> RunView:
        """Make a run, and hold it in its first state.

        Raises:
            InvalidMachine: The machine is wrong.
            InvalidInput: The inputs do not fit.
        """
        definition = definition_of(machine)
        made = queue(definition, new_run(), absolute(definition, inputs or {}), self.runtime.clock.now())
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

        Raises:
            UnknownRun: There is no such run.
            InvalidMachine: Its tools can no longer be loaded.
        """
        store = self.runtime.store
        stored = store.load(store.find(run))
        definition = pinned(store, stored.machine)
        self._definition, self._run = definition, stored.id
        self._history = History(store, definition, stored.id)
        if stored.finished is None:
            now = self.runtime.clock.now()
            try:
                epoch = store.acquire(stored.id, self.runtime.owner, now, LEASE, is_dead)
            except RunOwned:
                until = datetime.fromtimestamp(stored.lease_until or now).astimezone()
                self.driven_by = f"{stored.owner} until {until:%H:%M:%S}"
            else:
                stored = store.load(stored.id)  # as the owner before left it
                snapshot = restore(store, stored)
                self._attach(Driver(self.runtime, definition, snapshot, stored.head, epoch), now)
                await self._look_ahead()
        return self.view()

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
            self.runtime.detach(driver)

    # Looking

    @property
    def definition(self) -> Definition:
        """The run's machine."""
        if self._definition is None:
            raise EventRefused(
                "no run is open; `Debugger.start` makes one, `Debugger.open` opens a stored one"
            )
        return self._definition

    @property
    def history(self) -> History:
        """The run's recorded steps."""
        assert self.definition is not None
        assert self._history is not None
        return self._history

    @property
    def run(self) -> str:
        """The run's id."""
        return self._run

    @property
    def past(self) -> bool:
        """Whether what is shown is the past."""
        return self._past is not None

    @property
    def live(self) -> bool:
        """Whether this debugger can move the run."""
        return self._driver is not None and not self._driver.snapshot.finished

    @property
    def snapshot(self) -> Snapshot:
        """The run as it is, or was where the debugger went back to."""
        if self._past is not None:
            return self._past.snapshot
        if self._driver is not None:
            return self._driver.snapshot
        store = self.runtime.store
        return restore(store, store.load(self.run))

    @property
    def last(self) -> Step | None:
        """The step that led to :attr:`snapshot`."""
        if self._past is not None:
            return self._past
        if self._last is None or self._driver is None:
            return self.history.at(self.snapshot.seq)
        return self._last

    @property
    def now(self) -> float:
        """The time that expressions are evaluated at: in the past, that of the record."""
        return self._past.at if self._past is not None else self.runtime.clock.now()

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

    def view(self) -> RunView:
        """Return how the run stands at present."""
        store = self.runtime.store
        stored = store.load(self.run)
        return view_of(stored, restore(store, stored))

    def value(self, expression: str) -> Any:
        """Return the value of an expression in the language of guards.

        Raises:
            InvalidExpression: It is misspelt or ill-typed, or cannot be evaluated.
        """
        return value_of(self.definition, self.snapshot, self.now, expression)

    # Moving

    async def step(self) -> Stop:
        """Take one transition: make the call that is about to be made, and go where its outcome leads."""
        return await self._go(lambda made: "step" if made.receipt.target else None, True)

    async def next(self) -> Stop:
        """Go on to the next call."""
        return await self._go(lambda made: None, True)

    async def proceed(self) -> Stop:
        """Go on until a breakpoint, the end, or a wait for what only others can give."""
        return await self._go(lambda made: None, False)

    async def until(self, name: str) -> Stop:
        """Go on until a state is entered, or an event is taken.

        Raises:
            InvalidInput: The machine has neither.
        """
        states, events = self.definition.declaration.states, self.definition.events()
        known = {*states, *(part for event in events for part in event_names(event))}
        if name not in known:
            raise InvalidInput(f"the machine has no state and no event `{name}`{suggest(name, known)}")
        return await self._go(
            lambda made: "until" if name in (made.receipt.target, *event_names(made.receipt.event)) else None,
            False,
        )

    def interrupt(self) -> None:
        """Stop at the next safe point."""
        self.runtime.stop()

    async def _go(self, done: Callable[[Step], Why | None], at_calls: bool) -> Stop:
        """Go on until ``done`` says why to stop, a call is about to be made, or the run cannot go on."""
        if self._past is not None:
            return self._play(done, at_calls)
        driver, steps = self._mover(), 0
        self.breakpoints.watch(self.definition, driver.snapshot, self.now)
        shown = self._next[0] if self._next and self.about else None
        try:
            while not driver.snapshot.finished:
                if not await self._fetch():
                    if self.runtime.stopping.is_set():
                        await driver.drop_call()
                        await self._look_ahead()
                        return self._stop("interrupted", "", steps)
                    return self._stop("waits", waiting_for(self.definition, driver.snapshot), steps)
                assert self._next is not None
                event, handled = self._next
                made = step(self.definition, driver.snapshot, event, driver.now())
                if made.call is not None and not self._same(event, shown) and not self._must(event):
                    hit = self.breakpoints.before(self.definition, driver.snapshot, made.call.tool, self.now)
                    if hit or at_calls or self.runtime.stopping.is_set():
                        return self._stop("breakpoint" if hit else "call", str(hit or made.call.tool), steps)
                shown, self._next, steps = None, None, steps + 1
                await driver.take(made, handled)
                self._saw(made)
                hit = self.breakpoints.after(self.definition, made)
                why = done(made)
                if hit or why or (self.runtime.stopping.is_set() and driver.call is None):
                    await self._look_ahead()
                    kind: Why = "breakpoint" if hit else why or "interrupted"
                    if driver.snapshot.finished:
                        kind = "ended"
                    return self._stop(kind, f"{hit.number}: {hit}" if hit else "", steps)
            return self._stop("ended", driver.snapshot.because, steps)
        except LeaseLost:
            await self._leave()
            raise
        finally:
            self.runtime.stopping.clear()

    def _mover(self) -> Driver:
        if self._driver is None:
            if self.driven_by:
                raise RunOwned(
                    f"run {self.run} is driven by {self.driven_by}; it can only be looked at, or forked"
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
        event, handled = await driver.next_event()
        if event is None:
            self._next = None
            return False
        by = self.by if event.name == INTEND else event.by
        self._next = replace(event, hold=True, by=by), handled
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

    def _same(self, event: Event, shown: Event | None) -> bool:
        return shown is not None and (event.name, event.key) == (shown.name, shown.key)

    def _must(self, event: Event) -> bool:
        """Say whether an event must be committed at once: the outcome of a write must not be lost."""
        pending = self.snapshot.pending
        return (
            event.name == FINISH
            and isinstance(pending, PendingCall)
            and self.definition.declaration.tools[pending.tool].effect == "write"
        )

    def _saw(self, made: Step) -> None:
        self._last = made
        if self.observer is not None:
            self.observer(self.definition, made, made.at)

    def _stop(self, why: Why, what: str, steps: int) -> Stop:
        snapshot = self.snapshot
        return Stop(why, what, steps, snapshot.state, snapshot.seq)

    # By hand

    def _present(self) -> Driver:
        if self._past is not None:
            raise EventRefused(
                "this is the past, which cannot be changed; `fork` makes a new run that goes on from here"
            )
        return self._mover()

    async def _take(self, made: Step) -> Step:
        driver = self._present()
        await driver.take(made)
        self._next = None
        self._saw(made)
        await self._look_ahead()
        return made

    async def set(self, **values: Any) -> Step:
        """Write fields by hand; the run and its journal are marked as edited.

        Raises:
            InvalidInput: A field is not declared, or a value is not of its type.
            EventRefused: A call is under way, whose input is fixed, or this is the past.
        """
        driver = self._present()
        given = checked_edit(self.definition, values)
        made = step(self.definition, driver.snapshot, Event(EDIT, given, by=self.by), driver.now())
        if not made.entries:
            raise EventRefused("a call is under way, and what it was given is fixed; step over it first")
        return await self._take(made)

    async def fire(self, event: str, payload: Mapping[str, Any] | None = None) -> Step:
        """Raise an event as if it came from outside.

        Raises:
            UnknownEvent: The machine declares no such event.
            InvalidInput: What it carries does not fit.
            EventRefused: The state does not take it, or a guard says no.
        """
        driver, definition = self._present(), self.definition
        given: Mapping[str, Any] = {}
        if event != "cancelled":
            if event not in definition.payloads:
                known = ", ".join([*definition.payloads, "cancelled"])
                raise UnknownEvent(
                    f"the machine declares no event `{event}`{suggest(event, definition.payloads)} (it has: {known}); "
                    "what time and calls raise cannot be fired"
                )
            given = checked_payload(definition, event, payload or {})
        raised = Event(event, given, by=self.by, hold=True)
        made = step(definition, driver.snapshot, raised, driver.now())
        if not made.entries:
            raise EventRefused(refusal(definition, driver.snapshot.state, event, made.receipt))
        return await self._take(made)

    async def fail(self, failure: str, message: str = "") -> Step:
        """Let the call that is about to be made fail so, without making it; the journal says that it is pretended.

        Raises:
            InvalidInput: There is no such failure class.
            EventRefused: No call is about to be made.
        """
        driver = self._present()
        if failure not in FAILURE_CLASSES:
            known = ", ".join(FAILURE_CLASSES)
            raise InvalidInput(
                f"there is no failure class `{failure}`{suggest(failure, FAILURE_CLASSES)}; there are {known}"
            )
        coming = self.coming
        if coming is None or coming.call is None or self._next is None:
            raise EventRefused("no call is about to be made; `next` goes on to one")
        outcome = Outcome(failure=Failure(failure, message or "pretended"), pretended=self.by or "somebody")
        ended = Event(FINISH, outcome=outcome, key=coming.call.key, hold=True)
        made = step(self.definition, coming.snapshot, ended, coming.at)
        # Both are one commit: an intent that is on disk without its outcome would be a call in doubt.
        both = made._replace(entries=(*coming.entries, *made.entries))
        handled = self._next[1]
        await driver.take(both, handled)
        self._next = None
        self._saw(both)
        await self._look_ahead()
        return both

    async def resolve(self, happened: bool, output: Any = None) -> Stop:
        """Decide on a call of which it is not known whether it happened, and take the step that this leads to.

        Raises:
            EventRefused: No call is in doubt.
            InvalidInput: The output is not what the tool gives.
        """
        self._present()
        await self.runtime.resolve(self.run, happened, output, by=self.by)
        return await self.step()

    # The past

    def back(self, steps: int = 1) -> Stop:
        """Go back so many steps; nothing is called, and the run stays as it is."""
        here, gone = self.last, 0
        while gone < steps and here is not None and (before := self.history.before(here)) is not None:
            here = before
            gone += _stops(here)
        if here is not None and here is not self.last:
            self._past = here
        return self._stop("step" if gone == steps else "start", "", gone)

    def goto(self, seq: int | None = None) -> Stop:
        """Go to the step that a record belongs to, or back to the present.

        Raises:
            EventRefused: There is no such record.
        """
        if seq is None:
            self._past = None
            return self._stop("present", "", 0)
        self._past = self._unless_present(self.history.at(seq))
        return self._stop("step" if self.past else "present", "", 0)

    def _unless_present(self, made: Step) -> Step | None:
        present = self.runtime.store.load(self.run).seq if self._driver is None else self._driver.snapshot.seq
        return None if made.snapshot.seq >= present else made

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

    async def fork(self, seq: int | None = None, *, repeat_writes: bool = False) -> RunView:
        """Make a new run that goes on from a record, or from where the debugger is, and step that one.

        Raises:
            EventRefused: There is no such record, or the run had ended there.
            WritesRepeated: The run made writes after that record, and they are not to be repeated.
        """
        runtime = self.runtime
        at = self.snapshot.seq if seq is None else seq
        made = await fork_run(runtime, self.run, at, repeat_writes=repeat_writes, by=self.by, owned=True)
        await self._leave()
        stored = runtime.store.load(made.snapshot.run)
        self._attach(Driver(runtime, self.definition, made.snapshot, stored.head, 1), made.at)
        self._last = made
        await self._look_ahead()
        return self.view()


def _stops(made: Step) -> bool:
    """Return whether going back stops after a step: where a state was entered, or something done by hand."""
    return made.receipt.target is not None or made.receipt.event in (EDIT, FORK, "queue")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
