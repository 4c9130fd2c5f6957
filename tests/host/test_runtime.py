"""A run goes through the runtime: it starts, waits, is talked to, stops and ends."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from statemachine.errors import EventRefused, InvalidInput, RunOwned, StoreUnusable, UnknownEvent, UnknownRun
from statemachine.host.runtime import Runtime
from statemachine.host.view import RunView, path_of
from statemachine.journal import verify
from tests.host.conftest import LOOP, one_tool

Write = Callable[[str], Path]


def run(machine: Path, **inputs: object) -> RunView:
    """Run a machine of this folder to its end."""

    async def go() -> RunView:
        async with Runtime(machine.parent / "runs.db") as runtime:
            return await runtime.start(machine, {"world": str(machine.parent / "world.txt"), **inputs})

    return asyncio.run(go())


def records(machine: Path, view: RunView) -> list[tuple[str, dict[str, object]]]:
    """Return kind and body of a run's records, after checking their chain."""
    with Runtime(machine.parent / "runs.db").store as store:
        assert verify(store.records(view.run), view.digest) is None
        return [(r.kind, json.loads(r.body)) for r in store.records(view.run)]


def test_a_loop_runs_to_its_end_and_every_step_is_in_the_journal(machine: Write) -> None:
    """Three rounds write three lines; the path, the attempts and the output say so."""
    file = machine(LOOP)
    view = run(file)
    assert (view.status, view.state, view.attempts) == ("succeeded", "complete", {"retry": 2})
    assert view.output == {"lines": 3, "score": 1.0}
    told = records(file, view)
    assert [body["to"] for kind, body in told if kind == "transition"] == [
        *("act", "validate", "retry") * 2,
        *("act", "validate", "complete"),
    ]
    keys = [body["key"] for kind, body in told if kind == "call_intended"]
    assert keys == [body["key"] for kind, body in told if kind == "call_finished"]
    assert (file.parent / "world.txt").read_text().split() == keys[::2]


def test_attempts_run_out_with_the_reason(machine: Write) -> None:
    """The sixth round is not taken; the run fails and says why."""
    view = run(machine(LOOP), want=100)
    assert (view.status, view.state, view.attempts) == ("failed", "fail", {"retry": 5})
    assert "retry was entered 5 times" in view.reason


@pytest.mark.parametrize(
    ("tool", "failure", "says"),
    [
        ("hang", "timeout", "no answer within 1 s"),
        ("hang_async", "timeout", "no answer within 1 s"),
        ("leave", "fatal", "sys.exit(3)"),
        ("lie", "contract", "not what the tool declares"),
        ("huge", "contract", "bytes"),
        ("nan", "contract", "JSON"),
        ("denied", "permission", "denied"),
    ],
)
def test_whatever_a_tool_does_is_a_failure_of_one_class(
    machine: Write, tool: str, failure: str, says: str
) -> None:
    """Nothing that a tool does ends the host; it becomes an event, and the reason tells what it was."""
    file = machine(one_tool(tool))
    began = time.monotonic()
    view = run(file)
    assert view.status == "failed"
    assert failure in view.reason
    assert says in view.reason
    assert time.monotonic() - began < 10
    (outcome,) = [body for kind, body in records(file, view) if kind == "call_finished"]
    assert outcome["class"] == failure


def test_a_transient_failure_is_retried_under_the_same_key(machine: Write) -> None:
    """The policy's retries are timers in the journal; the third try succeeds."""
    policy = "retry: {transient: {max: 3, initial: 10ms, jitter: none}}"
    file = machine(one_tool("flaky", f"effect: read, timeout: 5s, {policy}"))
    view = run(file)
    assert (view.status, view.calls) == ("succeeded", 3)
    assert len(set((file.parent / "world.txt").read_text().split())) == 1
    assert [k for k, _ in records(file, view)].count("timer_set") == 2


def test_retries_that_run_out_are_a_typed_failure(machine: Write) -> None:
    """An exhausted policy never looks like success."""
    policy = "retry: {transient: {max: 1, initial: 10ms, jitter: none}}"
    view = run(machine(one_tool("flaky", f"effect: read, timeout: 5s, {policy}")))
    assert view.status == "failed"
    assert "transient" in view.reason
    assert "after 1 retry" in view.reason


def test_the_wait_that_the_other_side_asks_for_is_kept(machine: Write) -> None:
    """Retry-After is the least that is waited."""
    policy = "retry: {rate_limited: {max: 1, initial: 1ms}}"
    began = time.monotonic()
    assert run(machine(one_tool("busy", f"effect: read, timeout: 5s, {policy}"))).status == "failed"
    assert time.monotonic() - began >= 0.2


