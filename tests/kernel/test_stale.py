"""A value that is older than it may be is not given to anyone: the event `stale` is raised instead."""

from __future__ import annotations

from typing import Any

from statemachine.machine.definition import Definition
from tests.kernel.driving import GOOD, Run, declare, define

STATES = """
read: {do: look, save: {answer: output, size: output.size}, on: {done: nap, failed: fail}}
nap: {wait: 2m, on: {elapsed: pick}}
pick: {always: [{to: end, when: answer.ok}, {to: fail}]}
"""
READER = "read: {do: look, save: {answer: output, size: output.size}, on: {done: nap}}\nnap: {wait: 2m, on: {elapsed: act}}\n"


def aged(states: str = STATES, **parts: Any) -> Run:
    """Return a run whose answer, fresh for a minute, is two minutes old."""
    run = Run(define(states, **parts))
    run.finish(GOOD)
    assert run.state == "nap"
    run.wait()
    return run


def test_a_guard_that_reads_a_stale_field_raises_stale_and_the_machine_reads_anew() -> None:
    """It gets no value; the receipt says which field, how old it is, and how long it is fresh."""
    run = aged(on={"stale": "read"}).settle()
    assert run.state == "read"
    (failed, taken) = run.last.receipt.candidates
    assert (failed.verdict, failed.values) == (None, {})
    assert failed.error == "`answer` is 120 s old and fresh for 1m"
    assert (taken.event, taken.target) == ("stale", "read")
    assert run.entries[-2][1]["stale"] == ["answer"]
    run.finish(GOOD)
    assert run.sources["answer"].at == run.now


def test_the_first_stale_guard_ends_the_choice() -> None:
    """As a guard that fails to evaluate does: a later transition without a guard is not taken."""
    run = aged().settle()
    assert (run.status, run.state) == ("failed", "fail")
    assert "is 120 s old" in run.because
    assert run.last.receipt.verdict == "guard_error"


def test_without_a_route_for_stale_it_is_failed_stale_data() -> None:
    """Matched from the most specific name to the least, as any failure."""
    for event in ("failed.stale_data", "failed", "*"):
        run = aged(on={event: "read"}).settle()
        assert run.state == "read", event
        assert run.last.snapshot.failure == {
            "class": "stale_data",
            "message": "`answer` is 120 s old and fresh for 1m",
            "tool": "",
            "state": "pick",
        }


def test_a_star_takes_stale_only_as_the_failure_that_it_is() -> None:
    """`failed` is nearer than `*`."""
    assert aged(on={"*": "end", "failed": "read"}).settle().state == "read"


def test_fresh_and_known_ask_without_raising() -> None:
    """And what they keep from being needed may be stale."""
    asked = STATES.replace("when: answer.ok", 'when: "!fresh.answer && known.answer"')
    assert aged(asked).settle().state == "end"
    kept = STATES.replace("when: answer.ok", 'when: "fresh.answer && answer.ok"')
    assert aged(kept).settle().state == "fail"
    assert aged(kept).last.snapshot.failure is None


def test_stale_carries_the_fields() -> None:
    """A transition for it can tell them apart."""
    on = {"stale": [{"to": "fail", "when": "'size' in event.fields"}, {"to": "read"}]}
    assert aged(on=on).settle().state == "read"


def test_a_call_whose_input_is_stale_is_not_made() -> None:
    """The run raises `stale` from the state that would have called; nothing is intended."""
    states = READER + "act: {do: put, with: {n: answer.size}, on: {done: end, stale: read, failed: fail}}"
    run = aged(states)
    assert (run.state, run.last.call, run.pending.event) == ("act", None, "stale")
    assert "the input of put would be stale: `answer` is 120 s old" in run.because
    run.settle()
    assert (run.state, run.call.tool) == ("read", "look")
    assert run.entries[-2][1]["stale"] == ["answer"]


def test_an_input_that_does_not_need_the_stale_value_is_computed() -> None:
    """Asking for freshness in the expression is enough."""
    states = (
        READER + "act: {do: put, with: {n: 'fresh.answer ? answer.size : 7'}, on: {done: end, failed: fail}}"
    )
    assert aged(states).call.input == {"n": 7}


def test_a_tools_policy_for_stale_data_reads_anew_before_the_machine_is_asked() -> None:
    """The named tool is called first, then the call is made with what was read."""
    states = READER + "act: {do: put, with: {n: answer.size}, on: {done: end, stale: fail, failed: fail}}"
    run = aged(states, tools={"put": {"retry": {"stale_data": {"max": 1, "refresh": "look"}}}})
    assert (run.state, run.call.tool, run.call.refreshes) == ("act", "look", "put")
    run.finish({**GOOD, "size": 9})
    assert (run.call.tool, run.call.input) == ("put", {"n": 9})


def test_a_refresh_that_does_not_help_ends_with_stale() -> None:
    """What was read was observed too long ago: the policy is used up, then the machine is asked."""
    states = READER + "act: {do: put, with: {n: answer.size}, on: {done: end, stale: fail, failed: fail}}"
    run = aged(states, tools={"put": {"retry": {"stale_data": {"max": 1, "refresh": "look"}}}})
    run.finish(GOOD, observed=run.now - 90)
    assert run.pending.event == "stale"
    assert run.settle().state == "fail"


