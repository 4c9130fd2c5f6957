"""What a step costs: ours against a bare trigger of `transitions`, side by side in one run.

Both go round the same loop of seven states, plan, act, validate, diagnose, retry and back, with a guard on every
transition. Ours is the whole pure step: typed guard, counters, limits, receipt, journal entries, new snapshot.
Bare is `transitions` with lambda guards, moving an unregistered model. Batches alternate, so that both meet
the same load of the machine. Run: ``python -m tests.benchmarks.kernel [--json] [--batches N]``.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from types import SimpleNamespace

from ruamel.yaml import YAML
from transitions import Machine

from statemachine.kernel import FINISH, Event, start, step
from statemachine.machine.model import Declaration
from statemachine.machine.outcome import Outcome
from statemachine.machine.resolve import resolve
from tests.kernel.driving import FOLDER

LOOP = """
machine: loop
version: "1"
context: {n: {type: int, owner: operator, default: 3}}
events: {go: {}}
limits: {steps: 1000000, calls: 1000000, elapsed: 10d}
initial: plan
states:
  plan: {on: {go: {to: act, when: n > 0}}}
  act: {on: {go: {to: validate, when: n > 0}}}
  validate: {on: {go: [{to: complete, when: n > 5}, {to: diagnose, when: n < 5}]}}
  diagnose: {on: {go: [{to: retry, when: n == 3}, {to: fail}]}}
  retry: {attempts: 1000000, exhausted: fail, on: {go: {to: plan, when: n > 0}}}
  complete: {final: succeeded}
  fail: {final: failed}
"""
CALLS = """
machine: calls
version: "1"
context: {n: {type: int, owner: operator, default: 3}, answer: {type: "tools.py:Answer", owner: [plan, act]}}
limits: {steps: 1000000, calls: 1000000, elapsed: 10d}
tools: {look: {python: "tools.py:look", effect: read}}
initial: plan
states:
  plan: {do: look, save: answer, on: {done: [{to: act, when: answer.score > 0.5}, {to: fail}], failed: fail}}
  act: {do: look, save: answer, on: {done: [{to: plan, when: answer.score > 0.5}, {to: fail}], failed: fail}}
  fail: {final: failed}
"""
GUARDS: dict[str, list[tuple[str, Callable[..., bool] | None]]] = {
    "plan": [("act", lambda event: event.model.n > 0)],
    "act": [("validate", lambda event: event.model.n > 0)],
    "validate": [
        ("complete", lambda event: event.model.n > 5),
        ("diagnose", lambda event: event.model.n < 5),
    ],
    "diagnose": [("retry", lambda event: event.model.n == 3), ("fail", None)],
    "retry": [("plan", lambda event: event.model.n > 0)],
}
STEPS = 500
"""Steps in a batch; a multiple of the loop's length."""


def ours() -> Callable[[], None]:
    """Return a batch of guarded steps."""
    definition = resolve(Declaration.model_validate(YAML(typ="safe").load(LOOP)), FOLDER)
    first, event = start(definition, "run", {}, 0.0).snapshot, Event("go")

    def batch() -> None:
        snapshot = first
        for _ in range(STEPS):
            snapshot = step(definition, snapshot, event, 1.0).snapshot
        _expect(snapshot.state == "plan")

    return batch


def calls() -> Callable[[], None]:
    """Return a batch of outcomes: each is saved and judged by a guard, and leads to the next call's intent."""
    definition = resolve(Declaration.model_validate(YAML(typ="safe").load(CALLS)), FOLDER)
    first = start(definition, "run", {}, 0.0)
    outcome = Outcome({"ok": True, "score": 0.9, "size": 1})

    def batch() -> None:
        made = first
        for _ in range(STEPS):
            assert made.call is not None
            event = Event(FINISH, outcome=outcome, key=made.call.key)
            made = step(definition, made.snapshot, event, 1.0)
        _expect(made.snapshot.state == "plan")

    return batch


def bare() -> Callable[[], None]:
    """Return a batch of bare triggers."""
    states = [*GUARDS, "complete", "fail"]
    machine = Machine(model=None, states=states, initial=None, auto_transitions=False, send_event=True)
    for source, edges in GUARDS.items():
        for target, guard in edges:
            machine.add_transition("go", source, target, conditions=guard)

    def batch() -> None:
        model, event = SimpleNamespace(state="plan", n=3), machine.events["go"]
        for _ in range(STEPS):
            event.trigger(model)
        _expect(model.state == "plan")

    return batch


def _expect(holds: bool) -> None:
    if not holds:
        raise RuntimeError("the loop did not come back to its first state: the figures would mean nothing")


def measure(batches: int) -> dict[str, dict[str, float]]:
    """Return median and quartiles of a step, in microseconds, of each contender."""
    contenders = {"bare transitions": bare(), "step": ours(), "step after a call": calls()}
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(batches + 5):
        for name, batch in contenders.items():
            begun = time.perf_counter()
            batch()
            if turn >= 5:  # the first batches warm caches up
                taken[name].append((time.perf_counter() - begun) / STEPS * 1e6)
    found = {}
    for name, times in taken.items():
        low, median, high = statistics.quantiles(times, n=4)
        ratio = statistics.median(t / b for t, b in zip(times, taken["bare transitions"], strict=True))
        found[name] = {"median": median, "quartile_1": low, "quartile_3": high, "times_bare": ratio}
    return found


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    options.add_argument("--json", action="store_true", help="print JSON")
    options.add_argument("--batches", type=int, default=200, help=f"batches of {STEPS} steps (default: 200)")
    given = options.parse_args()
    found = measure(given.batches)
    if given.json:
        about = {"python": platform.python_version(), "unit": "us a step", "batches": given.batches}
        print(json.dumps({**about, "results": found}))
        return
    print(f"{'us a step':20} {'median':>8} {'quartiles':>15} {'x bare':>8}")
    for name, row in found.items():
        quartiles = f"{row['quartile_1']:.1f} - {row['quartile_3']:.1f}"
        print(f"{name:20} {row['median']:8.1f} {quartiles:>15} {row['times_bare']:8.2f}")


if __name__ == "__main__":
    main()
