"""Loops that end by how many calls ended how: what is proved agrees with every run of the real kernel."""

from __future__ import annotations

import random
from typing import Any

import pytest

from statemachine.check import check
from statemachine.check.bounds import bounds_of, prover_of
from statemachine.check.counts import Counts
from statemachine.check.export import exported
from statemachine.machine.definition import Definition
from tests.check.explorer import explore_kernel
from tests.kernel.driving import declare, define

TOOLS = ("look", "put", "mail")
COUNTS = (
    *(f"{of}.{tool}" for tool in TOOLS for of in ("failed", "failed", "succeeded")),
    *("failures.transient", "failures.timeout", "standing.put"),
)
GUARDS = (
    *(
        "history.{} < 2",
        "history.{} <= 1",
        "!(history.{} >= 2)",
        "2 > history.{}",
        "history.{} == 0",
        "n > 0 && history.{} < 2",
    ),
    *("history.{} < 2 || n > 5", "history.{} > 1"),
)


def machine(seed: int) -> Definition:
    """Return a small machine in which most ways back ask for a count, often of the call that they come from."""
    chance = random.Random(seed)
    names = [f"s{i}" for i in range(chance.randint(1, 3))]
    states: dict[str, Any] = {}
    for name in names:
        tool = chance.choice(TOOLS)

        def ways(*own: str) -> list[dict[str, Any]]:
            """Return a way back, and one out; or the other way about."""
            count = chance.choice([*own, *own, *own, chance.choice(COUNTS)])
            back = {"to": chance.choice(names), "when": chance.choice(GUARDS).format(count)}
            if chance.random() < 0.1:
                del back["when"]
            if chance.random() < 0.2:
                return [{"to": "end", "when": f"history.{count} >= 2"}, {"to": back["to"]}]
            return [back, {"to": "end"}]

        if chance.random() < 0.25:
            states[name] = {"always": ways()}
            continue
        on = {
            "done": ways(f"succeeded.{tool}") if chance.random() < 0.4 else "end",
            "failed": ways(f"failed.{tool}"),
        }
        if chance.random() < 0.3:
            on |= {"partial": "fail", "failed.transient": ways("failures.transient", f"failed.{tool}")}
        states[name] = {"do": tool, "on": on}
        if chance.random() < 0.2:
            states[name] |= {"timeout": "5s"}
            on["timeout"] = ways(f"failed.{tool}")
    return declare(
        {**states, "end": {"final": "succeeded"}, "fail": {"final": "failed"}}, limits={"steps": 100_000}
    )


def agreed(seeds: range) -> tuple[int, int]:
    """Return how many machines with loops are proved to end, and how many do end; none is wrongly proved to."""
    proved = ending = 0
    for seed in seeds:
        definition = machine(seed)
        product = prover_of(definition).product
        assert product is not None
        if not product.loops:
            continue
        counts = Counts(definition)
        ends = all(counts.end(counts.moves(product, component)) for component in product.loops)
        explored = explore_kernel(definition)
        assert explored is not None, seed
        assert not (ends and explored.endless), seed
        proved, ending = proved + ends, ending + (not explored.endless)
        if ends:
            assert not [finding for finding in check(definition) if finding.code == "SM203"], seed
    return proved, ending


def test_a_loop_that_is_proved_to_end_ends_in_every_run_of_the_kernel() -> None:
    """Of random machines, enough of which are proved."""
    proved, ending = agreed(range(40))
    assert 0 < proved <= ending, (proved, ending)


def test_an_exported_machine_says_that_counts_are_left_out() -> None:
    """Model checkers see the loop without what ends it, and a bound is not claimed of it, nor that there is none."""
    states = (
        "act: {do: look, on: {done: end, failed: [{to: act, when: history.failed.look < 3}, {to: fail}]}}"
    )
    definition = define(states)
    steps = bounds_of(definition).of("steps")
    assert (steps.counters, steps.exact, steps.binds) == (None, False, "limits.steps")
    assert "`history.failed.look` lets the loop act → act begin anew" in steps.why
    for language in ("prism", "tla", "promela"):
        model = next(iter(exported(definition, language).values()))
        assert "What ends by history.failed.look alone does not end here." in model


@pytest.mark.long
def test_loops_of_many_machines_end_as_is_proved() -> None:
    """The same for more of them."""
    proved, ending = agreed(range(1000, 2000))
    assert 200 < proved <= ending
