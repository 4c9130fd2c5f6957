"""Recorded runs held against another machine: which of their decisions would differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from statemachine.host.pinned import declared
from statemachine.host.replay import Journal, entry_data, pinned_or_refused
from statemachine.journal.replay import Deviates, Deviation
from statemachine.journal.whatif import Comparison, Difference, Wait, compare
from statemachine.machine.definition import Definition
from statemachine.store import Store


@dataclass(frozen=True, slots=True)
class Compared:
    """A recorded run on another machine.

    Attributes:
        run: Its id.
        machine: Name of the machine that it is pinned to.
        version: Version of that machine.
        status: The run's status.
        records: Records of the run.
        steps: Steps that both machines take alike.
        difference: The first decision that differs; None when none does.
        waits: Waits up to there that are longer or shorter.
        deviation: Why nothing can be said: the journal is no path of its own machine from there on.
    """

    run: str
    machine: str
    version: str
    status: str
    records: int
    steps: int
    difference: Difference | None
    waits: tuple[Wait, ...]
    deviation: Deviation | None

    @property
    def same(self) -> bool:
        """Whether the other machine decides all as it was decided."""
        return self.difference is None and self.deviation is None

    def as_data(self) -> dict[str, Any]:
        """Return it as plain data."""
        difference, deviation = self.difference, self.deviation
        data: dict[str, Any] = {name: getattr(self, name) for name in Compared.__slots__}
        data["waits"] = [{name: getattr(wait, name) for name in Wait.__slots__} for wait in self.waits]
        if difference is not None:
            data["difference"] = {name: getattr(difference, name) for name in Difference.__slots__}
            data["difference"] |= {"was": entry_data(difference.was), "now": entry_data(difference.now)}
        if deviation is not None:
            data["deviation"] = {"seq": deviation.seq, "why": deviation.why}
        return {"same": self.same, **data}


def compare_run(store: Store, run: str, new: Definition) -> Compared:
    """Hold a stored run against another machine; nothing is called.

    Raises:
        UnknownRun: There is no such run.
        NotReplayable: Its own machine decides by Python functions that can no longer be loaded.
    """
    stored = store.load(run)
    journal = Journal(store, stored)
    found, deviation = _compare(journal, journal.definition, new)
    if deviation is not None and journal.altered is None:
        found, deviation = _compare(journal, pinned_or_refused(store, stored, journal.first), new)
    return Compared(
        run,
        stored.name,
        stored.version,
        stored.status,
        stored.seq,
        found.steps,
        found.difference,
        found.waits,
        deviation,
    )


def _compare(journal: Journal, old: Definition, new: Definition) -> tuple[Comparison, Deviation | None]:
    try:
        return compare(old, new, journal.stored.id, journal.written(), journal.version), None
    except Deviates as error:
        return Comparison(0, None, ()), error.deviation


def other_code(store: Store, digests: set[str], new: Definition) -> Iterator[str]:
    """Yield the tools that run other code on the new machine than on one of those: their answers may differ."""
    tools = new.declaration.tools
    for digest in sorted(digests):
        for name, tool in declared(store, digest).tools.items():
            if name in tools and (tool.python, tool.shell) != (tools[name].python, tools[name].shell):
                yield name
