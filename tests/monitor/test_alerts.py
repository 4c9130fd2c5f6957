"""The alert rules, by Prometheus itself, over what a worker serves: each fault is named soon, and what is well is quiet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ruamel.yaml import YAML

from statemachine.kernel import ANNOUNCED, Event, PendingCall
from statemachine.machine.outcome import Failure, Outcome
from statemachine.monitor.data import text
from statemachine.store import Stop, Store
from tests.monitor.day import Day, machine
from tests.monitor.promtool import Alert, Scraped, Scraper, evaluated, has_fired, needs_promtool
from tests.monitor.scripted import (
    DEGRADES,
    HOUR,
    LOOPS,
    MIDNIGHT,
    PAYS,
    READS,
    SLEEPS,
    STICKS,
    awake,
    paid,
    scripted,
)

EVERY = 240
"""Seconds between two scrapes; Prometheus takes a sample for current for 300."""

FAULTS = {
    # That all payments are approved is so from midnight on; it is said when there are enough of them to tell.
    Alert("AllApproved", "pays"): (7 * HOUR, 8 * HOUR),
    Alert("Stuck", "loops"): (STICKS, STICKS + HOUR / 2),
    # A run of this machine is expected to take an hour.
    Alert("NobodyAnswers", "pays"): (SLEEPS + HOUR, SLEEPS + 1.5 * HOUR),
    Alert("BeyondExpected", "pays"): (SLEEPS + HOUR, SLEEPS + 1.5 * HOUR),
    Alert("ToolFails", "lookup", "search"): (DEGRADES, DEGRADES + HOUR),
    # Half of the calls of three hours are slow when half of the hours were.
    Alert("ToolSlow", "lookup", "search"): (DEGRADES + HOUR, DEGRADES + 2 * HOUR),
}
"""What is the matter on the scripted day: not before when, and by when it is to be known, in seconds after midnight."""

TROUBLE = {
    Alert("Stuck", "loops"): (0.5 * HOUR, 0.75 * HOUR),
    Alert("InDoubt", "wires"): (0.5 * HOUR, 0.75 * HOUR),
    Alert("Untold", "untold"): (0.5 * HOUR, 0.75 * HOUR),
    Alert("BeyondExpected", "wires"): (0.75 * HOUR, HOUR),
    Alert("Interventions", "asks"): (0.75 * HOUR, HOUR),
    Alert("RequestsExpired", "unread"): (HOUR, 1.25 * HOUR),
    Alert("ToolFails", "never", "fetch"): (1.25 * HOUR, 1.75 * HOUR),
    Alert("Queue", "queued"): (1.75 * HOUR, 2 * HOUR),
    Alert("Stopped"): (2 * HOUR, 2.25 * HOUR),
}
"""The same where each trouble is the first of its kind."""


def served(
    folder: Path, day: Day, hours: float, meanwhile: Callable[[float, Store], None] = lambda now, store: None
) -> Scraped:
    """Return what a worker that began with the day would have served over some hours."""
    with Store.open(folder / "runs.db") as store:
        scraper = Scraper(store, EVERY)
        for second in range(0, int(hours * HOUR) + 1, EVERY):
            day.until(MIDNIGHT + second, store)
            meanwhile(MIDNIGHT + second, store)
            scraper.scrape(MIDNIGHT + second)
    return scraper.scraped


def in_time(alerts: dict[Alert, tuple[float, float]]) -> list[dict[str, object]]:
    """Return the expectation that what has fired at each time that is named is what was to be known by then."""
    times = sorted({time for both in alerts.values() for time in both} | {24 * HOUR})
    return [has_fired(at, [alert for alert, (_, by) in alerts.items() if by <= at]) for at in times]


@needs_promtool
def test_a_day_without_faults_is_quiet(tmp_path: Path) -> None:
    """From midnight to midnight no alert fires once: 500 runs, some calls made again, people who answer."""
    day = served(tmp_path, scripted(tmp_path, faults=False), 24)
    assert evaluated(tmp_path, day, in_time({})) == ""


@needs_promtool
def test_each_fault_of_the_day_is_named_soon_after_it_began_and_nothing_else_is(tmp_path: Path) -> None:
    """The loop at once, the approver when the time that is expected is over, the tool within the hour."""
    day = served(tmp_path, scripted(tmp_path), 24)
    assert evaluated(tmp_path, day, in_time(FAULTS)) == ""


@needs_promtool
def test_trouble_is_seen_the_first_time(tmp_path: Path) -> None:
    """The first run that sticks, the first request that expires, a tool that never worked, and so on.

    None of these machines has run before, so that what is measured of them begins with what is the matter.
    """

    def fails(failure: Failure) -> Callable[[PendingCall, float], tuple[Outcome, float]]:
        return lambda call, now: (Outcome(failure=failure), 1.0)

    tools = {
        "poll": lambda call, now: (Outcome("not yet"), 1.0),
        "fetch": fails(Failure("permission", "not allowed")),
        "wire": fails(Failure("timeout", "no answer")),
        "pay": paid,
    }
    slow = {1: None, 3: ("approve", 1200.0)}
    day = Day(tools, lambda pending, now: slow.get(pending.input["n"], awake(pending, now)))
    wires = READS.replace("TOOL", "wire").replace("read", "write, reversibility: none, idempotent: false")
    begins = MIDNIGHT + HOUR / 2 + 60
    day.start(machine(tmp_path, "loops", LOOPS), "loop", begins, {"n": 1})
    day.start(machine(tmp_path, "unread", PAYS.replace("20h", "30m")), "unread", begins, {"n": 1})
    day.start(machine(tmp_path, "untold", PAYS), "untold", begins, {"n": 3})
    failed = {"way": "mail", "attempt": 8, "error": "it is down"}
    day.send("untold", Event(ANNOUNCED, {"request": "untold:3", "told": [], "untold": [failed]}), begins + 10)
    day.start(machine(tmp_path, "wires", wires), "wire", begins, {"n": 2})
    day.queue(machine(tmp_path, "queued", LOOPS), "queued", begins + 1.1 * HOUR, {"n": 1})
    never = machine(tmp_path, "never", READS.replace("TOOL", "fetch"))
    asks = machine(tmp_path, "asks", PAYS.replace("elapsed: 1h", "interventions: 0.1"))
    for n in range(24):
        day.start(never, f"never{n:02}", begins + n * 300, {"n": n})
        day.start(asks, f"asks{n:02}", begins + n * 60, {"n": n + 5})

    def stop(now: float, store: Store) -> None:
        if now == MIDNIGHT + 2 * HOUR + EVERY:
            store.stop(Stop("tool", "pay", "ann", "", now))

    assert evaluated(tmp_path, served(tmp_path, day, 3, stop), in_time(TROUBLE)) == ""


def test_every_rule_is_seen_to_fire() -> None:
    """In one of these tests."""
    (group,) = YAML(typ="safe").load(text("alerts"))["groups"]
    told = {f"Statemachine{alert.name}" for alert in (*FAULTS, *TROUBLE)}
    assert {rule["alert"] for rule in group["rules"]} == told
