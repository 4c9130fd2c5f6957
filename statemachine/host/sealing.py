"""From a step to what the store commits for it."""

from __future__ import annotations

from statemachine.journal import encode, seal
from statemachine.kernel import Step, due, waiting_for
from statemachine.machine.definition import Definition
from statemachine.store import Commit


def sealed(
    definition: Definition,
    made: Step,
    *,
    seq: int,
    head: str,
    epoch: int,
    now: float,
    consumed: tuple[int, ...] = (),
) -> Commit:
    """Return the commit of a step.

    Args:
        definition: The run's machine.
        made: The step.
        seq: Sequence number of the run's last record before it.
        head: Hash of that record.
        epoch: The fencing epoch of the lease.
        now: The time, in seconds since the epoch.
        consumed: Ids of inbox messages that the step has dealt with.
    """
    after = made.snapshot
    records, blobs = seal(after.run, head, seq, now, made.entries)
    snapshot, large = encode(after.as_data())
    timed = due(definition, after)
    return Commit(
        run=after.run,
        expected_seq=seq,
        epoch=epoch,
        records=records,
        snapshot=snapshot,
        status=after.status,
        state=after.state,
        blobs=blobs | large,
        waiting=waiting_for(definition, after) or None,
        due=timed[0] if timed else None,
        reason=after.because or None,
        finished=now if after.finished else None,
        consumed=consumed,
    )
