"""A machine of thirty states as one finds them at work, a later version of it, and a run through it."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from statemachine.kernel import Immediate, PendingCall, Step
from statemachine.machine.definition import Definition
from tests.kernel.driving import BAD, GOOD, Run, declare


def _loop(name: str, onwards: str, tool: str = "look") -> dict[str, Any]:
    """Return a step of work that is checked, diagnosed and tried again."""
    wrong = {"failed": f"diagnose_{name}"}
    return {
        name: {"do": tool, "save": "answer", "on": {"done": f"check_{name}", **wrong}},
        f"check_{name}": {
            "do": "look",
            "save": "answer",
            "on": {"done": [{"to": onwards, "when": "answer.ok"}, {"to": f"diagnose_{name}"}], **wrong},
        },
        f"diagnose_{name}": {
            "do": "look",
            "save": "answer",
            "on": {
                "done": [{"to": f"retry_{name}", "when": "answer.score >= 0.1"}, {"to": "fail"}],
                "failed": "fail",
            },
        },
        f"retry_{name}": {"attempts": 4, "exhausted": "escalate", "wait": "5s", "on": {"elapsed": name}},
    }


def claims(**changes: Any) -> Definition:
    """Return the machine: how an insurer settles a claim; ``changes`` replace states, None takes one away."""
    states: dict[str, Any] = {
        "receive": {"do": "look", "save": "answer", "on": {"done": "verify_policy", "failed": "fail"}},
        "verify_policy": {
            "do": "look",
            "save": "answer",
            "on": {"done": [{"to": "route", "when": "answer.ok"}, {"to": "reject"}], "failed": "escalate"},
        },
        "route": {
            "always": [
                {"to": "pay", "when": "n < 2"},
                {"to": "check_fraud", "when": "n > 20"},
                {"to": "inspect"},
            ]
        },
        "check_fraud": {
            "do": "look",
            "save": "answer",
            "on": {
                "done": [{"to": "inspect", "when": "answer.ok"}, {"to": "escalate"}],
                "failed": "escalate",
            },
        },
        **_loop("inspect", "await_report", "put"),
        "await_report": {"timeout": "14d", "on": {"reported": "estimate", "timeout": "inspect"}},
        **_loop("estimate", "reserve"),
        "reserve": {"do": "put", "save": "answer", "on": {"done": "ask_lead", "failed": "escalate"}},
        "ask_lead": {
            "timeout": "2d",
            "on": {"approved": "letter", "refused": "estimate", "timeout": "escalate"},
        },
        **_loop("letter", "send_letter"),
        "send_letter": {"do": "mail", "save": "answer", "on": {"done": "pay", "failed": "escalate"}},
        "pay": {"do": "post", "save": "answer", "on": {"done": "confirm", "failed": "escalate"}},
        "confirm": {
            "do": "look",
            "save": "answer",
            "on": {
                "done": [{"to": "archive", "when": "answer.ok"}, {"to": "escalate"}],
                "failed": "cool_down",
            },
        },
        "cool_down": {"attempts": 3, "exhausted": "escalate", "wait": "1m", "on": {"elapsed": "confirm"}},
        "escalate": {"timeout": "7d", "on": {"approved": "archive", "refused": "reject", "timeout": "fail"}},
        "archive": {"do": "put", "save": "answer", "on": {"done": "complete", "failed": "fail"}},
        "reject": {"do": "mail", "save": "answer", "on": {"done": "rejected", "failed": "fail"}},
        "complete": {"final": "succeeded"},
        "rejected": {"final": "failed"},
        "fail": {"final": "failed"},
    }
    states = {name: state for name, state in (states | changes).items() if state is not None}
    retry = {"retry": {"transient": {"max": 2}}}
    return declare(
        states,
        machine="claims",
        version="2" if changes else "1",
        events={"reported": {}, "approved": {}, "refused": {}},
        tools={"look": retry, "post": retry},
        on={"cancelled": "fail"},
        limits={"steps": 300, "elapsed": "60d", "otherwise": "fail"},
    )


def later() -> Definition:
    """Return a later version: a second check, a state less, other guards, limits and targets."""
    return claims(
        check_fraud=None,
        route={
            "always": [
                {"to": "pay", "when": "n < 5"},
                {"to": "screen", "when": "n > 20"},
                {"to": "inspect"},
            ]
        },
        screen={"do": "look", "save": "answer", "on": {"done": "second_opinion", "failed": "escalate"}},
        second_opinion={
            "timeout": "1d",
            "on": {"approved": "inspect", "refused": "reject", "timeout": "escalate"},
        },
        retry_estimate={"attempts": 6, "exhausted": "escalate", "wait": "30s", "on": {"elapsed": "estimate"}},
        confirm={"do": "look", "save": "answer", "on": {"done": "archive", "failed": "escalate"}},
        cool_down=None,
    )


def settled(seed: int = 5, most: int = 200) -> Run:
    """Return a run of it, whose tools fail and whose people decide as the seed says."""
    random = Random(seed)
    run = Run(claims(), n=30)
    for _ in range(most):
        if run.last.snapshot.finished:
            break
        _move(run, random)
    return run


def _move(run: Run, random: Random) -> Step:
    run.now += random.choice((0.02, 0.4, 3.0, 40.0))
    pending = run.pending
    if isinstance(pending, PendingCall) and pending.phase == "sent":
        if random.random() < 0.12:
            return run.fail("transient")
        return run.finish(GOOD if random.random() < 0.75 else BAD)
    if pending is None and not isinstance(pending, Immediate):
        run.now += random.choice((600, 7200, 90_000))
        return run.send(
            "reported" if run.state == "await_report" else random.choice(("approved", "approved", "refused"))
        )
    return run.wait()


def written(run: Run) -> Iterator[tuple[int, float, str, Any]]:
    """Yield a run's records as its journal holds them."""
    entries = ((made.at, kind, body) for made in run.steps for kind, body in made.entries)
    for n, (at, kind, body) in enumerate(entries, 1):
        yield n, at, kind, body
