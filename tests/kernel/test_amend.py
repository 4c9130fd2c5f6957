"""The operator changes the goal in the middle of a run."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from statemachine.kernel import Event, PendingCall, Snapshot, step
from statemachine.kernel.due import may_leave
from statemachine.machine.definition import AMENDED, Definition
from statemachine.machine.model import OPERATOR
from tests.kernel.driving import GOOD, Run, define
from tests.kernel.strategies import Moves, runs

STATES = """
read: {do: look, save: {answer: output, size: output.size}, on: {done: act, failed: fail}}
act: {do: mail, with: {n: size}, on: {done: ask, failed: fail}}
ask: {on: {go: end}}
"""
check = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))


def amendable(**parts: Any) -> Run:
    """Return a run of a machine that plans anew when it is amended, before its write."""
    return Run(define(STATES, **{"on": {"amended": "read"}, "events": {"go": {}}, **parts}))


def acting(**parts: Any) -> Run:
    """Return such a run in the middle of its write."""
    run = amendable(**parts)
    run.finish(GOOD)
    assert run.call.tool == "mail"
    return run


def test_what_derives_from_what_changed_is_no_longer_known_and_the_route_is_taken() -> None:
    """Through other fields too: `answer` rests on `n`, `size` on `answer`."""
    run = acting()
    run.finish(GOOD)
    assert (run.state, set(run.context)) == ("ask", {"n", "answer", "size"})
    run.amend(n=5)
    assert (run.state, run.context, run.call.tool, run.call.input) == ("read", {"n": 5}, "look", {"n": 5})
    assert set(run.sources) == {"n"}
    assert (run.sources["n"].by, run.sources["n"].of, run.sources["n"].at) == (
        "operator",
        "amendment",
        run.now,
    )
    kind, body = run.entries[-3]
    assert (kind, body["by"], body["values"], body["was"]) == ("amended", "ann", {"n": 5}, {"n": 1})
    assert body["invalidated"] == ["answer", "size"]


def test_a_read_under_way_is_dropped() -> None:
    """It changes nothing: the run moves on at once, and what it still answers counts for nothing."""
    run = amendable()
    dropped = run.call
    run.amend(n=2)
    assert (run.state, run.call.input) == ("read", {"n": 2})
    assert run.call.key != dropped.key


def test_a_write_under_way_is_waited_for_and_its_outcome_not_trusted() -> None:
    """Values and invalidation apply at once; the outcome is recorded, not saved and not routed."""
    run = acting()
    run.amend(n=4)
    assert (run.state, run.call.tool, run.context, run.last.snapshot.amended) == (
        "act",
        "mail",
        {"n": 4},
        True,
    )
    run.finish(GOOD)
    assert (run.state, run.context, run.last.snapshot.amended) == ("read", {"n": 4}, False)
    finished = [body for kind, body in run.entries if kind == "call_finished"][-1]
    assert (finished["output"], finished["trusted"]) == (GOOD, False)
    transition = [body for kind, body in run.entries if kind == "transition"][-1]
    assert (transition["event"], transition["from"], transition["to"]) == ("amended", "act", "read")


def test_a_write_that_fails_after_an_amendment_is_not_retried() -> None:
    """Neither its policy nor `failed` has a say."""
    run = acting(tools={"mail": {"retry": {"transient": {"max": 3}}}})
    run.amend(n=4)
    run.fail("transient")
    assert (run.state, run.call.tool) == ("read", "look")


@pytest.mark.parametrize("decided", [True, False])
def test_nothing_else_leads_out_of_doubt(decided: bool) -> None:
    """The decision comes first; after it the run is amended, whichever it was."""
    run = acting()
    run.amend(n=4)
    run.crash()
    assert (run.call.phase, run.last.snapshot.amended) == ("doubt", True)
    run.amend(n=3)
    assert (run.call.phase, run.context) == ("doubt", {"n": 3})
    run.resolve(decided, GOOD)
    assert (run.state, run.call.input, run.last.snapshot.amended) == ("read", {"n": 3}, False)


def test_a_time_out_after_an_amendment_is_in_doubt_as_ever() -> None:
    """A write that outlived its timeout may have happened."""
    run = acting()
    run.amend(n=4)
    run.fail("timeout")
    assert run.call.phase == "doubt"
    run.resolve(False)
    assert run.state == "read"


def test_an_idempotent_write_that_a_crash_interrupted_is_made_again_before_the_amendment_leads_on() -> None:
    """Under its key and with its input: what it did is known then."""
    run = Run(define(STATES.replace("mail", "put"), on={"amended": "read"}, events={"go": {}}))
    run.finish(GOOD)
    key = run.call.key
    run.amend(n=4)
    restored = Snapshot.from_data(run.last.snapshot.as_data())
    assert restored.amended
    run.crash()
    assert (run.call.key, run.call.attempt, run.call.input) == (key, 2, {"n": 3})
    run.finish(GOOD)
    assert (run.state, run.context) == ("read", {"n": 4})


def test_a_doubtful_call_that_is_undone_leads_to_the_amendment() -> None:
    """The roll back of that one call is waited for; an amendment meanwhile is refused."""
    run = Run(define(STATES.replace("mail", "post"), on={"amended": "read"}, events={"go": {}}))
    run.finish(GOOD)
    run.amend(n=4)
    run.crash()
    run.resolve(None)
    run.take(Event("call.resolved", {"happened": None, "undo": True}, key=run.call.key, by="ann"))
    assert run.call.tool == "unpost"
    assert run.amend(n=2).receipt.verdict == "denied"
    run.finish(None)
    assert (run.state, run.context) == ("read", {"n": 4})


def test_a_machine_that_declares_no_route_refuses() -> None:
    """`*` is none: what answers a demand is declared as such. Nothing changes, in no state."""
    for run in (amendable(on={"*": "read"}), acting(on={"*": "read"})):
        before = run.last.snapshot
        made = run.amend(n=5)
        assert (made.snapshot, made.entries, made.receipt.verdict) == (before, (), "unknown")
    run = amendable(on={"amended": {"to": "read", "when": "n < 3"}})
    assert run.amend(n=5).receipt.verdict == "denied"
    assert run.amend(n=2).receipt.verdict == "taken"


@pytest.mark.parametrize("values", [{"size": 3}, {"n": "many"}, {"m": 1}, {}, {"n": 1}])
def test_only_the_operators_fields_are_amended_with_values_that_fit_and_differ(
    values: dict[str, Any],
) -> None:
    """What changes nothing is refused too."""
    run = amendable()
    assert run.take(Event(AMENDED, values)).entries == ()


def test_the_same_value_confirms_a_field_that_grows_stale() -> None:
    """It counts as observed anew; what derives from it stays."""
    context = {
        "n": {"type": "int", "owner": "operator", "default": 1, "fresh_for": "1m"},
        "answer": {"type": "tools.py:Answer", "owner": "read", "derived_from": "n"},
        "size": {"type": "int", "owner": "read", "default": 0, "derived_from": "n"},
    }
    states = STATES.replace("read: {do", "read: {with: {n: '1'}, do")
    run = Run(define(states, on={"amended": "ask"}, events={"go": {}}, context=context))
    run.finish(GOOD)
    run.now += 100
    run.amend(n=1)
    run.finish(GOOD)
    assert (run.state, run.sources["n"].at, set(run.context)) == ("ask", 1100.0, {"n", "answer", "size"})
    run.amend(n=2)
    assert run.context == {"n": 2, "size": 0}


def test_an_amended_run_is_not_stuck_for_what_it_did_before() -> None:
    """The same call for another goal is no repetition."""
    run = amendable(limits={"stuck_after": 2})
    for n in (2, 1, 2):
        run.amend(n=n)
    assert run.call.input == {"n": 2}


@given(runs())
@check
def test_only_an_owner_ever_writes_a_field(case: tuple[Definition, Moves]) -> None:
    """Every source of every snapshot is an owner of its field, or the default that it began with."""
    definition, made = case
    for _, _, after in made:
        assert set(after.snapshot.sources) >= {n for n, v in after.snapshot.context.items() if v is not None}
        for name, source in after.snapshot.sources.items():
            assert source.by in definition.declaration.context[name].owner or source.of == "default"


@given(runs(), st.data())
@check
def test_a_write_by_a_state_that_is_no_owner_is_refused_by_the_kernel_too(
    case: tuple[Definition, Moves], data: Any
) -> None:
    """Whoever gets past the check at load is stopped at run time: the field stays as it was."""
    from dataclasses import replace
    from types import MappingProxyType

    definition, made = case
    if not definition.actions:
        return
    state = data.draw(st.sampled_from(sorted(definition.actions)))
    forged = replace(definition.actions[state], saves=(("n", ("size",), False),))
    definition = replace(definition, actions=MappingProxyType({**definition.actions, state: forged}))
    for (_, _, before), (event, now, _) in pairwise(made):
        if event.name != AMENDED:
            after = step(definition, before.snapshot, event, now).snapshot
            assert after.context.get("n") == before.snapshot.context.get("n")
            assert after.sources["n"].by == OPERATOR


@given(runs())
@check
def test_an_amendment_holds_from_the_moment_it_is_taken_until_something_else_is_amended(
    case: tuple[Definition, Moves],
) -> None:
    """Values apply at once, derived ones go, and a call under way that may change the world stays the only one."""
    definition, made = case
    for (_, _, before), (event, _, after) in pairwise(made):
        if event.name != AMENDED or not after.entries:
            continue
        assert dict(after.entries[0][1]["values"]).items() <= after.snapshot.context.items()
        pending = before.snapshot.pending
        if isinstance(pending, PendingCall) and not may_leave(definition, pending):
            assert after.snapshot.pending is pending
            assert after.snapshot.amended
        else:
            assert after.receipt.target is not None
        if after.entries[0][1]["was"] != after.entries[0][1]["values"]:
            assert not {"answer", "size"} & set(after.snapshot.context)


@given(runs())
@check
def test_no_guard_ever_reads_a_value_that_is_stale(case: tuple[Definition, Moves]) -> None:
    """Of all verdicts in all receipts."""
    definition, made = case
    for (_, _, before), (_, now, after) in pairwise(made):
        source = before.snapshot.sources.get("answer")
        lasts = definition.perishable.get("answer")
        written = any(kind in ("call_finished", "amended") for kind, _ in after.entries)
        if source is None or lasts is None or written or round(now, 6) - source.at <= lasts:
            continue
        assert not [c for c in after.receipt.candidates for name in c.values if name.startswith("answer.")]
