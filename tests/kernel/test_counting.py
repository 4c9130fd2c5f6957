"""What expressions read of `history`: how many calls of the run ended how."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from statemachine.errors import InvalidMachine
from statemachine.journal.reasons import no_place
from statemachine.journal.replay import replay
from statemachine.kernel import RESOLVE, Event, Ledger, Snapshot, Step
from statemachine.kernel.byhand import fork
from statemachine.kernel.migrating import move
from statemachine.machine.definition import Definition
from statemachine.machine.scopes import base_variables
from tests.journal.test_replay import journal
from tests.kernel.driving import GOOD, Run, declare, define
from tests.kernel.strategies import declarations, moves
from tests.kernel.test_migrating import moved

check = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
Entries = Sequence[tuple[str, Mapping[str, Any]]]
LOOP = """
act: {do: post, on: {done: end, partial: act, failed: again}}
again: {always: [{to: act, when: "history.failed.post < 3"}, {to: fail}]}
"""


def counting(parts: dict[str, Any]) -> Definition:
    """Return a machine that reads, at its end, everything that can be counted of it."""
    plain = declare(**parts)
    names = [n for n, v in base_variables(plain.declaration, plain.types).items() if v.root == "history"]
    end = {**parts["states"]["end"], "output": {"counts": f"[{', '.join(names)}]"}}
    return declare(**{**parts, "states": {**parts["states"], "end": end}})


def folded(definition: Definition, entries: Entries) -> dict[str, int]:
    """Return the counts as the records tell them, read by themselves."""
    counts: Counter[str] = Counter()
    tools: dict[str, str] = {}
    undoing: dict[str, str] = {}
    doubts: dict[str, str] = {}
    saved: set[str] = set()
    ledger = Ledger(definition)

    def count(tool: str, failure: str | None, partial: bool = False) -> None:
        counts[f"{'failed' if failure or partial else 'succeeded'}.{tool}"] += 1
        counts[f"failures.{failure}"] += failure is not None

    for (kind, body), (then, after) in zip(entries, [*entries[1:], ("", {})], strict=True):
        ledger.add(kind, body)
        key = str(body.get("key"))
        if kind == "call_intended":
            tools[key], undoing[key] = body["tool"], body.get("undoes", "")
        elif kind == "call_in_doubt":
            doubts[key] = body["after"]
        elif kind == "call_resolved":
            if body["happened"] is False and doubts[key] != "crash":
                count(tools[key], "timeout" if doubts[key] == "timeout" else "transient")
            if body.get("undo"):
                saved.add(key)
        elif kind == "call_finished" and not (then == "call_in_doubt" and after["key"] == key):
            failure = body.get("class")
            if failure is None and undoing[key]:
                failure = "data_error" if body["kind"] == "partial" else None
                if failure is None and undoing[key] in saved:
                    count(tools[undoing[key]], "in_doubt")
            elif failure is None:  # its state may have refused the answer
                event = str(after.get("event") if then == "transition" else after.get("after", ""))
                refused = event.removeprefix("failed.") if then in ("transition", "timer_set") else ""
                if event != "failed.guard" and (then == "timer_set" or event.startswith("failed.")):
                    failure = "contract" if refused == "stale_data" else refused or None
            count(tools[key], failure, body["kind"] == "partial")
    counts.update(f"standing.{write.tool}" for write in ledger.standing.values())
    return {name: n for name, n in counts.items() if n and name != "failures.None"}


@given(declarations(), st.data())
@check
def test_the_counts_are_what_the_journal_says(parts: dict[str, Any], data: Any) -> None:
    """At each step of any run; and the journal is a path of the machine that leads to the same counts."""
    definition = counting(parts)
    made: list[Step] = [step for _, _, step in data.draw(moves(definition))]
    entries: list[tuple[str, Mapping[str, Any]]] = []
    for one in made:
        entries += one.entries
        assert dict(one.snapshot.history) == folded(definition, entries)
    found = replay(definition, "run", journal(made))
    assert (found.conforms, found.snapshot.history) == (True, made[-1].snapshot.history)


@given(declarations(), st.data())
@check
def test_only_what_the_machine_reads_is_counted(parts: dict[str, Any], data: Any) -> None:
    """So the counts are bounded by the declaration; and all but standing writes only grow."""
    definition = declare(**parts)
    before: Mapping[str, int] = {}
    for _, _, made in data.draw(moves(definition)):
        after = made.snapshot.history
        assert after.keys() <= definition.counted
        assert all(after.get(n, 0) >= c for n, c in before.items() if not n.startswith("standing."))
        assert ("history" in made.snapshot.as_data()) == bool(after)
        before = after


def test_a_loop_ends_by_what_was_counted_and_the_receipt_shows_it() -> None:
    """Of a call that fails, as often as the guard allows."""
    run = Run(define(LOOP))
    for count in (1, 2, 3):
        run.fail("permission")
        run.settle()
        assert run.history == {"failed.post": count}
        assert run.last.receipt.candidates[0].values == {"history.failed.post": count}
    assert run.state == "fail"


def test_a_partial_outcome_is_a_failed_call_that_stands() -> None:
    """As `failed` also takes the event `partial`, and as a roll back would undo it."""
    run = Run(
        define(
            LOOP.replace(
                "history.failed.post", "history.standing.post + history.succeeded.post + history.failed.post"
            )
        )
    )
    run.finish(GOOD, not_done=("b",))
    assert run.history == {"failed.post": 1, "standing.post": 1}


@pytest.mark.parametrize(
    ("decision", "counts"),
    [
        ({"happened": True, "output": GOOD}, {"succeeded.post": 1, "standing.post": 1}),
        ({"happened": False}, {"failed.post": 1, "failures.timeout": 1}),
        ({"happened": None, "undo": True}, {"failed.post": 1, "failures.in_doubt": 1, "succeeded.unpost": 1}),
    ],
)
def test_a_call_in_doubt_is_counted_when_it_is_decided(
    decision: dict[str, Any], counts: dict[str, int]
) -> None:
    """By a probe or a person, and as they say: happened, did not happen, undone."""
    names = [f"history.{of}.post" for of in ("succeeded", "failed", "standing")]
    names += ["history.succeeded.unpost", "history.failures.timeout", "history.failures.in_doubt"]
    run = Run(
        define(f"act: {{do: post, on: {{done: end, failed: {{to: fail, when: '{' + '.join(names)} > 0'}}}}}}")
    )
    run.fail("timeout")
    assert (run.call.phase, run.history) == ("probe", {})
    run.take(Event(RESOLVE, decision, key=run.call.key, by="ann"))
    if not run.finished:
        run.finish()
    assert (run.history, run.finished) == (counts, True)


def test_a_read_that_refreshes_is_counted_as_itself() -> None:
    """And the call that found stale data has failed so; a read that fails has failed as it did."""
    states = """
    read: {do: look, save: {answer: output}, on: {done: act, failed: fail}}
    act: {do: mail, on: {done: end, failed: {to: fail, when: "ALL > 0"}}}
    """
    names = ("failed.mail", "failures.stale_data", "failures.permission", "succeeded.look", "failed.look")
    tools = {"mail": {"retry": {"stale_data": {"max": 2, "refresh": "look"}}}}
    run = Run(define(states.replace("ALL", " + ".join(f"history.{name}" for name in names)), tools=tools))
    run.finish(GOOD)
    run.fail("stale_data")
    run.finish(GOOD)
    assert run.history == {"succeeded.look": 2, "failed.mail": 1, "failures.stale_data": 1}
    run.fail("stale_data")
    run.fail("permission")
    twice = {"succeeded.look": 2, "failed.mail": 2, "failures.stale_data": 2}
    assert run.history == {**twice, "failed.look": 1, "failures.permission": 1}


def test_a_call_whose_answer_can_no_longer_be_judged_has_succeeded() -> None:
    """It was made; only whether it is enough cannot be told, because what that asks for is too old."""
    states = """
    read: {do: look, save: {answer: output}, on: {done: act}}
    act: {do: mail, sufficient: answer.ok, on: {done: end, stale: [{to: fail, when: "history.succeeded.mail == 1"}, {to: act}]}}
    """
    run = Run(define(states))
    run.finish(GOOD)
    run.now += 100
    run.finish(GOOD)
    assert (run.state, run.history) == ("fail", {"succeeded.mail": 1})


@pytest.mark.parametrize(
    ("ends", "counts"),
    [
        (lambda run: run.finish(GOOD), {"succeeded.mail": 1, "standing.mail": 1}),
        (lambda run: run.fail("permission"), {"failed.mail": 1}),
        (lambda run: (run.fail("timeout"), run.resolve(False)), {"failed.mail": 1}),
        (lambda run: (run.crash(), run.resolve(False)), {}),
    ],
)
def test_a_call_whose_outcome_is_not_trusted_is_counted_all_the_same(
    ends: Callable[[Run], object], counts: dict[str, int]
) -> None:
    """After an amendment during a write; one that a crash cut short and that did not happen never ended."""
    guard = "history.succeeded.mail + history.failed.mail + history.standing.mail >= 0"
    run = Run(
        define(f"act: {{do: mail, on: {{done: end, amended: [{{to: act, when: '{guard}'}}, {{to: fail}}]}}}}")
    )
    run.amend(n=3)
    ends(run)
    assert (run.history, run.state) == (counts, "act")


def test_a_write_that_is_rolled_back_stands_no_more() -> None:
    """The undoing is a call of the tool that undoes, and counted as one."""
    run = Run(
        define(
            """
            act: {do: put, on: {done: [{to: back, when: "history.standing.put == 1"}, {to: fail}]}}
            back: {undo: all, on: {done: [{to: end, when: "history.standing.put == 0 && history.succeeded.take == 1"}, {to: fail}]}}
            """
        )
    )
    run.finish(GOOD)
    run.wait()
    run.finish()
    run.wait()
    assert (run.state, run.history) == ("end", {"succeeded.take": 1})


def test_a_fork_and_a_snapshot_keep_the_counts_and_old_snapshots_have_none() -> None:
    """On the way through JSON they stay what they are."""
    run = Run(define(LOOP))
    run.fail("permission")
    data = json.loads(json.dumps(run.last.snapshot.as_data()))
    assert Snapshot.from_data(data) == run.last.snapshot
    assert (
        fork(run.definition, "other", run.last.snapshot, run.now, "", run.now).snapshot.history == run.history
    )
    del data["history"]
    assert Snapshot.from_data(data).history == {}


def test_a_newer_version_keeps_the_counts_that_it_reads_and_says_which_it_does_not() -> None:
    """What the old version did not count begins at nothing."""
    first = LOOP.replace("}, {to: fail}", ' && history.failures.permission < 9"}, {to: fail}').replace(
        '3" &&', "3 &&"
    )
    second = LOOP.replace("}, {to: fail}", ' && history.succeeded.post < 9"}, {to: fail}').replace(
        '3" &&', "3 &&"
    )
    run = Run(define(first, version="1"))
    run.fail("permission")
    new = define(second, version="2")
    found = move(run.definition, new, run.last.snapshot, run.now)
    assert found.maps == (
        "history.failures.permission, 1 so far, is not counted any more",
        "history.succeeded.post counts from here on",
    )
    told = "`history.succeeded.post` was not counted before the run was forked off"
    assert no_place(run.definition, new, run.last.snapshot) == ("guard", told)
    assert moved(run, new).history == {"failed.post": 1}


@pytest.mark.parametrize(
    ("guard", "message"),
    [
        (
            "history.faild.post < 3",
            "there is no `history.faild.post` here; did you mean `history.failed.post`?",
        ),
        (
            "history.failed.pots < 3",
            "there is no `history.failed.pots` here; did you mean `history.failed.post`?",
        ),
        ("history.failures.transent < 3", "did you mean `history.failures.transient`?"),
        ("history.standing.look < 3", "there is no `history.standing.look` here"),
        ("history.failed.post < 1.5", "does not take (int, double)"),
        ("history.failed.crm.in < 3", "`in` is a word of the language"),
    ],
)
def test_a_misspelt_or_ill_typed_count_is_an_error_at_load(guard: str, message: str) -> None:
    """Like any other name."""
    tools = {"crm.in": {"python": "tools.py:look", "effect": "read"}}
    with pytest.raises(InvalidMachine) as refused:
        define(LOOP.replace("history.failed.post < 3", guard), tools=tools)
    assert message in str(refused.value)


def test_tools_may_have_dots_and_the_longest_name_is_meant() -> None:
    """`crm` and `crm.update` are two tools, and reserved words of the language are allowed in names."""
    read = {"python": "tools.py:look", "effect": "read"}
    states = LOOP.replace(
        "history.failed.post < 3",
        "history.failed.crm.update + history.failed.crm + history.failed.crm.import < 3",
    )
    run = Run(define(states, tools={"crm": read, "crm.update": read, "crm.import": read}))
    assert run.definition.counted == {"failed.crm.update", "failed.crm", "failed.crm.import"}


def test_a_field_called_history_is_the_machines_own() -> None:
    """Machines that had one before there were counts mean that."""
    context = {"history": {"type": "list[str]", "owner": "operator", "default": []}}
    run = Run(define("a: {always: [{to: end, when: 'size(history) == 0'}, {to: fail}]}", context=context))
    assert run.settle().state == "end"
