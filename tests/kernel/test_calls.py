"""What the end of a call leads to: success, enough or not, retries, doubt, and outcomes that come too late."""

from __future__ import annotations

from typing import Any

import pytest

from statemachine.kernel import FINISH, RECOVER, RESOLVE, Event, Timer, due, waiting_for
from statemachine.kernel.snapshot import Source
from statemachine.machine.contract import FailureClass
from statemachine.machine.outcome import Outcome
from tests.kernel.driving import BAD, GOOD, Run, define

SAVING = """
act: {do: TOOL, save: answer, sufficient: "output.score > 0.5", on: {done: nap, partial: part, failed: fail}}
nap: {wait: 1s, on: {elapsed: act}}
part: {wait: 1s, on: {elapsed: act}}
"""


def saving(tool: str = "look", **contract: Any) -> Run:
    return Run(define(SAVING.replace("TOOL", tool), tools={tool: contract}, events={"go": {}}))


def retry(**policies: dict[str, Any]) -> dict[str, Any]:
    return {"retry": policies}


# The answer


def test_an_output_is_saved_with_its_source() -> None:
    """The field gets the value, the state that wrote it and the time."""
    run = saving()
    run.now += 3
    run.finish(GOOD)
    assert (run.state, run.context["answer"], run.sources["answer"]) == (
        "nap",
        GOOD,
        Source("act", 1003.0, "look"),
    )


def test_parts_of_an_output_can_be_saved() -> None:
    """A path into the output goes into a field of its own."""
    run = Run(
        define(
            "act: {do: look, save: {size: output.size}, on: {done: [{to: end, when: size == 3}], failed: fail}}"
        )
    )
    run.finish(GOOD)
    assert (run.status, run.context) == ("succeeded", {"n": 1, "size": 3})


def test_an_answer_that_is_not_enough_is_a_failure_and_not_data() -> None:
    """`sufficient` decides; what it refused is not saved."""
    run = saving()
    run.finish(BAD)
    assert (run.status, "answer" in run.context) == ("failed", False)
    assert run.because == (
        "look failed in act (data_error): the answer is not sufficient: output.score > 0.5 is false (output.score = 0.1)"
    )


def test_an_answer_that_cannot_be_judged_is_a_failure() -> None:
    """A `sufficient` that fails to evaluate does not let the answer through."""
    run = saving()
    run.finish({"ok": True})
    assert (run.failure["class"], run.failure["message"]) == (
        "data_error",
        "the answer is not sufficient: no value for output.score",
    )


def test_an_output_that_breaks_the_fields_type_is_a_contract_failure() -> None:
    """It is refused before it reaches the context."""
    run = Run(
        define(
            "act: {do: look, save: {size: output.score}, on: {done: end, failed.contract: fail}}",
            context={
                "n": {"type": "int", "owner": "operator", "default": 1},
                "size": {"type": "any", "owner": "act"},
            },
        )
    )
    run.finish(GOOD)
    assert run.status == "succeeded"
    states = "act: {do: look, save: {label: output.size}, on: {done: end, failed.contract: fail}}"
    context = {
        "n": {"type": "int", "owner": "operator", "default": 1},
        "label": {"type": "Literal[1, 2]", "owner": "act"},
    }
    run = Run(define(states, context=context))
    run.finish(GOOD)
    assert (run.failure["class"], "label" in run.context) == ("contract", False)


def test_a_partial_success_has_an_event_of_its_own() -> None:
    """What was done is kept, what was not is in the journal, and the guard sees `partial`."""
    run = saving()
    run.finish(GOOD, done=("a",), not_done=("b",))
    assert (run.state, run.context["answer"]) == ("part", GOOD)
    assert run.entries[3] == (
        "call_finished",
        {"key": "run:3", "kind": "partial", "output": GOOD, "done": ["a"], "not_done": ["b"]},
    )
    other = Run(
        define("act: {do: look, on: {done: end, failed: [{to: fail, when: event.name == 'partial'}]}}")
    )
    assert (
        other.finish(GOOD, not_done=("b",)).receipt.target == "fail"
    )  # without a route of its own it has failed


def test_an_outcome_and_what_follows_from_it_are_one_step() -> None:
    """call_finished, the transition and the next intent are committed together."""
    run = Run(
        define(
            "act: {do: look, on: {done: more, failed: fail}}\nmore: {do: put, on: {done: end, failed: fail}}"
        )
    )
    made = run.finish(GOOD)
    assert [kind for kind, _ in made.entries] == ["call_finished", "transition", "call_intended"]
    assert made.call is not None
    assert made.call.key == "run:6"


