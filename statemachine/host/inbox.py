"""Which events of a run's inbox it can take where it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from statemachine.host.approving import Desk
from statemachine.kernel import DECIDED, RESOLVE, Event, PendingCall, Snapshot
from statemachine.kernel.due import may_leave
from statemachine.kernel.events import LIFTED
from statemachine.machine.definition import AMENDED, UNDO, Definition
from statemachine.store import Posted

_DEMANDS = ("cancelled", UNDO)
"""What a person may demand of a run in any state."""


def takeable(
    definition: Definition, snapshot: Snapshot, posted: Iterable[Posted], desk: Desk, now: float
) -> Iterator[tuple[Event, tuple[int, ...]]]:
    """Yield the events that a run can take now, each with the inbox ids that it handles; the others stay there.

    Args:
        definition: The run's machine.
        snapshot: Where the run is.
        posted: What lies in its inbox, oldest first.
        desk: Judges decisions on its request.
        now: The time, in seconds since the epoch.
    """
    pending, machine = snapshot.pending, definition.declaration.machine
    for message in posted:
        assert isinstance(message.payload, dict)
        event = Event(message.event, message.payload["payload"], by=message.payload["by"])
        if message.event == RESOLVE:
            yield event._replace(key=message.payload["key"]), (message.id,)
        elif message.event == LIFTED:
            yield Event(LIFTED), (message.id,)
        elif message.event == DECIDED:
            yield desk.decided(machine, snapshot, event.payload, now), (message.id,)
        elif snapshot.rollback is not None:
            continue
        elif message.event == AMENDED:
            # Also while a call is under way: who declared where it leads, has it taken at once.
            if snapshot.status != "pending" and definition.candidates(snapshot.state, AMENDED):
                yield event, (message.id,)
        elif isinstance(pending, PendingCall):
            if message.event in _DEMANDS and may_leave(definition, pending):
                yield event, (message.id,)
        elif message.event in _DEMANDS or (
            snapshot.status != "pending" and definition.candidates(snapshot.state, message.event)
        ):
            yield event, (message.id,)
