"""The canonical loop, run for real: each way through it, and each way it can be interrupted."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest

from statemachine.clock import SimulatedClock, SystemClock
from statemachine.errors import InvalidInput, UnknownEvent
from statemachine.host.runtime import Runtime
from statemachine.host.view import RunView, path_of
from statemachine.machine.load import load

FOLDER = Path(__file__).parents[3] / "machines" / "agent"
AGENT = FOLDER / "agent.yaml"
ROUND = ["plan", "act", "validate"]
AGAIN = ["diagnose", "retry"]
REPORT = (
    "The quarterly report was actually finished on time by the the finance team (with help from two "
    "contractors). Revenue grew by nine percent, and costs really stayed flat."
)


def run(
    db: Path, inputs: dict[str, Any], machine: Path = AGENT, stop_after: int | None = None
) -> tuple[RunView, list[str]]:
    """Run a machine; return how the run stands and its path. It is stopped after so many transitions."""

    async def start() -> tuple[RunView, list[str]]:
        async with Runtime(db) as runtime:

            def observe(_: object, step: Any, __: float) -> None:
                if step.snapshot.steps == stop_after:
                    runtime.stop()

            runtime.observer = observe
            view = await runtime.start(machine, inputs)
            return view, path_of(runtime.store, view.run)

    return asyncio.run(start())


def resume(db: Path, run: str) -> tuple[RunView, list[str]]:
    async def again() -> tuple[RunView, list[str]]:
        async with Runtime(db, create=False) as runtime:
            view = await runtime.resume(run)
            return view, path_of(runtime.store, view.run)

    return asyncio.run(again())


def changed(folder: Path, tools: str) -> Path:
    """Return a copy of the machine whose tools module goes on with ``tools``."""
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    with (folder / "tools.py").open("a") as file:
        file.write(tools)
    return folder / "agent.yaml"


def test_a_text_is_shortened_rule_by_rule_until_it_fits(tmp_path: Path) -> None:
    """Each round applies one rule more; the loop ends in complete with a text that is short enough."""
    view, path = run(tmp_path / "runs.db", {"text": REPORT, "words": 24})
    assert (view.outcome, view.state, view.reason) == ("succeeded", "complete", "")
    assert path == [*ROUND, *AGAIN, *ROUND, *AGAIN, *ROUND, "complete"]
    assert view.attempts == {"retry": 2}
    assert view.output == {
        "text": "The quarterly report was finished on time by the finance team. "
        "Revenue grew by nine percent, and costs stayed flat.",
        "words": 20,
        "confidence": 0.81,
        "rules": ["tidy", "fillers", "parentheses"],
    }


def test_a_text_that_fits_is_only_tidied(tmp_path: Path) -> None:
    """A short text passes in the first round, whatever rules there are."""
    view, path = run(tmp_path / "runs.db", {"text": "  This is   really short. "})
    assert path == [*ROUND, "complete"]
    assert view.output["text"] == "This is really short."


def test_the_loop_ends_when_no_rule_is_left(tmp_path: Path) -> None:
    """Diagnose leads to fail when nothing is left to try; the reason says how far it came."""
    view, path = run(tmp_path / "runs.db", {"text": REPORT, "words": 5})
    assert (view.outcome, view.state) == ("failed", "fail")
    assert view.reason == "11 words are 6 too many; no rule is left"
    assert path[-2:] == ["diagnose", "fail"]
    assert view.output == {"text": "The quarterly report was finished on time by the finance team."}


def test_the_loop_ends_when_the_attempts_are_used_up(tmp_path: Path) -> None:
    """Retry is entered five times; the sixth entry leads to fail, although a rule is left."""
    words = ["one", "two", "three", "four", "five", "six"]
    text = "Actually, " + " ".join(f"Sentence {word} (really) says a b c." for word in words)
    view, path = run(tmp_path / "runs.db", {"text": text, "words": 3})
    assert (view.outcome, view.attempts) == ("failed", {"retry": 5})
    assert path == [*[*ROUND, *AGAIN] * 5, *ROUND, "diagnose", "fail"]
    assert "left to try: sentence" in view.reason


def test_a_text_that_lost_too_much_is_not_accepted(tmp_path: Path) -> None:
    """Short enough is not enough: the guard on the confidence keeps a gutted text out of complete."""
    view, path = run(tmp_path / "runs.db", {"text": REPORT, "words": 12})
    assert view.outcome == "failed"
    assert path[-3:] == ["validate", "diagnose", "fail"]
    assert view.reason == (
        "11 words are few enough, but the draft was not accepted: it has kept 38% of the telling words"
    )


def test_an_empty_text_fails_at_once(tmp_path: Path) -> None:
    """The route for the class of the failure is taken before the one for any failure."""
    view, path = run(tmp_path / "runs.db", {"text": " "})
    assert path == ["plan", "fail"]
    assert view.reason == "choose failed in plan (data_error): EmptyText: give a text with words in it"


def test_inputs_are_checked_before_anything_runs(tmp_path: Path) -> None:
    """A missing text and a wrong number are both told; no run is stored."""

    async def start() -> None:
        async with Runtime(tmp_path / "runs.db") as runtime:
            with pytest.raises(InvalidInput, match=r"(?s)words: not a int.*text: missing"):
                await runtime.start(AGENT, {"words": "few"})
            assert list(runtime.store.unfinished()) == []

    asyncio.run(start())


def test_a_passing_failure_is_not_the_machines_business(tmp_path: Path) -> None:
    """A transient failure is tried again by the tool's policy; no attempt of the machine is used."""
    machine = changed(
        tmp_path / "flaky",
        f"""
_apply, _seen = apply, __import__("pathlib").Path({str(tmp_path / "seen")!r})

def apply(draft: str, rule: str) -> str:
    seen = len(_seen.read_text()) if _seen.exists() else 0
    _seen.write_text("x" * (seen + 1))
    if seen < 2:
        raise ConnectionError("gone for a moment")
    return _apply(draft, rule)
""",
    )
    view, path = run(tmp_path / "runs.db", {"text": "This is short."}, machine)
    assert (view.outcome, path) == ("succeeded", [*ROUND, "complete"])
    assert (view.attempts, view.calls) == ({}, 5)


