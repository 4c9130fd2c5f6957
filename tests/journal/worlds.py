"""Worlds that answer the same thing every time they are asked: what a run would do on another machine can be tried."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

from statemachine.kernel import (
    DECIDED,
    FINISH,
    RECOVER,
    RESOLVE,
    UNDO_NEXT,
    Event,
    Ledger,
    PendingApproval,
    PendingCall,
    Step,
    due,
    start,
    step,
)
from statemachine.machine.definition import Definition
from statemachine.machine.outcome import Failure, Outcome
from tests.kernel.driving import BAD, GOOD

GUARDS = ("n > 2", "n <= 2", "n > 1", "known.failure", "event.name == 'done'")


def live(definition: Definition, seed: int, n: int, longest: int = 60) -> tuple[list[Step], bool]:
    """Run a machine in a world until it ends, waits for ever, or was at it for long.

    What a call gives and how long it takes depends on its key and its input alone; so does when an event comes
    on where the run is.

    Returns:
        The steps, and whether an event was sent that the machine refused: that is not written anywhere.
    """
    now, refused, ledger = 1000.0, False, Ledger(definition)
    steps = [start(definition, "run", {"n": n}, now)]
    while len(steps) < longest and not steps[-1].snapshot.finished:
        snapshot = steps[-1].snapshot
        for entry in steps[-1].entries:
            ledger.add(*entry)
        event, takes = _answer(Random(f"{seed}:{snapshot.seq}"), snapshot.pending)
        timed = due(definition, snapshot)
        if timed is not None and timed[1].name == UNDO_NEXT:
            timed = timed[0], ledger.next()
        if timed is not None and (event is None or timed[0] < now + takes):
            made = step(definition, snapshot, timed[1], max(now, timed[0]))
        elif event is None:
            break
        else:
            made = step(definition, snapshot, event, now + takes)
            if not made.entries:
                refused = True
                if timed is None:
                    break
                made = step(definition, snapshot, timed[1], max(now, timed[0]))
        now = made.at
        steps.append(made)
    return steps, refused


def _answer(dice: Random, pending: Any) -> tuple[Event | None, float]:
    """Return what the world does next, and after how many seconds; None leaves it to time."""
    takes = dice.choice([0.0, 0.0, 0.25, 2.0, 30.0])
    if pending is None:
        return Event("sized", {"size": dice.randint(0, 4)}) if dice.random() < 0.3 else Event("go"), takes
    if isinstance(pending, PendingApproval) and not pending.held:
        verdict = dice.choice(["approve", "approve", "approve", "deny"])
        told = {"request": pending.request, "verdict": verdict, "approver": dice.choice(["ann", "bob"])}
        return (Event(DECIDED, told), takes) if dice.random() < 0.9 else (None, 0.0)
    if not isinstance(pending, PendingCall) or pending.phase == "backoff":
        return None, 0.0
    if pending.phase != "sent":
        happened = dice.choice([True, False])
        return Event(RESOLVE, {"happened": happened, "output": GOOD}, key=pending.key, by="ann"), takes
    if dice.random() < 0.1:
        return Event(RECOVER, key=pending.key), takes
    failure = Failure(
        dice.choice(["transient", "rate_limited", "timeout", "stale_data", "fatal"]), "it went wrong"
    )
    outcomes = [
        Outcome(dice.choice([GOOD, GOOD, BAD])),
        Outcome(failure=failure),
        Outcome(GOOD, cost={"usd": 0.5}),
    ]
    return Event(FINISH, outcome=dice.choice(outcomes), key=pending.key), takes


def path(steps: list[Step]) -> list[Any]:
    """Return what a machine decided, step by step: where it went, what it called, what it waits for, how it ended."""
    told = {
        "transition": ("event", "from", "to", "instead"),
        "call_intended": ("tool", "input", "undoes"),
        "call_in_doubt": ("asks",),
        "approval_requested": ("tool", "input", "approvers", "needed", "unanswered"),
        "approval_refused": ("tool",),
        "approval_decided": ("result",),
        "rolled_back": ("undone", "left"),
        "run_finished": ("status", "state", "output"),
    }
    found: list[Any] = []
    for made in steps:
        found += [(kind, *(body.get(name) for name in told.get(kind, ()))) for kind, body in made.entries]
        pending = made.snapshot.pending
        found.append((type(pending).__name__, getattr(pending, "phase", getattr(pending, "event", ""))))
    return found


def changed(parts: dict[str, Any], dice: Random) -> dict[str, Any]:
    """Return the parts of a machine with one thing changed."""
    other = copy.deepcopy(parts)
    states = other["states"]
    routes = [
        route for state in states.values() for route in [*state.get("on", {}).values(), state.get("always")]
    ]
    transitions = [one for route in routes for one in route or ()]
    counted = [state for state in states.values() if "attempts" in state]
    timed = [state for state in states.values() if "timeout" in state]
    waits = [state for state in states.values() if "wait" in state]
    policies = [tool["retry"] for tool in other["tools"].values() if "retry" in tool]
    one = dice.randrange(9)
    if one == 0 and transitions:
        dice.choice(transitions)["when"] = dice.choice(GUARDS)
    elif one == 1 and transitions:
        dice.choice(transitions)["to"] = dice.choice([*states, "end", "fail"])
    elif one == 2 and counted:
        dice.choice(counted)["attempts"] = dice.randint(1, 4)
    elif one == 3 and policies:
        policy = dice.choice(policies)
        policy[dice.choice(sorted(policy))]["max"] = dice.randint(1, 4)
    elif one == 4 and timed:
        dice.choice(timed)["timeout"] = dice.choice(["250ms", "3s", "2m"])
    elif one == 5 and waits:
        dice.choice(waits)["wait"] = dice.choice(["250ms", "3s", "2m"])
    elif one == 6:
        other["limits"]["steps"] = dice.randint(2, 20)
    elif one == 7:
        other["limits"]["calls"] = dice.randint(1, 10)
    else:
        other["limits"]["elapsed"] = dice.choice(["1s", "1m", "10m"])
    return other
