"""Approval: no call that needs it is intended before enough people said yes to exactly its input, in time."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from statemachine.errors import InvalidMachine
from statemachine.journal.replay import replay
from statemachine.kernel import (
    DECIDED,
    EDIT,
    RELEASED,
    REVIEWED,
    Event,
    Immediate,
    PendingApproval,
    Snapshot,
    Step,
)
from statemachine.kernel.asking import digest_of
from statemachine.kernel.migrating import move
from statemachine.machine.definition import Definition
from tests.kernel.driving import GOOD, Run, define
from tests.kernel.strategies import runs
from tests.kernel.test_properties import Case, check

STATES = """
wire: {do: wire, %s on: {done: end, failed: fail, denied: no, expired: late}}
no: {final: failed}
late: {final: failed}
"""
DAY = 86400.0


def machine(approval: str = "", **parts: Any) -> Definition:
    """Return a machine with one irreversible call, and what its state says of approval."""
    return define(
        STATES % (f"approval: {{{approval}}}," if approval else ""), limits={"otherwise": "fail"}, **parts
    )


def asked(run: Run) -> PendingApproval:
    """Return the open request."""
    assert isinstance(run.pending, PendingApproval)
    return run.pending


def decide(run: Run, approver: str = "ann", verdict: str = "approve", **more: Any) -> Step:
    """Decide on the open request, as the host does once it has verified who does."""
    return run.take(
        Event(DECIDED, {"request": asked(run).request, "verdict": verdict, "approver": approver, **more})
    )


def results(run: Run) -> list[str]:
    """Return what each decision led to."""
    return [body["result"] for kind, body in run.entries if kind == "approval_decided"]


def test_an_irreversible_call_always_asks_and_is_made_once_approved() -> None:
    """Whatever its state says; the request is journaled with all that a person needs."""
    run = Run(machine(), n=7)
    assert (run.status, run.calls) == ("waiting", 0)
    kind, body = run.entries[-1]
    assert (kind, body["tool"], body["input"], body["reversibility"]) == (
        "approval_requested",
        "wire",
        {"n": 7},
        "none",
    )
    assert body["facts"] == [{"field": "n", "by": "operator", "at": 1000.0}]
    assert (body["needed"], body["unanswered"], body["expires"]) == (1, "deny", 1000.0 + DAY)
    assert Snapshot.from_data(run.last.snapshot.as_data()) == run.last.snapshot
    decide(run)
    assert (run.call.tool, run.call.input, run.call.approval) == ("wire", {"n": 7}, body["request"])
    run.finish(GOOD)
    assert run.status == "succeeded"


def test_any_call_asks_whose_state_says_so() -> None:
    """A read too."""
    run = Run(define("look: {do: look, approval: {approvers: legal}, on: {done: end}}"))
    assert run.entries[-1][1]["approvers"] == ["legal"]


def test_as_many_different_people_as_are_needed_must_approve() -> None:
    """The same one twice is one."""
    run = Run(machine("needed: 2"))
    decide(run, "ann")
    decide(run, "ann")
    assert isinstance(run.pending, PendingApproval)
    decide(run, "bob")
    assert (run.call.tool, results(run)) == ("wire", ["counted", "void", "granted"])


def test_a_denial_is_final_for_that_input_and_asking_again_is_counted() -> None:
    """Nobody is asked again; another input is another question."""
    text = """
