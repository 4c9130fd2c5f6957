"""The debugger steps a run through the host and kernel that drive any other, and leaves nothing in doubt."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from statemachine import Runtime
from statemachine.errors import (
    EventRefused,
    InvalidExpression,
    InvalidInput,
    RunOwned,
    UnknownEvent,
    UnknownRun,
    WritesRepeated,
)
from statemachine.host.view import RunView
from statemachine.kernel import INTEND, Immediate
from statemachine.repl.debugger import Debugger
from tests.repl.conftest import world


async def begun(folder: Path, database: Path, machine: str = "loop.yaml", **inputs: Any) -> Debugger:
    """Return a debugger over a new run."""
    debugger = Debugger(database, by="ann")
    await debugger.start(folder / machine, {"world": folder / "world.txt", **inputs})
    return debugger


async def resumed(database: Path, run: str) -> RunView:
    """Drive a run on as `resume` does."""
    async with Runtime(database) as runtime:
        return await runtime.resume(run)


async def test_a_new_run_is_held_before_its_first_call(folder: Path, database: Path) -> None:
    """What it is about to do is known, and nothing of it is intended or done."""
    async with await begun(folder, database) as debugger:
        assert debugger.about is not None
        assert (debugger.snapshot.state, debugger.about.tool) == ("act", "write")
        assert debugger.snapshot.pending == Immediate(INTEND)
        assert world(folder) == []


async def test_a_step_is_one_transition(folder: Path, database: Path) -> None:
    """The call that was shown is made, once, and the run is held before the next one."""
    async with await begun(folder, database) as debugger:
        stop = await debugger.step()
        assert (stop.why, stop.state, len(world(folder))) == ("step", "validate", 1)
        assert [(await debugger.step()).state for _ in range(3)] == ["retry", "act", "validate"]
        assert len(world(folder)) == 2


async def test_next_goes_to_the_next_call(folder: Path, database: Path) -> None:
    """States that call nothing are passed."""
    async with await begun(folder, database) as debugger:
        assert [(await debugger.next()).what for _ in range(3)] == ["judge", "write", "judge"]


async def test_continue_goes_to_the_end(folder: Path, database: Path) -> None:
    """And there is nothing to do then."""
    async with await begun(folder, database) as debugger:
        stop = await debugger.proceed()
        assert (stop.why, debugger.view().status, len(world(folder))) == ("ended", "succeeded", 3)
        with pytest.raises(EventRefused, match="has ended"):
            await debugger.step()


@pytest.mark.parametrize("steps", range(7))
async def test_leaving_at_any_prompt_leaves_nothing_in_doubt(
    folder: Path, database: Path, steps: int
) -> None:
    """Whoever resumes the run makes each write once, though the tool could not be called twice."""
    async with await begun(folder, database) as debugger:
        for _ in range(steps):
            await debugger.step()
        run = debugger.run
    view = await resumed(database, run)
    assert (view.status, len(world(folder)), len(set(world(folder)))) == ("succeeded", 3, 3)


@pytest.mark.parametrize(
    ("where", "state", "seq"),
    [
        ("validate", "validate", None),
        ("on done", "validate", None),
        ("call judge", "validate", None),
        ("if lines == 2", "validate", None),
        ("retry if attempts.retry > 1", "retry", None),
        ("on always if lines == 2", "act", None),
    ],
)
async def test_a_run_stops_at_its_breakpoints(
    folder: Path, database: Path, where: str, state: str, seq: int | None
) -> None:
    """In a state, after an event, before a call, when something becomes true; again at each time."""
    async with await begun(folder, database) as debugger:
        debugger.breakpoints.add(debugger.definition, where)
        stop = await debugger.proceed()
        assert (stop.why, stop.state) == ("breakpoint", state)
        assert where in stop.what
        debugger.breakpoints.delete()
        assert (await debugger.proceed()).why == "ended"


async def test_a_breakpoint_for_once_is_hit_once(folder: Path, database: Path) -> None:
    """A lasting one is hit in each round."""
    async with await begun(folder, database) as debugger:
        debugger.breakpoints.add(debugger.definition, "retry", once=True)
        debugger.breakpoints.add(debugger.definition, "validate")
        states = [(await debugger.proceed()).state for _ in range(4)]
        assert states == ["validate", "retry", "validate", "validate"]


async def test_a_condition_stops_the_run_when_it_becomes_true(folder: Path, database: Path) -> None:
    """Not for as long as it is true: `continue` goes on."""
    async with await begun(folder, database) as debugger:
        debugger.breakpoints.add(debugger.definition, "if known.lines && lines > 1")
        assert (await debugger.proceed()).why == "breakpoint"
        assert (await debugger.proceed()).why == "ended"


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("valdate", "no state `valdate`.*did you mean `validate`"),
        ("on dome", "did you mean `done`"),
        ("call judgge", "did you mean `judge`"),
        ("if lines > 'a'", r"`>` does not take \(int, str\)"),
        ("if linse > 1", "did you mean `lines`"),
        ("here and there", "write `break STATE`"),
    ],
)
async def test_a_breakpoint_that_is_none_is_refused(
    folder: Path, database: Path, where: str, says: str
) -> None:
    """With the words to write instead; errors of expressions have a caret."""
    async with await begun(folder, database) as debugger:
        with pytest.raises((InvalidInput, InvalidExpression), match=says) as raised:
            debugger.breakpoints.add(debugger.definition, where)
        assert ("^" in str(raised.value)) == where.startswith("if")


async def test_until_stops_at_a_state_or_an_event(folder: Path, database: Path) -> None:
    """Whichever is named."""
    async with await begun(folder, database) as debugger:
        assert (await debugger.until("retry")).state == "retry"
        assert (await debugger.until("done")).state == "validate"
        with pytest.raises(InvalidInput, match="did you mean `complete`"):
            await debugger.until("compete")


async def test_a_failure_can_be_pretended(folder: Path, database: Path) -> None:
    """The call is not made, its failure takes its way, and run and journal are marked."""
    async with await begun(folder, database) as debugger:
        made = await debugger.fail("permission", "no")
        assert (made.receipt.target, world(folder), debugger.snapshot.edited) == ("fail", [], ("call write",))
        assert debugger.view().edited == ("call write",)
        bodies = [
            made.body for made in debugger.runtime.store.records(debugger.run) if made.kind == "call_finished"
        ]
        assert len(bodies) == 1
        assert '"pretended":"ann"' in bodies[0]
        with pytest.raises(EventRefused, match="has ended"):
            await debugger.fail("permission")


async def test_what_cannot_fail_so_is_refused(folder: Path, database: Path) -> None:
    """There is a call to fail only where one is about to be made, and classes have names."""
    async with await begun(folder, database) as debugger:
        with pytest.raises(InvalidInput, match="did you mean `timeout`"):
            await debugger.fail("timout")
        await debugger.until("retry")
        with pytest.raises(EventRefused, match="no call is about to be made"):
            await debugger.fail("timeout")


async def test_a_field_can_be_set(folder: Path, database: Path) -> None:
    """Its type is checked, the run goes on with it, and everyone sees that it was edited."""
    async with await begun(folder, database) as debugger:
        with pytest.raises(InvalidInput, match="want: not a int"):
            await debugger.set(want="many")
        with pytest.raises(InvalidInput, match="did you mean `want`"):
            await debugger.set(wand=1)
        await debugger.set(want=1)
        assert debugger.view().edited == ("want",)
        assert (await debugger.proceed()).why == "ended"
        assert len(world(folder)) == 1


async def test_events_are_fired(folder: Path, database: Path) -> None:
    """As if they came from outside; what the state does not take is refused, and what time raises is time's."""
    async with await begun(folder, database, "waits.yaml") as debugger:
        assert (await debugger.step()).why == "waits"
        with pytest.raises(UnknownEvent, match="did you mean `answered`"):
            await debugger.fire("answred")
        with pytest.raises(InvalidInput, match="note: missing"):
            await debugger.fire("answered", {"yes": True})
        with pytest.raises(UnknownEvent, match="cannot be fired"):
            await debugger.fire("elapsed")
        made = await debugger.fire("answered", {"yes": True, "note": "go"})
        assert (made.receipt.target, debugger.snapshot.context["note"]) == ("nap", "go")
        assert [(await debugger.step()).state for _ in range(2)] == ["act", "complete"]
    async with await begun(folder, database, "waits.yaml") as debugger:
        with pytest.raises(InvalidInput, match="carries nothing"):
            await debugger.fire("cancelled", {"why": "so"})
        await debugger.fire("cancelled")
        assert debugger.view().status == "cancelled"


