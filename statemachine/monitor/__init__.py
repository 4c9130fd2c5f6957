"""What is measured of runs: counts and durations from the store, what is not as it should be, and who scrapes it."""

from __future__ import annotations

from statemachine.monitor.measures import Measures
from statemachine.monitor.monitor import Monitor, measured
from statemachine.monitor.warnings import Warning, warnings

__all__ = ["Measures", "Monitor", "Warning", "measured", "warnings"]
