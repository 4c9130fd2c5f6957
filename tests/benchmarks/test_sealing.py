"""What auditing costs, in small: the figures are there, and are of the size that was aimed at."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


@pytest.mark.long
def test_hashes_and_compliance_cost_at_most_a_quarter_of_a_step() -> None:
    """By CPU time, side by side; with room for a noisy machine, as the figures themselves come from the benchmark."""
    words = ["--rounds", "5", "--laps", "60", "--records", "5000", "--json"]
    ran = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.sealing", *words], check=True, capture_output=True, text=True
    )
    told = json.loads(ran.stdout)
    assert told["added"]["with the compliance stream"] < 0.5
    assert told["verified"] > 10_000