async def test_what_the_operator_gave_is_amended(folder: Path, database: Path) -> None:
    """The machine says where that leads; a machine that does not refuses it, and so does the past."""
    async with await begun(folder, database) as debugger:
        with pytest.raises(EventRefused, match=r"on: \{amended: act\}"):
            await debugger.amend(want=1)
    loop = (folder / "loop.yaml").read_text()
    (folder / "loop.yaml").write_text(loop.replace("on: {cancelled", "on: {amended: act, cancelled"))
    async with await begun(folder, database) as debugger:
        await debugger.until("validate")
        with pytest.raises(InvalidInput, match="lines: is owned by act"):
            await debugger.amend(lines=1)
        made = await debugger.amend(want=2)
        assert (made.receipt.event, debugger.snapshot.state, len(world(folder))) == ("amended", "act", 1)
        assert debugger.view().edited == ()
        assert (await debugger.proceed()).why == "ended"
        assert len(world(folder)) == 2
        debugger.back()
        with pytest.raises(EventRefused, match="this is the past"):
            await debugger.amend(want=3)


async def test_a_stop_holds_calls_of_a_debugger_too(folder: Path, database: Path) -> None:
    """Whatever is said; lifted, the run goes on."""
    async with await begun(folder, database) as debugger:
        stops = debugger.runtime.stops
        stops.set("tool", "write", "ann", "not today", 0.0)
        for move in (debugger.step, debugger.next, debugger.proceed):
            stop = await move()
            assert (stop.why, "write is stopped by ann: not today" in stop.what) == ("waits", True)
        assert world(folder) == []
        stops.lift("tool", "write", 0.0)
        assert (await debugger.step()).state == "validate"