def test_a_retry_after_back_off_is_not_made_with_what_grew_stale_meanwhile() -> None:
    """The call failed for sure, so that it can be left; `stale` is raised in place of the retry."""
    states = """
    read: {do: look, save: {answer: output, size: output.size}, on: {done: act}}
    act: {do: put, with: {n: answer.size}, on: {done: end, stale: read, failed: fail}}
    """
    policy = {"transient": {"max": 3, "initial": "5m", "cap": "5m", "jitter": "none"}}
    run = Run(define(states, tools={"put": {"retry": policy}}))
    run.finish(GOOD)
    run.fail("transient")
    run.wait()
    assert (run.state, run.call.tool) == ("read", "look")


def test_after_a_crash_the_same_call_is_made_whatever_the_age() -> None:
    """It may have happened: only its own answer tells."""
    states = """
    read: {do: look, save: {answer: output, size: output.size}, on: {done: act}}
    act: {do: put, with: {n: answer.size}, on: {done: end, stale: read, failed: fail}}
    """
    run = Run(define(states))
    run.finish(GOOD)
    run.now += 1000
    run.crash()
    assert (run.call.tool, run.call.attempt, run.call.input) == ("put", 2, {"n": 3})


def test_an_answer_that_cannot_be_judged_because_of_stale_data_is_not_kept_and_the_call_not_repeated() -> (
    None
):
    """Also where the tool's policy reads anew: it was made, and is not made twice."""
    states = """
    read: {do: look, save: {answer: output, size: output.size}, on: {done: act}}
    act: {do: put, sufficient: "output.ok && answer.ok", on: {done: end, stale: read, failed: fail}}
    """
    run = Run(define(states, tools={"put": {"retry": {"stale_data": {"max": 2, "refresh": "look"}}}}))
    run.finish(GOOD)
    run.now += 100
    run.finish(GOOD)
    assert (run.state, run.call.tool) == ("read", "look")


def test_what_a_run_says_at_its_end_it_says_whatever_the_age() -> None:
    """Output and reason never fail to be read."""
    states = READER.replace("elapsed: act", "elapsed: end") + (
        "end: {final: succeeded, output: {size: answer.size}, reason: string(answer.size)}"
    )
    run = aged(states)
    assert (run.status, run.output, run.because) == ("succeeded", {"size": 3}, "3")


def test_a_state_that_reads_anew_and_itself_needs_the_stale_field_does_not_go_round_for_ever() -> None:
    """Its entries are counted: by its attempts or, at the least, by the run's limit of steps."""
    reads = "with: {n: answer.size}, on: {done: nap, failed: fail}"
    states = f"""
    first: {{do: look, save: {{answer: output, size: output.size}}, on: {{done: nap}}}}
    nap: {{wait: 2m, on: {{elapsed: read}}}}
    read: {{do: look, save: answer, {reads}}}
    """
    run = Run(declare_loop(states, {"steps": 20}))
    run.finish(GOOD)
    run.wait()
    run.settle()
    assert (run.status, run.last.snapshot.steps) == ("failed", 21)
    assert "limit of 20 steps; last failure" in run.because
    counted = states.replace("read: {do", "read: {attempts: 3, exhausted: fail, do")
    run = Run(declare_loop(counted, {}))
    run.finish(GOOD)
    run.wait()
    run.settle()
    assert (run.status, run.attempts) == ("failed", {"read": 3})


def declare_loop(states: str, limits: dict[str, Any]) -> Definition:
    """Return a machine that answers `stale` by reading again."""
    return define(states, on={"stale": "read"}, limits=limits)


def test_an_event_from_outside_whose_guard_is_stale_lets_the_machine_read_anew() -> None:
    """And is refused where nothing answers `stale`."""
    states = READER.replace("elapsed: act", "elapsed: ask") + "ask: {on: {go: [{to: end, when: answer.ok}]}}"
    assert aged(states, events={"go": {}}, on={"stale": "read"}).send("go").snapshot.state == "read"
    run = aged(states, events={"go": {}})
    assert (run.send("go").receipt.verdict, run.state) == ("guard_error", "ask")


def test_a_tool_says_when_its_output_was_so() -> None:
    """The age counts from then; a time to come counts as now."""
    run = Run(define(STATES))
    run.finish(GOOD, observed=run.now - 30)
    assert run.sources["answer"].at == run.now - 30
    assert run.entries[-3][1]["observed"] == run.now - 30
    run = Run(define(STATES))
    run.finish(GOOD, observed=run.now + 30)
    assert run.sources["answer"].at == run.now


def test_a_function_as_guard_gets_no_stale_value() -> None:
    """Nothing can look into it, so that whatever it says without the value does not count."""
    states = {
        "read": {"do": "look", "save": "answer", "on": {"done": "nap"}},
        "nap": {"wait": "2m", "on": {"elapsed": "pick"}},
        "pick": {"always": [{"to": "end", "when": {"python": "tools.py:lenient"}}, {"to": "fail"}]},
        "end": {"final": "succeeded"},
        "fail": {"final": "failed"},
    }
    run = Run(declare(states, on={"stale": "read"}))
    run.finish(GOOD)
    run.wait()
    assert run.settle().state == "read"
