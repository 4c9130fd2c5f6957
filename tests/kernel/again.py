"""Take the same steps in a process of its own: runs as JSON on standard input, their steps on standard output."""

from __future__ import annotations

import json
import sys
from typing import Any

from statemachine.kernel import Event, start, step
from statemachine.machine.outcome import Outcome
from tests.kernel.driving import declare
from tests.kernel.strategies import plain


def main() -> None:
    """Read the runs, move them, write the steps."""
    found = []
    for told in json.load(sys.stdin):
        definition = declare(**told["parts"])
        at, inputs = told["start"]
        made = start(definition, "run", inputs, at)
        steps: list[Any] = [plain(made)]
        for name, payload, outcome, key, by, now in told["moves"]:
            event = Event(name, payload, None if outcome is None else Outcome.from_data(outcome), key, by)
            made = step(definition, made.snapshot, event, now)
            steps.append(plain(made))
        found.append(steps)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
