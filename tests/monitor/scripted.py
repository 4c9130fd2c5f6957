"""The scripted day: 500 runs with a tool that degrades, an approver who sleeps and a loop that sticks; or without those."""

from __future__ import annotations

import random
from pathlib import Path

from statemachine.kernel import PendingApproval, PendingCall
from statemachine.machine.outcome import Failure, Outcome
from tests.monitor.day import Day, machine

MIDNIGHT = 1_800_000_000.0
HOUR = 3600.0
STICKS, SLEEPS, DEGRADES = 12 * HOUR, 16 * HOUR, 21 * HOUR
"""When each fault begins, in seconds after midnight."""

READS = """
context: {n: {type: int, owner: operator}}
expects: {elapsed: 10m, interventions: 0.1}
tools: {TOOL: {shell: "cat {n}", effect: read, input: {n: int}, timeout: 30s, retry: {transient: {max: 1}}}}
initial: act
on: {cancelled: fail}
states:
  act: {do: TOOL, on: {done: complete, failed: fail}}
  complete: {final: succeeded}
  fail: {final: failed}
"""
PAYS = """
context: {n: {type: int, owner: operator}}
expects: {elapsed: 1h}
tools:
  pay: {shell: "pay {n}", effect: write, reversibility: none, idempotent: false, input: {n: int}, timeout: 30s}
initial: pay
states:
  pay: {do: pay, approval: {expires: 20h}, on: {done: complete, failed: fail, denied: fail, expired: fail}}
  complete: {final: succeeded}
  fail: {final: failed}
"""
LOOPS = """
context: {n: {type: int, owner: operator}}
limits: {stuck_after: 3}
tools: {poll: {shell: "poll {n}", effect: read, input: {n: int}, timeout: 30s}}
initial: act
states:
  act:
    do: poll
    on: {done: [{to: complete, when: "output.contains('ready')"}, {to: act}], failed: fail, stuck: fail}
  complete: {final: succeeded}
  fail: {final: failed}
"""


def steady(call: PendingCall, now: float) -> tuple[Outcome, float]:
    """A tool that works: once in forty times at the second try, in about a second."""
    rng = random.Random(f"{call.key}{call.attempt}")
    ok = call.attempt > 1 or rng.random() > 1 / 40
    return Outcome("fine") if ok else Outcome(failure=Failure("transient", "again")), rng.uniform(0.5, 1.5)


def degrading(call: PendingCall, now: float) -> tuple[Outcome, float]:
    """A tool that works until nine in the evening (``DEGRADES``), and then mostly does not."""
    if now < MIDNIGHT + DEGRADES:
        return steady(call, now)
    failed = Outcome(failure=Failure("transient", "overloaded"))
    return failed if random.Random(call.key).random() < 0.6 else Outcome("fine"), 20.0


def paid(call: PendingCall, now: float) -> tuple[Outcome, float]:
    """A tool that works."""
    return Outcome("paid"), 0.2


def polled(call: PendingCall, now: float) -> tuple[Outcome, float]:
    """A tool whose answer is not what the loop waits for from noon on."""
    return Outcome("ready" if now < MIDNIGHT + STICKS else "not yet"), 0.2


def ready(call: PendingCall, now: float) -> tuple[Outcome, float]:
    """A tool that gives what the loop waits for."""
    return Outcome("ready"), 0.2


def awake(pending: PendingApproval, now: float) -> tuple[str, float] | None:
    """Someone who answers within minutes, and not always with yes."""
    return ("deny" if int(pending.input["n"]) % 5 == 0 else "approve"), 300.0


def approver(pending: PendingApproval, now: float) -> tuple[str, float] | None:
    """Someone who answers within minutes, and who sleeps from four in the afternoon where it is about payments."""
    number = int(pending.input["n"])
    if number >= 1000:  # requests of the healthy machine
        return awake(pending, now)
    return None if now > MIDNIGHT + SLEEPS else ("approve", 120.0 + number)


def scripted(folder: Path, *, faults: bool = True) -> Day:
    """Return the day with its runs queued, none of them done."""
    tools = {
        "fetch": steady,
        "search": degrading if faults else steady,
        "pay": paid,
        "poll": polled if faults else ready,
    }
    day = Day(tools, approver if faults else awake)
    made = {
        "notes": (machine(folder, "notes", READS.replace("TOOL", "fetch")), 200),
        "lookup": (machine(folder, "lookup", READS.replace("TOOL", "search")), 150),
        "pays": (machine(folder, "pays", PAYS), 60),
        "refunds": (machine(folder, "refunds", PAYS), 60),
        "loops": (machine(folder, "loops", LOOPS), 30),
    }
    for name, (definition, count) in made.items():
        for n in range(count):
            number = n + (1000 if name == "refunds" else 0)
            # The last hour is quiet: whoever works well has answered by midnight.
            day.start(definition, f"{name}{n:04}", MIDNIGHT + 60 + n * 23 * HOUR / count, {"n": number})
    return day
