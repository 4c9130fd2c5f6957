"""Why two machines decide otherwise on the same thing, told from the accounts that their steps give."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import zip_longest
from typing import Any, Literal

from statemachine.kernel import EDIT, Candidate, Entry, Immediate, Snapshot, Step
from statemachine.machine.definition import REFUSED, STUCK, Definition

Cause = Literal[
    "inputs",
    "guard",
    "target",
    "limit",
    "attempts",
    "retry",
    "timeout",
    "stuck",
    "input",
    "tool",
    "approval",
    "state",
    "event",
    "outcome",
]
"""What makes a difference, in a word."""

Reason = tuple[Cause, str]

_DOES = {
    "call": "calls a tool",
    "wait": "waits for time",
    "choice": "leaves at once",
    "event": "waits for an event",
    "undo": "rolls back",
    "final": "ends the run",
}
_DID = {
    "call": "called a tool",
    "wait": "waited for time",
    "choice": "left at once",
    "event": "waited for an event",
    "undo": "rolled back",
    "final": "ended the run",
}


def cause_of(
    old: Definition, new: Definition, was: Step, now: Step, decided: Entry | None, decides: Entry | None
) -> Reason:
    """Return why a step of one machine is not that of another.

    Args:
        old: The machine that decided.
        new: The one that decides otherwise.
        was: The step of the old one.
        now: The step of the new one, on the same event.
        decided: The first record that is not the same; None when only what they wait for is not.
        decides: What the new one writes instead; None when that is nothing.
    """
    if not now.entries:
        return _refused(new, now)
    reason = _met(was, now) or _raised(was, now) or _kind(old, new, was, now)
    if reason is not None:
        return reason
    kinds = {entry[0] for entry in (decided, decides) if entry is not None}
    if any(kind.startswith("approval_") for kind in kinds):
        return "approval", _approval(decided, decides)
    if kinds == {"call_intended"}:
        assert decided is not None
        assert decides is not None
        return _call(new, decided[1], decides[1])
    if kinds & {"timer_set", "call_in_doubt"} or (kinds == {"call_intended", "transition"}):
        return _contract(old, new, was, now)
    if kinds == {"run_finished"}:
        assert decided is not None
        assert decides is not None
        return "outcome", _changes(decided[1], decides[1], ("status", "state", "output"))
    return _transition(new, was, now)


def no_place(old: Definition, new: Definition, snapshot: Snapshot) -> Reason | None:
    """Return what of a run that was forked off another one has no place in the new machine; None if all has."""
    name, states = snapshot.state, new.declaration.states
    if name not in states:
        return "state", f"there is no state `{name}`, in which the run begins"
    kinds = [definition.declaration.states[name].kind for definition in (old, new)]
    if kinds[0] != kinds[1]:
        return "state", f"{name} {_DOES[kinds[1]]}; it {_DID[kinds[0]]}"
    if uncounted := sorted(new.counted - old.counted):
        return "guard", f"`history.{uncounted[0]}` was not counted before the run was forked off"
    lost = [field for field in snapshot.context if field not in new.declaration.context]
    return ("inputs", f"there is no field `{lost[0]}`, which the run begins with") if lost else None


def _refused(new: Definition, now: Step) -> Reason:
    name, state, tried = now.receipt.event, now.receipt.state, now.receipt.candidates
    if name == EDIT:
        return (
            "inputs",
            "a field that was written by hand is not declared so, or its value is not of its type",
        )
    if tried:
        return "guard", f"{state} refuses `{name}`: {'; '.join(_judged(c) for c in tried)}"
    if name in new.payloads:
        return "event", f"{state} does not take `{name}`"
    if name in ("elapsed", "timeout", "always") or name.startswith("limit."):
        return "timeout", f"nothing raises `{name}` in {state}"
    return "event", f"there is no event `{name}` in the new machine"


def _met(was: Step, now: Step) -> Reason | None:
    """Tell of a run limit, or of attempts that are used up, that only one of the two met."""
    before, after = was.receipt.instead, now.receipt.instead
    if before == after:
        return None
    causes: dict[str, Cause] = {"limit": "limit", "exhausted": "attempts"}
    for met, snapshot in ((after, now.snapshot), (before, was.snapshot)):
        cause = causes.get(met.partition(".")[0])
        if cause is not None:
            told = snapshot.because.partition("; ")[0]
            return cause, told if met == after else f"no longer so: {told}"
    return None


def _raised(was: Step, now: Step) -> Reason | None:
    """Tell of a run that is stuck, or of a call whose input cannot be computed, in one of the two only."""
    causes: dict[str, Cause] = {STUCK: "stuck", REFUSED: "input"}
    for event, cause in causes.items():
        before, after = (step.snapshot.pending == Immediate(event) for step in (was, now))
        if before != after:
            snapshot = (now if after else was).snapshot
            told = snapshot.because.partition("; ")[0]
            return cause, told if after else f"no longer so: {told}"
    return None


def _kind(old: Definition, new: Definition, was: Step, now: Step) -> Reason | None:
    """Tell of a state in which both are, and which is of another kind."""
    name = was.snapshot.state
    if name != now.snapshot.state:
        return None
    kinds = [definition.declaration.states[name].kind for definition in (old, new)]
    return None if kinds[0] == kinds[1] else ("state", f"{name} {_DOES[kinds[1]]}; it {_DID[kinds[0]]}")


def _call(new: Definition, was: Mapping[str, Any], now: Mapping[str, Any]) -> Reason:
    if was["tool"] != now["tool"]:
        gone = "" if was["tool"] in new.declaration.tools else ", which it does not have"
        return "tool", f"it calls {now['tool']} instead of {was['tool']}{gone}"
    return "input", f"{now['tool']} is called with {_changes(was['input'], now['input'])}"


def _approval(decided: Entry | None, decides: Entry | None) -> str:
    """Tell of a call that is asked for otherwise, or in one of the two only."""
    asks = [entry is not None and entry[0] == "approval_requested" for entry in (decided, decides)]
    if decided is not None and decides is not None and decided[0] == decides[0]:
        names = ("tool", "input", "approvers", "needed", "unanswered", "result")
        return _changes(decided[1], decides[1], names)
    tool = next(entry[1]["tool"] for entry in (decided, decides) if entry is not None and "tool" in entry[1])
    return f"{tool} {'needs' if asks[1] else 'no longer needs'} approval"


def _contract(old: Definition, new: Definition, was: Step, now: Step) -> Reason:
    """Tell of a failed or interrupted call that the tool's contract repeats in one of the two only."""
    outcome = next((body for kind, body in was.entries if kind == "call_finished"), {})
    failure = outcome.get("class")
    before, after = (step.receipt.event for step in (was, now))
    if failure is None:
        return _transition(new, was, now) if before != after else ("tool", _interrupted(was, now))
    most = [_retries(definition, was, failure) for definition in (old, new)]
    if most[0] == most[1]:
        return _transition(new, was, now)
    return "retry", f"after {failure} a call is made again {_times(most[1])}, not {_times(most[0])}"