wire: {do: wire, with: {n: n}, on: {done: end, denied: rest}}
rest: {on: {go: wire, sized: note}}
note: {do: look, save: {size: output.size}, on: {done: wire2}}
wire2: {do: wire, with: {n: size}, on: {done: end, denied: rest}}
"""
    run = Run(define(text, events={"go": {}, "sized": {}}))
    decide(run, "bob", "deny", reason="no money")
    assert (run.state, run.because) == ("rest", "bob denied wire: no money")
    for times in (2, 3):
        run.send("go")
        run.settle()
        assert run.state == "rest"
        assert run.because.endswith(f"asked {times} times")
    run.send("sized")
    run.finish({**GOOD, "size": 5})
    assert asked(run).input == {"n": 5}


@pytest.mark.parametrize("late", [0.0, 1e-6, 3600.0])
def test_no_answer_denies_and_a_tie_denies(late: float) -> None:
    """Whoever approves at the very moment in which the time is over, or later, is too late."""
    run = Run(machine("expires: 1h"))
    run.now += 3600 + late
    decide(run)
    assert (run.state, run.calls, results(run)) == ("late", 0, ["expired"])
    other = Run(machine("expires: 1h"))
    other.wait()
    assert (other.state, other.now) == ("late", 4600.0)


def test_expired_is_denied_where_nothing_else_takes_it() -> None:
    """So that `denied` is all that a machine must route."""
    run = Run(
        define(
            "wire: {do: wire, on: {done: end, denied: no}}\nno: {final: failed}", limits={"otherwise": "fail"}
        )
    )
    run.wait()
    assert run.state == "no"


def test_a_run_that_ends_for_want_of_a_route_says_who_said_no() -> None:
    """Whoever reads why it ended is not told of a missing transition, but of the person, or of nobody's answer."""
    unrouted = define("wire: {do: wire, on: {done: end}}", limits={"otherwise": "fail"})
    run = Run(unrouted)
    decide(run, "bob", "deny", reason="no money")
    assert (run.state, run.because) == ("fail", "bob denied wire: no money")
    late = Run(unrouted)
    late.wait()
    assert (late.state, late.because) == ("fail", "nobody approved wire in time")


def test_levels_are_asked_one_after_another() -> None:
    """Each by a request of its own, to which a decision on the one before does not apply."""
    run = Run(machine("approvers: legal, expires: 1h, escalate: [{approvers: boss, needed: 2, expires: 2h}]"))
    first = asked(run).request
    run.wait()
    assert (asked(run).request != first, asked(run).level, asked(run).expires) == (
        True,
        1,
        1000 + 3600 + 7200,
    )
    before = run.last.snapshot
    run.take(Event(DECIDED, {"request": first, "verdict": "approve", "approver": "ann"}))
    assert run.last.snapshot is before
    decide(run, "ann")
    decide(run, "bob")
    assert run.call.tool == "wire"


@pytest.mark.parametrize("approval", ["", "unanswered: deny"])
@pytest.mark.parametrize("moment", [0.0, DAY, 10 * DAY])
def test_time_never_approves_what_cannot_be_undone(approval: str, moment: float) -> None:
    """Under any clock, whatever the host says."""
    run = Run(machine(approval))
    run.now += moment
    run.take(Event(DECIDED, {"request": asked(run).request, "verdict": "approve", "by_time": True}))
    assert (results(run), run.calls) == (["void"], 0)


def test_time_approves_what_can_be_undone_wholly_if_the_state_says_so() -> None:
    """Once nobody has answered, and not a moment earlier."""
    text = "put: {do: put, approval: {expires: 1h, unanswered: approve}, on: {done: end}}"
    run = Run(define(text, tools={"put": {"reversibility": "full"}}))
    by_time = Event(DECIDED, {"request": asked(run).request, "verdict": "approve", "by_time": True})
    run.now += 3599
    run.take(by_time)
    assert run.calls == 0
    run.now += 1
    run.take(by_time)
    assert run.call.tool == "put"
    with pytest.raises(InvalidMachine, match="time approves only what can be undone wholly"):
        machine("unanswered: approve")


def test_cancelling_beats_approving_until_the_call_is_intended() -> None:
    """And a decision afterwards finds no request."""
    run = Run(machine())
    request = asked(run).request
    run.take(Event("cancelled", by="eve"))
    assert run.status == "cancelled"
    run.take(Event(DECIDED, {"request": request, "verdict": "approve", "approver": "ann"}))
    assert (run.status, run.calls) == ("cancelled", 0)


def test_what_must_hold_is_looked_at_again_before_the_call() -> None:
    """A guard that held when people were asked and does not any more: the call is not made."""
    text = """
look: {do: look, save: {answer: output}, on: {done: wire}}
wire: {do: wire, approval: {when: fresh.answer}, on: {done: end, failed: fail}}
"""
    run = Run(define(text))
    run.finish(GOOD)
    run.now += 61
    decide(run)
    run.settle()
    assert (run.state, run.calls) == ("fail", 1)
    assert "it may be approved only while fresh.answer" in run.because


def test_an_input_that_changed_since_is_a_request_of_its_own() -> None:
    """A yes to the old input makes no call: people are asked about the new one."""
    run = Run(machine(), n=7)
    first = asked(run)
    run.take(Event(EDIT, {"n": 8}, by="carl"))
    decide(run)
    assert (run.calls, asked(run).input, asked(run).digest != first.digest) == (0, {"n": 8}, True)
    assert asked(run).request != first.request
    run.take(Event(DECIDED, {"request": first.request, "verdict": "approve", "approver": "bob"}))
    assert run.calls == 0
    decide(run)
    assert (run.call.input, run.call.approval) == ({"n": 8}, "run:6")


