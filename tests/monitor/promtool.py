"""What Prometheus makes of the alert rules: its own tool is given what a worker would have served."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from statemachine.clock import SimulatedClock
from statemachine.monitor.data import text
from statemachine.monitor.prometheus import Collector
from statemachine.store import Store

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")


@dataclass(frozen=True, slots=True)
class Alert:
    """One that fires: its name without our prefix, and what it is about."""

    name: str
    machine: str = ""
    tool: str = ""

    def __str__(self) -> str:
        """Return the labels, as Prometheus writes them."""
        about = "".join(
            f', {label}="{said}"' for label, said in (("machine", self.machine), ("tool", self.tool)) if said
        )
        return f'{{alertname="Statemachine{self.name}"{about}}}'


@dataclass(slots=True)
class Scraped:
    """What was served at times of equal distance.

    Attributes:
        every: Seconds between two scrapes.
        values: Of each series, by its name and labels, a value for each scrape, as served; ``_`` where it was not.
        scrapes: How many there were.
    """

    every: int
    values: dict[str, list[str]] = field(default_factory=dict)
    scrapes: int = 0

    def add(self, exposition: str) -> None:
        """Take in what was served at the next time, as text."""
        for line in exposition.splitlines():
            if not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                series = self.values.setdefault(name, [])
                series += ["_"] * (self.scrapes - len(series)) + [value]
        self.scrapes += 1

    def as_input(self) -> list[dict[str, str]]:
        """Return the series as promtool reads them."""
        return [{"series": name, "values": _spelt(values)} for name, values in self.values.items()]


class Scraper:
    """Scrapes a store as Prometheus would, by a simulated clock."""

    def __init__(self, store: Store, every: int) -> None:
        self.scraped = Scraped(every)
        self._clock = SimulatedClock()
        self._registry = CollectorRegistry()
        self._registry.register(Collector(store, self._clock))

    def scrape(self, now: float) -> None:
        """Scrape at a time."""
        self._clock.at = now
        self.scraped.add(generate_latest(self._registry).decode())


def has_fired(at: float, alerts: Iterable[Alert]) -> dict[str, object]:
    """Return the expectation that by a time, in seconds since the first scrape, just these alerts have fired."""
    return {
        "expr": 'group by (alertname, machine, tool) (last_over_time(ALERTS{alertstate="firing"}[2d]))',
        "eval_time": f"{round(at)}s",
        "exp_samples": [{"labels": str(alert), "value": 1} for alert in alerts],
    }


def evaluated(folder: Path, case: Scraped, expected: list[dict[str, object]]) -> str:
    """Let promtool evaluate the rules at each scrape, and return what is not as expected; empty if all is."""
    (folder / "alerts.yaml").write_text(text("alerts"))
    every = f"{case.every}s"
    test = {"interval": every, "input_series": case.as_input(), "promql_expr_test": expected}
    given = {"rule_files": ["alerts.yaml"], "evaluation_interval": every, "tests": [test]}
    (folder / "case.json").write_text(json.dumps(given))
    return promtool(folder, "test", "rules", "case.json")


def promtool(folder: Path, *words: str) -> str:
    """Run promtool in a folder; return what it finds wrong, or nothing."""
    command = ["promtool", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def _spelt(values: Iterable[str]) -> str:
    """Return values as promtool reads them: equal ones once, with how many times more."""
    told = []
    for value, same in groupby(values):
        times = len(list(same))
        told.append(f"_x{times}" if value == "_" else f"{value}x{times - 1}" if times > 1 else value)
    return " ".join(told)
