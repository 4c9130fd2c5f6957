"""What goes into a step and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from statemachine.kernel.receipt import Receipt
from statemachine.kernel.snapshot import PendingCall, Snapshot
from statemachine.machine.outcome import Outcome

NOTHING: Mapping[str, Any] = MappingProxyType({})
Entry = tuple[str, Mapping[str, Any]]
"""A journal record in the making: its kind and body."""

FINISH = "call.finished"
AGAIN = "call.again"
RECOVER = "call.recovered"
RESOLVE = "call.resolved"
"""Events between host and kernel about the pending call; machines do not see them."""

DECIDED = "approval.decided"
"""The event with which the host hands a run a decision on its request, verified."""

RELEASED = "approval.released"
"""The event that raises, or prolongs, what holds an approved call."""

REVIEWED = "approval.reviewed"
"""The event that says who looked at a call for which glass was broken."""

LIFTED = "stop.lifted"
"""What wakes runs that a stop has held; no run is moved by it."""

ANNOUNCED = "approval.announced"
"""The event that says who was told of a request."""

UNDO_NEXT = "call.undo"
"""The event with which the host offers a run that rolls back the next write to undo."""

START = "start"
"""The event that moves a run that was queued."""

INTEND = "call.intend"
"""The event that lets a run go on which is held before a call."""

EDIT = "edited"
"""The event with which an operator writes context fields by hand."""

FORK = "fork"
"""What a receipt names the first step of a run that was forked off another one."""


class Event(NamedTuple):
    """Something that happens to a run.

    Attributes:
        name: ``elapsed``, ``timeout``, ``cancelled``, ``always``, ``limit.elapsed``, START, an event from
            outside, ``amended``, ``undo``, INTEND, EDIT, or one of FINISH, AGAIN, RECOVER, RESOLVE and UNDO_NEXT.
        payload: What it carries; for ``amended`` fields with their new values; for a resolution ``happened``
            and, if it did, ``output``, or ``undo``; for
            UNDO_NEXT ``write``, the parts of a Written or None, and ``left``, how many calls of each tool
            stand (see :class:`statemachine.kernel.ledger.Ledger`).
        outcome: For FINISH, how the call ended.
        key: For the events about a call, the call's key.
            For DECIDED ``request``, ``verdict`` (``approve`` or ``deny``), ``approver`` and what signs it;
            ``void`` says why it does not count, ``by_time`` that it is the policy's, ``hold`` until when the
            call must wait all the same, and ``because`` why. For RELEASED ``hold`` and ``because``, or
            ``void`` where a yes does not count any more; for ANNOUNCED ``told``, the ways that worked, and
            ``untold``, those that did not: ``way``, ``attempt``, ``error``, and when it is tried ``again``.
        by: Who sent it, if a person or a program outside did.
        hold: Whether the run is to be held, with nothing intended, before the call of the state that it enters.
    """

    name: str
    payload: Mapping[str, Any] = NOTHING
    outcome: Outcome | None = None
    key: str = ""
    by: str = ""
    hold: bool = False


class Step(NamedTuple):
    """What one event leads to.

    Attributes:
        snapshot: The run afterwards.
        receipt: The account of it.
        entries: The journal records to commit with the snapshot, before anything is done.
        call: The call to make once they are committed.
        at: When it was made, in seconds since the epoch to the microsecond: the time of its records.
    """

    snapshot: Snapshot
    receipt: Receipt
    entries: tuple[Entry, ...]
    call: PendingCall | None
    at: float