def test_a_freeze_holds_an_approved_call_and_only_broken_glass_gets_through() -> None:
    """Until it is over, however long that is; a person may still deny."""
    run = Run(machine("expires: 1d"))
    decide(run, hold=run.now + 7200)
    assert (results(run), run.status, run.due[0]) == (["held"], "waiting", 8200.0)
    held = run.last
    run.now += 7200
    run.take(Event(RELEASED, {"hold": run.now + 60, "because": "still"}))
    assert asked(run).held == 8260.0
    run.now += 60
    run.take(Event(RELEASED))
    assert run.call.tool == "wire"
    run.last, run.now = held, 1500.0
    decide(run, "bob", break_glass=True)
    assert run.call.tool == "wire"
    assert run.reviews == (run.call.approval,)
    run.take(Event(REVIEWED, {"request": run.call.approval, "by": "eve", "note": "right"}))
    assert run.reviews == ()
    run.last, run.now = held, 1500.0
    decide(run, "bob", "deny")
    assert run.state == "no"


PERISHABLE = {
    "fresh_for": "with: {n: answer.size}, approval: {expires: 1d}",
    "input": "with: {n: '1 / (fresh.answer ? 1 : 0)'}, approval: {expires: 1d}",
    "guard": "approval: {expires: 1d, when: fresh.answer}",
}
"""A call that can no longer be made when its facts are too old, for one reason or another."""


def perishable(change: str) -> Run:
    """Return a run that asks for such a call."""
    text = f"""
look: {{do: look, save: {{answer: output}}, on: {{done: wire}}}}
wire: {{do: wire, {PERISHABLE[change]}, on: {{done: end, failed.guard: fail, failed.stale_data: old}}}}
old: {{final: failed}}
"""
    run = Run(define(text, limits={"otherwise": "fail"}))
    run.finish(GOOD)
    return run


@pytest.mark.parametrize("change", PERISHABLE)
def test_a_run_whose_approved_call_cannot_be_made_any_more_waits_for_nobody(change: str) -> None:
    """What happens next happens by itself, and the run says so."""
    run = perishable(change)
    run.now += 61
    decide(run)
    assert (run.status, type(run.pending)) == ("running", Immediate)
    run.settle()
    assert (run.state, run.calls) == ("old" if change == "fresh_for" else "fail", 1)


@pytest.mark.parametrize("change", PERISHABLE)
def test_a_held_call_that_can_no_longer_be_made_is_answered_in_the_step_that_finds_it_out(
    change: str,
) -> None:
    """Too old an input, one that cannot be computed, or a guard that says no: recorded, so never found out twice."""
    run = perishable(change)
    decide(run, hold=run.now + 7200)
    run.now += 7200
    run.take(Event(RELEASED))
    assert (run.state, run.calls) == ("old" if change == "fresh_for" else "fail", 1)
    written = [(made.at, *entry) for made in run.steps for entry in made.entries]
    assert replay(run.definition, "run", [(n, *record) for n, record in enumerate(written, 1)]).conforms


def test_glass_is_broken_by_two() -> None:
    """One alone does not get a call through, although one is enough otherwise."""
    run = Run(machine())
    decide(run, "ann", break_glass=True)
    assert run.calls == 0
    decide(run, "bob", break_glass=True)
    assert run.calls == 1


def test_a_limit_that_is_reached_meanwhile_ends_the_run_instead() -> None:
    """Approval is no licence to go past a limit; and the time for the whole run goes on."""
    run = Run(
        machine(
            "expires: 1d",
        )
    )
    slow = Run(define(STATES % "", limits={"elapsed": "1h", "otherwise": "fail"}))
    slow.wait()
    assert (slow.state, slow.now) == ("fail", 4600.0)
    assert run.status == "waiting"


@given(runs())
@check
def test_whatever_happens_no_call_is_made_that_was_not_approved_with_that_input(case: Case) -> None:
    """An approval is used once, and only what was asked for is done."""
    definition, made = case
    granted: dict[str, str] = {}
    seen: set[str] = set()
    for kind, body in (entry for _, _, step in made for entry in step.entries):
        if kind == "approval_decided" and body["result"] in ("granted", "held"):
            granted[body["request"]] = body["digest"]
        if kind != "call_intended" or body["attempt"] > 1:
            continue
        tool = definition.declaration.tools[body["tool"]]
        assert not tool.irreversible or "approval" in body
        if "approval" in body:
            assert granted.pop(body["approval"]) == digest_of(body["input"], "")
            assert body["approval"] not in seen
            seen.add(body["approval"])


