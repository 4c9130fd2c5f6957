"""The main job survives kill -9 during any of its calls: nothing completed is done again, nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

MACHINES = Path(__file__).parents[2] / "machines"
SAMPLE = MACHINES / "repair" / "samples" / "intervals"


def command(folder: Path, *words: str) -> list[str]:
    """Return the words that run the program on a store in a folder."""
    return [sys.executable, "-m", "statemachine", *words, "--db", str(folder / "runs.db"), "--json"]


def repair(folder: Path) -> list[str]:
    """Return the words that start the repair of the sample."""
    inputs = ("-i", f"program={SAMPLE / 'intervals.py'}", "-i", f"tests={SAMPLE / 'test_intervals.py'}")
    return command(folder, "run", str(MACHINES / "repair" / "repair.yaml"), *inputs)


def records(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return kind and body of all records that are committed by now."""
    try:
        with sqlite3.connect(f"file:{folder / 'runs.db'}?mode=ro", uri=True, timeout=10) as database:
            rows = database.execute("SELECT kind, body FROM records ORDER BY seq").fetchall()
    except sqlite3.OperationalError:
        return []  # not there yet
    finally:
        if "database" in locals():
            database.close()
    return [(kind, json.loads(body)) for kind, body in rows]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The result of the repair when nothing goes wrong."""
    folder = tmp_path_factory.mktemp("undisturbed")
    done = subprocess.run(repair(folder), capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("calls", range(1, 13))
def test_kill_during_any_call(tmp_path: Path, undisturbed: dict[str, Any], calls: int) -> None:
    """Killed after the n-th intent is on disk, the run is resumed and ends as if nothing had happened."""
    process = subprocess.Popen(repair(tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    give_up = time.monotonic() + 60
    while sum(kind == "call_intended" for kind, _ in records(tmp_path)) < calls:
        assert time.monotonic() < give_up
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = records(tmp_path)
    finished = {body["key"] for kind, body in before if kind == "call_finished"}

    done = subprocess.run(command(tmp_path, "resume", "--all"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)

    after = records(tmp_path)
    assert after[: len(before)] == before, "no acknowledged record is lost or changed"
    again = {body["key"] for kind, body in after[len(before) :] if kind == "call_intended"}
    assert not again & finished, "no completed call is made again"
    outcomes = Counter(body["key"] for kind, body in after if kind == "call_finished")
    assert set(outcomes.values()) == {1}
    assert sum(body["attempt"] > 1 for kind, body in after if kind == "call_intended") <= 1
    assert result["status"] == "succeeded"
    for same in ("state", "attempts", "path", "output"):
        assert result[same] == undisturbed[same], "attempts are not lost, and the same patch is found"
    assert not list((tmp_path / "runs.db.work").iterdir()), "the run's folder is gone with it"


def test_ctrl_c_stops_at_a_safe_point_and_says_how_to_resume(tmp_path: Path) -> None:
    """SIGINT ends the program with 130; the run is still there and is resumed by the words that it prints."""
    words = [word for word in repair(tmp_path) if word != "--json"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while sum(kind == "call_intended" for kind, _ in records(tmp_path)) < 2:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "stopping at the next safe point" in errors
    (line,) = [line for line in out.splitlines() if line.startswith("go on with: statemachine ")]
    done = subprocess.run(
        command(tmp_path, *line.removeprefix("go on with: statemachine ").split()),
        capture_output=True,
        text=True,
        check=False,
    )
    assert json.loads(done.stdout)["status"] == "succeeded", done.stderr
