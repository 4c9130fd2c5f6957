"""Machines to draw: the canonical loop, a large one, and random ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from ruamel.yaml import YAML

from statemachine.machine.model import Declaration

TOOLS = {
    "look": {"python": "tools.py:look", "effect": "read"},
    "crm.change": {
        "python": "tools.py:change",
        "effect": "write",
        "reversibility": "full",
        "idempotent": True,
        "retry": {"transient": {"max": 3}},
    },
    "send": {"python": "tools.py:send", "effect": "write", "reversibility": "none", "idempotent": False},
}

# Words that mean something to DOT or to Mermaid are good names of states too.
NAMES = ("plan", "node", "graph", "end", "state", "class", "default", "find_cause", "strict", "note", "s0")
GUARDS = st.sampled_from(
    ["n > 1", "ok && !late", 'kind == "a<b"', "a || b", "[1, 2] == xs", "x == '--> y: z'", "é; #35; %%"]
)


def agent() -> Declaration:
    """The canonical seven states."""
    return Declaration.model_validate(
        YAML(typ="safe", pure=True).load(Path(__file__).with_name("agent.yaml"))
    )


def pipeline(stages: int = 5) -> Declaration:
    """Stages that are canonical loops, one after the other, between a choice and a person's decision."""
    states: dict[str, Any] = {
        "intake": {"do": "look", "on": {"done": "route", "failed": "fail"}},
        "route": {
            "always": [
                {"to": "plan_1", "when": "kind == 'new'"},
                {"to": f"plan_{min(3, stages)}", "when": "kind == 'amend' && size(findings) > 2"},
                {"to": "fail"},
            ]
        },
    }
    for i in range(1, stages + 1):
        plan, act, validate, diagnose, retry = (
            f"{name}_{i}" for name in ("plan", "act", "validate", "diagnose", "retry")
        )
        onwards = {"to": f"plan_{i + 1}" if i < stages else "approval", "when": "verdict.confidence >= 0.8"}
        wrong = {"failed": diagnose, "partial": diagnose, "timeout": diagnose}
        states |= {
            plan: {"do": "look", "on": {"done": act, "failed": diagnose}},
            act: {"do": "crm.change", "timeout": "60s", "on": {"done": validate, **wrong}},
            validate: {"do": "look", "on": {"done": [onwards, {"to": diagnose}], "failed": diagnose}},
            diagnose: {
                "do": "look",
                "on": {
                    "done": [{"to": retry, "when": "cause.recoverable"}, {"to": "fail"}],
                    "failed": "fail",
                },
            },
            retry: {"wait": "5s", "attempts": 3, "exhausted": "fail", "on": {"elapsed": plan}},
        }
    states |= {
        "approval": {"timeout": "1d", "on": {"approve": "notify", "deny": "fail", "timeout": "fail"}},
        "notify": {"do": "send", "on": {"done": "complete", "failed": "fail"}},
        "complete": {"final": "succeeded"},
        "fail": {"final": "failed"},
    }
    return Declaration.model_validate(
        {
            "machine": "pipeline",
            "version": "2",
            "tools": TOOLS,
            "events": {"approve": {}, "deny": {}},
            "initial": "intake",
            "on": {"cancelled": "fail"},
            "states": states,
        }
    )


@st.composite
def declarations(draw: st.DrawFn, guards: st.SearchStrategy[str] = GUARDS) -> Declaration:
    """Valid machines of two to twelve states of all kinds, with every kind of transition."""
    names = draw(st.permutations(NAMES))[: draw(st.integers(0, 10))]
    all_names = [*names, "complete", "fail"]
    target = st.sampled_from(all_names)
    transition = st.fixed_dictionaries(
        {"to": target},
        optional={
            "when": guards | st.just({"python": "tools.py:ready"}),
            "resets": st.lists(target, max_size=2, unique=True),
        },
    )
    some = st.lists(transition, min_size=1, max_size=4)
    states: dict[str, Any] = {}
    for name in names:
        state: dict[str, Any] = {}
        if draw(st.booleans()):
            state |= {"attempts": draw(st.integers(1, 9)), "exhausted": draw(target)}
        kind = draw(st.sampled_from(["call", "wait", "choice", "event"]))
        if kind == "choice":
            state["always"] = draw(some)
        else:
            events = ["*", "go", "mail.came", "timeout", "limit.steps"]
            if kind == "call":
                state["do"] = draw(st.sampled_from(list(TOOLS)))
                events += ["done", "failed", "failed.transient", "partial"]
            elif kind == "wait":
                state["wait"] = draw(st.sampled_from(["5s", {"initial": "1s", "factor": 3, "cap": "1m"}]))
                events += ["elapsed"]
            state["timeout"] = "90s"
            state["on"] = draw(st.dictionaries(st.sampled_from(events), some, min_size=1, max_size=4))
        states[name] = state
    states |= {"complete": {"final": "succeeded"}, "fail": {"final": "failed"}}
    return Declaration.model_validate(
        {
            "machine": draw(st.sampled_from(["demo", "graph", "digraph"])),
            "version": draw(st.sampled_from(["1", "2.0-rc1", '"; -->'])),
            "tools": TOOLS,
            "events": {"go": {}, "mail.came": {}},
            "initial": draw(target),
            "on": draw(st.dictionaries(st.sampled_from(["go", "cancelled", "limit"]), some, max_size=2)),
            "states": states,
        }
    )


Relation = tuple[str, str, str, str, tuple[str, ...]]
"""Source, label, guard, target and resets of one transition, as a picture tells them."""


def relations(declaration: Declaration) -> Counter[Relation]:
    """What a complete picture of a machine must tell, read from its declaration alone."""
    return Counter(_relations(declaration))


def _relations(declaration: Declaration) -> Iterator[Relation]:
    tables = [("any state", event, ts) for event, ts in declaration.on.items()]
    for name, state in declaration.states.items():
        tables += [(name, event, ts) for event, ts in state.on.items()]
        tables += [(name, "at once", state.always)] if state.always else []
        if state.exhausted:
            yield name, f"exhausted after {state.attempts}", "", state.exhausted, ()
    for name, event, transitions in tables:
        label = {"*": "any other event"}.get(event, event)
        if event == "timeout":
            label = "timeout 90s"
        guarded = sum(t.when is not None for t in transitions)
        for n, t in enumerate(transitions, 1):
            when = "tools.py:ready()" if t.when and not isinstance(t.when, str) else t.when
            order = f"{n}. " if guarded > 1 else ""
            yield name, f"{order}{label}", str(when or ("else" if n > 1 else "")), t.to, t.resets
