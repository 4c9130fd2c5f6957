"""What a tool may know about the call that it serves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Call:
    """The call being made; a Python tool receives it by annotating a parameter with this type.

    Attributes:
        key: Idempotency key, ``run:seq``; the same when the call is retried or repeated after a crash.
        run: Id of the run.
        seq: Sequence number of the journal record that holds the call's intent.
        attempt: 1 for the first time, one more for each retry by the tool's policy.
        deadline: When the call must have ended, in seconds since the epoch.
        folder: A folder that belongs to this run, kept across crashes and removed when the run ends.
    """

    key: str
    run: str
    seq: int
    attempt: int
    deadline: float
    folder: Path
