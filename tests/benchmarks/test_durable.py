"""The durable benchmark runs, in small and without its peers."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


@pytest.mark.long
def test_it_tells_of_every_goal() -> None:
    """Each figure is there, and late steps cost no more than early ones."""
    words = ["--few", "--long", "--rounds", "2", "--steps", "2000", "--runs", "100", "--json"]
    ran = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.durable", *words], check=True, capture_output=True, text=True
    )
    said = json.loads(ran.stdout)
    assert {one["name"] for one in said["results"]} == {"ours", "bare insert"}
    assert all(len(one["ms"]) == 2 for one in said["results"])
    assert said["long"]["records"] > 6000
    assert said["recovery"]["runs"] == 100
    assert len(said["goals"]) == 4
