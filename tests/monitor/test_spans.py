"""A run, its steps and its calls are spans, made of the journal alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from statemachine.journal.tracing import span_id, trace_id
from statemachine.kernel import FINISH, Event
from statemachine.machine.outcome import Failure, Outcome
from statemachine.monitor.spans import KINDS, RUN, Span, Spans
from tests.kernel.driving import GOOD, Run, define

LOOP = """
act: {do: look, save: answer, on: {done: put, failed: fail}}
put: {do: mail, on: {done: ask, failed: fail}}
ask: {on: {go: end}}
"""


def spans(run: Run) -> list[Span]:
    """Return the spans of a run that was driven by hand."""
    fold, found = Spans("run"), list[Span]()
    seq = 0
    for step in run.steps:
        for kind, body in step.entries:
            seq += 1
            if kind in KINDS:
                found += fold.add(seq, step.at, kind, json.loads(json.dumps(body))) or []
    return found


def by_name(run: Run) -> dict[str, Span]:
    """Return the spans by their names."""
    return {span.name: span for span in spans(run)}


@pytest.fixture
def run() -> Run:
    """A run in its first call."""
    return Run(define(LOOP, events={"go": {}}))


def finish(run: Run, outcome: Outcome, seconds: float = 2.0) -> None:
    """Let the call under way end after some time."""
    run.now += seconds
    run.take(Event(FINISH, outcome=outcome, key=run.call.key))


def test_they_are_a_tree_that_the_run_spans(run: Run) -> None:
    """Each call is in its step, each step in the run; times are those of the records."""
    finish(run, Outcome(GOOD))
    finish(run, Outcome(None), 3.0)
    run.now += 5
    run.send("go")
    found = by_name(run)
    states, calls = {"act", "put", "ask", "end"}, {"execute_tool look", "execute_tool mail"}
    assert set(found) == {"invoke_agent test"} | states | calls
    whole = found["invoke_agent test"]
    assert (whole.seq, whole.parent, whole.start, whole.end) == (RUN, None, 1000.0, 1010.0)
    assert whole.attributes["gen_ai.operation.name"] == "invoke_agent"
    assert whole.attributes["statemachine.outcome"] == "succeeded"
    for name, parent, start, end in (("look", "act", 1000, 1002), ("mail", "put", 1002, 1005)):
        call, step = found[f"execute_tool {name}"], found[parent]
        assert (call.parent, step.parent) == (step.seq, RUN)
        assert (call.start, call.end, step.start, step.end) == (start, end, start, end)
        assert call.attributes["gen_ai.tool.name"] == name
        assert not call.error
    assert found["ask"].happened == ((1010.0, "event", "go"),)
    assert {span.attributes["gen_ai.conversation.id"] for span in found.values()} == {"run"}


def test_what_went_wrong_is_a_word(run: Run) -> None:
    """The failure's class on the call, the outcome on the run; no message, which may be payload."""
    finish(run, Outcome(failure=Failure("permission", "canary-8812")))
    found = by_name(run)
    assert found["execute_tool look"].error == "permission"
    assert found["invoke_agent test"].error == "failed"
    assert found["act"].error == ""
    assert "canary" not in str(found)


def test_a_call_in_doubt_ends_there(run: Run) -> None:
    """After a crash nobody knows when it ended; made again, it is another span."""
    finish(run, Outcome(GOOD))
    run.now += 60
    run.crash()
    assert (doubt := by_name(run)["execute_tool mail"]).error == "in_doubt"
    assert doubt.end == run.now
    run.resolve(False)
    finish(run, Outcome(None))
    mails = [span for span in spans(run) if span.name == "execute_tool mail"]
    assert [span.error for span in mails] == ["in_doubt", ""]
    assert len({span.seq for span in mails}) == 2


def test_ids_are_of_the_journal() -> None:
    """As wide as a trace's are, and each its own."""
    found = {span_id(run, seq) for run in ("a", "b") for seq in range(500)}
    assert len(found) == 1000
    assert all(0 < one < 2**64 for one in found)
    assert 0 < trace_id("a") < 2**128
    assert trace_id("a") != trace_id("b")


def test_records_that_are_no_run_yet_are_no_spans() -> None:
    """What follows the end of a run that is undone later is told, the run itself is not once more."""
    fold = Spans("run")
    begun: dict[str, Any] = {"machine": "m", "version": "1", "digest": "d"}
    assert fold.add(1, 1.0, "run_started", begun) is None
    (whole,) = fold.add(2, 2.0, "run_finished", {"status": "succeeded"}) or []
    assert whole.name == "invoke_agent m"
    assert fold.add(3, 3.0, "run_finished", {"status": "succeeded"}) is None
