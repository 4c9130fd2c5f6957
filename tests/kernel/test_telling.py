"""Telling people of a request: what failed is told again, each way by itself, while the request is open."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from statemachine.approvals.policy import Again
from statemachine.journal.replay import replay
from statemachine.journal.story import tell
from statemachine.kernel import ANNOUNCED, DECIDED, UNTOLD, Event, PendingApproval, Snapshot, due, waiting_for
from statemachine.machine.definition import EXPIRED
from tests.kernel.driving import Run
from tests.kernel.test_approval import asked, decide, machine

WAYS = ("mail", "chat", "file")


def announce(run: Run, told: list[str], **untold: float | None) -> None:
    """Note what was told, and of each way that failed when it is tried again."""
    before = {way.way: way for way in asked(run).untold}
    failed = []
    for way, again in untold.items():
        attempt = before[way].attempt + 1 if way in before else 1
        failed.append(
            {"way": way, "attempt": attempt, "error": "it is down"} | ({"again": again} if again else {})
        )
    run.take(Event(ANNOUNCED, {"request": asked(run).request, "told": told, "untold": failed}))


def records(run: Run) -> list[tuple[int, float, str, Any]]:
    """Return the journal as replay reads it."""
    written = [(made.at, *entry) for made in run.steps for entry in made.entries]
    return [(seq, *entry) for seq, entry in enumerate(written, 1)]


def test_what_failed_is_due_again_and_what_worked_is_not() -> None:
    """The snapshot says when, and what the run waits for says that not all know."""
    run = Run(machine())
    announce(run, ["file"], mail=run.now + 10, chat=run.now + 20)
    pending = asked(run)
    assert [(w.way, w.since, w.attempt, w.again) for w in pending.untold] == [
        ("mail", 1000.0, 1, 1010.0),
        ("chat", 1000.0, 1, 1020.0),
    ]
    assert (run.due[0], run.due[1].name) == (1010.0, ANNOUNCED)
    assert waiting_for(run.definition, run.last.snapshot) == f"approval of wire{UNTOLD}"
    assert Snapshot.from_data(run.last.snapshot.as_data()) == run.last.snapshot
    run.now = 1010.0
    announce(run, ["mail"])
    assert [w.way for w in asked(run).untold] == ["chat"]
    run.now = 1020.0
    announce(run, [], chat=None)
    assert (asked(run).untold[0].since, asked(run).untold[0].attempt) == (1000.0, 2)
    assert run.due[1].name == EXPIRED
    assert replay(run.definition, "run", records(run)).conforms
    told = [tell(kind, body) for kind, body in run.entries if kind == "approval_announced"]
    assert told[0].endswith(
        "file; mail failed, try 1 (it is down), and is tried again; chat failed, try 1 (it is down), and is tried again"
    )
    assert told[2].endswith("nobody; chat failed, try 2 (it is down), and is not tried again")


def test_nobody_is_told_again_of_what_is_over() -> None:
    """An answer, the end of its time, and a freeze end it; who is asked next is told anew."""
    run = Run(machine("approvers: [legal], expires: 1h, escalate: [{approvers: [board], expires: 1h}]"))
    announce(run, [], mail=run.now + 3000, chat=run.now + 3600)
    assert [w.again for w in asked(run).untold] == [4000.0, 0.0]  # by then the next level is asked
    run.now = 4600.0
    timed = due(run.definition, run.last.snapshot, run.now)
    assert timed is not None
    assert timed[1].name == EXPIRED  # although telling again was due before
    run.take(timed[1])
    pending = asked(run)
    assert (pending.level, pending.announced, pending.untold) == (1, False, ())
    announce(run, [], mail=run.now + 10)
    decide(run, hold=run.now + 600)
    assert asked(run).untold
    assert (run.due[0], run.due[1].name) == (5200.0, "approval.released")
    run = Run(machine())
    announce(run, [], mail=run.now + 10)
    decide(run)
    assert run.pending.tool == "wire"


def test_a_request_that_was_told_before_there_was_a_second_try_stays_as_it_is() -> None:
    """A snapshot and a journal of then are read, and nobody is told twice."""
    run = Run(machine())
    run.take(Event(ANNOUNCED, {"request": asked(run).request, "told": ["mail (failed: it is down)"]}))
    data = run.last.snapshot.as_data()
    del data["pending"]["untold"]
    assert Snapshot.from_data(data) == run.last.snapshot
    assert run.entries[-1][1] == {"request": asked(run).request, "told": ["mail (failed: it is down)"]}
    assert run.due[1].name == EXPIRED
    assert replay(run.definition, "run", records(run)).conforms


@given(
    st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=40, max_size=40),
    st.builds(Again, initial=st.just(5.0), cap=st.just(60.0), max=st.integers(0, 6)),
    st.none() | st.integers(1, 400),
)
def test_whatever_fails_each_way_is_tried_a_few_times_later_and_later(
    works: list[list[bool]], again: Again, decided: int | None
) -> None:
    """A way that worked is told once; one that did not at most so often; and nobody after the answer."""
    run = Run(machine("expires: 10m"))
    tries: dict[str, list[float]] = {way: [] for way in WAYS}
    good: set[str] = set()
    wanted = set(WAYS)
    for round_ in works:
        answers = dict(zip(WAYS, round_, strict=True))
        failed: dict[str, float | None] = {}
        before = {way.way: way.attempt for way in asked(run).untold}
        for way in sorted(wanted):
            assert way not in good
            tries[way].append(run.now)
            if answers[way]:
                good.add(way)
            else:
                attempt = before.get(way, 0) + 1
                failed[way] = run.now + again.seconds(attempt) if attempt <= again.max else None
        announce(run, sorted(wanted & good), **failed)
        timed = due(run.definition, run.last.snapshot)
        assert timed is not None
        if decided is not None and timed[0] >= 1000 + decided:
            run.now = 1000.0 + decided
            run.take(Event(DECIDED, {"request": asked(run).request, "verdict": "deny", "approver": "ann"}))
            break
        run.now = timed[0]
        if timed[1].name == EXPIRED:
            run.take(timed[1])
            break
        wanted = {way.way for way in asked(run).untold if way.again and way.again <= run.now}
    assert not isinstance(run.pending, PendingApproval)
    for way, times in tries.items():
        assert len(times) <= again.max + 1
        gaps = [after - before for before, after in pairwise(times)]
        assert gaps == [again.seconds(n) for n in range(1, len(times))]
        assert way in good or times
        assert all(at < 1600 and at <= 1000 + (decided or 1e9) for at in times)
    assert replay(run.definition, "run", records(run)).conforms
