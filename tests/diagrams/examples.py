"""The pictures of a run and of a difference that are kept as examples: `python -m tests.diagrams.examples` draws them.

The run is a recorded journal, as `statemachine journal ID --json` prints it, of a repair of
`samples/pagination`; values of which a picture tells nothing are cut short in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from statemachine.diagrams import render_difference, render_run
from statemachine.diagrams.committed import save
from statemachine.diagrams.trail import Trail
from statemachine.host.trail import trail
from statemachine.machine.load import load
from statemachine.machine.model import Declaration

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
RUN = HERE / "repair.jsonl"


def repair() -> Declaration:
    """Return the machine that the run is one of: the shipped one."""
    return load(ROOT / "machines/repair/repair.yaml").declaration


def proposed() -> Declaration:
    """Return a change of that machine as somebody might propose it: fewer attempts, and a person to ask."""
    data = repair().as_data()
    states = data["states"]
    data |= {"version": "2", "events": {"accepted": {}, "refused": {}}}
    data["limits"] |= {"steps": 2000, "cost": {"usd": 2.0}}
    data["tools"]["apply"]["timeout"] = "30s"
    states["plan"]["on"]["done"][1]["when"] = "proposal.exhausted || size(tried) > 150"
    states["validate"]["on"]["done"][0]["to"] = "review"
    states["diagnose"]["on"]["failed"] = [{"to": "retry"}]
    states["retry"]["attempts"] = 50
    ask = {"accepted": [{"to": "complete"}], "refused": [{"to": "diagnose"}], "timeout": [{"to": "fail"}]}
    states["review"] = {"timeout": "1d", "on": ask}
    return Declaration.model_validate(data)


def recorded() -> Trail:
    """Return the way of the recorded run."""
    records = [json.loads(line) for line in RUN.read_text(encoding="utf-8").splitlines()]
    written = ((record["seq"], record["at"], record["kind"], record["body"]) for record in records)
    return trail(repair(), records[0]["run"], written)


def examples() -> Iterator[tuple[Path, bytes]]:
    """Yield each example's path and what it should hold."""
    yield ROOT / "diagrams/runs/repair.svg", render_run(repair(), recorded(), "svg")
    for suffix in ("svg", "md"):
        yield ROOT / f"diagrams/changes/repair.{suffix}", render_difference(repair(), proposed(), suffix)


if __name__ == "__main__":
    for path, picture in examples():
        save(path, picture)
        print(f"wrote {path.relative_to(ROOT)}")
