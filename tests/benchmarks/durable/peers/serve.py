"""What each contestant answers on its standard input: run once, run many at once, or end.

A peer is run by the Python of its own environment, so this and the files beside it import nothing of ours.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

STATES = ("plan", "act", "validate", "diagnose", "retry")
LAPS = 20
STEPS = LAPS * len(STATES)
OUTPUT = "x" * 420
"""What each step gives and must be kept."""


def serve(run: Callable[[], None], many: Callable[[int], None] | None) -> None:
    """Answer each line, ``run`` or ``many N``, with the seconds that it took; return when there are no more."""
    print("ready", flush=True)
    for line in sys.stdin:
        what, _, count = line.strip().partition(" ")
        began = time.perf_counter()
        if what == "run":
            run()
        elif many is not None:
            many(int(count))
        print(json.dumps(time.perf_counter() - began), flush=True)
