"""What ships for those who scrape: a Grafana dashboard and Prometheus alert rules."""

from __future__ import annotations

from importlib.resources import files
from typing import Literal

FILES = {"grafana": "grafana.json", "alerts": "alerts.yaml"}
"""What there is, and its file."""


def text(what: Literal["grafana", "alerts"]) -> str:
    """Return the dashboard as JSON, or the rules as YAML."""
    return files(__name__).joinpath(FILES[what]).read_text(encoding="utf-8")
