"""A run that repeats itself raises `stuck`, which the machine may answer."""

from __future__ import annotations

from typing import Any

import pytest

from statemachine.errors import InvalidMachine
from tests.kernel.driving import BAD, GOOD, Run, declare

ENDS = {"end": {"final": "succeeded"}, "fail": {"final": "failed"}}


def looping(period: int, **limits: Any) -> Run:
    """Return a run that makes the same calls round and round, a cycle of so many."""
    states: dict[str, Any] = {}
    for n in range(period):
        states[f"s{n}"] = {"do": "look", "with": {"n": f"n + {n}"}, "on": {"done": f"s{(n + 1) % period}"}}
    return Run(declare({**states, **ENDS}, limits={"stuck_after": 3, **limits}))


@pytest.mark.parametrize("period", range(1, 6))
def test_a_cycle_of_up_to_five_calls_is_found_at_its_third_round(period: int) -> None:
    """Not one call earlier; unanswered, it ends the run with the reason."""
    run = looping(period)
    for _ in range(3 * period - 1):
        assert run.status == "running"
        run.finish(GOOD)
    run.settle()
    assert (run.status, run.last.snapshot.state) == ("failed", "fail")
    assert "stuck" in run.last.snapshot.because
    assert "3 times in a row" in run.last.snapshot.because
    assert run.last.snapshot.calls == 3 * period - 1, "the call that would repeat is not made"


def test_a_longer_cycle_is_none() -> None:
    """Six different calls in turn are work, as far as this can tell; the limits still end it."""
    run = looping(6)
    for _ in range(60):
        run.finish(GOOD)
    assert run.status == "running"


def test_the_machine_may_answer_and_is_then_given_time_again() -> None:
    """After the answer the count starts anew."""
    states = {
        "act": {"do": "look", "on": {"done": "act", "stuck": "think"}},
        "think": {"do": "look", "with": {"n": "n + 1"}, "on": {"done": "act"}},
        **ENDS,
    }
    run = Run(declare(states, limits={"stuck_after": 2}))
    run.finish(GOOD)
    assert run.settle().last.snapshot.state == "think"
    assert run.last.receipt.event == "stuck"
    run.finish(GOOD)
    assert (run.status, run.last.snapshot.state) == ("running", "act")


def test_rounds_that_change_no_watched_field_are_found() -> None:
    """The third entry in a row of the counting state with the same `size` is one too many."""
    states = {
        "act": {
            "do": "look",
            "with": {"n": "attempts.again + 1"},
            "save": {"size": "output.size"},
            "on": {"done": "again"},
        },
        "again": {"attempts": 50, "exhausted": "fail", "always": "act"},
        **ENDS,
    }
    run = Run(declare(states, limits={"stuck_after": 3, "watch": ["size"]}))
    for size in (3, 0, 3, 3):
        run.finish({**BAD, "size": size})
        run.settle()
        assert run.status == "running"
    run.finish(GOOD)
    run.settle()
    assert run.status == "failed"
    assert "no change of size in 3 rounds of again" in run.last.snapshot.because


def test_a_retry_by_policy_is_no_repetition() -> None:
    """The policy has a limit of its own."""
    policy = {"transient": {"max": 9, "initial": "1s", "jitter": "none"}}
    states = {"act": {"do": "look", "on": {"done": "end", "failed": "fail"}}, **ENDS}
    run = Run(declare(states, limits={"stuck_after": 2}, tools={"look": {"retry": policy}}))
    for _ in range(5):
        run.fail("transient")
        run.wait()
    run.finish(GOOD)
    assert run.status == "succeeded"


def test_what_cannot_be_raised_cannot_be_routed() -> None:
    """`stuck` without `stuck_after` is a mistake, as is watching what is not there."""
    states = {"act": {"do": "look", "on": {"done": "end", "stuck": "fail"}}, **ENDS}
    with pytest.raises(InvalidMachine, match="stuck_after"):
        declare(states)
    with pytest.raises(InvalidMachine, match="no context field `sise`"):
        declare({**states}, limits={"stuck_after": 2, "watch": ["sise"]})
