"""A day of 500 runs: what went wrong is named, and what went well is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from statemachine.kernel import ANNOUNCED, Event
from statemachine.monitor import Measures, Monitor, measured, warnings
from statemachine.store import Store
from tests.monitor.day import Day, machine
from tests.monitor.scripted import HOUR, MIDNIGHT, PAYS, scripted

NOW = MIDNIGHT + 24 * HOUR


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The store at the end of the day."""
    folder = tmp_path_factory.mktemp("day")
    day = scripted(folder)
    with Store.open(folder / "runs.db") as opened:
        day.until(NOW, opened)
        yield opened


@pytest.fixture
def measures(store: Store) -> Measures:
    """What is measured at midnight."""
    return measured(store, NOW)


def test_the_warnings_name_what_went_wrong_and_nothing_else(measures: Measures) -> None:
    """The tool that degrades, the approver who sleeps, the one who reads nothing, the loop that sticks."""
    told = {(warning.code, warning.what) for warning in warnings(measures)}
    assert told == {
        ("tool-fails", "lookup/search"),
        ("tool-slow", "lookup/search"),
        ("nobody-answers", "pays"),
        ("beyond-expected", "pays"),
        ("all-approved", "pays"),
        ("stuck", "loops"),
    }
    assert all(warning.says and warning.look for warning in warnings(measures))


def test_a_day_without_faults_has_no_warning_at_any_hour(tmp_path: Path) -> None:
    """Calls that failed now and then, and were made again, are no fault of a tool."""
    day = scripted(tmp_path, faults=False)
    with Store.open(tmp_path / "runs.db") as store:
        monitor = Monitor(store)
        for hour in range(1, 25):
            day.until(MIDNIGHT + hour * HOUR, store)
            assert warnings(monitor.look(MIDNIGHT + hour * HOUR)) == ()


def test_every_run_is_counted_once(measures: Measures) -> None:
    """Started, and either ended or not."""
    found = {m.machine: m for m in measures.machines}
    assert {name: m.started for name, m in found.items()} == {
        "notes": 200,
        "lookup": 150,
        "pays": 60,
        "refunds": 60,
        "loops": 30,
    }
    for one in found.values():
        assert sum(one.unfinished.values()) + sum(one.finished.values()) == one.started
    assert found["loops"].stuck == 14
    assert found["refunds"].approvals == {"granted": 48, "denied": 12}
    assert found["refunds"].intervened == 60
    (waiting,) = found["pays"].waiting
    assert (waiting.what, waiting.count) == ("approval", found["pays"].unfinished["waiting"])
    assert waiting.run == "pays0042"  # the first after four in the afternoon
    assert waiting.oldest == pytest.approx(NOW - (MIDNIGHT + 60 + 42 * 23 * 60))


def test_calls_are_counted_by_how_they_end(measures: Measures) -> None:
    """With their time, and what was made again."""
    tools = {tool.tool: tool for tool in measures.tools if tool.machine in ("notes", "refunds")}
    fetch, pay = tools["fetch"], tools["pay"]
    assert fetch.calls.results["success"] == 200
    assert fetch.retries == {"transient": fetch.calls.results["transient"]}
    assert 0.9 < (fetch.calls.took.percentile(0.5) or 0) < 1.2
    assert pay.calls.results == {"success": 48}
    assert pay.calls.took.seconds == pytest.approx(48 * 0.2)
    assert pay.calls.took.percentile(0.95) == pytest.approx(0.2, rel=0.1)


def test_people_are_timed(measures: Measures) -> None:
    """From the request to the answer."""
    refunds = next(m for m in measures.machines if m.machine == "refunds")
    assert refunds.decided_in.count == 60
    assert refunds.decided_in.percentile(0.5) == pytest.approx(300, rel=0.1)
    assert refunds.approval_rate == 0.8


def test_telling_people_again_is_no_new_wait(tmp_path: Path) -> None:
    """They have been asked since the request, however often a way to tell them has failed since."""
    day = Day({}, lambda pending, now: None)
    day.start(machine(tmp_path, "pays", PAYS), "asked", MIDNIGHT, {"n": 1})
    down = {"way": "mail", "attempt": 8, "error": "it is down"}
    told = Event(ANNOUNCED, {"request": "asked:3", "told": [], "untold": [down]})
    day.send("asked", told, MIDNIGHT + HOUR)
    with Store.open(tmp_path / "runs.db") as store:
        day.until(MIDNIGHT + 2 * HOUR, store)
        assert store.runs()[0].updated == MIDNIGHT + HOUR
        (pays,) = measured(store, MIDNIGHT + 2 * HOUR).machines
    assert pays.untold == 1
    assert [(waits.count, waits.oldest) for waits in pays.waiting] == [(1, 2 * HOUR)]


def test_what_is_older_than_the_window_is_not_counted(store: Store) -> None:
    """But runs that wait, wait, and their machines' names are known."""
    last_hour = measured(store, NOW, window=HOUR)
    assert sum(m.started for m in last_hour.machines) < 25
    assert next(m for m in last_hour.machines if m.machine == "pays").waiting[0].count == 18


def test_one_machine_can_be_looked_at(store: Store) -> None:
    """And nothing of the others is told."""
    only = measured(store, NOW, machine="notes")
    assert [m.machine for m in only.machines] == ["notes"]
    assert {tool.machine for tool in only.tools} == {"notes"}
    assert warnings(only) == ()


def test_looking_again_reads_only_what_is_new(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """And measures the same as who looks for the first time; later the window has moved on."""
    monitor = Monitor(store)
    monitor.look(NOW)
    read: list[int] = []
    real = store.news
    monkeypatch.setattr(store, "news", lambda *given: read.append(1) or real(*given))
    assert monitor.look(NOW) == measured(store, NOW)
    assert len(read) == 1  # of the fresh look
    assert monitor.look(NOW + 40 * HOUR).tools == ()


def test_since_ever_is_one_sum(store: Store) -> None:
    """Without a window all is counted, however old."""
    assert measured(store, NOW + 1e7, window=None).tools[0].calls == measured(store, NOW).tools[0].calls
