"""A tool says when its output was so; what it says is checked like all that it gives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from statemachine.machine.call import Reply
from statemachine.machine.outcome import Outcome
from statemachine.tools.output import checked

ZONES = [datetime.fromtimestamp(1e9, zone) for zone in (UTC, timezone(timedelta(hours=-7)))]


@pytest.mark.parametrize("observed", [10**9, 1e9, *ZONES], ids=["int", "float", "utc", "zone"])
def test_it_is_kept_with_the_outcome(observed: Any) -> None:
    """In seconds since the epoch, also through the journal's JSON."""
    outcome = checked(Reply("x", observed=observed), str)
    assert outcome == Outcome("x", observed=1e9)
    assert Outcome.from_data(outcome.as_data()) == outcome


@pytest.mark.parametrize(
    "observed",
    [datetime(2001, 9, 9), float("nan"), float("inf"), 10**400, True, "yesterday"],
    ids=["naive", "nan", "inf", "huge", "bool", "text"],
)
def test_what_is_no_time_breaks_the_contract(observed: Any) -> None:
    """A time without a zone could be any of many."""
    failure = checked(Reply("x", observed=observed), str).failure
    assert failure is not None
    assert (failure.failure, "observed" in failure.message) == ("contract", True)
    assert not isinstance(observed, datetime) or "time zone" in failure.message
