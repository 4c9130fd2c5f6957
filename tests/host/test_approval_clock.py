"""What time does to approvals, in a real worker whose wall clock really jumps."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from statemachine.approvals.decision import Decision, signed
from statemachine.approvals.keys import load_key, make_key
from statemachine.errors import EventRefused
from statemachine.host.runtime import Runtime
from statemachine.kernel import DECIDED
from tests.faults import clock

pytestmark = pytest.mark.skipif(not clock.available(), reason="needs libfaketime")

Write = Callable[[str], Path]
HOUR = 3600.0
MACHINE = """
machine: {name}
version: "1"
context:
  world: {{type: path, owner: operator}}
tools:
  {name}: {{python: "tools.py:write", effect: write, reversibility: {reversibility}, idempotent: true, timeout: 5s}}
initial: act
states:
  act: {{do: {name}, approval: {{{approval}}}, on: {{done: complete, failed: fail, denied: fail}}}}
  complete: {{final: succeeded}}
  fail: {{final: failed}}
"""
ASKED = {
    "wire": ("none", "approvers: [legal], expires: 1h"),
    "tidy": ("full", "approvers: [legal], expires: 1h, unanswered: approve"),
    "raise": ("none", "approvers: [legal], expires: 1h, escalate: [{approvers: [boss], expires: 8h}]"),
    "pay": ("none", "approvers: [legal], expires: 8h"),
}


@contextmanager
def working(folder: Path) -> Iterator[Callable[[str], None]]:
    """Let a worker drive what is in a folder; yield what sets its clock."""
    shown = folder / "clock.txt"

    def set_clock(to: str) -> None:
        shown.write_text(to)

    set_clock("+0")
    words = [sys.executable, "-m", "statemachine", "worker", "--db", str(folder / "runs.db"), "--poll", "0.1"]
    environment = clock.faked() | {"FAKETIME_TIMESTAMP_FILE": str(shown)}
    with subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL) as worker:
        try:
            yield set_clock
            assert worker.poll() is None
        finally:
            worker.terminate()


def until(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come to hold"
        time.sleep(0.05)


def test_a_clock_that_jumps_approves_nothing_that_time_may_not(machine: Write, tmp_path: Path) -> None:
    """Two hours forward: the irreversible is denied or goes to the next level, a freeze ends, and only what can be
    undone wholly is approved by time. Three hours back: nothing is open again, and nothing happens twice."""
    folder, world = tmp_path, tmp_path / "world.txt"
    world.touch()
    private, public = make_key("ann", folder / "keys")
    frozen = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    (folder / "policy.yaml").write_text(
        f"approvers: {{ann: {{key: '{public}', roles: [legal, boss]}}}}\nby_time: ['*']\n"
        f"freeze: [{{from: '2026-01-01T00:00', until: '{frozen}', tools: [pay]}}]\n"
    )

    def yes(runtime: Runtime, run: str, request: str) -> Decision:
        asked, now = runtime.desk.request(request)[0], time.time()
        return signed(asked, "approve", "ann", load_key(private), now=now, until=now + 9 * HOUR)

    async def test() -> None:
        runs: dict[str, str] = {}
        async with Runtime(folder / "runs.db", starter="carl") as runtime:
            for name, (reversibility, approval) in ASKED.items():
                text = MACHINE.format(name=name, reversibility=reversibility, approval=approval)
                runs[name] = (await runtime.start(machine(text), {"world": str(world)})).run
            late = yes(runtime, runs["wire"], f"{runs['wire']}:3")
            await runtime.decide(yes(runtime, runs["pay"], f"{runs['pay']}:3"))

            def stands(name: str) -> tuple[str, str]:
                view = runtime.status(runs[name])
                return view.status, view.waiting

            assert stands("pay") == ("waiting", "a freeze to end, to call pay")
            with working(folder) as set_clock:
                time.sleep(1.0)
                assert {stands(name)[0] for name in runs} == {"waiting"}
                set_clock("+2h")
                until(
                    lambda: (
                        [stands(name)[0] for name in runs] == ["failed", "succeeded", "waiting", "succeeded"]
                    )
                )
                done = world.read_text().split()
                assert sorted(key.partition(":")[0] for key in done) == sorted([runs["tidy"], runs["pay"]])
                asked = [r.body for r in runtime.store.records(runs["raise"], kind="approval_requested")]
                assert len(asked) == 2
                assert "boss" in asked[1]
                set_clock("-1h")
                with pytest.raises(EventRefused, match="no longer open"):
                    await runtime.decide(late)
                # Past the door that has just refused it, by the inbox.
                posted = {"payload": late.as_data(), "by": "ann"}
                with pytest.raises(EventRefused):
                    runtime.store.post(runs["wire"], DECIDED, posted, time.time())
                time.sleep(1.0)
                assert stands("raise") == ("waiting", "approval of raise")
                assert world.read_text().split() == done
                set_clock("+24h")
                until(lambda: stands("raise")[0] == "failed")
            assert world.read_text().split() == done

    asyncio.run(test())
