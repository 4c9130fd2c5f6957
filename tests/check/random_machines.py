"""Random machines for agreement: three to ten states, up to three counters, resets in some, no guards."""

from __future__ import annotations

import random
from typing import Any

from statemachine.machine.definition import Definition
from tests.kernel.driving import declare

KINDS = ("call", "call", "call", "call", "wait", "choice", "event", "undo")
CALLED = ("look", "put", "post", "mail")
NEEDED = {"call": "done", "undo": "done", "wait": "elapsed"}


def random_machine(seed: int, *, steps: int = 1_000_000, guards: bool = False) -> Definition:
    """Return the machine of a seed; with ``guards``, half of its transitions have one that may go either way."""
    chance = random.Random(seed)
    names = [f"s{i}" for i in range(chance.randint(1, 8))]  # and two final states
    kinds = [chance.choice(KINDS) for _ in names]
    counted = chance.sample(names, min(len(names), chance.choice((0, 1, 1, 1, 2, 2, 3, 3))))
    resetting = chance.random() < 0.4
    # Machines of which few end teach little about bounds: most lead forwards, and back through counters.
    backwards = chance.choice((0.0, 0.0, 0.1, 0.4))

    def target(at: int) -> str:
        if chance.random() >= backwards:
            onwards = [*names[at + 1 :], "end", "fail", *counted, *counted]
            return chance.choice(onwards)
        return chance.choice(names)

    def transition(at: int) -> dict[str, Any]:
        made: dict[str, Any] = {"to": target(at)}
        if resetting and counted and chance.random() < 0.3:
            made["resets"] = chance.sample(counted, chance.randint(1, len(counted)))
        return made

    def transitions(at: int) -> list[dict[str, Any]]:
        if not guards:
            return [transition(at)]
        return [
            transition(at) | ({"when": chance.choice(GUARDS)} if chance.random() < 0.6 else {})
            for _ in range(chance.randint(1, 3))
        ]

    states: dict[str, Any] = {}
    for at, (name, kind) in enumerate(zip(names, kinds, strict=True)):
        state: dict[str, Any] = {}
        if kind == "choice":
            state["always"] = transitions(at)
        else:
            possible = ["failed", "failed.transient", "failed.in_doubt", "*", "cancelled", "undo", "go"]
            events = chance.sample(possible, chance.randint(0, 3))
            if kind != "undo" and chance.random() < 0.3:
                state["timeout"] = "5s"
                events.append("timeout")
            events.append(NEEDED.get(kind, "go"))
            state["on"] = {event: transitions(at) for event in dict.fromkeys(events)}
            if kind == "call":
                state["do"] = chance.choice(CALLED)
                if guards and chance.random() < 0.2:
                    state["with"] = {"n": "6 / (n - 1)"}
            elif kind == "undo":
                state["undo"] = "all"
            elif kind == "wait":
                state["wait"] = chance.choice(("1s", {"initial": "1s", "factor": 2, "cap": "10s"}))
        if name in counted:
            onwards = [*names[at + 1 :], "end", "fail"]
            state |= {"attempts": chance.randint(1, 4), "exhausted": chance.choice(onwards)}
        states[name] = state
    states |= {"end": {"final": "succeeded"}, "fail": {"final": "failed"}}
    callers = [state.get("do") for state in states.values()]
    tools: dict[str, Any] = {}
    for tool in CALLED:
        if chance.random() < 0.4:
            retry: dict[str, Any] = {chance.choice(("transient", "timeout")): {"max": chance.randint(1, 2)}}
            if callers.count("look") == 1 and chance.random() < 0.3:
                retry["stale_data"] = {"max": 1, "refresh": "look"}
            tools[tool] = {"retry": retry}
    on = {"cancelled": [transition(-1)]} if chance.random() < 0.2 else {}
    # Drawn last, so that the rest of a seed's machine is as it always was.
    if chance.random() < 0.25:
        on["amended"] = [{"to": chance.choice([*names, "end", "fail"])}]
    if guards and any(called is not None for called in callers):
        for state in states.values():
            for transition_ in (t for listed in state.get("on", {}).values() for t in listed):
                if "when" in transition_ and chance.random() < 0.3:
                    transition_["when"] = chance.choice(PERISHING)
        if chance.random() < 0.5:
            on["stale"] = [{"to": chance.choice([*names, "end", "fail"])}]
    return declare(states, limits={"steps": steps}, on=on, events={"go": {}}, tools=tools)


PERISHING = ("known.answer && answer.ok", "fresh.answer && answer.size > 2", "!fresh.answer || size > 1")
"""Guards that read, or ask about, what grows stale."""

GUARDS = ("n > 2", "event.name == 'done'", "1 / (n - 1) > 0", "true", "false", "known.failure")