async def test_another_run_is_opened_in_its_place(folder: Path, database: Path) -> None:
    """The first can be driven on by others at once; breakpoints of another machine go."""
    async with await begun(folder, database) as debugger:
        first = debugger.run
        debugger.breakpoints.add(debugger.definition, "retry")
        await debugger.start(folder / "loop.yaml", {"world": folder / "world.txt"})
        assert (await resumed(database, first)).status == "succeeded"
        await debugger.open(first)
        assert (debugger.run, debugger.live, len(debugger.breakpoints.all)) == (first, False, 1)
        debugger.back()
        with pytest.raises(UnknownRun):
            await debugger.open("nosuch")
        assert (debugger.run, debugger.past) == (first, True)
        await debugger.start(folder / "waits.yaml", {"world": folder / "world.txt"})
        waits = debugger.run
        await debugger.open(first)
        assert (debugger.past, debugger.breakpoints.all) == (False, [])
    assert (await resumed(database, waits)).status == "waiting"


async def test_ctrl_c_stops_at_a_safe_point(folder: Path, database: Path) -> None:
    """A write that is under way is waited for; nothing after it is begun."""
    tools = (folder / "tools.py").read_text()
    slow = "n = note(world, call.key); time.sleep(0.3); return n"
    (folder / "tools.py").write_text(tools.replace("return note(world, call.key)", slow, 1))
    async with await begun(folder, database, want=5) as debugger:
        going = asyncio.create_task(debugger.proceed())
        while not world(folder):
            await asyncio.sleep(0.01)
        debugger.interrupt()
        stop = await going
        assert stop.why in ("interrupted", "call")
        assert (await debugger.step()).why == "step"


async def test_a_run_that_another_process_drives_is_read_only(folder: Path, database: Path) -> None:
    """It says who drives it and until when; it can be looked at, and forked."""
    async with await begun(folder, database) as first:
        await first.step()
        async with Debugger(database) as second:
            await second.open(first.run[:6])
            assert "until" in second.driven_by
            assert (second.live, second.snapshot.state) == (False, "validate")
            second.back()
            assert (second.past, second.snapshot.state) == (True, "act")
            second.goto()
            with pytest.raises(RunOwned, match="can only be looked at, or forked"):
                await second.step()
            await second.fork()
            assert (second.live, second.run != first.run) == (True, True)
        assert (await first.proceed()).why == "ended"


