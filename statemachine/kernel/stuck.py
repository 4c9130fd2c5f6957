"""Whether a run repeats itself: the same calls over and over, or fields that no round changes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from statemachine.kernel.draft import Draft

LONGEST_PERIOD = 5
"""Calls in the longest cycle that is looked for."""


def repeated_call(draft: Draft, tool: str, given: Mapping[str, Any]) -> str:
    """Note a call that is about to be made; return what it repeats, empty if the run is not stuck.

    A run is stuck when its last calls, with their inputs, are one cycle of one to five calls made
    ``stuck_after`` times in a row.
    """
    most = draft.definition.declaration.limits.stuck_after
    if most is None:
        return ""
    recent = (*draft.recent, _digest([tool, given]))[-most * LONGEST_PERIOD :]
    draft.recent = recent
    for period in range(1, LONGEST_PERIOD + 1):
        if len(recent) >= period * most and recent[-period * most :] == recent[-period:] * most:
            draft.recent = ()
            what = f"the call of {tool} with the same input" if period == 1 else f"a cycle of {period} calls"
            return f"{what}, {most} times in a row"
    return ""


def unchanged_round(draft: Draft, state: str) -> str:
    """Note that a round begins, with the entry of a state that counts attempts; return what did not change.

    A run is stuck when the fields to ``watch`` were the same at ``stuck_after`` such entries in a row.
    """
    limits = draft.definition.declaration.limits
    if limits.stuck_after is None or not limits.watch:
        return ""
    digest = _digest([draft.context.get(name) for name in limits.watch])
    before, rounds = draft.watched.get(state, ("", 0))
    rounds = rounds + 1 if before == digest else 1
    draft.watched = {**draft.watched, state: (digest, rounds)}
    if rounds < limits.stuck_after:
        return ""
    draft.watched = {}
    return f"no change of {', '.join(limits.watch)} in {limits.stuck_after} rounds of {state}"


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=dict)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
