"""What is left of a run's records once payload is taken out of them, and how people are told.

What moved the run stays: states, events, tools, failure classes, times, counters, who decided what. What it moved with
goes: inputs, outputs, messages, values. Keys that are not known here go as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from statemachine.errors import NotReplayable
from statemachine.journal.encoding import encode
from statemachine.journal.record import MARK, Record

GONE = "[erased]"
"""What stands where something was."""

_KEPT = frozenset((
    "after", "amended", "approval", "approvers", "asked", "asks", "at", "attempt", "attempts", "because",
    "blast_radius", "bounds", "by", "calls", "cancelled", "checked_by", "class", "code", "cost", "decision",
    "digest", "due", "during", "edited", "entered", "event", "expires", "facts", "failed", "fields",
    "finished", "from", "happened", "held", "instead", "invalidated", "key", "kind", "left", "machine",
    "name", "needed", "note", "observed", "owner", "parent", "pretended", "queued", "request", "resets",
    "result", "retry_after", "reversibility", "reviews", "run", "runtime", "seq", "sources", "stale", "started",
    "state", "states", "status", "steps", "summary", "to", "tool", "trusted", "unanswered", "undo",
    "undoes", "undone", "until", "version",
))  # fmt: skip
"""Keys whose values say how a run moved; a decision is kept whole, because it was signed so."""

_NAMED = frozenset(("inputs", "input", "payload", "values", "was", "set", "context", "agent_says"))
"""Keys of values that the machine or a tool gives names to; those stay."""

_LONG = 4
"""Characters from which on a text is looked for inside of others."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """That something was erased.

    Attributes:
        at: When, in seconds since the epoch.
        by: Who did it.
        reason: Why.
        record: Sequence number of the record that says so.
    """

    at: float
    by: str
    reason: str
    record: int

    def __str__(self) -> str:
        on = datetime.fromtimestamp(self.at, UTC).strftime("%Y-%m-%d %H:%M UTC")
        return f"erased on {on} by {self.by or 'somebody'}, because {self.reason}"


def erasure_of(body: Mapping[str, Any]) -> Erasure | None:
    """Return what took the payload out of a body; None when nothing did."""
    mark = body.get(MARK)
    return (
        Erasure(mark["at"], mark["by"], mark["reason"], mark["record"]) if isinstance(mark, Mapping) else None
    )


class Values:
    """The values of a call, to be found again in what came of them.

    A number is found where it is alone, a text also inside of a longer one. What was computed from them is not.
    """

    def __init__(self, *data: Any) -> None:
        self._alone = {(type(leaf) is bool, leaf) for value in data for leaf in _leaves(value)}
        long = sorted(
            {v for _, v in self._alone if isinstance(v, str) and len(v) >= _LONG}, key=len, reverse=True
        )
        self._within = re.compile("|".join(map(re.escape, long))) if long else None

    def without(self, value: Any) -> Any:
        """Return data in which each of the values, wherever it stands, is gone."""
        if isinstance(value, Mapping):
            return {self.without(key): self.without(part) for key, part in value.items()}
        if isinstance(value, list | tuple):
            return [self.without(part) for part in value]
        if (type(value) is bool, value) in self._alone:
            return GONE
        inside = isinstance(value, str) and self._within is not None and self._within.search(value)
        return GONE if inside else value


def _leaves(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from (key, *_leaves(part))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _leaves(part)
    elif value is not None and value != "":
        yield value


def skeleton(kind: str, body: Mapping[str, Any], only: Values | None = None) -> dict[str, Any]:
    """Return what is left of a body.

    Args:
        kind: Kind of the record.
        body: The body as data; one that was erased before is taken as what was left.
        only: What goes; None lets all payload go.
    """
    left: dict[str, Any] = {}
    for key, value in body.items():
        if key == "tried":
            left[key] = [skeleton("candidate", tried, only) for tried in value]
        elif key == "snapshot":
            left[key] = skeleton_of_snapshot(value, only)
        elif key in _KEPT or (kind == "candidate" and key in ("on", "to", "verdict", "guard")):
            left[key] = value
        elif key not in (MARK, "salt"):
            left[key] = _taken(value, key in _NAMED or (kind == "run_finished" and key == "output"), only)
    return left


def skeleton_of_snapshot(data: Mapping[str, Any], only: Values | None = None) -> dict[str, Any]:
    """Return what is left of the snapshot of a run that has ended, or that another run was forked off."""
    goes_nowhere = ("pending", "rollback", "recent", "watched", "denied", "salt")
    left = {key: value for key, value in data.items() if key not in goes_nowhere}
    left["context"] = _taken(data["context"], True, only)
    left["because"] = _taken(data["because"], False, only) if data["because"] else ""
    if data.get("output") is not None:
        left["output"] = _taken(data["output"], True, only)
    if data.get("failure") is not None:
        left["failure"] = data["failure"] | {"message": _taken(data["failure"]["message"], False, only)}
    return left


def _taken(value: Any, named: bool, only: Values | None) -> Any:
    if named and isinstance(value, Mapping):
        return {name: _taken(part, False, only) for name, part in value.items()}
    if only is not None:
        return only.without(value)
    return [GONE] if isinstance(value, list) else GONE


def marked(left: Mapping[str, Any], digest: str, erasure: Erasure) -> tuple[str, dict[str, bytes]]:
    """Return a body's text, and its large values, that say what is left and what the digest of it all was."""
    body = {MARK: {**asdict(erasure), "digest": digest}, **left}
    text, large = encode(body)
    # A body is never kept apart as a whole: that it was erased must be told by the record itself.
    return (text, large) if Record("", 0, 0.0, "", text, "", "").erased else encode(body, 1 << 40)


def refuse_erased(run: str, body: Mapping[str, Any]) -> None:
    """Raise NotReplayable where a body's payload was erased: what the world answered is not there any more."""
    if (erasure := erasure_of(body)) is not None:
        raise NotReplayable(
            f"run {run} was {erasure}, and cannot be replayed; `journal`, `render --run` and `audit verify` tell of it"
        )
