"""Between the kernel and the people: requests are told, decisions are verified, and the policy is asked."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from statemachine.approvals.decision import Decision, Request, why_void
from statemachine.approvals.policy import Notifier, Policy, read_policy
from statemachine.errors import EventRefused, StateMachineError
from statemachine.host.view import restore
from statemachine.journal import decode
from statemachine.kernel import ANNOUNCED, DECIDED, RELEASED, Event, PendingApproval, Snapshot, Untold
from statemachine.machine.definition import Definition
from statemachine.store import Store

_MOST = 10_000
"""Waiting runs that are looked at for requests."""

_TELLING = 30.0
"""Seconds that one way of telling people may take."""

_SAID = 200
"""Characters that are kept of what went wrong with one."""


class Desk:
    """Where requests of a store's runs and decisions on them meet.

    Args:
        store: The store.
        policy: The policy's file. It is read whenever it is asked: who left yesterday decides nothing today.
    """

    def __init__(self, store: Store, policy: Path) -> None:
        self.store = store
        self.file = policy
        self._read: tuple[tuple[int, int] | None, Policy] | None = None

    @property
    def policy(self) -> Policy:
        """The policy as it is now.

        Raises:
            InvalidPolicy: It says something that no policy says.
        """
        try:
            status = self.file.stat()
            version: tuple[int, int] | None = (status.st_mtime_ns, status.st_size)
        except OSError:
            version = None
        if self._read is None or self._read[0] != version:
            self._read = (version, read_policy(self.file))
        return self._read[1]

    # For people

    def requests(self) -> Iterator[dict[str, Any]]:
        """Yield every request that waits for an answer, as it was journaled, the oldest run first."""
        for stored in reversed(self.store.runs("waiting", limit=_MOST)):
            if not (stored.waiting or "").startswith(("approval of", "a freeze")):
                continue
            pending = restore(self.store, self.store.load(stored.id)).pending
            if isinstance(pending, PendingApproval):
                body = self._body(pending.request)
                more = {"granted": list(pending.granted), "asked": pending.asked, "held": pending.held}
                more["untold"] = [asdict(way) for way in pending.untold]
                yield {"run": stored.id, "machine_name": stored.name, **body, **more}

    def request(self, request: str) -> tuple[Request, dict[str, Any]]:
        """Return a request by its id, and all that was journaled of it.

        Raises:
            EventRefused: There is no such request.
        """
        body = self._body(request)
        run = request.partition(":")[0]
        first = next(iter(self.store.records(run, until=1)))
        starter = json.loads(first.body).get("by", "")
        asked = tuple(body["approvers"])
        return Request(request, body["machine"], body["digest"], asked, starter), body

    def _body(self, request: str) -> dict[str, Any]:
        run, _, number = request.partition(":")
        with contextlib.suppress(ValueError, StateMachineError):
            seq = int(number)
            for record in self.store.records(self.store.find(run), after=seq - 1, until=seq):
                if record.kind == "approval_requested":
                    body = decode(record.body, self.store.blob)
                    assert isinstance(body, dict)
                    return body
        raise EventRefused(f"there is no request {request}; see: statemachine approvals")

    def _decisions(self, request: str) -> Iterator[Mapping[str, Any]]:
        """Yield what was journaled of the decisions that people made on a request."""
        for record in self.store.records(request.partition(":")[0], kind="approval_decided"):
            body = decode(record.body, self.store.blob)
            if isinstance(body, dict) and body["request"] == request and "decision" in body:
                yield body

    def deciders(self, request: str) -> set[str]:
        """Return who decided on a request so that it counted."""
        counted = [body for body in self._decisions(request) if body["result"] != "void"]
        return {str(body["decision"].get("approver")) for body in counted}

    def check(self, decision: Decision, now: float) -> str:
        """Return why a decision would not count now; empty when it would, as far as the policy can say."""
        return why_void(decision, self.request(decision.request)[0], self.policy, now)

    def yeses(self, request: str, now: float) -> dict[str, Decision]:
        """Return, by approver, the yeses to an open request that count, also those that no driver has taken yet."""
        posted = [
            decision
            for message in self.store.inbox(request.partition(":")[0])
            if message.event == DECIDED
            and isinstance(message.payload, dict)
            and (decision := self._readable(message.payload["payload"])) is not None
            and (decision.request, decision.verdict) == (request, "approve")
            and not self.check(decision, now)
        ]
        return {decision.approver: decision for decision in (*self._counted(request), *posted)}

    @staticmethod
    def _readable(data: Any) -> Decision | None:
        """Return the decision that was put into an inbox; None when it is none: anyone may put anything there."""
        try:
            return Decision.from_data(data)
        except (KeyError, TypeError):
            return None

    # For drivers

    def decided(self, machine: str, snapshot: Snapshot, data: Mapping[str, Any], now: float) -> Event:
        """Return the event for a decision in the inbox, verified at this moment."""
        payload = dict(data)
        try:
            void = self.check(Decision.from_data(data), now)
        except (KeyError, TypeError, ValueError, StateMachineError) as error:
            void = f"it cannot be verified: {error}"
        if void:
            payload["void"] = void
        elif isinstance(snapshot.pending, PendingApproval) and not payload.get("break_glass"):
            payload |= self._hold(machine, snapshot, now)
        return Event(DECIDED, payload)

    def unanswered(self, definition: Definition, snapshot: Snapshot) -> Event | None:
        """Return the policy's own yes to a request whose time is over; None when it has none."""
        pending = snapshot.pending
        assert isinstance(pending, PendingApproval)
        asking = definition.actions[snapshot.state].asking
        assert asking is not None
        last = pending.level == len(asking.levels) - 1
        if asking.by_time and last and not pending.held and self.policy.approves_by_time(pending.tool):
            return Event(DECIDED, {"request": pending.request, "verdict": "approve", "by_time": True})
        return None

    def release(self, machine: str, snapshot: Snapshot, now: float) -> Event:
        """Return the event for a call that was held until now: it may be made, must wait on, or be asked for anew."""
        assert isinstance(snapshot.pending, PendingApproval)
        hold = self._hold(machine, snapshot, now)
        void = "" if hold else self._lapsed(snapshot.pending.request, now)
        return Event(RELEASED, {"void": void} if void else hold)

    def _lapsed(self, request: str, now: float) -> str:
        """Return why a yes to a request, which counted when it was given, does not at the moment of use."""
        for decision in self._counted(request):
            if why := self.check(decision, now):
                return f"{decision.approver} said yes, and {why}"
        return ""

    def _counted(self, request: str) -> list[Decision]:
        """Return the yeses to a request that counted."""
        # What never counted may be anything, and need not even be a decision.
        counted = (b["decision"] for b in self._decisions(request) if b["result"] in ("counted", "held"))
        return [Decision.from_data(data) for data in counted]

    def _hold(self, machine: str, snapshot: Snapshot, now: float) -> dict[str, Any]:
        assert isinstance(snapshot.pending, PendingApproval)
        frozen = self.policy.frozen(machine, snapshot.pending.tool, now)
        return {} if frozen is None else {"hold": frozen[0], "because": frozen[1]}

    async def announce(self, pending: PendingApproval, clock: Callable[[], float]) -> Event:
        """Tell people of a request that is committed, or again where that failed; return the event that says how."""
        body = {"run": pending.request.partition(":")[0], **self._body(pending.request)}
        ways, failed, began = self.policy.ways, {way.way: way for way in pending.untold}, clock()
        due = [name for name, way in failed.items() if 0 < way.again <= began] if pending.announced else ways
        # At once: one that hangs does not keep the others from being told.
        errors = await asyncio.gather(*(_try(ways.get(name), body) for name in due))
        tried = dict(zip(due, errors, strict=True))
        untold = [
            _failed(name, error, ways.get(name), failed.get(name), clock())
            for name, error in tried.items()
            if error
        ]
        told = [name for name, error in tried.items() if not error]
        return Event(ANNOUNCED, {"request": pending.request, "told": told, "untold": untold})


