"""What a tool gives, against its contract: wrong output is a failure, not data."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from statemachine.clock import instant
from statemachine.machine.call import Reply
from statemachine.machine.outcome import Failure, Outcome
from statemachine.machine.types import adapter

LARGEST_OUTPUT = 16 << 20
"""Bytes of JSON that one output may have; more is refused before it is stored."""


_PLAIN = (str, bool, None, type(None))
"""Types whose values, once validated, are JSON data as they are."""


def broken(message: str) -> Outcome:
    """Return the failure of a call that broke its contract."""
    return Outcome(failure=Failure("contract", message))


def checked(given: object, of: Any) -> Outcome:
    """Return the outcome of a call that gave something, checked against its output type."""
    reply = given if isinstance(given, Reply) else Reply(given)
    try:
        wanted = adapter(of)
        data = wanted.validate_python(reply.output)
        if of not in _PLAIN or type(data) not in _PLAIN:  # a subclass may be anything
            data = wanted.dump_python(data, mode="json", warnings="error")
        short = isinstance(data, str) and len(data) < LARGEST_OUTPUT // 6  # bytes that a letter may take
        size = 0 if short else len(json.dumps(data, allow_nan=False))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return broken(
            f"the output is not what the tool declares: {f'{where}: ' if where else ''}{first['msg']}"
        )
    except (PydanticSerializationError, ValueError, TypeError, RecursionError) as error:
        return broken(f"the output cannot be written as JSON: {str(error).splitlines()[0]}")
    if size > LARGEST_OUTPUT:
        return broken(
            f"the output has {size:,} bytes; at most {LARGEST_OUTPUT:,} are stored: return a reference to it"
        )
    for unit, amount in reply.cost.items():
        if not isinstance(amount, int | float) or not 0 <= amount < float("inf"):
            return broken(f"the cost `{unit}` is {amount!r}; a cost is a number from 0")
    observed = reply.observed
    if isinstance(observed, datetime):
        if observed.tzinfo is None:
            return broken(
                f"`observed` is {observed}, without a time zone; write datetime.now(UTC) or the like"
            )
        observed = observed.timestamp()
    if observed is not None:
        if isinstance(observed, bool) or not isinstance(observed, int | float) or not abs(observed) < 1e12:
            return broken(f"`observed` is {observed!r}; it is seconds since the epoch, or a datetime")
        observed = instant(observed)
    cost, done, not_done = dict(reply.cost) or None, tuple(reply.done), tuple(reply.not_done)
    return Outcome(data, cost, done, not_done, observed=observed)
