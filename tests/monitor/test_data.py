"""The dashboard and the alert rules name only metrics that exist, and are what Grafana and Prometheus read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from statemachine.monitor.data import text
from statemachine.monitor.prometheus import Collector
from statemachine.store import Store
from tests.monitor.promtool import needs_promtool, promtool

DASHBOARD: dict[str, Any] = json.loads(text("grafana"))
RULES: dict[str, Any] = YAML(typ="safe").load(text("alerts"))
ALERTS = RULES["groups"][0]["rules"]


@pytest.fixture
def names(tmp_path: Path) -> dict[str, set[str]]:
    """The names of all samples that a worker gives, each with its labels."""
    found: dict[str, set[str]] = {}
    with Store.open(tmp_path / "runs.db") as store:
        for family in Collector(store).collect():
            labels = set(family._labelnames)  # type: ignore[attr-defined]  # each family has its own
            ends = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}.get(family.type, [""])
            found |= {family.name + end: labels | ({"le"} if end == "_bucket" else set()) for end in ends}
    return found


def expressions() -> list[str]:
    """Return every expression of both."""
    panels = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    variables = [v["query"] for v in DASHBOARD["templating"]["list"] if v["type"] == "query"]
    return [*panels, *variables, *(rule["expr"] for rule in ALERTS)]


def test_every_metric_that_is_named_exists(names: dict[str, set[str]]) -> None:
    """With the labels that it is asked for."""
    for expression in expressions():
        asked = re.findall(r"(statemachine_\w+)(?:\{([^}]*)\})?", expression)
        assert asked
        for name, selected in asked:
            assert name in names, expression
            assert set(re.findall(r"(\w+)=", selected)) <= names[name], expression
        for group in re.findall(r"by \(([^)]*)\) \((?:increase|rate)?\(?(statemachine_\w+)", expression):
            assert set(re.split(r", ", group[0])) <= names[group[1]], expression


def test_every_metric_is_shown(names: dict[str, set[str]]) -> None:
    """On the dashboard or in a rule: nothing is measured in vain."""
    shown = {name for e in expressions() for name in re.findall(r"statemachine_\w+", e)}
    assert {n for n in names if not n.endswith(("_sum", "_count"))} == shown


def test_the_dashboard_is_one() -> None:
    """Panels with ids and places of their own, and a data source that is chosen where it is imported."""
    assert DASHBOARD["title"]
    assert DASHBOARD["schemaVersion"] >= 36
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({(p["gridPos"]["x"], p["gridPos"]["y"]) for p in panels}) == len(panels)
    for panel in panels:
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        assert panel["targets"]


def test_the_rules_are_ones() -> None:
    """Each says what is the matter and what to look at."""
    assert len({rule["alert"] for rule in ALERTS}) == len(ALERTS)
    for rule in ALERTS:
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"\d+m", rule["for"])
        assert set(rule["annotations"]) == {"summary", "description"}
        assert rule["expr"].count("(") == rule["expr"].count(")")


@needs_promtool
def test_prometheus_reads_the_rules(tmp_path: Path) -> None:
    """By its own tool; the dashboard's expressions, too, as rules."""
    (tmp_path / "alerts.yaml").write_text(text("alerts"))
    panels = [
        target["expr"].replace("$machine", ".*") for p in DASHBOARD["panels"] for target in p["targets"]
    ]
    rules = [{"record": f"panel:{n}", "expr": expression} for n, expression in enumerate(panels)]
    (tmp_path / "panels.json").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    for file in ("alerts.yaml", "panels.json"):
        assert promtool(tmp_path, "check", "rules", file) == ""
