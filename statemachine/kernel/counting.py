"""Counting how the calls of a run ended, for `history.…` in expressions: only what the machine reads is counted.

A call is counted each time that it ends, retries too, and once it is known how: one in doubt is not until a person
or a probe has said whether it happened. One that its state leaves before it ends is not counted at all.
`succeeded.TOOL` are calls that were done wholly and whose answers were good; `failed.TOOL` are all others, those
done in part too, as `failed` also matches the event `partial`; `failures.CLASS` those that failed, by class.
These three only grow. `standing.TOOL` are writes known to have happened, if only in part, and not undone since.
"""

from __future__ import annotations

from collections.abc import Sequence

from statemachine.kernel.draft import Draft
from statemachine.machine.outcome import Failure, Outcome


def ended(draft: Draft, tool: str, failure: Failure | None, not_done: Sequence[str] = ()) -> None:
    """Count the end of a call: of which tool it was, how it failed, and what of it was not done."""
    if draft.definition.counted:
        _add(draft, f"{'failed' if failure or not_done else 'succeeded'}.{tool}")
        if failure:
            _add(draft, f"failures.{failure.failure}")


def wrote(draft: Draft, tool: str, outcome: Outcome) -> None:
    """Count a write that happened, whatever its state makes of the answer."""
    if draft.definition.counted and outcome.failure is None:
        _add(draft, f"standing.{tool}")


def unwrote(draft: Draft, tool: str) -> None:
    """Count a write as undone; what an older version of the machine did not count is undone last."""
    if draft.history.get(f"standing.{tool}"):
        _add(draft, f"standing.{tool}", -1)


def _add(draft: Draft, name: str, by: int = 1) -> None:
    if name in draft.definition.counted:
        history = {**draft.history, name: draft.history.get(name, 0) + by}
        draft.history = {name: count for name, count in history.items() if count}