def test_a_partial_success_is_an_event_of_its_own(machine: Write) -> None:
    """What was done and what was not is in the journal."""
    file = machine(one_tool("partly", on="done: fail, partial: complete, failed: fail"))
    view = run(file)
    assert view.status == "succeeded"
    (outcome,) = [body for kind, body in records(file, view) if kind == "call_finished"]
    assert (outcome["kind"], outcome["done"], outcome["not_done"]) == ("partial", ["a"], ["b"])


def test_a_cost_limit_ends_the_run_in_its_named_state(machine: Write) -> None:
    """The second call goes over the limit; the run ends with the reason, not with an exception."""
    view = run(machine(one_tool("priced", on="done: act, failed: fail", limits="{cost: {usd: 0.7}}")))
    assert (view.status, view.calls, view.cost) == ("failed", 2, {"usd": 1.0})
    assert "0.7 usd" in view.reason


WAITING = """
machine: waiting
version: "1"
context: {answer: {type: str, owner: ask, default: ""}}
events: {answered: {text: str, sure: "bool | None"}, ignored: {}}
initial: ask
states:
  ask: {timeout: 300ms, on: {answered: [{to: complete, when: "event.text != ''"}], timeout: fail, cancelled: fail}}
  complete: {final: succeeded}
  fail: {final: failed}
"""


def test_a_run_waits_for_an_event_and_goes_on_when_it_is_sent(machine: Write) -> None:
    """Waiting is a status; a wrong event is refused with what would be taken; the right one ends the run."""

    async def go() -> None:
        async with Runtime(file.parent / "runs.db") as runtime:
            view = await runtime.start(file)
            assert (view.status, view.waiting) == ("waiting", "event answered")
            with pytest.raises(UnknownEvent, match="did you mean `answered`"):
                await runtime.send(view.run, "anwered")
            with pytest.raises(EventRefused, match="it takes: answered"):
                await runtime.send(view.run, "ignored")
            with pytest.raises(InvalidInput, match="text: missing"):
                await runtime.send(view.run, "answered")
            with pytest.raises(InvalidInput, match="no such value"):
                await runtime.send(view.run, "answered", {"text": "x", "texx": 1})
            with pytest.raises(EventRefused, match="refuses"):
                await runtime.send(view.run, "answered", {"text": ""})
            view = await runtime.send(view.run[:5], "answered", {"text": "yes"}, by="ann")
            assert view.status == "succeeded"
            with pytest.raises(EventRefused, match="succeeded"):
                await runtime.send(view.run, "answered", {"text": "again"})

    file = machine(WAITING.replace("300ms", "1h"))
    asyncio.run(go())


def test_a_timeout_passes_while_nobody_runs(machine: Write) -> None:
    """A timer is durable: it fires when the run is resumed after it was due."""

    async def go() -> None:
        async with Runtime(file.parent / "runs.db") as runtime:
            view = await runtime.start(file)
            assert view.status == "waiting"
        await asyncio.sleep(0.4)
        async with Runtime(file.parent / "runs.db") as runtime:
            assert (await runtime.resume(view.run)).state == "fail"

    file = machine(WAITING)
    asyncio.run(go())


def test_cancel_ends_a_run_that_waits(machine: Write) -> None:
    """The declared route is taken, and the status says that it was cancelled."""

    async def go() -> None:
        async with Runtime(file.parent / "runs.db") as runtime:
            view = await runtime.start(file)
            view = await runtime.cancel(view.run, by="ann")
            assert (view.status, view.state, view.outcome) == ("cancelled", "fail", "cancelled")
            with pytest.raises(EventRefused):
                await runtime.cancel(view.run)

    file = machine(WAITING)
    asyncio.run(go())


def test_cancel_reaches_a_run_in_the_middle_of_a_call(machine: Write) -> None:
    """A read that hangs is given up at once; nobody waits for its timeout."""

    async def go() -> None:
        async with Runtime(file.parent / "runs.db") as runtime:
            task = asyncio.create_task(runtime.start(file, {"world": str(file.parent / "world.txt")}))
            while not (runs := runtime.store.runs()) or not (file.parent / "world.txt").read_text():
                await asyncio.sleep(0.02)
            began = time.monotonic()
            view = await runtime.cancel(runs[0].id)
            view = await task
            assert view.status == "cancelled"
            assert time.monotonic() - began < 5

    file = machine(one_tool("hang_async", "effect: read, timeout: 1m"))
    asyncio.run(go())