# Retries


def test_a_retry_waits_longer_each_time_and_keeps_the_key() -> None:
    """Back-off is a timer in the journal: initial * factor ** n, at most cap."""
    run = saving(**retry(transient={"max": 4, "initial": "1s", "factor": 3, "cap": "10s", "jitter": "none"}))
    waits = []
    for attempt in range(1, 5):
        assert run.call.attempt == attempt
        made = run.fail("transient")
        assert (made.receipt.verdict, made.call, run.status) == ("retry", None, "waiting")
        assert [kind for kind, _ in made.entries] == ["call_finished", "timer_set"]
        assert run.entries[-1][1] == {"due": run.call.due, "key": "run:3", "after": "transient"}
        waits.append(run.call.due - run.now)
        assert run.wait().call == run.call
    assert waits == [1, 3, 9, 10]
    run.fail("transient")
    assert run.because == "look failed in act (transient): it was transient (after 4 retries)"


def test_jitter_depends_on_the_call_alone() -> None:
    """The same call waits the same share on every host; another attempt waits another."""
    policy = retry(transient={"max": 3, "initial": "1m", "cap": "1h", "factor": 1})
    waits = [[], []]  # type: list[list[float]]
    for seen in waits:
        run = saving(**policy)
        for _ in range(3):
            run.fail("transient")
            seen.append(run.call.due - run.now)
            run.wait()
    assert waits[0] == waits[1]
    assert len(set(waits[0])) == 3
    assert all(0 < wait <= 60 for wait in waits[0])


def test_retry_after_is_honoured() -> None:
    """The other side's wish makes the wait longer, never shorter."""
    policy = retry(rate_limited={"max": 2, "initial": "10s", "jitter": "none"})
    run = saving(**policy)
    run.fail("rate_limited", retry_after=25.5)
    assert run.call.due == run.now + 25.5
    run.wait(), run.fail("rate_limited", retry_after=3)
    assert run.call.due == run.now + 20


def test_each_class_has_its_own_policy_and_count() -> None:
    """A time-out does not use up the retries after a transient failure; what has no policy is routed."""
    run = saving(**retry(transient={"max": 1}, timeout={"max": 1}))
    run.fail("transient"), run.wait(), run.fail("timeout"), run.wait()
    assert (run.call.retries, run.call.attempt) == ({"transient": 1, "timeout": 1}, 3)
    run.fail("permission")
    assert (run.status, run.failure["class"]) == ("failed", "permission")


def test_a_back_off_is_not_over_before_its_time() -> None:
    """An early AGAIN changes nothing."""
    run = saving(**retry(transient={"max": 1, "jitter": "none"}))
    run.fail("transient")
    run.now += 0.9
    assert (run.again().entries, run.again().receipt.verdict) == ((), "unknown")
    run.now += 0.1
    assert run.again().call is not None


def test_an_event_from_outside_may_end_a_back_off() -> None:
    """The call that failed is given up, and its timer with it."""
    run = Run(
        define(
            "act: {do: mail, on: {done: end, failed: fail, go: nap}}\nnap: {wait: 1s, on: {elapsed: end}}",
            events={"go": {}},
            tools={"mail": retry(transient={"max": 1})},
        )
    )
    assert run.send("go").receipt.verdict == "denied"  # under way: it might happen
    run.fail("transient")
    assert run.send("go").receipt.target == "nap"
    assert isinstance(run.pending, Timer)


# Doubt


def test_after_a_crash_a_repeatable_call_is_made_again_under_its_key() -> None:
    """A read, and a write that is idempotent."""
    for tool in ("look", "put"):
        run = saving(tool)
        made = run.crash()
        assert (made.receipt.verdict, made.call, run.call.key, run.call.attempt) == (
            "retry",
            run.call,
            "run:3",
            2,
        )


def test_after_a_crash_an_unsafe_call_is_never_repeated_blindly() -> None:
    """With a probe the world is asked, without one a person decides."""
    run = saving("post")
    made = run.crash()
    assert (run.call.phase, run.status, made.call, made.receipt.verdict) == (
        "probe",
        "running",
        None,
        "noted",
    )
    assert made.entries == (("call_in_doubt", {"key": "run:3", "after": "crash", "asks": "posted"}),)
    run = saving("mail")
    made = run.crash()
    assert (run.call.phase, run.status, made.call) == ("doubt", "waiting", None)
    assert waiting_for(run.definition, run.last.snapshot) == "a decision on call run:3"
    assert due(run.definition, run.last.snapshot) is None


