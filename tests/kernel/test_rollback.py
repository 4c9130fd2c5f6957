"""Roll back: what was written is undone, the newest first, by calls that are journaled like any other."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from statemachine.errors import InvalidMachine
from statemachine.kernel import Event, Immediate, PendingCall, Snapshot
from statemachine.machine.definition import Definition
from tests.kernel.driving import GOOD, WRITE, Run, define
from tests.kernel.strategies import runs
from tests.kernel.test_properties import Case, check

STATES = """
put:   {do: put, on: {done: post, failed: back}}
post:  {do: post, with: {n: n + 1}, on: {done: mail, failed: back}}
mail:  {do: mail, on: {done: check, failed: back}}
check: {do: look, on: {done: end, failed: back}}
back:  {undo: all, on: {done: fail, partial: left, failed: stopped}}
left:    {final: failed}
stopped: {final: failed, reason: failure.message}
"""


def machine(**tools: Any) -> Definition:
    """Return a machine that writes three times and rolls back where anything fails."""
    return define(STATES, tools=tools, limits={"otherwise": "fail"})


def written(count: int, **tools: Any) -> Run:
    """Return a run that has written so often, and whose next call then failed."""
    run = Run(machine(**tools))
    for _ in range(count):
        run.finish(GOOD)
    run.fail("fatal")
    return run


def undoing(run: Run) -> tuple[str, str | None, Any]:
    """Return the tool, the key undone and the input of the call that the run makes now."""
    if not isinstance(run.pending, PendingCall):
        run.wait()
    return run.call.tool, run.call.undoes, dict(run.call.input)


def test_finished_writes_are_undone_newest_first_with_what_was_given_and_got() -> None:
    """Each by a call of its own, under a key of its own."""
    run = written(2)
    put, post = [body["key"] for kind, body in run.entries if kind == "call_intended"][:2]
    assert undoing(run) == ("unpost", post, {"key": post, "n": 2})
    assert run.call.key not in (put, post)
    run.finish()
    assert undoing(run) == ("take", put, {"n": 1, "output": GOOD})
    run.finish()
    run.wait()
    assert (run.status, run.state) == ("failed", "fail")
    assert run.because == "mail failed in mail (fatal): it was fatal; undone: post, put"


def test_what_nothing_undoes_is_left_and_told() -> None:
    """The event is `partial` then."""
    run = written(3)
    for tool in ("unpost", "take"):
        assert undoing(run)[0] == tool
        run.finish()
    run.wait()
    assert run.state == "left"
    assert run.because.endswith("undone: post, put; not undone: mail")
    assert run.entries[-3] == ("rolled_back", {"undone": {"post": 1, "put": 1}, "left": {"mail": 1}})


def test_with_nothing_written_a_roll_back_is_over_at_once() -> None:
    """It is done."""
    run = written(0)
    run.wait()
    assert run.state == "fail"
    assert run.because.endswith("nothing to undo")


def test_a_failure_stops_it_and_says_what_is_undone_and_what_is_not() -> None:
    """What is older than a write that could not be undone is left as it is: it may rest on it."""
    run = written(2)
    undoing(run)
    run.finish()
    undoing(run)
    run.fail("permission")
    run.wait()
    assert run.state == "stopped"
    assert run.because == "it was permission; undone: post; not undone: put"
    assert run.failure is not None
    assert run.failure["class"] == "permission"


def test_undoing_is_retried_by_its_own_policy() -> None:
    """Under the same key, after a durable wait, and although a limit is used up."""
    policy = {"retry": {"transient": {"max": 1, "initial": "1s", "jitter": "none"}}}
    run = Run(
        define(STATES, tools={"unpost": policy}, limits={"calls": 3, "elapsed": "1h", "otherwise": "fail"})
    )
    for _ in range(2):
        run.finish(GOOD)
    run.now += 1800
    run.fail("fatal")
    undoing(run)
    key = run.call.key
    run.now += 7200
    run.fail("transient")
    assert run.call.phase == "backoff"
    run.wait()
    assert (run.call.key, run.call.attempt, run.call.phase) == (key, 2, "sent")
    assert run.calls == 3  # the run's own


def test_undoing_that_is_in_doubt_waits_for_a_person() -> None:
    """Like any call that must not be made twice; and then the roll back goes on."""
    run = written(2)
    undoing(run)
    run.crash()
    assert run.call.phase == "doubt"
    run.resolve(True)
    assert undoing(run)[0] == "take"
    run.crash()  # this one may be made again
    assert (run.call.tool, run.call.attempt) == ("take", 2)


@pytest.mark.parametrize("name", ["cancelled", "undo", "elapsed", "timeout", "limit.elapsed", "go", "start"])
def test_nothing_else_moves_a_run_that_rolls_back(name: str) -> None:
    """It is not left half-way."""
    run = written(1)
    for _ in range(2):
        before = run.last.snapshot
        assert run.send(name, by="ann").snapshot is before
        undoing(run)


def test_a_second_roll_back_undoes_only_what_was_written_since() -> None:
    """What is undone no longer stands."""
    run = Run(
        define("""
