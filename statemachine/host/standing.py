"""What a stored run did to the world and has not undone."""

from __future__ import annotations

from statemachine.host.pinned import VERSION_OF, declared
from statemachine.journal import decode
from statemachine.kernel import Ledger
from statemachine.machine.definition import Definition
from statemachine.store import Store


def ledger_of(store: Store, definition: Definition, run: str, until: int | None = None) -> Ledger:
    """Return the ledger of a run as its journal has it, up to a record, read once through."""
    ledger = Ledger(definition)
    for record in store.records(run, until=until):
        if record.kind in Ledger.KINDS or record.kind in VERSION_OF:
            body = decode(record.body, store.blob)
            assert isinstance(body, dict)
            if record.kind in VERSION_OF:
                ledger.tools = declared(store, body[VERSION_OF[record.kind]]).tools
            ledger.add(record.kind, body)
    return ledger
