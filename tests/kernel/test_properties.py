"""What holds for every machine and every run of it."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from statemachine.kernel import FINISH, RESOLVE, Event, PendingCall, Snapshot, due, step, waiting_for
from statemachine.machine.definition import Definition
from statemachine.machine.outcome import Failure, Outcome
from tests.kernel.driving import GOOD
from tests.kernel.strategies import Moves, declarations, machines, moves, plain, runs

check = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
_ENDINGS = st.sampled_from(
    [Outcome(GOOD)]
    + [
        Outcome(failure=Failure(failure, "no"))
        for failure in ("transient", "timeout", "in_doubt", "permission")
    ]
)
Case = tuple[Definition, Moves]


def _entries(case: Case) -> list[tuple[str, Any]]:
    return [entry for _, _, made in case[1] for entry in made.entries]


@given(runs())
@check
def test_the_same_input_gives_the_same_step(case: Case) -> None:
    """Also from a snapshot that was written and read in between; and nothing that goes in is changed."""
    definition, made = case
    for (_, _, before), (event, now, after) in pairwise(made):
        data = copy.deepcopy(before.snapshot.as_data())
        restored = Snapshot.from_data(json.loads(json.dumps(data)))
        assert restored == before.snapshot
        payload = copy.deepcopy(dict(event.payload))
        assert plain(step(definition, restored, event, now)) == plain(after)
        assert step(definition, before.snapshot, event, now) == after
        assert before.snapshot.as_data() == restored.as_data() == data
        assert dict(event.payload) == payload


@given(runs())
@check
def test_the_sequence_number_counts_the_records(case: Case) -> None:
    """A step with records moves it by as many; a step without leaves the very same snapshot."""
    seq = 0
    for position, (_, _, made) in enumerate(case[1]):
        seq += len(made.entries)
        assert made.snapshot.seq == seq
        if not made.entries:
            assert made.snapshot is case[1][position - 1][2].snapshot
            assert made.call is None
            assert made.receipt.target is None


@given(runs())
@check
def test_counters_fall_only_by_declared_resets_and_stay_within_what_is_declared(case: Case) -> None:
    """Attempts, steps, calls and cost."""
    definition, made = case
    declared = definition.declaration
    for (_, _, earlier), (_, _, later) in pairwise(made):
        before, after = earlier.snapshot, later.snapshot
        resets = {n for kind, body in later.entries if kind == "transition" for n in body.get("resets", ())}
        for name, count in before.attempts.items():
            assert after.attempts.get(name, 0) >= count or name in resets
        for name, count in after.attempts.items():
            assert count <= (declared.states[name].attempts or 0)
        assert before.steps <= after.steps <= declared.limits.steps + 1
        assert before.calls <= after.calls <= (declared.limits.calls or after.calls)
        assert all(after.cost[unit] >= spent for unit, spent in before.cost.items())


@given(runs())
@check
def test_the_receipt_says_where_the_run_is(case: Case) -> None:
    """A target is the new state and was journaled; without one the state is the old one."""
    for _, _, made in case[1]:
        receipt = made.receipt
        transitions = [body for kind, body in made.entries if kind == "transition"]
        assert receipt.attempts == made.snapshot.attempts
        if receipt.target is None:
            assert (transitions, made.snapshot.state) == ([], receipt.state)
        else:
            assert [body["to"] for body in transitions] == [receipt.target] == [made.snapshot.state]
            chosen = [c.target for c in receipt.candidates if c.verdict is True]
            assert receipt.instead or not chosen or chosen == [receipt.target]


@given(runs())
@check
def test_every_call_is_intended_under_the_place_of_its_first_intent(case: Case) -> None:
    """Keys are unique; a call goes out only with an intent in the same step, and one at a time."""
    first: dict[str, int] = {}
    for seq, (kind, body) in enumerate(_entries(case), start=1):
        if kind == "call_intended":
            assert first.setdefault(body["key"], seq) == int(body["key"].removeprefix("run:"))
            assert (body["attempt"] == 1) == (first[body["key"]] == seq)
    for _, _, made in case[1]:
        intents = [body["key"] for kind, body in made.entries if kind == "call_intended"]
        assert intents == ([] if made.call is None else [made.call.key])
        assert made.call is None or made.call is made.snapshot.pending


@given(runs())
@check
def test_an_unsafe_call_is_never_sent_twice_without_knowing_that_it_did_not_happen(case: Case) -> None:
    """Between two intents of a write that is not idempotent lies a failure that excludes it, or a decision."""
    definition, _ = case
    under_way: set[str] = set()
    for kind, body in _entries(case):
        if kind == "call_intended":
            assert body["key"] not in under_way
            if not definition.declaration.tools[body["tool"]].repeatable:
                under_way.add(body["key"])
        elif (kind == "call_finished" and body.get("class") not in ("timeout", "in_doubt")) or (
            kind == "call_resolved" and body["happened"] is False
        ):
            under_way.discard(body["key"])


@given(runs())
@check
def test_an_unsafe_call_is_not_left_under_way(case: Case) -> None:
    """The run stays in its state until the outcome, or a decision, is there."""
    definition, made = case
    for (_, _, before), (_, _, after) in pairwise(made):
        pending = before.snapshot.pending
        if isinstance(pending, PendingCall) and pending.phase != "backoff":
            known = {kind for kind, _ in after.entries} & {"call_finished", "call_resolved"}
            if not definition.declaration.tools[pending.tool].repeatable and not known:
                assert after.receipt.target is None


@given(runs())
@check
def test_a_run_has_one_of_six_statuses_and_the_one_that_fits(case: Case) -> None:
    """Finished means a last record that says so, a reason unless it succeeded, and nothing pending.

    A run ends once, and once more when a person has it rolled back afterwards.
    """
    definition, made = case
    for n, (_, _, after) in enumerate(made, 1):
        snapshot = after.snapshot
        entries = _entries((definition, made[:n]))
        ended = [body for kind, body in entries if kind == "run_finished"]
        assert len(ended) <= 1 + sum(kind == "rolled_back" for kind, _ in entries)
        if snapshot.finished:
            assert (snapshot.pending, due(definition, snapshot)) == (None, None)
            assert ended[-1]["status"] == snapshot.status
            assert snapshot.because or snapshot.status == "succeeded"
        elif snapshot.status == "waiting":
            assert waiting_for(definition, snapshot)
        else:
            assert snapshot.status == "running"
            assert snapshot.pending is not None


@given(machines(), st.integers(0, 4), st.data())
@check
def test_a_run_that_is_always_answered_ends_or_waits_for_an_event(
    definition: Definition, n: int, data: Any
) -> None:
    """Whatever the world answers: within the limits the run comes to an end, or asks for what only others have."""
    made = data.draw(moves(definition, longest=6))
    snapshot, now = made[-1][2].snapshot, made[-1][1]
    limits = definition.declaration.limits
    # Each step ends at most one call, and a call has at most three retries for each of three classes.
    bound = (limits.steps + 2) * 30
    for _ in range(bound):
        pending, timed = snapshot.pending, due(definition, snapshot)
        if snapshot.finished or (pending is None and timed is None):
            break
        if isinstance(pending, PendingCall) and pending.phase == "sent":
            event = Event(FINISH, outcome=data.draw(_ENDINGS), key=pending.key)
        elif isinstance(pending, PendingCall) and pending.phase != "backoff":
            event = Event(RESOLVE, {"happened": n > 2, "output": GOOD}, key=pending.key)
        else:
            assert timed is not None
            now, event = max(now, timed[0]), timed[1]
        after = step(definition, snapshot, event, now)
        assert after.entries, f"{event.name} leads nowhere"
        snapshot = after.snapshot
    assert snapshot.finished or waiting_for(definition, snapshot).startswith(("event", "time"))
    assert snapshot.finished or snapshot.pending is None


@given(st.lists(declarations().flatmap(lambda d: st.tuples(st.just(d), st.data())), min_size=20, max_size=20))
@settings(max_examples=1, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_same_input_gives_the_same_step_in_another_process(
    cases: list[tuple[dict[str, Any], Any]],
) -> None:
    """Nothing depends on the order of a set, the hash seed, or what this process did before."""
    from tests.kernel.driving import declare

    told, expected = [], []
    for parts, data in cases:
        made = data.draw(moves(declare(**parts)))
        told.append({"parts": parts, "moves": [_told(event, now, after) for event, now, after in made[1:]]})
        told[-1]["start"] = [made[0][1], made[0][2].entries[0][1]["inputs"]]
        expected.append([plain(after) for _, _, after in made])
    for seed in ("1", "77"):
        again = subprocess.run(
            [sys.executable, "-m", "tests.kernel.again"],
            input=json.dumps(told),
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        assert json.loads(again.stdout) == expected


def _told(event: Event, now: float, _: object) -> list[Any]:
    outcome = None if event.outcome is None else event.outcome.as_data()
    return [event.name, dict(event.payload), outcome, event.key, event.by, now]
