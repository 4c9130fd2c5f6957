"""How a run moves: one pure step, the snapshot it gives, and the receipt that accounts for it."""

from statemachine.kernel.byhand import checked_edit, fork
from statemachine.kernel.due import due, waiting_for
from statemachine.kernel.events import (
    AGAIN,
    ANNOUNCED,
    DECIDED,
    EDIT,
    FINISH,
    FORK,
    INTEND,
    LIFTED,
    RECOVER,
    RELEASED,
    RESOLVE,
    REVIEWED,
    START,
    UNDO_NEXT,
    Entry,
    Event,
    Step,
)
from statemachine.kernel.ledger import Ledger
from statemachine.kernel.receipt import Candidate, Receipt
from statemachine.kernel.snapshot import (
    Immediate,
    PendingApproval,
    PendingCall,
    Rollback,
    Snapshot,
    Source,
    Timer,
)
from statemachine.kernel.step import queue, start, step

__all__ = [
    "AGAIN",
    "ANNOUNCED",
    "DECIDED",
    "EDIT",
    "FINISH",
    "FORK",
    "INTEND",
    "LIFTED",
    "RECOVER",
    "RELEASED",
    "RESOLVE",
    "REVIEWED",
    "START",
    "UNDO_NEXT",
    "Candidate",
    "Entry",
    "Event",
    "Immediate",
    "Ledger",
    "PendingApproval",
    "PendingCall",
    "Receipt",
    "Rollback",
    "Snapshot",
    "Source",
    "Step",
    "Timer",
    "checked_edit",
    "due",
    "fork",
    "queue",
    "start",
    "step",
    "waiting_for",
]
