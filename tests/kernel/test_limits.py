"""Runs end: attempts, limits, time-outs and cancellation."""

from __future__ import annotations

import pytest

from statemachine.kernel import due
from tests.kernel.driving import GOOD, Run, define

LOOP = """
act: {do: look, on: {done: again, failed: fail}}
again: {attempts: 2, exhausted: fail, always: act}
"""
EVENTS: dict[str, dict[str, str]] = {"go": {}, "reset": {}, "other": {}}


# Attempts


def test_one_more_entry_than_declared_goes_to_the_exhausted_target() -> None:
    """Each entry counts; the receipt and the record say that the target is another, the reason says why."""
    run = Run(define(LOOP))
    for attempt in (1, 2):
        run.finish(GOOD)
        assert run.last.snapshot.attempts == run.last.receipt.attempts == {"again": attempt}
        run.settle()
    made = run.finish(GOOD)
    assert (made.receipt.instead, made.receipt.target, run.status) == ("exhausted", "fail", "failed")
    assert run.because == "again was entered 2 times, as often as it may"
    assert made.entries[-2][1]["instead"] == "exhausted"


def test_exhausted_states_lead_on_until_one_may_be_entered() -> None:
    """A chain is followed in one step, and only the state that is entered counts."""
    states = """
wait: {on: {go: a}}
a: {attempts: 1, exhausted: b, on: {go: a}}
b: {attempts: 1, exhausted: c, on: {go: a}}
c: {attempts: 1, exhausted: fail, on: {go: a}}
"""
    run = Run(define(states, events=EVENTS))
    path = [run.send("go").receipt.target for _ in range(4)]
    assert (path, dict(run.attempts)) == (["a", "b", "c", "fail"], {"a": 1, "b": 1, "c": 1})
    assert run.because == "a was entered 1 times, as often as it may"


def test_attempts_fall_only_by_a_declared_reset() -> None:
    """The reset counts before the entry does, so it can open an exhausted state again."""
    states = "a: {attempts: 2, exhausted: fail, on: {go: a, reset: {to: a, resets: [a]}, other: b}}\nb: {on: {go: a}}"
    run = Run(define(states, events=EVENTS))
    seen = []
    for event in ("go", "reset", "go", "reset", "other", "go", "go"):
        run.send(event)
        seen.append(run.attempts["a"])
    assert (seen, run.status) == ([2, 1, 2, 1, 1, 2, 2], "failed")
    assert run.entries[4][0] == "event"
    assert run.entries[5][1] == {"event": "reset", "from": "a", "to": "a", "resets": ["a"], "attempt": 1}


def test_guards_see_attempts() -> None:
    """attempts.x is how often x was entered, from zero."""
    run = Run(
        define(
            "wait: {on: {go: [{to: a, when: attempts.a < 1}, {to: end}]}}\na: {attempts: 5, exhausted: fail, always: wait}",
            events=EVENTS,
        )
    )
    run.send("go"), run.settle(), run.send("go")
    assert (run.status, run.attempts) == ("succeeded", {"a": 1})


def test_a_wait_grows_with_the_attempts_of_its_state() -> None:
    """initial * factor ** (n - 1), at most cap; the timer is in the journal."""
    run = Run(
        define(
            "go: {always: nap}\nnap: {attempts: 4, exhausted: fail, wait: {initial: 1s, factor: 3, cap: 10s}, on: {elapsed: nap}}"
        )
    ).settle()
    waits = []
    while not run.finished:
        assert run.entries[-1] == ("timer_set", {"due": run.pending.due})
        waits.append(run.pending.due - run.now)
        run.wait()
    assert waits == [1, 3, 9, 10]


# Limits


@pytest.mark.parametrize(
    ("limits", "limit", "reason"),
    [
        ({"steps": 5}, "limit.steps", "the run reached its limit of 5 steps"),
        ({"calls": 3}, "limit.calls", "the run reached its limit of 3 calls"),
        ({"elapsed": "30s"}, "limit.elapsed", "the run reached its limit of 30s"),
        ({"cost": {"usd": 1.5}}, "limit.cost.usd", "the run reached its limit of a cost of 1.5 usd"),
    ],
)
@pytest.mark.parametrize("routed", [False, True])
def test_a_limit_is_a_transition_to_a_final_state_with_the_reason(
    limits: dict[str, object], limit: str, reason: str, routed: bool
) -> None:
    """Without a route it is the machine's `otherwise`; with one it is what the machine says, most specific first."""
    on = {limit: "spent", "limit": "fail"} if routed else {}
    run = Run(
        define(
            "act: {do: look, on: {done: act, failed: fail}}\nspent: {final: failed}",
            limits={**limits, "otherwise": "fail"},
            on=on,
        )
    )
    while not run.finished:
        run.now += 11
        run.finish(GOOD, cost={"usd": 0.5})
    assert (run.state, run.status, run.because) == ("spent" if routed else "fail", "failed", reason)
    assert (run.last.receipt.event, run.last.receipt.instead, run.last.receipt.verdict) == (
        "done",
        limit,
        "taken",
    )