@pytest.mark.parametrize("failure", ["timeout", "in_doubt"])
@pytest.mark.parametrize(("tool", "phase"), [("post", "probe"), ("mail", "doubt")])
def test_a_time_out_past_dispatch_is_doubt_even_with_a_policy(
    tool: str, phase: str, failure: FailureClass
) -> None:
    """The call may have happened; a retry policy does not override that."""
    run = saving(tool, **retry(timeout={"max": 3}))
    run.fail(failure)
    assert (run.call.phase, run.call.after) == (phase, failure)


def test_a_call_that_happened_goes_on_as_if_it_had_answered() -> None:
    """The output that is known is saved and judged like any other."""
    run = saving("mail")
    run.crash()
    made = run.resolve(True, GOOD)
    assert [kind for kind, _ in made.entries] == ["call_resolved", "call_finished", "transition", "timer_set"]
    assert made.entries[0][1] == {"key": "run:3", "happened": True, "by": "ann"}
    assert (run.state, run.context["answer"]) == ("nap", GOOD)


def test_a_decision_does_not_bring_in_what_breaks_the_contract() -> None:
    """An output told by a person is checked against the field, because no tool has."""
    for output in (None, {"ok": "perhaps"}):
        run = saving("mail")
        run.crash(), run.resolve(True, output)
        assert (run.failure["class"], "answer" in run.context) == ("contract", False)


def test_after_a_crash_a_call_that_did_not_happen_is_made_again() -> None:
    """Then, and only then, under the same key."""
    run = saving("mail")
    run.crash()
    assert run.resolve(False).call == run.call
    assert (run.call.key, run.call.attempt, run.call.phase) == ("run:3", 2, "sent")


def test_after_a_time_out_a_call_that_did_not_happen_goes_by_the_policy() -> None:
    """It is a failure now that did nothing: retried as often as declared, then routed."""
    run = saving("post", **retry(timeout={"max": 1, "jitter": "none"}))
    run.fail("timeout"), run.resolve(False)
    assert run.call.phase == "backoff"
    run.wait(), run.fail("timeout"), run.resolve(False)
    assert (run.status, run.failure["class"]) == ("failed", "timeout")
    run = saving("post")
    run.fail("in_doubt"), run.resolve(False)
    assert run.failure["class"] == "transient"


def test_a_probe_that_does_not_know_leaves_it_to_a_person() -> None:
    """And a person who does not know changes nothing."""
    run = saving("post")
    run.crash(), run.resolve(None, by="probe posted")
    assert (run.call.phase, run.status) == ("doubt", "waiting")
    before = run.last.snapshot
    assert run.resolve(None).snapshot is before
    assert run.take(Event(RESOLVE, {"happened": "no"}, key="run:3")).snapshot is before
    run.resolve(False)
    assert run.call.phase == "sent"


def test_a_call_in_doubt_holds_the_run() -> None:
    """Neither events, nor a cancellation, nor a crash, nor time move it before the decision."""
    run = Run(
        define(
            "act: {do: mail, timeout: 1s, on: {done: end, failed: fail, go: end, timeout: end}}",
            events={"go": {}},
            limits={"elapsed": "5s"},
        )
    )
    run.crash()
    run.now += 100
    before = run.last.snapshot
    for event in ("go", "cancelled", "timeout", "limit.elapsed"):
        assert run.send(event).snapshot is before
    assert run.crash().snapshot is before


# Outcomes that do not belong


def test_an_outcome_that_comes_too_late_is_ignored() -> None:
    """It belongs to a call that is no longer pending: the run has moved on, or doubts it."""
    run = Run(define("act: {do: look, on: {done: end, failed: fail, go: act}}", events={"go": {}}))
    late = Event(FINISH, outcome=Outcome(GOOD), key=run.call.key)
    run.send("go")
    before = run.last.snapshot
    assert (run.take(late).snapshot is before, run.last.receipt.verdict) == (True, "unknown")
    run = saving("mail")
    run.fail("timeout")
    before = run.last.snapshot
    assert run.finish(GOOD).snapshot is before


@pytest.mark.parametrize("name", [FINISH, "call.again", RECOVER, RESOLVE])
def test_events_about_a_call_need_a_call(name: str) -> None:
    """Without a pending call, or with another key, they change nothing."""
    outcome = Outcome(GOOD)
    run = Run(define("wait: {on: {go: end}}", events={"go": {}}))
    assert run.take(Event(name, {"happened": True}, outcome, "run:3")).entries == ()
    run = saving()
    assert run.take(Event(name, {"happened": True}, outcome, "run:4")).entries == ()
    assert run.take(Event(FINISH, key="run:3")).entries == ()
