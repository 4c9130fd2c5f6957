"""The debugger: everything that the prompt does, as a typed Python API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from statemachine.errors import EventRefused, InvalidInput, LeaseLost, UnknownEvent
from statemachine.host.driver import Driver
from statemachine.host.forking import fork_run
from statemachine.host.given import absolute, checked_payload, refusal, refuse_amendment, refuse_if_doubtful
from statemachine.host.pinned import pinned
from statemachine.host.standing import ledger_of
from statemachine.host.view import RunView
from statemachine.kernel import (
    EDIT,
    FINISH,
    Event,
    PendingApproval,
    PendingCall,
    Step,
    checked_edit,
    step,
    waiting_for,
)
from statemachine.kernel.inputs import checked_amendment
from statemachine.machine.contract import FAILURE_CLASSES
from statemachine.machine.definition import AMENDED, UNDO, event_names
from statemachine.machine.outcome import Failure, Outcome
from statemachine.machine.references import suggest
from statemachine.repl.inspected import Stop, Why
from statemachine.repl.opened import Opened

_COUNTS = 86400.0
"""Seconds for which a decision counts."""


class Debugger(Opened):
    """Steps a run: a new one, a stored one, or one that has ended. An async context manager.

    The run is driven by the same host and kernel as any other; between two steps it is held before its call, with
    nothing intended, so that leaving it at any time leaves nothing in doubt.

    Args:
        db: A SQLite file or an SQLAlchemy URL.
        clock: What tells the time.
        observer: Told of each step, of a recording too.
        by: Who steps; the journal tells of what is done by hand.
    """

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
                # As the host does: an outcome is never left lying, any other call waits.
                if made.call is not None and event.name != FINISH and (held := driver.stop_of(made.call)):
                    return self._stop("waits", f"a stop to be lifted: {held}", steps)
                # What was shown counts until the run has changed: a stop that is lifted only wakes it.
                shown, self._next, steps = None if made.entries else shown, None, steps + 1
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

    def _present(self) -> Driver:
        if self._past is not None:
            raise EventRefused(
                "this is the past, which cannot be changed; `fork` makes a new run that goes on from here"
            )
        return self._mover()

    async def _take(self, made: Step) -> Step:
        driver = self._driver
        assert driver is not None
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
        elif payload:
            raise InvalidInput("`cancelled` carries nothing")
        raised = Event(event, given, by=self.by, hold=True)
        made = step(definition, driver.snapshot, raised, driver.now())
        if not made.entries:
            raise EventRefused(refusal(definition, driver.snapshot.state, event, made.receipt))
        return await self._take(made)

    async def amend(self, **values: Any) -> Step:
        """Change what the operator gave, and take the machine's transition for ``amended``.

        Raises:
            InvalidInput: A value does not fit, or is not the operator's to give.
            EventRefused: Nothing would change, the state takes no amendment, or this is the past.
        """
        driver, definition = self._present(), self.definition
        given = checked_amendment(definition, absolute(definition, values))
        raised = Event(AMENDED, given, by=self.by, hold=True)
        refuse_amendment(definition, driver.snapshot, raised, driver.now())
        return await self._take(step(definition, driver.snapshot, raised, driver.now()))

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

    async def undo(self) -> Step:
        """Begin to roll the run back, which may have ended: its writes are undone, the newest first, step by step.

        Raises:
            EventRefused: A call of it is in doubt, or it wrote nothing that can be undone.
        """
        store, definition = self.runtime.store, self.definition
        if self.snapshot.finished and not self.past:
            if ledger_of(store, definition, self.run).next().payload["write"] is None:
                raise EventRefused(f"run {self.run} has written nothing that can be undone")
            await self._leave()
            self._acquire()
            driver = self._driver
            assert driver is not None
        else:
            driver = self._present()
        refuse_if_doubtful(definition, driver.snapshot)
        made = step(definition, driver.snapshot, Event(UNDO, by=self.by, hold=True), driver.now())
        if not made.entries:
            raise EventRefused("a call is under way; step over it first")
        return await self._take(made)

    async def decide(
        self, verdict: Literal["approve", "deny"], approver: str, reason: str = "", key: Path | None = None
    ) -> Stop:
        """Sign a decision on the request that the run waits for, and take the step that this leads to.

        Args:
            verdict: What is decided.
            approver: The person's name in the policy.
            reason: Why, for the record.
            key: The file of that person's key; by default the one under that name in the user's folder.

        Raises:
            EventRefused: No request is open, or the decision does not count.
        """
        pending = self._present().snapshot.pending
        if not isinstance(pending, PendingApproval):
            raise EventRefused("no request waits for approval here")
        from statemachine.approvals.decision import signed
        from statemachine.approvals.keys import default_folder, load_key

        private = load_key(key or default_folder() / f"{approver}.key")
        asked, _ = self.runtime.desk.request(pending.request)
        now = self.runtime.clock.now()
        until = now + _COUNTS
        decision = signed(asked, verdict, approver, private, now=now, until=until, reason=reason)
        await self.runtime.decide(decision)
        return await self.step()

    async def resolve(self, happened: bool | Literal["undo"], output: Any = None) -> Stop:
        """Decide on a call of which it is not known whether it happened, and take the step that this leads to.

        Raises:
            EventRefused: No call is in doubt.
            InvalidInput: The output is not what the tool gives.
        """
        self._present()
        await self.runtime.resolve(self.run, happened, output, by=self.by)
        return await self.step()

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
        definition = pinned(runtime.store, made.snapshot.digest)
        self._attach(Driver(runtime, definition, made.snapshot, stored.head, 1), made.at)
        self._last = made
        await self._look_ahead()
        return self.view()