@pytest.mark.parametrize("limits", [{"steps": 1}, {"calls": 1}, {"elapsed": "1s"}, {"cost": {"usd": 1}}])
def test_ending_is_never_forbidden(limits: dict[str, object]) -> None:
    """A run that is over every limit may still succeed, if that is where it goes."""
    run = Run(define("act: {do: look, on: {done: end, failed: fail}}", limits=limits))
    run.now += 1
    run.finish(GOOD, cost={"usd": 5})
    assert run.status == "succeeded"


def test_a_limit_may_be_used_up() -> None:
    """What is declared may be spent to the last; only more than that is over it."""
    run = Run(define("act: {do: look, on: {done: act, failed: fail}}", limits={"cost": {"usd": 1}}))
    run.finish(GOOD, cost={"usd": 1})
    assert (run.status, run.cost) == ("running", {"usd": 1})


def test_a_limit_may_lead_to_success() -> None:
    """What is good enough by then may be an answer: the machine says so."""
    run = Run(
        define(
            "act: {do: look, on: {done: act, failed: fail}}", limits={"calls": 2}, on={"limit.calls": "end"}
        )
    )
    run.finish(GOOD), run.finish(GOOD)
    assert (run.status, run.because) == ("succeeded", "")


@pytest.mark.parametrize(
    ("limits", "cost"), [({"calls": 2}, 0), ({"cost": {"usd": 1}}, 0.6), ({"elapsed": "2s"}, 0)]
)
def test_retries_are_limited_too(limits: dict[str, object], cost: float) -> None:
    """A call is not made again over a limit; the last failure is part of the reason."""
    policy = {"retry": {"transient": {"max": 1000, "jitter": "none", "factor": 1}}}
    run = Run(define("act: {do: look, on: {done: end, failed: fail}}", limits=limits, tools={"look": policy}))
    while not run.finished:
        run.fail("transient", cost={"usd": cost})
        run.wait()
    assert (run.calls, run.status) == (2, "failed")


def test_the_reason_for_a_limit_names_the_last_failure() -> None:
    """Whoever reads it sees what the run was struggling with."""
    run = Run(define("act: {do: look, on: {done: act, failed: act}}", limits={"steps": 2}))
    run.fail("fatal"), run.fail("fatal")
    assert (
        run.because
        == "the run reached its limit of 2 steps; last failure: look failed in act (fatal): it was fatal"
    )


def test_reasons_do_not_grow_with_the_run() -> None:
    """A state that is exhausted again and again says so once."""
    run = Run(define("a: {attempts: 1, exhausted: b, on: {go: a}}\nb: {on: {go: a}}", events=EVENTS))
    reasons = {run.send("go").snapshot.because for _ in range(9)}
    assert reasons == {"a was entered 1 times, as often as it may"}


def test_time_limits_move_a_run_that_waits() -> None:
    """Nobody needs to send anything: the limit is due like any timer."""
    run = Run(define("wait: {on: {go: end}}", events=EVENTS, limits={"elapsed": "1h"}))
    assert run.due[0] == 4600.0
    run.wait()
    assert (run.status, run.because) == ("failed", "the run reached its limit of 1h")


# Time


def test_a_time_out_is_an_event_with_a_declared_target() -> None:
    """It counts from the entry into the state."""
    run = Run(
        define("wait: {timeout: 1m, on: {go: end, timeout: late}}\nlate: {on: {go: end}}", events=EVENTS)
    )
    assert run.due[0] == 1060.0
    assert run.wait().receipt.target == "late"
    assert due(run.definition, run.last.snapshot) is None


def test_each_entry_starts_the_time_out_anew() -> None:
    """Also entering the same state again."""
    run = Run(define("wait: {timeout: 1m, on: {go: wait, timeout: fail}}", events=EVENTS))
    run.now += 59
    run.send("go")
    assert (run.entered, run.due[0]) == (1059.0, 1119.0)