put:  {do: put, on: {done: look}}
look: {do: look, on: {done: end, failed: back}}
back: {undo: all, on: {done: put, failed: fail}}
""")
    )
    keys = []
    for _ in range(2):
        keys.append(run.call.key)
        run.finish(GOOD)
        run.fail("fatal")
        assert undoing(run)[1] == keys[-1]
        run.finish()
        run.wait()
    assert run.state == "put"
    assert not run.ledger.standing


def test_a_write_that_answered_nonsense_is_not_undone_blindly() -> None:
    """Nobody knows what it did, so it is told as left."""
    run = Run(machine())
    run.fail("contract")
    run.wait()
    assert run.state == "left"
    assert run.because.endswith("not undone: put")


@pytest.mark.parametrize(
    ("ending", "status", "state"),
    [("succeeded", "cancelled", "end"), ("failed", "failed", "fail"), ("cancelled", "cancelled", "put")],
)
def test_a_run_that_has_ended_can_be_rolled_back(ending: str, status: str, state: str) -> None:
    """Because a person demands it; it stays where it is, and what succeeded no longer has."""
    run = Run(
        define(
            "put: {do: put, on: {done: wait, failed: fail}}\nwait: {on: {go: end, sized: fail, cancelled: put}}",
            events={"go": {}, "sized": {}},
        )
    )
    run.finish(GOOD)
    if ending == "cancelled":
        run.take(Event("cancelled", by="ann"))
        run.fail("fatal")
    else:
        run.send("go" if ending == "succeeded" else "sized")
    was = run.status
    run.take(Event("undo", by="bob"))
    assert (run.status, run.pending) == ("running", Immediate("call.undo"))
    assert undoing(run)[0] == "take"
    run.finish()
    run.wait()
    assert (run.status, run.finished) == (was if was == "failed" else "cancelled", True)
    assert run.because.endswith("undone: put")
    if was != "succeeded":
        return
    assert (run.status, run.state) == (status, state)


def test_a_run_that_goes_on_takes_the_transition_for_undo_if_there_is_one() -> None:
    """Else it is rolled back where it stands, and cancelled."""
    text = "put: {do: put, on: {done: wait}}\nwait: {on: {go: end}}\nback: {undo: all, on: {done: wait}}"
    routed = Run(define(text, events={"go": {}}, on={"undo": [{"to": "back"}]}))
    routed.finish(GOOD)
    routed.take(Event("undo", by="ann"))
    assert routed.state == "back"
    undoing(routed)
    routed.finish()
    routed.wait()
    assert (routed.state, routed.status) == ("wait", "waiting")
    plain = Run(define(text.rpartition("\n")[0], events={"go": {}}))
    plain.finish(GOOD)
    plain.take(Event("undo", by="ann"))
    undoing(plain)
    plain.finish()
    plain.wait()
    assert (plain.state, plain.status, plain.because) == (
        "wait",
        "cancelled",
        "ann asked to roll back; undone: put",
    )


def test_a_call_in_doubt_can_be_undone_whether_it_happened_or_not() -> None:
    """It has failed then; if undoing it fails, it is in doubt as before."""
    run = Run(machine())
    run.finish(GOOD)
    run.crash()
    run.resolve(None)  # the probe does not know
    doubted = run.call
    assert doubted.phase == "doubt"
    run.take(Event("call.resolved", {"happened": None, "undo": True}, key=doubted.key, by="ann"))
    assert (run.call.tool, run.call.undoes) == ("unpost", doubted.key)
    assert Snapshot.from_data(run.last.snapshot.as_data()) == run.last.snapshot
    run.fail("fatal")
    assert (run.call, run.status) == (doubted, "waiting")
    run.take(Event("call.resolved", {"happened": None, "undo": True}, key=doubted.key, by="ann"))
    run.finish()
    assert run.state == "back"
    assert run.because == "post failed in post (in_doubt): it may have happened, and was undone"
    assert undoing(run)[0] == "take"  # the one before it stands


@pytest.mark.parametrize(
    ("tools", "what"),
    [
        ({"put": {"undo": "look"}}, "a write"),
        ({"put": {"undo": "mail", "reversibility": "none"}}, "nothing undoes it"),
        ({"look": {"undo": "take"}}, "belong to a write"),
        ({"mail": {"reversibility": "full", "undo": "unpots"}}, "did you mean `unpost`"),
        ({"unpost": {"retry": {"stale_data": {"max": 1, "refresh": "look"}}}}, "nothing refreshes"),
    ],
)
def test_an_undo_that_cannot_work_is_refused(tools: dict[str, Any], what: str) -> None:
    """When the machine is loaded."""
    with pytest.raises((InvalidMachine, ValueError), match=what):
        machine(**tools)


def test_what_an_undo_takes_must_be_known_of_the_call() -> None:
    """An input of the call, its key or its output, of the type that it has."""
    with pytest.raises(
        InvalidMachine, match="`mail` needs `n`; of a call to undo it can take `key`, `output`"
    ):
        machine(send={"shell": "send", "undo": "mail", **WRITE, "idempotent": True})


@given(runs())
@check
def test_every_undoing_is_of_a_write_that_stands_and_each_is_undone_once(case: Case) -> None:
    """Newest first within one roll back, whatever happens in between."""
    _, made = case
    entries = [entry for _, _, step in made for entry in step.entries]
    done: dict[str, int] = {}
    undone: set[str] = set()
    last: int | None = None
    intents: dict[str, Any] = {}
    for seq, (kind, body) in enumerate(entries, 1):
        if kind == "call_intended":
            intents[body["key"]] = body
            if "undoes" in body and body["attempt"] == 1 and body["undoes"] in done:
                assert body["undoes"] not in undone
                assert last is None or done[body["undoes"]] < last
                last = done[body["undoes"]]
        elif kind == "call_finished" and body["kind"] != "failure":
            undoes = intents[body["key"]].get("undoes")
            if undoes is None:
                done[body["key"]] = seq
            elif body["kind"] == "success":
                undone.add(undoes)
        elif kind == "rolled_back":
            last = None