def test_stop_leaves_a_run_that_can_be_resumed(machine: Write) -> None:
    """Stopping gives up a read at once and makes it again under its key when the run is resumed."""

    async def go() -> None:
        async with Runtime(file.parent / "runs.db") as runtime:
            task = asyncio.create_task(runtime.start(file, {"world": str(file.parent / "world.txt")}))
            while not (file.parent / "world.txt").read_text():
                await asyncio.sleep(0.02)
            runtime.stop()
            view = await task
            assert (view.status, view.owner) == ("running", None)
        with file.parent.joinpath("tools.py").open("a") as tools:
            tools.write("def hang_async(world: Path) -> int: return 7\n")

    file = machine(one_tool("hang_async", "effect: read, timeout: 1m"))
    asyncio.run(go())
    told = json.loads(_cli(file, "resume", "--all", "--json"))
    assert [(r["status"], r["output"], r["calls"]) for r in told] == [("succeeded", {"out": 7}, 2)]


def _cli(file: Path, *words: str) -> str:
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "statemachine", *words, "--db", str(file.parent / "runs.db")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_hundred_runs_share_their_commits(machine: Write) -> None:
    """Concurrent runs are grouped: far fewer transactions than steps."""

    async def go() -> None:
        async with Runtime(file.parent / "runs.db") as runtime:
            sizes, plain = [], runtime.store.commit

            def counted(batch: list[object]) -> object:
                sizes.append(len(batch))
                return plain(batch)  # type: ignore[arg-type]

            runtime.store.commit = counted  # type: ignore[method-assign,assignment]
            inputs = {"world": str(file.parent / "world.txt"), "want": 1}
            views = await asyncio.gather(*(runtime.start(file, inputs) for _ in range(100)))
            assert {v.status for v in views} == {"succeeded"}
            assert sizes[0] == 100, "all of them begin in one commit"
            assert len(sizes) < sum(v.steps for v in views) / 3
            assert path_of(runtime.store, views[0].run) == ["act", "validate", "complete"]

    file = machine(LOOP.replace("tools.py:write", "tools.py:write_async"))
    asyncio.run(go())


def test_a_run_that_another_process_owns_is_left_alone(machine: Write) -> None:
    """Its owner and the time until which it owns the run are named."""

    async def go() -> None:
        async with Runtime(file.parent / "runs.db") as runtime:
            view = await runtime.start(file)
            runtime.store.acquire(view.run, "elsewhere:1:1", time.time(), 60, lambda _: False)
            with pytest.raises(RunOwned, match="elsewhere"):
                await runtime.resume(view.run)
            assert (await runtime.send(view.run, "answered", {"text": "later"})).status == "waiting"
            assert [p.event for p in runtime.store.inbox(view.run)] == ["answered"]

    file = machine(WAITING.replace("300ms", "1h"))
    asyncio.run(go())


def test_wrong_inputs_are_named_all_at_once_and_start_nothing(machine: Write) -> None:
    """A misspelt, an ill-typed and a missing input are three lines of one error."""

    async def go() -> None:
        async with Runtime(file.parent / "runs.db") as runtime:
            with pytest.raises(InvalidInput) as raised:
                await runtime.start(file, {"wnat": 3, "want": "many", "lines": 1})
            assert {line.split(":")[0] for line in str(raised.value).splitlines()} == {
                "wnat",
                "want",
                "lines",
                "world",
            }
            assert runtime.store.runs() == []
            with pytest.raises(UnknownRun):
                runtime.status("nothing")

    file = machine(LOOP)
    asyncio.run(go())


def test_a_missing_store_is_not_made_by_looking(tmp_path: Path) -> None:
    """Only a start makes a database."""
    with pytest.raises(StoreUnusable, match="there is no database"):
        _ = Runtime(tmp_path / "none" / "runs.db", create=False).store
    assert not (tmp_path / "none").exists()


def test_only_folders_of_runs_are_tidied_away(machine: Write, tmp_path: Path) -> None:
    """What somebody else keeps beside the store, or in its folder for work, stays."""

    async def go() -> None:
        async with Runtime(file.parent / "runs.db") as runtime:
            view = await runtime.start(file, {"world": str(file.parent / "world.txt")})
            for folder in (
                runtime.folder_of(view.run),
                runtime.folder_of("mine"),
                tmp_path / "work" / "mine",
            ):
                folder.mkdir(parents=True, exist_ok=True)
            runtime.tidy()
            assert not runtime.folder_of(view.run).exists()
            assert runtime.folder_of("mine").exists()
            assert (tmp_path / "work" / "mine").exists()

    file = machine(LOOP)
    asyncio.run(go())