def test_a_time_out_gives_up_a_call_that_may_be_made_again_only() -> None:
    """A read is left; a write that must not be repeated is waited for."""
    states = "act: {do: TOOL, timeout: 1m, on: {done: end, failed: fail, timeout: fail}}"
    assert Run(define(states.replace("TOOL", "look"))).wait().receipt.target == "fail"
    run = Run(define(states.replace("TOOL", "mail")))
    assert due(run.definition, run.last.snapshot) is None
    run.now += 100
    assert run.send("timeout").entries == ()
    assert run.finish(GOOD).receipt.target == "end"


@pytest.mark.parametrize("event", ["elapsed", "timeout", "limit.elapsed", "always", "failed.guard"])
def test_time_raises_no_event_before_it_is_due(event: str) -> None:
    """An event of time that comes early, twice or in the wrong state changes nothing."""
    run = Run(
        define(
            "nap: {wait: 5s, timeout: 6s, on: {elapsed: ask, timeout: fail}}\nask: {on: {go: end}}",
            events=EVENTS,
            limits={"elapsed": "7s"},
        )
    )
    run.now += 4.999999
    assert run.send(event).entries == ()
    run.wait()
    assert run.send(event).entries == ()
    assert run.state == "ask"


def test_the_earliest_of_several_moments_comes_first() -> None:
    """Timer, time-out and limit are all considered."""
    states = "nap: {wait: WAIT, timeout: 6s, on: {elapsed: end, timeout: fail}}"
    for wait, limit, first in (
        ("5s", "7s", "elapsed"),
        ("8s", "7s", "timeout"),
        ("8s", "5s", "limit.elapsed"),
    ):
        run = Run(define(states.replace("WAIT", wait), limits={"elapsed": limit}))
        assert run.due[1].name == first


def test_times_count_to_the_microsecond() -> None:
    """What a journal cannot hold plays no part; a moment that is due is taken."""
    run = Run(define("nap: {wait: 1s, timeout: 300ms, on: {elapsed: end, timeout: nap}}"), now=0.1234567891)
    assert (run.last.at, run.started, run.pending.due) == (0.123457, 0.123457, 1.123457)
    for _ in range(50):
        run.wait()
        assert run.last.receipt.event == "timeout"


# Cancellation


def test_a_cancelled_run_ends_where_it_is() -> None:
    """Without a route it stops in its state, with the status and the reason."""
    run = Run(define("wait: {on: {go: end}}", events=EVENTS))
    made = run.send("cancelled", by="ann")
    assert [kind for kind, _ in made.entries] == ["event", "run_finished"]
    assert (run.status, run.state, run.because, run.finished) == (
        "cancelled",
        "wait",
        "cancelled by ann",
        True,
    )


def test_a_cancellation_can_be_routed_and_the_run_is_still_cancelled() -> None:
    """The machine may clean up first; failing then counts as cancelled."""
    run = Run(
        define(
            "wait: {on: {'*': end}}\nclean: {do: put, on: {done: fail, failed: fail}}",
            events=EVENTS,
            on={"cancelled": "clean"},
        )
    )
    run.send("cancelled")
    assert (run.state, run.status) == ("clean", "running")
    run.finish(GOOD)
    assert (run.state, run.status, run.because) == ("fail", "cancelled", "cancelled")


def test_a_cancellation_waits_for_a_call_that_must_not_be_left() -> None:
    """A read is given up; an unsafe write is not: its outcome would be unknown."""
    states = "act: {do: TOOL, on: {done: wait, failed: fail}}\nwait: {on: {go: end}}"
    run = Run(define(states.replace("TOOL", "look"), events=EVENTS))
    assert run.send("cancelled").snapshot.status == "cancelled"
    run = Run(define(states.replace("TOOL", "mail"), events=EVENTS))
    assert (run.send("cancelled").receipt.verdict, run.status) == ("denied", "running")
    run.finish(GOOD)
    assert run.send("cancelled").snapshot.status == "cancelled"


def test_cancelling_over_and_over_is_limited() -> None:
    """Also a cancellation's transition is a step."""
    run = Run(define("wait: {on: {go: end}}", events=EVENTS, on={"cancelled": "wait"}, limits={"steps": 3}))
    for _ in range(3):
        run.send("cancelled")
    assert (run.status, run.state) == ("cancelled", "fail")
