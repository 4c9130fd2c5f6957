"""What a worker serves to Prometheus, scraped over HTTP from a real process; and what `stats` shows of the same store."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from statemachine.errors import InvalidInput
from statemachine.monitor.prometheus import Collector, served
from statemachine.store import Stop, Store

MACHINE = """
machine: greets
version: "1"
context: {name: {type: str, owner: operator}}
expects: {elapsed: 1m, interventions: 0.5}
tools: {hello: {shell: "echo {name}", effect: read, input: {name: str}, timeout: 20s}}
initial: act
on: {cancelled: fail}
events: {go: {}}
states:
  act: {do: hello, on: {done: hold, failed: fail}}
  hold: {on: {go: complete}}
  complete: {final: succeeded}
  fail: {final: failed}
"""
COMMAND = (sys.executable, "-m", "statemachine")


def statemachine(folder: Path, *words: str) -> str:
    """Run a command on the folder's store and return what it prints."""
    done = subprocess.run([*COMMAND, *words, "--db", "runs.db"], cwd=folder, capture_output=True, text=True)
    assert done.returncode in (0, 3), done.stderr
    return done.stdout


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A worker that serves metrics: its folder, and the URL that it says."""
    command = (*COMMAND, "worker", "--poll", "0.1", "--metrics", "127.0.0.1:0", "--db", "runs.db")
    with subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as process:
        try:
            yield tmp_path, said(process.stderr)
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 128 + signal.SIGTERM


def said(errors: IO[str] | None) -> str:
    """Return the URL in the first line that tells one."""
    assert errors is not None
    for line in errors:
        if line.startswith("metrics at "):
            return line.removeprefix("metrics at ").strip()
    raise AssertionError("the worker ended")


def scrape(url: str) -> list[Sample]:
    """Return every sample, as Prometheus's own parser reads it."""
    with urllib.request.urlopen(url, timeout=20) as answer:
        text = answer.read().decode()
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def value(samples: list[Sample], name: str, **labels: str) -> float | None:
    """Return the value of one sample; None when there is none."""
    found = [
        s.value for s in samples if s.name == f"statemachine_{name}" and labels.items() <= s.labels.items()
    ]
    return found[0] if found else None


def test_a_worker_is_scraped_and_stats_says_the_same(worker: tuple[Path, str]) -> None:
    """Runs, calls, waits and stops, by machine and tool; never by run."""
    folder, url = worker
    (folder / "greets.yaml").write_text(MACHINE)
    (folder / "names.jsonl").write_text('{"name": "ann"}\n{"name": "bob"}\n')
    made = statemachine(folder, "run", "greets.yaml", "--inputs", "names.jsonl", "--detach").split()
    assert len(made) == 2
    with Store.open(folder / "runs.db") as store:
        store.stop(Stop("tool", "other", "ann", "", time.time()))
    deadline = time.monotonic() + 60
    while value(samples := scrape(url), "waiting_on_people", machine="greets", what="event") != 2:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert value(samples, "runs", machine="greets", status="waiting") == 2
    assert value(samples, "runs_started_total", machine="greets") == 2
    assert value(samples, "calls_total", machine="greets", tool="hello", result="success") == 2
    assert value(samples, "call_seconds_count", machine="greets", tool="hello") == 2
    assert value(samples, "call_seconds_bucket", machine="greets", tool="hello", le="131072.0") == 2
    assert value(samples, "expected_elapsed_seconds", machine="greets") == 60
    assert value(samples, "stops", scope="tool") == 1
    statemachine(folder, "cancel", made[1])
    while value(samples := scrape(url), "runs_intervened_total", machine="greets") != 1:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert value(samples, "runs_finished_total", machine="greets", status="cancelled") == 1
    labels = {label for sample in samples for label in sample.labels.values()}
    assert not [label for label in labels for run in made if run in label]

    told = json.loads(statemachine(folder, "stats", "--json"))
    (machine,), (tool,) = told["machines"], told["tools"]
    assert (machine["started"], machine["unfinished"], machine["finished"]) == (
        2,
        {"waiting": 1},
        {"cancelled": 1},
    )
    assert (machine["intervened"], machine["intervention_rate"]) == (1, 0.5)
    assert (tool["tool"], tool["calls"]["results"]) == ("hello", {"success": 2})
    assert [(one["code"], one["what"]) for one in told["warnings"]] == [("stopped", "other")]
    assert told["warnings"][0]["look"] == "statemachine start --tool other"


def test_stats_watches_until_it_is_stopped(tmp_path: Path) -> None:
    """A document a line, each with what came since; for people a screen, with what is not as it should be first."""
    (tmp_path / "greets.yaml").write_text(MACHINE)
    statemachine(tmp_path, "run", "greets.yaml", "-i", "name=ann")
    shown = statemachine(tmp_path, "stats")
    assert shown.startswith("nothing is out of the ordinary")
    assert re.search(r"^greets +1 ", shown, re.MULTILINE)
    assert re.search(r"^hello +greets +1 +100% +100%", shown, re.MULTILINE)
    words = (*COMMAND, "stats", "--watch", "--every", "0.1", "--json", "--db", "runs.db")
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        first = json.loads(watching.stdout.readline())
        assert first["machines"][0]["started"] == 1
        statemachine(tmp_path, "run", "greets.yaml", "-i", "name=bob")
        for line in watching.stdout:
            if json.loads(line)["machines"][0]["unfinished"] == {"waiting": 2}:
                break
        watching.send_signal(signal.SIGINT)
        assert watching.wait(30) == 130


def test_names_say_their_units(tmp_path: Path) -> None:
    """As Prometheus's conventions ask: one prefix, base units, `_total` for what only rises."""
    with Store.open(tmp_path / "runs.db") as store:
        families = list(Collector(store).collect())
    assert len(families) > 15
    for family in families:
        assert re.fullmatch(r"statemachine_[a-z_]+", family.name)
        assert family.documentation.endswith(".")
        assert not re.search(r"_(ms|minutes|hours|percent|count|sum|bucket)$", family.name)


@pytest.mark.parametrize("address", ["9464", "nowhere", "127.0.0.1:x", "127.0.0.1:99999", "192.0.2.1:9464"])
def test_a_wrong_address_is_told(tmp_path: Path, address: str) -> None:
    """One that is none, and one that is not ours."""
    with Store.open(tmp_path / "runs.db") as store, pytest.raises(InvalidInput, match="--metrics"):
        served(store, address).__enter__()


def test_the_missing_extra_is_named(tmp_path: Path) -> None:
    """With what to install."""
    (tmp_path / "prometheus_client.py").write_text("raise ImportError('not here')")
    done = subprocess.run(
        [*COMMAND, "worker", "--metrics", "127.0.0.1:0", "--db", "runs.db", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == 2
    assert "agent-statemachine[metrics]" in json.loads(done.stdout)["message"]