async def _try(way: Notifier | None, body: Mapping[str, Any]) -> str:
    return "the policy names it no more" if way is None else await _tell(way, body)


def _failed(name: str, error: str, way: Notifier | None, before: Untold | None, now: float) -> dict[str, Any]:
    """Return what is noted of a way that failed, and when it is tried again if it is."""
    attempt = before.attempt + 1 if before is not None else 1
    noted: dict[str, Any] = {"way": name, "attempt": attempt, "error": error}
    if way is not None and attempt <= way.retry.max:
        noted["again"] = now + way.retry.seconds(attempt)
    return noted


async def _tell(way: Notifier, body: Mapping[str, Any]) -> str:
    """Tell of a request in one way; return what went wrong, empty when nothing did."""
    text = json.dumps(body, ensure_ascii=False, default=str)
    try:
        async with asyncio.timeout(_TELLING):
            if way.shell is not None:
                await _shell(way.shell, text)
            else:
                await asyncio.to_thread(_file if way.file is not None else _post, way, text)
    except TimeoutError:
        return f"no end within {_TELLING:g} s"
    except (OSError, ValueError) as error:
        return (str(error) or type(error).__name__)[:_SAID]
    return ""


async def _shell(words: tuple[str, ...], text: str) -> None:
    pipe, nowhere = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=nowhere, stderr=nowhere)
    try:
        await process.communicate(text.encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise OSError(f"exit status {process.returncode}")


def _file(way: Notifier, text: str) -> None:
    file = os.open(os.path.expanduser(way.file or ""), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, text.encode() + b"\n")
        os.fsync(file)
    finally:
        os.close(file)


def _post(way: Notifier, text: str) -> None:
    request = urllib.request.Request(
        way.webhook or "", text.encode(), {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=_TELLING):
        pass
