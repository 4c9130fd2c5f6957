"""Triage of a log, run for real: each way through it, and each way it can be interrupted."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from statemachine.clock import SimulatedClock
from statemachine.errors import EventRefused, InvalidInput, UnknownEvent
from statemachine.host.runtime import Runtime
from statemachine.host.view import RunView, path_of

FOLDER = Path(__file__).parents[3] / "machines" / "triage"
TRIAGE = FOLDER / "triage.yaml"
SAMPLES = FOLDER / "samples"
ASKED = ["scan", "assess", "judge", "ask"]
MINUTE = 60.0


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


@pytest.fixture
def tickets(tmp_path: Path) -> Path:
    return tmp_path / "tickets.jsonl"


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock(1_800_000_000.0)


Act = Callable[[Runtime], Awaitable[RunView]]


def on_runtime(db: Path, act: Act, clock: SimulatedClock | None = None) -> tuple[RunView, list[str]]:
    """Do one thing in a runtime of its own, as one command does; return the run and its path."""

    async def one() -> tuple[RunView, list[str]]:
        async with Runtime(db, clock=clock) as runtime:
            view = await act(runtime)
            return view, path_of(runtime.store, view.run)

    return asyncio.run(one())


def started(log: Path, tickets: Path, machine: Path = TRIAGE) -> Act:
    return lambda runtime: runtime.start(machine, {"log": log, "tickets": tickets})


def decided(run: str, verdict: str, note: str = "seen") -> Act:
    return lambda runtime: runtime.send(run, "decided", {"verdict": verdict, "note": note}, by="sam")


def filed(tickets: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in tickets.read_text().splitlines()]


def test_a_quiet_log_is_closed(db: Path, tickets: Path) -> None:
    """Nothing found is a failure of grep, but not of the run."""
    view, path = on_runtime(db, started(SAMPLES / "quiet.log", tickets))
    assert (view.outcome, path) == ("succeeded", ["scan", "closed"])
    assert not tickets.exists()


def test_a_few_errors_are_ticketed_without_asking(db: Path, tickets: Path) -> None:
    """Three errors and nothing fatal: a ticket of normal priority, by guard alone."""
    view, path = on_runtime(db, started(SAMPLES / "search.log", tickets))
    assert path == ["scan", "assess", "judge", "file_ticket", "closed"]
    assert view.output == {
        "ticket": "T-1",
        "errors": 3,
        "fatal": 0,
        "commonest": "shard # did not answer within # ms",
        "note": "",
    }
    (ticket,) = filed(tickets)
    assert (ticket["priority"], ticket["key"]) == ("normal", f"{view.run}:10")


def test_two_errors_are_let_be(db: Path, tickets: Path, tmp_path: Path) -> None:
    """The last transition of the choice has no guard."""
    log = tmp_path / "two.log"
    log.write_text("".join((SAMPLES / "search.log").read_text().splitlines(keepends=True)[:4]))
    view, path = on_runtime(db, started(log, tickets))
    assert (path, view.output["errors"]) == (["scan", "assess", "judge", "closed"], 2)


def test_a_fatal_error_waits_for_a_person(db: Path, tickets: Path) -> None:
    """The run waits, in another process's time; the decision files a ticket of high priority."""
    view, path = on_runtime(db, started(SAMPLES / "checkout.log", tickets))
    assert (view.status, view.waiting, path) == ("waiting", "event decided", ASKED)
    view, path = on_runtime(db, decided(view.run, "incident"))
    assert path == [*ASKED, "file_ticket", "closed"]
    assert (view.output["ticket"], view.output["note"]) == ("T-1", "seen")
    (ticket,) = filed(tickets)
    assert (ticket["priority"], ticket["fatal"]) == ("high", 1)


def test_the_journal_keeps_who_decided_and_why(db: Path, tickets: Path) -> None:
    """The note of the person is on record with the name."""
    view, _ = on_runtime(db, started(SAMPLES / "checkout.log", tickets))
    on_runtime(db, decided(view.run, "incident", "payments are down"))
    with_records = Runtime(db)
    (event,) = [json.loads(r.body) for r in with_records.store.records(view.run) if r.kind == "event"]
    asyncio.run(with_records.close())
    assert event["by"] == "sam"
    assert event["payload"] == {"verdict": "incident", "note": "payments are down"}