STALE = """
read: {do: look, save: answer, on: {done: wire}}
wire: {do: wire, with: {n: answer.size}, on: {done: end, failed: fail, denied: no}}
no: {final: failed}
"""


@pytest.mark.parametrize(
    ("size", "takes", "made"),
    [(3, 0.0, True), (4, 0.0, False), (3, DAY, False)],
    ids=["the same", "another input", "too late"],
)
def test_what_is_read_anew_after_the_yes_costs_the_yes_only_if_the_input_changes(
    size: int, takes: float, made: bool
) -> None:
    """A person takes longer than the data stay fresh: the read keeps the approval, as long as its time lasts."""
    refresh = {"wire": {"retry": {"stale_data": {"max": 1, "refresh": "look"}}}}
    run = Run(define(STALE, tools=refresh, limits={"otherwise": "fail"}))
    run.finish({**GOOD, "size": 3})
    first = asked(run).request
    run.now += 3600  # the answer is fresh for a minute
    decide(run)
    assert run.call.tool == "look"
    assert Snapshot.from_data(json.loads(json.dumps(run.last.snapshot.as_data()))) == run.last.snapshot
    run.crash()
    run.now += takes
    run.finish({**GOOD, "size": size})
    if made:
        assert (run.call.tool, run.call.input, run.call.approval) == ("wire", {"n": 3}, first)
        assert run.call.granted is None
    else:
        assert asked(run).request != first


def test_who_answered_in_time_need_not_do_so_again_after_a_long_freeze() -> None:
    """The time to answer is over by then; the call is made, even if its input has to be read anew."""
    refresh = {"wire": {"retry": {"stale_data": {"max": 1, "refresh": "look"}}}}
    run = Run(define(STALE, tools=refresh, limits={"otherwise": "fail"}))
    run.finish({**GOOD, "size": 3})
    first = asked(run).request
    decide(run, hold=run.now + 3 * DAY)
    assert run.due[1].name == RELEASED
    run.wait()
    run.finish({**GOOD, "size": 3})
    assert (run.call.tool, run.call.approval) == ("wire", first)


def test_the_next_level_is_asked_although_the_facts_are_old_by_then() -> None:
    """They are what the first were asked on; before the call they are read anew, and the guard is asked again."""
    refresh = {"wire": {"retry": {"stale_data": {"max": 1, "refresh": "look"}}}}
    approval = "approval: {when: answer.ok, expires: 1h, escalate: [{approvers: boss}]},"
    states = STALE.replace("with:", f"{approval} with:")
    run = Run(define(states, tools=refresh, limits={"otherwise": "fail"}))
    run.finish({**GOOD, "size": 3})
    run.wait()
    assert (run.status, asked(run).level) == ("waiting", 1)
    decide(run)
    run.finish({**GOOD, "ok": False, "size": 3})
    run.settle()
    assert (run.state, run.status) == ("fail", "failed")
    assert "it may be approved only while answer.ok" in run.because


def test_a_digest_is_salted_by_the_run() -> None:
    """Who knows it alone, from a decision or from compliance, cannot try out inputs."""
    given = {"sick": True}
    assert len({digest_of(given, ""), digest_of(given, "0f" * 16), digest_of(given, "f0" * 16)}) == 3


def test_a_yes_to_the_old_version_does_not_outlast_a_migration_during_the_read() -> None:
    """The new version asks anew, although the input is the same."""
    refresh = {"wire": {"retry": {"stale_data": {"max": 1, "refresh": "look"}}}}
    run = Run(define(STALE, tools=refresh, limits={"otherwise": "fail"}))
    run.finish({**GOOD, "size": 3})
    run.now += 3600
    decide(run)
    assert run.call.granted is not None
    new = define(STALE, tools=refresh, limits={"otherwise": "fail"}, version="2")
    moved = move(run.definition, new, run.last.snapshot, run.now, "ann").step
    assert moved is not None
    run.definition, run.last = new, moved
    run.finish({**GOOD, "size": 3})
    assert asked(run).input == {"n": 3}