def test_a_failing_tool_leads_to_diagnose(tmp_path: Path) -> None:
    """A tool that fails for good is diagnosed; the loop goes on with the next rule and ends."""
    machine = changed(
        tmp_path / "broken",
        """
def apply(draft: str, rule: str) -> str:
    raise RuntimeError(f"cannot apply {rule}")
""",
    )
    view, path = run(tmp_path / "runs.db", {"text": REPORT, "words": 20}, machine)
    assert view.outcome == "failed"
    assert path[:6] == ["plan", "act", "diagnose", "retry", "plan", "act"]
    assert path[-1] == "fail"
    assert view.attempts == {"retry": 5}


def test_a_tool_that_hangs_is_left_at_its_timeout(tmp_path: Path) -> None:
    """A call that does not end in time has failed, and the machine goes on."""
    machine = changed(
        tmp_path / "hanging",
        """
def measure(text: str, draft: str, words: int) -> Verdict:
    __import__("time").sleep(60)
    return Verdict(True, 1.0, 0)
""",
    )
    machine.write_text(
        machine.read_text().replace(
            'tools.py:measure", effect: read, timeout: 5s', 'tools.py:measure", effect: read, timeout: 50ms'
        )
    )
    view, path = run(tmp_path / "runs.db", {"text": "short"}, machine)
    assert path == [*ROUND, "diagnose", "fail"]
    assert view.reason == "1 words are few enough, but the draft was not accepted"


@pytest.mark.parametrize("steps", range(1, 9))
def test_a_run_goes_on_where_it_was_stopped(steps: int, tmp_path: Path) -> None:
    """Stopped after any transition, the run is taken over by a new runtime and ends as it would have."""
    text = {"text": "This is really quite short.", "words": 3}
    stopped, before = run(tmp_path / "runs.db", text, stop_after=steps)
    assert stopped.outcome is None
    assert len(before) == steps
    view, path = resume(tmp_path / "runs.db", stopped.run)
    assert path == [*ROUND, *AGAIN, *ROUND, "complete"][: len(path)]
    assert (view.outcome, view.attempts, view.output["text"]) == ("succeeded", {"retry": 1}, "This is short.")


def test_a_stopped_run_can_be_cancelled(tmp_path: Path) -> None:
    """Cancelled while it waits for time, the run ends in fail, and its outcome is cancelled."""
    stopped, _ = run(tmp_path / "runs.db", {"text": REPORT, "words": 20}, stop_after=5)
    assert (stopped.status, stopped.state, stopped.waiting) == ("waiting", "retry", "time")

    async def cancel() -> tuple[RunView, list[str]]:
        async with Runtime(tmp_path / "runs.db", create=False) as runtime:
            view = await runtime.cancel(stopped.run, by="sam")
            return view, path_of(runtime.store, view.run)

    view, path = asyncio.run(cancel())
    assert (view.outcome, view.state, path[-1]) == ("cancelled", "fail", "fail")


def test_a_run_can_be_cancelled_while_it_is_driven(tmp_path: Path) -> None:
    """Whoever drives the run finds the cancellation and ends it; no second driver is started."""

    async def drive() -> RunView:
        async with Runtime(tmp_path / "runs.db", clock=SimulatedClock(SystemClock().now())) as runtime:
            waiting = asyncio.Event()

            def observe(_: object, step: Any, __: float) -> None:
                if step.snapshot.state == "retry":
                    waiting.set()

            runtime.observer = observe
            driven = asyncio.create_task(runtime.start(AGENT, {"text": REPORT, "words": 20}))
            await waiting.wait()  # and the simulated clock stands still: the wait never ends
            (run,) = runtime.store.unfinished()
            await runtime.cancel(run)
            return await driven

    view = asyncio.run(drive())
    assert (view.outcome, view.state) == ("cancelled", "fail")


def test_events_that_it_does_not_declare_are_refused(tmp_path: Path) -> None:
    """The agent takes no event from outside, and says so."""
    stopped, _ = run(tmp_path / "runs.db", {"text": REPORT, "words": 20}, stop_after=5)

    async def send() -> None:
        async with Runtime(tmp_path / "runs.db", create=False) as runtime:
            with pytest.raises(UnknownEvent, match="agent declares no event `go`"):
                await runtime.send(stopped.run, "go")

    asyncio.run(send())


def test_it_has_the_seven_states_of_the_loop() -> None:
    """Plan, act, validate, diagnose, retry, complete and fail; only the last two end a run."""
    definition = load(AGENT)
    assert list(definition.declaration.states) == [*ROUND, *AGAIN, "complete", "fail"]
    assert {name: state.final for name, state in definition.final_states()} == {
        "complete": "succeeded",
        "fail": "failed",
    }