def test_many_errors_can_be_called_noise(db: Path, tickets: Path, tmp_path: Path) -> None:
    """Without anything fatal the person on call may close it."""
    log = tmp_path / "many.log"
    log.write_text("2026-03-02T11:02:11.930Z search ERROR shard 3 did not answer\n" * 20)
    view, _ = on_runtime(db, started(log, tickets))
    view, path = on_runtime(db, decided(view.run, "noise"))
    assert (view.outcome, path) == ("succeeded", [*ASKED, "closed"])
    assert not tickets.exists()


def test_a_decision_is_refused_when_it_is_not_the_persons_to_make(db: Path, tickets: Path) -> None:
    """A guard that says no, an unknown verdict and an unknown event are three different answers."""
    view, _ = on_runtime(db, started(SAMPLES / "checkout.log", tickets))
    with pytest.raises(EventRefused, match=r"ask refuses `decided` now: .*report\.fatal == 0"):
        on_runtime(db, decided(view.run, "noise"))
    with pytest.raises(InvalidInput, match="verdict: Input should be 'incident', 'noise' or 'unsure'"):
        on_runtime(db, decided(view.run, "maybe"))
    with pytest.raises(UnknownEvent, match="did you mean `decided`"):
        on_runtime(db, lambda runtime: runtime.send(view.run, "decide"))
    view, path = on_runtime(db, lambda runtime: runtime.resume(view.run))
    assert (view.status, path) == ("waiting", ASKED)


def test_a_decision_on_a_closed_run_is_refused(db: Path, tickets: Path) -> None:
    """What has ended takes nothing."""
    view, _ = on_runtime(db, started(SAMPLES / "quiet.log", tickets))
    with pytest.raises(EventRefused):
        on_runtime(db, decided(view.run, "incident"))


def test_the_lead_is_asked_when_nobody_answers(db: Path, tickets: Path, clock: SimulatedClock) -> None:
    """After a quarter of an hour the run waits for the lead, who may call it noise."""
    view, _ = on_runtime(db, started(SAMPLES / "checkout.log", tickets), clock)
    assert view.due == clock.at + 15 * MINUTE
    clock.advance(14 * MINUTE)
    view, path = on_runtime(db, lambda runtime: runtime.resume(view.run), clock)
    assert path == ASKED
    clock.advance(2 * MINUTE)
    view, path = on_runtime(db, lambda runtime: runtime.resume(view.run), clock)
    assert (path, view.waiting) == ([*ASKED, "escalated"], "event decided")
    view, path = on_runtime(db, decided(view.run, "noise"), clock)
    assert path == [*ASKED, "escalated", "closed"]


def test_the_run_ends_when_the_lead_does_not_answer_either(
    db: Path, tickets: Path, clock: SimulatedClock
) -> None:
    """Both waits are bounded; the reason says what nobody has decided about."""
    view, _ = on_runtime(db, started(SAMPLES / "checkout.log", tickets), clock)
    view, path = on_runtime(db, decided(view.run, "unsure"), clock)
    assert path == [*ASKED, "escalated"]
    clock.advance(61 * MINUTE)
    view, path = on_runtime(db, lambda runtime: runtime.resume(view.run), clock)
    assert (view.outcome, path[-1]) == ("failed", "unanswered")
    assert view.reason == (
        f"neither the person on call nor the lead has decided about {SAMPLES / 'checkout.log'}"
    )
    assert view.output["errors"] == 6


def test_a_log_that_cannot_be_understood_is_shown_to_a_person(
    db: Path, tickets: Path, tmp_path: Path
) -> None:
    """The report is valid, but not sufficient; the ticket is filed without it."""
    log = tmp_path / "other.log"
    log.write_text("Mar 2 11:02:11 host search: ERROR shard 3 did not answer\n" * 5)
    view, path = on_runtime(db, started(log, tickets))
    assert path == ["scan", "assess", "ask"]
    assert "the answer is not sufficient: output.understood >= 0.8 is false" in view.reason
    view, path = on_runtime(db, decided(view.run, "incident"))
    assert (path[-1], view.output["ticket"], view.output["errors"]) == ("closed", "T-1", None)
    assert "errors" not in filed(tickets)[0]


def test_a_log_that_is_not_there_ends_the_run(db: Path, tickets: Path, tmp_path: Path) -> None:
    """grep's second exit status is fatal, and its words are the reason."""
    view, path = on_runtime(db, started(tmp_path / "no.log", tickets))
    assert (view.outcome, path) == ("failed", ["scan", "failed"])
    assert "log.errors failed in scan (fatal): `grep` ended with status 2" in view.reason
    assert "No such file" in view.reason


