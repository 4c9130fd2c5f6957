"""Machines to draw."""

from __future__ import annotations

from random import Random
from typing import Any

from statemachine.machine.model import Declaration


def tangle(size: int, seed: int = 1) -> Declaration:
    """Return a machine of so many states whose random transitions lead mostly to near ones."""
    random = Random(seed)
    names = [f"work_{n}" for n in range(size - 2)]
    guards = ("verdict.ok && verdict.confidence >= 0.8", "attempts.work_1 < 3", "cause.recoverable", None)

    def target(n: int) -> str:
        return random.choice([*names[max(0, n - 4) : n + 5], names[(n + 1) % len(names)], "fail"])

    def ways(n: int) -> list[dict[str, Any]]:
        guard = random.choice(guards)
        return [{"to": target(n), "when": guard}, {"to": target(n)}] if guard else [{"to": target(n)}]

    states: dict[str, Any] = {}
    for n, name in enumerate(names):
        kind = random.choice(("do", "do", "wait", "always", "event"))
        if kind == "do":
            tool = random.choice(("look", "mail"))
            states[name] = {"do": tool, "on": {"done": ways(n), "failed": target(n)}}
        elif kind == "wait":
            states[name] = {"wait": "5s", "on": {"elapsed": ways(n)}}
        elif kind == "always":
            states[name] = {"always": ways(n)}
        else:
            states[name] = {"timeout": "1h", "on": {"decided": ways(n), "timeout": target(n)}}
        if random.random() < 0.3:
            states[name] |= {"attempts": 3, "exhausted": target(n)}
    states[names[-1]] = {"always": "complete"}
    states |= {"complete": {"final": "succeeded"}, "fail": {"final": "failed"}}
    mail = {"python": "t.py:mail", "effect": "write", "reversibility": "none", "idempotent": False}
    tools = {"look": {"python": "t.py:look", "effect": "read"}, "mail": mail}
    return Declaration.model_validate(
        {"machine": "tangle", "version": "1", "initial": names[0], "tools": tools, "states": states}
        | {"on": {"cancelled": "fail"}}
    )
