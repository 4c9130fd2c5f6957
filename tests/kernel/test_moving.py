"""How a run moves: choosing a transition, and the account of the choice."""

from __future__ import annotations

import pytest

from statemachine.errors import InvalidInput
from statemachine.kernel import Event, Immediate, PendingCall, Snapshot, start, step, waiting_for
from tests.kernel.driving import BAD, GOOD, Run, declare, define

EVENTS = {"go": {}, "sized": {"size": "int"}, "other": {}}


def test_a_run_starts_in_the_initial_state_and_intends_its_call() -> None:
    """The start, the first transition and the intent are one step; the key is the intent's place in the journal."""
    run = Run(define("act: {do: look, on: {done: end, failed: fail}}"), n=7)
    assert [kind for kind, _ in run.entries] == ["run_started", "transition", "call_intended"]
    assert run.last.call == run.call
    assert (run.call.key, run.call.seq, run.call.input, run.call.attempt) == ("run:3", 3, {"n": 7}, 1)
    assert (run.status, run.last.snapshot.steps) == ("running", 1)


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"n": "many"}, "n: not a int"),
        ({"m": 1}, "m: is not declared; inputs are: n"),
        ({"answer": GOOD}, "answer: is owned by act"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(inputs: dict[str, object], said: str) -> None:
    """A run with inputs that are wrong, unknown or not the operator's never starts."""
    with pytest.raises(InvalidInput, match=said):
        start(define("act: {do: look, on: {done: end, failed: fail}}"), "run", inputs, 0.0)


def test_the_first_transition_whose_guard_holds_is_taken_and_each_verdict_is_told() -> None:
    """The receipt lists the candidates in order, with the values that their guards read."""
    run = Run(
        define(
            "wait: {on: {go: [{to: fail, when: n > 5}, {to: end, when: n > 0}, {to: fail}]}}", events=EVENTS
        )
    )
    receipt = run.send("go").receipt
    assert (receipt.verdict, receipt.state, receipt.target) == ("taken", "wait", "end")
    assert [(c.target, c.guard, c.verdict, dict(c.values)) for c in receipt.candidates] == [
        ("fail", "n > 5", False, {"n": 1}),
        ("end", "n > 0", True, {"n": 1}),
    ]
    assert run.entries[-2][1]["tried"] == [c.as_data() for c in receipt.candidates]


@pytest.mark.parametrize(
    ("transition", "verdict"),
    [
        ("{other: end}", "unknown"),
        ("{go: [{to: end, when: n > 5}, {to: end, when: n > 6}]}", "denied"),
        ("{go: [{to: end, when: failure.class == 'x'}, {to: end}]}", "guard_error"),
    ],
)
def test_an_event_from_outside_that_leads_nowhere_is_refused_for_its_own_reason(
    transition: str, verdict: str
) -> None:
    """Unknown, denied and not decidable are three answers, and none of them changes the run."""
    run = Run(define(f"wait: {{on: {transition}}}", events=EVENTS))
    before = run.last.snapshot
    made = run.send("go")
    assert (made.receipt.verdict, made.receipt.target, made.entries, made.call) == (verdict, None, (), None)
    assert made.snapshot is before


@pytest.mark.parametrize(
    "name", ["done", "failed.transient", "elapsed", "limit.steps", "always", "timeout", "nonsense"]
)
def test_only_declared_events_can_be_sent(name: str) -> None:
    """What the runtime raises cannot be forged from outside, whatever the state takes."""
    run = Run(define("wait: {on: {'*': end}}", events=EVENTS))
    assert run.send(name).entries == ()
    assert run.send("go").receipt.target == "end"


def test_guards_read_the_payload() -> None:
    """An event's values are there for the guards of its transitions."""
    run = Run(
        define(
            "wait: {on: {sized: [{to: end, when: event.size > 3 && event.name == 'sized'}]}}", events=EVENTS
        )
    )
    assert run.send("sized", size=3).receipt.verdict == "denied"
    assert run.send("sized", size=4).receipt.target == "end"


@pytest.mark.parametrize(
    ("routes", "target"),
    [
        ("failed.transient: a, failed: b, '*': c, done: c", "a"),
        ("'*': c, failed: b", "b"),
        ("'*': c, failed.fatal: a", "c"),
    ],
)
def test_a_failure_is_matched_from_the_most_specific_name_to_the_least(routes: str, target: str) -> None:
    """failed.transient, then failed, then *; the order in the file does not count."""
    run = Run(
        define(
            f"act: {{do: look, on: {{{routes}}}}}\na: {{on: {{go: end}}}}\nb: {{on: {{go: end}}}}\nc: {{on: {{go: end}}}}",
            events=EVENTS,
        )
    )
    run.fail("transient")
    assert run.state == target


def test_the_states_own_transitions_come_before_the_machines() -> None:
    """A specific name of the machine does not beat the state's general one, but follows when that says no."""
    run = Run(
        define(
            "act: {do: look, on: {done: end, failed: [{to: a, when: n > 5}]}}\na: {on: {go: end}}\nb: {on: {go: end}}",
            events=EVENTS,
            on={"failed.transient": "b"},
        )
    )
    made = run.fail("transient")
    assert (run.state, [c.verdict for c in made.receipt.candidates]) == ("b", [False, True])


def test_a_result_that_no_transition_takes_ends_the_run_with_the_reason() -> None:
    """Nothing is lost: what has no route goes to `otherwise`, and the receipt still tells why."""
    run = Run(define("act: {do: look, on: {done: [{to: end, when: n > 5}]}}"))
    made = run.finish(GOOD)
    assert (made.receipt.verdict, made.receipt.instead, made.receipt.target) == (
        "denied",
        "otherwise",
        "fail",
    )
    assert (run.status, run.because) == ("failed", "every guard on `done` in act said no")
    run = Run(define("act: {do: look, on: {done: end}}"))
    made = run.fail("fatal")
    assert (made.receipt.verdict, run.because) == ("unknown", "look failed in act (fatal): it was fatal")
    assert run.entries[-1] == (
        "run_finished",
        {"status": "failed", "state": "fail", "reason": run.because, "output": {}},
    )


def test_otherwise_can_be_named() -> None:
    """With two failing ends the machine says which one takes what has no route."""
    run = Run(define("act: {do: look, on: {done: end}}\nlost: {final: failed}", limits={"otherwise": "lost"}))
    run.fail("fatal")
    assert run.state == "lost"


def test_a_guard_that_fails_to_evaluate_raises_failed_guard() -> None:
    """It never fires its transition, and the failure is there for the guards that follow."""
    states = "act: {do: look, on: {done: [{to: end, when: answer.ok}, {to: end}], failed.guard: [{to: a, when: failure.class == 'guard'}], failed: b}}\na: {on: {go: end}}\nb: {on: {go: end}}"
    run = Run(define(states, events=EVENTS))
    made = run.finish(GOOD)  # the state saves nothing, so `answer` stays unknown
    assert [(c.event, c.verdict) for c in made.receipt.candidates] == [("done", None), ("failed.guard", True)]
    assert "no value for answer.ok" in made.receipt.candidates[0].error
    assert (run.state, made.receipt.verdict, run.failure["class"]) == ("a", "taken", "guard")


def test_a_guard_error_that_nothing_answers_ends_the_run_and_is_no_denial() -> None:
    """The reason names the guard and what it lacked."""
    run = Run(define("act: {do: look, on: {done: [{to: end, when: answer.ok}, {to: end}]}}"))
    made = run.finish(GOOD)
    assert (made.receipt.verdict, made.receipt.instead, run.status) == ("guard_error", "otherwise", "failed")
    assert run.because == "guard `answer.ok` failed to evaluate: no value for answer.ok (in act)"


def test_an_event_from_outside_may_end_in_failed_guard() -> None:
    """If the machine answers guard errors, an event whose guard fails moves the run there."""
    run = Run(
        define("wait: {on: {go: [{to: end, when: failure.class == 'x'}], failed.guard: fail}}", events=EVENTS)
    )
    assert (run.send("go").receipt.target, run.status) == ("fail", "failed")


def test_an_input_that_cannot_be_computed_raises_failed_guard() -> None:
    """The call is not made; the record of the transition says why."""
    states = "act: {do: look, with: {n: n / 0}, on: {done: end, failed.guard: a}}\na: {on: {go: end}}"
    run = Run(define(states, events=EVENTS))
    assert (run.pending, run.last.call) == (Immediate("failed.guard"), None)
    assert "divi" in run.entries[-1][1]["error"]
    run.settle()
    assert (run.state, run.failure["tool"], run.calls) == ("a", "look", 0)


def test_a_choice_leaves_at_once_by_guard() -> None:
    """A choice is left by its own step, at the time it was entered."""
    run = Run(define("pick: {always: [{to: fail, when: n > 5}, {to: end}]}"))
    assert (run.status, run.pending) == ("running", Immediate("always"))
    assert (run.wait().receipt.target, run.now) == ("end", 1000.0)
    assert [b["event"] for k, b in run.entries if k == "transition"] == [None, "always"]


def test_a_choice_that_no_guard_opens_ends_the_run() -> None:
    """A gap between guards is an answer too, not a run that stands still."""
    run = Run(define("pick: {always: [{to: end, when: n > 5}]}")).settle()
    assert (run.status, run.because) == ("failed", "every guard on `always` in pick said no")


def test_a_final_state_computes_output_and_reason() -> None:
    """They are expressions over the context; what never became known is null."""
    states = """
act: {do: look, save: answer, on: {done: [{to: good, when: answer.ok}, {to: bad}], failed: bad}}
good: {final: succeeded, output: {score: answer.score, twice: n * 2}, reason: "'found at ' + string(answer.size)"}
bad: {final: failed, output: {score: answer.score}, reason: "'small: ' + string(answer.size)"}
"""
    run = Run(define(states, limits={"otherwise": "bad"}))
    run.finish(GOOD)
    assert (run.status, run.output, run.because) == ("succeeded", {"score": 0.9, "twice": 2}, "found at 3")
    run = Run(define(states, limits={"otherwise": "bad"}))
    run.finish(BAD)
    assert (run.status, run.output, run.because) == ("failed", {"score": 0.1}, "small: 0")
    run = Run(define(states, limits={"otherwise": "bad"}))
    run.fail("fatal")
    assert (run.output, run.because) == ({"score": None}, "look failed in act (fatal): it was fatal")


def test_a_failed_run_always_has_a_reason() -> None:
    """Where nothing went wrong but a guard, the reason says which way it went."""
    run = Run(define("wait: {on: {go: fail}}", events=EVENTS))
    run.send("go")
    assert run.because == "`go` in wait leads to fail"


def test_a_finished_run_takes_nothing() -> None:
    """No event, of any kind, changes what has ended."""
    run = Run(define("wait: {on: {go: end}}", events=EVENTS))
    run.send("go")
    end = run.last.snapshot
    for event in (Event("go"), Event("cancelled"), Event("elapsed"), Event("call.finished", key="run:3")):
        assert step(run.definition, end, event, 2000.0).snapshot is end


def test_every_kind_of_state_has_its_status() -> None:
    """running while something is under way, waiting for an event or time, then one of the three ends."""
    states = """
act: {do: look, on: {done: [{to: end, when: n > 5}, {to: nap}], failed: fail}}
nap: {wait: 5s, on: {elapsed: ask}}
ask: {on: {go: end, other: fail}}
"""
    run = Run(define(states, events=EVENTS))
    seen = [(run.status, waiting_for(run.definition, run.last.snapshot))]
    for made in (run.finish(GOOD), run.wait(), run.send("go", by="ann")):
        seen.append((made.snapshot.status, waiting_for(run.definition, made.snapshot)))
    assert seen == [("running", ""), ("waiting", "time"), ("waiting", "event go or other"), ("succeeded", "")]


def test_who_sent_an_event_is_journaled() -> None:
    """The record holds name, payload and sender."""
    run = Run(define("wait: {on: {sized: end}}", events=EVENTS))
    run.send("sized", by="ann", size=2)
    assert run.entries[2] == ("event", {"name": "sized", "payload": {"size": 2}, "by": "ann"})


def test_a_snapshot_survives_the_way_through_data_in_every_phase() -> None:
    """What is read back is what was written, for calls, timers and immediate events."""
    run = Run(
        define(
            "act: {do: post, save: answer, on: {done: nap, failed: fail}}\nnap: {wait: 5s, on: {elapsed: pick}}\npick: {always: end}",
            tools={"post": {"retry": {"transient": {"max": 1}}}},
        )
    )
    run.fail("transient")
    assert isinstance(run.pending, PendingCall)
    run.wait(), run.crash(), run.resolve(None), run.resolve(True, GOOD), run.wait(), run.wait()
    assert run.status == "succeeded"
    for made in run.steps:
        assert Snapshot.from_data(made.snapshot.as_data()) == made.snapshot


def waiting(**context: object) -> Run:
    """Return a run that waits for two events and keeps a part of each."""
    states = {
        "ask": {
            "on": {"told": "end", "sized": [{"to": "fail", "when": "event.size > 5"}, {"to": "ask"}]},
            "save": {"note": "event.note", "count": "event.size"},
        },
        "end": {"final": "succeeded", "output": {"note": "note", "count": "count"}},
        "fail": {"final": "failed"},
    }
    fields = {"note": {"type": "str", "owner": "ask"}, "count": {"type": "int", "owner": "ask"}, **context}
    events = {"told": {"note": "str | None"}, "sized": {"size": "int"}}
    return Run(declare(states, context=fields, events=events))


def test_a_state_that_waits_keeps_what_events_carry() -> None:
    """Each event gives the parts that it has; the writer and the time are noted as for any other write."""
    run = waiting()
    run.send("sized", size=3)
    run.send("told", note="fine")
    assert run.last.snapshot.output == {"note": "fine", "count": 3}
    assert run.last.snapshot.sources["note"].by == "ask"


def test_what_an_event_leaves_out_is_not_kept_over_what_is_known() -> None:
    """An optional part that is missing writes nothing."""
    run = waiting()
    run.send("told", note=None)
    assert run.last.snapshot.output == {"note": None, "count": None}


def test_guards_see_what_is_known_and_fresh() -> None:
    """A field is fresh for as long as it says, from when it was written; before that it is not even known."""
    states = """
act: {do: look, save: answer, on: {done: nap, failed: nap}}
nap: {wait: 60s, on: {elapsed: [{to: more, when: fresh.answer}, {to: fail, when: known.answer}, {to: end}]}}
more: {wait: 1ms, on: {elapsed: [{to: fail, when: fresh.answer}, {to: end}]}}
"""
    run = Run(define(states))
    run.finish(GOOD)
    assert run.wait().receipt.target == "more"
    assert run.wait().receipt.target == "end"
    run = Run(define(states))
    run.fail("fatal")
    assert run.wait().receipt.target == "end"