def test_tickets_that_cannot_be_written_end_the_run(db: Path, tmp_path: Path) -> None:
    """A failing write tool leads to failed, with its words."""
    view, path = on_runtime(db, started(SAMPLES / "search.log", tmp_path / "no" / "tickets.jsonl"))
    assert path[-2:] == ["file_ticket", "failed"]
    assert "ticket.append failed in file_ticket (data_error)" in view.reason


def test_a_waiting_run_can_be_cancelled(db: Path, tickets: Path) -> None:
    """Cancelling needs no state of its own; it ends in failed, and its outcome is cancelled."""
    view, _ = on_runtime(db, started(SAMPLES / "checkout.log", tickets))
    view, path = on_runtime(db, lambda runtime: runtime.cancel(view.run))
    assert (view.outcome, path) == ("cancelled", [*ASKED, "failed"])
    assert not tickets.exists()


@pytest.mark.parametrize("steps", range(1, 5))
def test_a_run_goes_on_where_it_was_stopped(steps: int, db: Path, tickets: Path) -> None:
    """Stopped after any transition, a new runtime takes the run over; there is one ticket in the end."""

    async def stop() -> RunView:
        async with Runtime(db) as runtime:

            def observe(_: object, step: Any, __: float) -> None:
                if step.snapshot.steps == steps:
                    runtime.stop()

            runtime.observer = observe
            return await runtime.start(TRIAGE, {"log": SAMPLES / "search.log", "tickets": tickets})

    stopped = asyncio.run(stop())
    assert stopped.outcome is None
    _, path = on_runtime(db, lambda runtime: runtime.resume(stopped.run))
    assert path == ["scan", "assess", "judge", "file_ticket", "closed"]
    assert len(filed(tickets)) == 1


KILLED = """
_append = append_ticket

def append_ticket(
    tickets: Path, log: Path, priority: Literal["high", "normal"], call: Call, report: Report | None = None
) -> Ticket:
    ticket = _append(tickets, log, priority, call, report)
    if call.attempt == 1:
        os.kill(os.getpid(), 9)  # the ticket is written, and nobody was told
    return ticket
"""

START = """
import asyncio, sys
from statemachine import Runtime

async def main():
    async with Runtime(sys.argv[1]) as runtime:
        await runtime.start(sys.argv[2], {"log": sys.argv[3], "tickets": sys.argv[4]})

asyncio.run(main())
"""


def test_a_ticket_is_filed_once_although_the_process_dies_behind_it(
    db: Path, tickets: Path, tmp_path: Path
) -> None:
    """Killed between the write and its record, the call is made again under its key: one line, same ticket."""
    folder = tmp_path / "killed"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    with (folder / "tools.py").open("a") as file:
        file.write(KILLED)
    arguments = [str(db), str(folder / "triage.yaml"), str(SAMPLES / "search.log"), str(tickets)]
    killed = subprocess.run([sys.executable, "-c", START, *arguments], cwd=tmp_path, check=False)
    assert killed.returncode == -9
    (before,) = filed(tickets)

    async def resume(runtime: Runtime) -> RunView:
        (run,) = runtime.store.unfinished()
        return await runtime.resume(run)

    view, path = on_runtime(db, resume)
    assert (view.outcome, path[-1]) == ("succeeded", "closed")
    assert view.output["ticket"] == before["id"] == "T-1"
    assert filed(tickets) == [before]


def test_half_a_line_in_the_tickets_is_passed_over(db: Path, tickets: Path) -> None:
    """What a crash left of a line stays what it is; the next ticket begins a line of its own."""
    tickets.write_text('{"id": "T-1", "priority": "high", "key": "a:1"}\n{"id": "T-2", "prio')
    view, _ = on_runtime(db, started(SAMPLES / "search.log", tickets))
    assert view.output["ticket"] == "T-2"
    assert json.loads(tickets.read_text().splitlines()[-1])["id"] == "T-2"


def test_many_runs_share_one_file_of_tickets(db: Path, tickets: Path) -> None:
    """Runs at the same time take different numbers."""

    async def several() -> list[RunView]:
        async with Runtime(db) as runtime:
            inputs = {"log": SAMPLES / "search.log", "tickets": tickets}
            return await asyncio.gather(*(runtime.start(TRIAGE, inputs) for _ in range(8)))

    views = asyncio.run(several())
    assert sorted(v.output["ticket"] for v in views) == [f"T-{n}" for n in range(1, 9)]
    assert [t["id"] for t in filed(tickets)] == [f"T-{n}" for n in range(1, 9)]
