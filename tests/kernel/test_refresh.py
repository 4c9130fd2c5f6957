"""Stale data are read anew through a named tool, and the call is made with what was read."""

from __future__ import annotations

from typing import Any

import pytest

from statemachine.errors import InvalidMachine
from statemachine.machine.definition import Definition
from tests.kernel.driving import BAD, GOOD, Run, declare

STATES: dict[str, Any] = {
    "read": {"do": "look", "save": {"answer": "output", "size": "output.size"}, "on": {"done": "update"}},
    "update": {"do": "mail", "with": {"n": "size"}, "on": {"done": "end", "failed": "fail"}},
    "end": {"final": "succeeded"},
    "fail": {"final": "failed"},
}


def machine(**changes: Any) -> Definition:
    """Return a machine that reads, and writes what depends on it."""
    tools = {"mail": {"retry": {"stale_data": {"max": 2, "refresh": "look"}}}}
    return declare(STATES, **{"tools": tools, **changes})


def updating() -> Run:
    """Return a run whose update is under way."""
    run = Run(machine())
    run.finish({**GOOD, "size": 3})
    assert (run.call.tool, run.call.input) == ("mail", {"n": 3})
    return run


def test_the_data_are_read_and_the_call_is_made_anew() -> None:
    """With the new input, as a call of its own: what failed has another key."""
    run = updating()
    first = run.call.key
    run.fail("stale_data")
    assert (run.call.tool, run.last.snapshot.state) == ("look", "update")
    run.finish({**GOOD, "size": 4})
    assert (run.call.tool, run.call.input) == ("mail", {"n": 4})
    assert run.call.key != first
    assert run.last.snapshot.sources["size"].by == "read"
    run.finish(GOOD)
    assert run.status == "succeeded"


def test_stale_to_the_end_is_a_typed_failure() -> None:
    """An exhausted refresh is never success: after two of them the third stale answer fails the run."""
    run = updating()
    for size in (4, 5):
        run.fail("stale_data")
        run.finish({**GOOD, "size": size})
    run.fail("stale_data")
    assert run.status == "failed"
    failure = run.last.snapshot.failure
    assert failure is not None
    assert (failure["class"], failure["tool"]) == ("stale_data", "mail")
    assert "after 2 retries" in failure["message"]


def test_what_cannot_be_read_anew_stays_stale() -> None:
    """The failure of the read is told, as the failure of the call that needed it."""
    run = updating()
    run.fail("stale_data")
    run.fail("permission")
    assert run.status == "failed"
    assert "could not read them anew" in run.last.snapshot.because
    assert run.last.snapshot.failure is not None
    assert run.last.snapshot.failure["class"] == "stale_data"


def test_a_refresh_that_a_crash_interrupts_is_made_again() -> None:
    """It is a read; the call that needed it is still made afterwards."""
    run = updating()
    run.fail("stale_data")
    run.crash()
    assert (run.call.tool, run.call.attempt) == ("look", 2)
    run.finish({**BAD, "size": 9})
    assert run.call.input == {"n": 9}


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        ({"stale_data": {"max": 1}}, "names the tool to refresh with"),
        ({"transient": {"max": 1, "refresh": "look"}}, "no other does"),
        ({"stale_data": {"max": 1, "refresh": "put"}}, "only reads"),
        ({"stale_data": {"max": 1, "refresh": "posted"}}, "no state calls it"),
        ({"stale_data": {"max": 1, "refresh": "lok"}}, "did you mean `look`"),
        ({"stale_data": {"max": 1, "refresh": "look", "initial": "1s"}}, "at once"),
    ],
)
def test_a_wrong_policy_is_refused(policy: dict[str, Any], says: str) -> None:
    """Each with what to write instead."""
    with pytest.raises((InvalidMachine, ValueError), match=says):
        machine(tools={"mail": {"retry": policy}})
