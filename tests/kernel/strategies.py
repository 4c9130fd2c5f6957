"""Random machines that are valid, and random runs of them."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from statemachine.kernel import (
    AGAIN,
    DECIDED,
    FINISH,
    RECOVER,
    RELEASED,
    RESOLVE,
    UNDO_NEXT,
    Event,
    Ledger,
    PendingApproval,
    PendingCall,
    Snapshot,
    Step,
    due,
    start,
    step,
)
from statemachine.machine.contract import FAILURE_CLASSES
from statemachine.machine.definition import AMENDED, Definition
from statemachine.machine.outcome import Failure, Outcome
from tests.kernel.driving import BAD, GOOD, TOOLS, declare

EVENTS = {"go": {}, "sized": {"size": "int"}}
CALLED = ("look", "put", "post", "mail", "wire")
COMMON_GUARDS = (
    "n > 2",
    "n <= 2",
    "known.failure",
    "failure.class == 'timeout'",  # fails to evaluate before the first failure
    "event.name == 'done'",
    "1 / (n - 1) > 0",  # fails to evaluate for n = 1
    "history.failed.look + history.failed.put < 2",
    "history.standing.put == 0 || history.failures.timeout > 0",
)
CALL_GUARDS = ("known.answer && answer.ok", "answer.score > 0.5", "fresh.answer", "size > 2")
KINDS = ("call", "call", "call", "call", "wait", "choice", "event", "undo")

approvals = st.fixed_dictionaries(
    {"needed": st.integers(1, 2), "expires": st.sampled_from(["5s", "1m"])},
    optional={"when": st.sampled_from(["n > 1", "fresh.answer"]), "escalate": st.just([{"expires": "1m"}])},
)
durations = st.sampled_from(["500ms", "1s", "5s", "1m"])
Moves = list[tuple[Event, float, Step]]


@st.composite
def machines(draw: st.DrawFn) -> Definition:
    """Valid machines of two to ten states with counters, resets, limits, time-outs, guards and policies."""
    return declare(**draw(declarations()))


@st.composite
def declarations(draw: st.DrawFn) -> dict[str, Any]:
    """Return what :func:`declare` takes for such a machine."""
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=8))  # and two final states
    names = [f"s{i}" for i in range(len(kinds))]
    ends = ["end", "fail"]
    counted = [name for name in names if draw(st.booleans())]
    guards = [*COMMON_GUARDS, *(f"attempts.{name} < 2" for name in counted)]
    guards += CALL_GUARDS if "call" in kinds else ()

    def transitions(targets: list[str] | None = None) -> list[dict[str, Any]]:
        found = []
        for _ in range(draw(st.integers(1, 3))):
            transition: dict[str, Any] = {"to": draw(st.sampled_from(targets or [*names * 6, *ends]))}
            if draw(st.booleans()):
                transition["when"] = draw(st.sampled_from(guards))
            if counted and draw(st.integers(0, 3)) == 0:
                transition["resets"] = draw(
                    st.lists(st.sampled_from(counted), min_size=1, max_size=2, unique=True)
                )
            found.append(transition)
        return found

    def routes(needed: str | None, *more: str) -> dict[str, Any]:
        possible = ["failed", "failed.transient", "failed.guard", "*", "cancelled", *EVENTS, *more]
        possible += ["amended", *(["stale"] if "call" in kinds else [])]
        chosen = draw(st.lists(st.sampled_from(possible), max_size=4, unique=True))
        # Mostly with a route for failures, or most runs would end at the first.
        usual = [needed] if needed else []
        usual += ["failed"] if draw(st.integers(0, 7)) else []
        return {event: transitions() for event in dict.fromkeys(usual + chosen)}

    states: dict[str, Any] = {}
    for i, (name, kind) in enumerate(zip(names, kinds, strict=True)):
        state: dict[str, Any] = {}
        if kind == "choice":
            state["always"] = transitions()
        else:
            timeout = None if kind == "undo" else draw(st.none() | durations)
            more = ("timeout",) if timeout else ()
            if timeout:
                state["timeout"] = timeout
            if kind == "call":
                state |= {"do": draw(st.sampled_from(CALLED)), "on": routes("done", "partial", *more)}
                state["save"] = {"answer": "output", "size": "output.size"}
                if draw(st.booleans()):
                    state["sufficient"] = draw(st.sampled_from(["output.ok", "output.score > 0.5"]))
                if draw(st.integers(0, 3)) == 0:
                    state["approval"] = draw(approvals)
                if draw(st.integers(0, 4)) == 0:
                    state["with"] = {
                        "n": draw(st.sampled_from(["6 / (n - 1)", "answer.size", "answer.size + n"]))
                    }
            elif kind == "wait":
                state["wait"] = draw(durations | st.just({"initial": "1s", "factor": 3, "cap": "10s"}))
                state["on"] = routes("elapsed", *more)
            elif kind == "undo":
                state |= {"undo": "all", "on": routes("done", "partial")}
            else:
                state["on"] = routes("go", *more)
        if name in counted:
            # Only onwards, so that exhausted states lead to each other in no circle.
            state |= {
                "attempts": draw(st.integers(1, 3)),
                "exhausted": draw(st.sampled_from([*names[i + 1 :], *ends])),
            }
        states[name] = state
    states["end"] = {"final": "succeeded", "output": {"n": "n"}, "reason": "string(6 / (n - 1))"}
    states["fail"] = {"final": "failed"}

    limits: dict[str, Any] = {"steps": draw(st.sampled_from([40, 20, 40, 40, 4, 1]))}
    if draw(st.booleans()):
        limits["calls"] = draw(st.integers(1, 20))
    if draw(st.booleans()):
        limits["elapsed"] = draw(st.sampled_from(["10s", "1m", "1h"]))
    if draw(st.booleans()):
        limits["cost"] = {"usd": draw(st.sampled_from([1, 2.5]))}
    if draw(st.booleans()):
        limits |= {"stuck_after": draw(st.integers(2, 4)), "watch": ["n"]}
    on: dict[str, Any] = {}
    if draw(st.booleans()):
        on["limit"] = transitions(ends)
    for event in draw(
        st.lists(
            st.sampled_from(["failed", "cancelled", "sized", "undo", "amended"]), max_size=2, unique=True
        )
    ):
        on[event] = transitions()
    policy = st.fixed_dictionaries(
        {
            "max": st.integers(1, 3),
            "initial": durations,
            "cap": st.just("1m"),
            "jitter": st.sampled_from(["full", "none"]),
        }
    )
    classes = st.sampled_from(["transient", "rate_limited", "timeout"])
    tools = {
        name: {"retry": draw(st.dictionaries(classes, policy, min_size=1, max_size=3))} for name in CALLED
    }
    callers = [state["do"] for state in states.values() if "do" in state]
    readers = [name for name in CALLED if callers.count(name) == 1 and TOOLS[name]["effect"] == "read"]
    for name in CALLED:
        if readers and draw(st.booleans()):
            tools[name]["retry"]["stale_data"] = {"max": 2, "refresh": draw(st.sampled_from(readers))}
    lasting = draw(st.sampled_from(["1s", "5s", "1m"]))
    return {
        "states": states,
        "limits": limits,
        "on": on,
        "events": EVENTS,
        "tools": tools,
        "lasting": lasting,
    }


outputs = st.sampled_from([GOOD, GOOD, GOOD, BAD, {"ok": True}, None])
answered = st.sampled_from([GOOD, GOOD, GOOD, BAD, {"ok": True, "score": 0.0, "size": 0}])
"""What tools give, read by their type before the kernel sees it; what people say of a call is not."""
costs = st.none() | st.fixed_dictionaries({"usd": st.sampled_from([0.1, 1.0])})
outcomes = st.builds(
    Outcome, answered, costs, not_done=st.sampled_from([(), ("b",)]), observed=st.none() | st.floats(0, 4e9)
) | st.builds(
    Outcome,
    cost=costs,
    failure=st.builds(
        Failure,
        st.sampled_from([*FAILURE_CLASSES, *["transient", "timeout", "rate_limited"] * 3]),
        st.just("it went wrong"),
        st.none() | st.floats(0, 100),
    ),
)
posted = st.sampled_from([Event("go"), Event("sized", {"size": 3}), Event("sized")])
amendments = st.builds(
    lambda values: Event(AMENDED, values, by="ann"),
    st.fixed_dictionaries({"n": st.integers(0, 4)})
    | st.sampled_from([{}, {"size": 3}, {"n": "x"}, {"m": 1}]),
)
noise = st.sampled_from(
    [
        Event(n)
        for n in ("elapsed", "timeout", "always", "limit.elapsed", "failed.guard", "done", "limit.steps", "x")
    ]
    + [Event(DECIDED, {"request": "run:2", "verdict": "approve", "approver": "eve"}), Event(RELEASED)]
    + [Event("cancelled", by="ann"), Event("undo", by="ann"), Event(UNDO_NEXT)]
    + [Event(n, {"happened": True}, Outcome(GOOD), "run:1") for n in (FINISH, AGAIN, RECOVER, RESOLVE)]
)


def answers(snapshot: Snapshot) -> st.SearchStrategy[Event]:
    """Events that answer what the run waits for, if that is a call or a decision."""
    pending = snapshot.pending
    if isinstance(pending, PendingApproval):
        return st.fixed_dictionaries(
            {
                "request": st.just(pending.request),
                "verdict": st.sampled_from(["approve", "approve", "approve", "deny", "no"]),
                "approver": st.sampled_from(["ann", "bob"]),
            },
            optional={
                "hold": st.just(pending.expires - 1),
                "void": st.just("unsigned"),
                "break_glass": st.booleans(),
                "by_time": st.just(True),
            },
        ).map(lambda payload: Event(DECIDED, payload))
    if not isinstance(pending, PendingCall) or pending.phase == "backoff":
        return st.nothing()
    if pending.phase == "sent":
        return outcomes.map(lambda outcome: Event(FINISH, outcome=outcome, key=pending.key))
    decided = st.builds(
        lambda h, o: {"happened": None, "undo": True} if h == "undo" else {"happened": h, "output": o},
        st.sampled_from([True, False, None, "undo"]),
        outputs,
    )
    return decided.map(lambda payload: Event(RESOLVE, payload, key=pending.key, by="ann"))


@st.composite
def moves(draw: st.DrawFn, definition: Definition, longest: int = 40) -> Moves:
    """Steps of a random run: mostly what it waits for, now and then what it does not."""
    now = draw(st.floats(0, 2e9, allow_nan=False))
    made = start(definition, "run", {"n": draw(st.integers(0, 4))}, now)
    found: Moves = [(Event("start"), now, made)]
    ledger = Ledger(definition)
    for _ in range(draw(st.integers(longest // 4, longest))):
        if made.snapshot.finished and found[-2:][0][2].snapshot.finished:
            break  # one event after the end is enough
        for kind, body in made.entries:
            ledger.add(kind, body)
        snapshot, chance = made.snapshot, draw(st.integers(0, 9))
        timed = due(definition, snapshot)
        if chance == 0:
            event = draw(noise)
            if event.name == UNDO_NEXT and snapshot.rollback is not None:
                event = ledger.next()  # nobody but the host offers writes, and it offers those that stand
        elif chance == 1 and isinstance(snapshot.pending, PendingCall):
            event = Event(RECOVER, key=snapshot.pending.key)
        elif chance == 2 and draw(st.booleans()):
            event = draw(amendments)
        elif chance > 3 and not (answer := answers(snapshot)).is_empty:
            event = draw(answer)
        elif timed is not None and chance > 2:
            now, event = max(now, timed[0]), timed[1]
            event = ledger.next() if event.name == UNDO_NEXT else event
        else:
            event = draw(posted | amendments)
        now += draw(st.sampled_from([0.0, 0.0, 0.25, 1 / 3, 7.0]))
        made = step(definition, snapshot, event, now)
        found.append((event, now, made))
    return found


@st.composite
def runs(draw: st.DrawFn) -> tuple[Definition, Moves]:
    """A random machine with a random run of it."""
    definition = draw(machines())
    return definition, draw(moves(definition))


def plain(made: Step) -> Any:
    """Return a step as plain data, as it is after the way through JSON."""
    receipt = made.receipt
    data = {
        "snapshot": made.snapshot.as_data(),
        "entries": [[kind, dict(body)] for kind, body in made.entries],
        "receipt": [receipt.event, receipt.verdict, receipt.state, receipt.target, receipt.instead],
        "candidates": [c.as_data() for c in receipt.candidates],
        "call": None if made.call is None else made.call.key,
        "at": made.at,
    }
    return json.loads(json.dumps(data))