def _retries(definition: Definition, was: Step, failure: str) -> int:
    action = definition.actions.get(was.receipt.state)
    tool = definition.declaration.tools.get(action.tool) if action is not None else None
    policy = None if tool is None else tool.retry.get(failure)  # type: ignore[call-overload]  # any class
    return 0 if policy is None else policy.max


def _times(count: int) -> str:
    return {0: "never", 1: "once"}.get(count, f"{count} times")


def _interrupted(was: Step, now: Step) -> str:
    before, after = ("made again" if step.call is not None else "in doubt" for step in (was, now))
    return f"an interrupted call is {after}; it was {before}"


def _transition(new: Definition, was: Step, now: Step) -> Reason:
    """Tell which of the transitions that were considered makes the difference."""
    before, after = was.receipt, now.receipt
    if after.event != before.event and after.event == "failed.data_error":
        return "guard", str((now.snapshot.failure or {}).get("message", after.event))
    if after.event != before.event and before.event == "failed.data_error":
        return "guard", f"no longer so: {(was.snapshot.failure or {}).get('message', before.event)}"
    if before.target is not None and before.target not in new.declaration.states:
        return "state", f"there is no state `{before.target}`; it goes to {after.target}"
    for old, found in zip_longest(before.candidates, after.candidates):
        if old is None:
            return "target", f"a transition to {found.target} was added: {_judged(found)}"
        if found is None:
            return "target", f"the transition to {old.target} is gone: it was {_judged(old)}"
        if old.verdict != found.verdict:
            was_so = "" if _judged(old) == _judged(found) else f"; it was {_judged(old)}"
            return "guard", _judged(found) + was_so
        if found.verdict and old.target != found.target:
            return "target", f"`{after.event}` leads to {found.target}, not to {old.target}"
    return "target", f"`{after.event or 'start'}` leads to {after.target}, not to {before.target}"


def _judged(candidate: Candidate) -> str:
    """Return a guard with its verdict and the values that it read."""
    if candidate.guard is None:
        return f"`{candidate.event}` to {candidate.target} without a guard"
    verdict = {True: "true", False: "false", None: f"not known, {candidate.error}"}[candidate.verdict]
    values = ", ".join(f"{name} = {_short(value)}" for name, value in candidate.values.items())
    return f"`{candidate.guard}` {verdict}" + (f" ({values})" if values else "")


def _changes(was: Mapping[str, Any], now: Mapping[str, Any], names: tuple[str, ...] = ()) -> str:
    found = []
    for name in names or tuple({**was, **now}):
        before, after = was.get(name), now.get(name)
        if isinstance(before, Mapping) and isinstance(after, Mapping) and before != after:
            found.append(_changes(before, after))
        elif before != after:
            found.append(f"{name} = {_short(after)} (was {_short(before)})")
    return ", ".join(found)


def _short(value: Any, most: int = 60) -> str:
    text = json.dumps(value, ensure_ascii=False, default=dict)
    return text if len(text) <= most else f"{text[: most - 1]}…"
