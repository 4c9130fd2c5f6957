"""What is proved of a machine's runs, as it is written down with each of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from statemachine.machine.definition import Definition

_MOST = 2_000
"""Pairs of state and counters that are looked at: a run is not to wait for its bounds to be exact."""


@lru_cache(maxsize=256)
def proved_of(definition: Definition) -> Mapping[str, Any]:
    """Return the most ``steps``, ``calls`` and ``elapsed`` seconds of a run, null for what has no bound; and
    under ``limited`` those of them that only a run limit bounds."""
    from statemachine.check.bounds import bounds_of

    bounds = [bounds_of(definition, _MOST).of(name) for name in ("steps", "calls", "elapsed")]
    most = {bound.name: None if math.isinf(bound.most) else bound.most for bound in bounds}
    return {**most, "limited": [bound.name for bound in bounds if bound.binds.startswith("limits")]}