async def test_a_run_that_crashed_can_be_opened(folder: Path, database: Path) -> None:
    """A call that may have happened is in doubt, and is decided at the prompt."""
    async with await begun(folder, database) as debugger:
        run, driver = debugger.run, debugger._driver
        assert driver is not None
        event, _ = await driver.next_event()
        assert event is not None
        from statemachine.kernel import step

        made = step(debugger.definition, driver.snapshot, event, driver.now())
        await driver.take(made._replace(call=None))  # as if the process had died before the call
    async with Debugger(database) as debugger:
        await debugger.open(run)
        assert (await debugger.step()).why == "waits"
        assert debugger.snapshot.status == "waiting"
        stop = await debugger.resolve(True, 1)
        assert (stop.state, world(folder)) == ("validate", [])


async def test_a_finished_run_can_be_opened(folder: Path, database: Path) -> None:
    """To look at it, and to go on from an earlier record."""
    async with Runtime(database) as runtime:
        view = await runtime.start(folder / "loop.yaml", {"world": folder / "world.txt"})
    async with Debugger(database) as debugger:
        await debugger.open(view.run)
        assert (debugger.live, debugger.snapshot.state) == (False, "complete")
        assert debugger.last is not None
        assert debugger.last.receipt.target == "complete"
        debugger.back()
        assert debugger.snapshot.state == "validate"
        with pytest.raises(EventRefused, match="`fork` makes a new run"):
            await debugger.set(want=1)
        await debugger.fork()
        assert (await debugger.proceed()).why == "ended"
    assert len(world(folder)) == 3


# The past


async def test_going_back_and_replaying_call_nothing(folder: Path, database: Path) -> None:
    """The world outside sees no call, and the run is where it was."""
    async with await begun(folder, database) as debugger:
        await debugger.proceed()
        before, stored = world(folder), debugger.view()
        states = []
        while debugger.back().why != "start":
            states.append(debugger.snapshot.state)
        assert states == ["validate", "act", "retry", "validate", "act", "retry", "validate", "act", "act"]
        again = []
        while debugger.past:
            again.append((await debugger.step()).state)
        assert again == [*states[-2::-1], "complete"]
        debugger.goto(1)
        debugger.breakpoints.add(debugger.definition, "retry if attempts.retry > 1")
        assert ((await debugger.proceed()).state, debugger.past) == ("retry", True)
        assert (await debugger.proceed()).why == "present"
        assert (world(folder), debugger.view()) == (before, stored)


async def test_a_fork_past_a_write_asks(folder: Path, database: Path) -> None:
    """It names the writes that it may make again, and makes nothing unless that is allowed."""
    async with await begun(folder, database) as debugger:
        await debugger.proceed()
        old, before = debugger.run, list(debugger.runtime.store.records(debugger.run))
        debugger.goto(2)
        with pytest.raises(WritesRepeated, match="made 3 writes after record 2") as raised:
            await debugger.fork()
        assert len(raised.value.writes) == 3
        assert (len(debugger.runtime.store.runs()), len(world(folder))) == (1, 3)
        view = await debugger.fork(repeat_writes=True)
        assert (view.parent, debugger.about is not None, len(world(folder))) == (f"{old}:2", True, 3)
        await debugger.proceed()
        assert debugger.view().status == "succeeded"
        assert list(debugger.runtime.store.records(old)) == before


async def test_a_fork_behind_the_last_write_does_not_ask(folder: Path, database: Path) -> None:
    """Only what the run did after the record can be done again."""
    async with await begun(folder, database) as debugger:
        await debugger.proceed()
        debugger.back()
        await debugger.fork()
        await debugger.proceed()
        assert len(world(folder)) == 3


async def test_where_a_fork_cannot_begin(folder: Path, database: Path) -> None:
    """After the end, and where there is no record."""
    async with await begun(folder, database) as debugger:
        await debugger.proceed()
        with pytest.raises(EventRefused, match="has ended at record"):
            await debugger.fork()
        with pytest.raises(EventRefused, match="has records 1 to"):
            await debugger.fork(99)
