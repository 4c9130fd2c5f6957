"""What a run knows: each value with who wrote it, what gave it, and how old it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from statemachine.kernel import Snapshot
from statemachine.machine.model import ContextField


@dataclass(frozen=True, slots=True)
class Fact:
    """A context field that has a value.

    Attributes:
        name: The field.
        value: Its value as JSON data.
        by: The state that wrote it, or ``operator``.
        of: The tool or event that gave it, ``input``, ``default`` or ``amendment``.
        observed: When it was so, in seconds since the epoch.
        age: Seconds since then.
        fresh_for: After how many seconds it grows stale; None when it never does.
        fresh: Whether it is not stale.
    """

    name: str
    value: Any
    by: str
    of: str
    observed: float
    age: float
    fresh_for: float | None
    fresh: bool

    def as_data(self) -> dict[str, Any]:
        """Return the fact as plain data."""
        return asdict(self)


def facts(fields: Mapping[str, ContextField], snapshot: Snapshot, now: float) -> list[Fact]:
    """Return what a run knows at a time, in seconds since the epoch; what it does not know is left out."""
    found = []
    for name, field in fields.items():
        source = snapshot.sources.get(name)
        if source is None or snapshot.context.get(name) is None:
            continue
        age = max(0.0, now - source.at)
        fresh = field.fresh_for is None or age <= field.fresh_for
        value = snapshot.context[name]
        found.append(Fact(name, value, source.by, source.of, source.at, age, field.fresh_for, fresh))
    return found
