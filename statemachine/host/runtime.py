"""The local host; what every command, page and REPL is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ValidationError

from statemachine.approvals.decision import Decision
from statemachine.errors import (
    EventRefused,
    InvalidInput,
    RunOwned,
    UnknownEvent,
)
from statemachine.host.given import (
    absolute,
    checked_payload,
    refusal,
    refuse_amendment,
    refuse_if_doubtful,
    refuse_if_not_undone,
)
from statemachine.host.hosting import Hosting
from statemachine.host.pinned import pinned
from statemachine.host.standing import ledger_of
from statemachine.host.view import RunView, restore
from statemachine.kernel import (
    DECIDED,
    RESOLVE,
    REVIEWED,
    Event,
    PendingApproval,
    PendingCall,
    step,
)
from statemachine.kernel.inputs import checked_amendment
from statemachine.kernel.rollback import account
from statemachine.machine import types
from statemachine.machine.definition import AMENDED, UNDO
from statemachine.machine.references import suggest


class Runtime(Hosting):
    """Runs machines on a store, and talks to their runs.

    An async context manager; its methods raise StateMachineError. What it takes is said of :class:`Hosting`.
    """

    async def send(
        self, run: str, event: str, payload: Mapping[str, Any] | None = None, *, by: str = ""
    ) -> RunView:
        """Send an event to a run; unless another process drives it, drive it on.

        Raises:
            UnknownEvent: The machine declares no such event.
            InvalidInput: The payload does not fit what is declared.
            EventRefused: The run has ended, or waits in a state that does not take the event.
        """
        run = self.store.find(run)
        stored = self.store.load(run)
        definition = pinned(self.store, stored.machine)
        if event not in definition.payloads:
            known = ", ".join(definition.payloads) or "none"
            hint = suggest(event, definition.payloads)
            raise UnknownEvent(
                f"{definition.declaration.machine} declares no event `{event}`{hint} (it has: {known})"
            )
        given = checked_payload(definition, event, payload or {})
        snapshot = restore(self.store, stored)
        if stored.finished is None and snapshot.pending is None:
            receipt = step(definition, snapshot, Event(event, given, by=by), self.clock.now()).receipt
            if receipt.verdict != "taken":
                raise EventRefused(refusal(definition, stored.state, event, receipt))
        return await self._post(run, event, given, by)

    def payload_types(self, run: str, event: str) -> Mapping[str, Any]:
        """Return the types of what an event carries; empty when the run's machine declares no such event."""
        stored = self.store.load(self.store.find(run))
        return pinned(self.store, stored.machine).payloads.get(event, {})

    async def cancel(self, run: str, *, by: str = "") -> RunView:
        """Cancel a run, wherever it is.

        Raises:
            EventRefused: It has ended, or waits for a decision on a call that is in doubt.
        """
        run = self.store.find(run)
        stored = self.store.load(run)
        refuse_if_doubtful(pinned(self.store, stored.machine), restore(self.store, stored))
        return await self._post(run, "cancelled", {}, by)

    async def amend(self, run: str, values: Mapping[str, Any], *, by: str = "") -> RunView:
        """Change what the operator gave a run, and take the machine's transition for `amended`.

        What is derived from it is no longer known. A call under way that changes nothing is left; the outcome of
        any other is waited for and recorded, but not trusted.

        Raises:
            InvalidInput: A value does not fit, or is not the operator's to give.
            EventRefused: Nothing would change, the run's state takes no amendment, it rolls back, or has ended.
        """
        run = self.store.find(run)
        stored = self.store.load(run)
        definition = pinned(self.store, stored.machine)
        snapshot, now = restore(self.store, stored), self.clock.now()
        given = checked_amendment(definition, absolute(definition, values))
        refuse_amendment(definition, snapshot, Event(AMENDED, given, by=by), now)
        return await self._post(run, AMENDED, given, by)

    def input_types(self, run: str) -> Mapping[str, Any]:
        """Return the types of a run's context fields."""
        return pinned(self.store, self.store.load(self.store.find(run)).machine).types

    async def undo(self, run: str, *, by: str = "") -> RunView:
        """Roll a run back, wherever it is: undo its finished writes, the newest first, and end it.

        A run that has not ended takes the machine's transition for ``undo``, if it has one. A roll back that
        was stopped by a failure goes on with the write that could not be undone.

        Raises:
            EventRefused: It wrote nothing that can be undone, or a call of it is in doubt.
        """
        run = self.store.find(run)
        stored = self.store.load(run)
        definition = pinned(self.store, stored.machine)
        snapshot = restore(self.store, stored)
        refuse_if_doubtful(definition, snapshot)
        if snapshot.erased:
            raise EventRefused(
                f"run {run} was {snapshot.erased}; nobody knows any more how to undo what it did"
            )
        if stored.finished is None:
            return await self._post(run, UNDO, {}, by)
        ledger = ledger_of(self.store, definition, run)
        if ledger.next().payload["write"] is None:
            stands = f"; {account({}, ledger.left())}" if ledger.left() else ""
            raise EventRefused(f"run {run} has written nothing that can be undone{stands}")
        return await self._take(run, Event(UNDO, by=by))

    async def decide(self, decision: Decision) -> RunView:
        """Hand in a decision on a request, and drive its run on unless another process does.

        Raises:
            EventRefused: It does not count: not asked of this person, not signed by them, expired, …
        """
        run = self.store.find(decision.request.partition(":")[0])
        void = self.desk.check(decision, self.clock.now())
        if void:
            raise EventRefused(f"the decision on {decision.request} does not count: {void}")
        stored = self.store.load(run)
        snapshot = restore(self.store, stored)
        if decision.verdict == "review":
            if decision.request not in snapshot.reviews:
                raise EventRefused(f"request {decision.request} is not to be reviewed")
            if decision.approver in self.desk.deciders(decision.request):
                raise EventRefused(
                    f"{decision.approver} approved request {decision.request}; another reviews it"
                )
            told = {"request": decision.request, "by": decision.approver, "note": decision.reason}
            return await self._take(run, Event(REVIEWED, {**told, "decision": decision.as_data()}))
        pending = snapshot.pending
        if not isinstance(pending, PendingApproval) or pending.request != decision.request:
            raise EventRefused(f"request {decision.request} is no longer open; the run is in {stored.state}")
        return await self._post(run, DECIDED, decision.as_data(), decision.approver)

    def standing(self, run: str) -> Mapping[str, int]:
        """Return how many calls of each tool stand, or may: writes that finished and were not undone."""
        run = self.store.find(run)
        return ledger_of(self.store, pinned(self.store, self.store.load(run).machine), run).left()

    async def resolve(
        self, run: str, happened: bool | Literal["undo"], output: Any = None, *, by: str = ""
    ) -> RunView:
        """Decide on a call in doubt: it happened (with this output), it did not and is made again, or undo it.

        Raises:
            EventRefused: No call of the run is in doubt, or nothing undoes it.
            InvalidInput: The output is not what the tool gives.
        """
        run = self.store.find(run)
        stored = self.store.load(run)
        pending = restore(self.store, stored).pending
        if not isinstance(pending, PendingCall) or pending.phase not in ("doubt", "probe"):
            raise EventRefused(f"no call of run {run} is in doubt")
        definition = pinned(self.store, stored.machine)
        if happened == "undo":
            refuse_if_not_undone(definition, pending)
            return await self._post(run, RESOLVE, {"happened": None, "undo": True}, by, key=pending.key)
        payload: dict[str, Any] = {"happened": happened}
        if happened:
            wanted = types.adapter(definition.signatures[pending.tool].output)
            try:
                payload["output"] = wanted.dump_python(wanted.validate_python(output), mode="json")
            except ValidationError as error:
                what = error.errors(include_url=False)[0]["msg"]
                raise InvalidInput(
                    f"{pending.tool} gives something else: {what}; write it as --output JSON"
                ) from None
        return await self._post(run, RESOLVE, payload, by, key=pending.key)

    async def _post(self, run: str, event: str, payload: Mapping[str, Any], by: str, **more: str) -> RunView:
        self.store.post(run, event, {"payload": dict(payload), "by": by, **more}, self.clock.now())
        if run in self._drivers:
            self._drivers[run].wake()
            return self.status(run)
        try:
            return await self.resume(run)
        except RunOwned:
            return self.status(run)  # whoever drives it finds the event in its inbox
