"""The example pictures in diagrams/ are what the program draws now, byte by byte."""

from __future__ import annotations

import json

from statemachine.diagrams.text import diagram
from statemachine.machine.load import load
from tests.diagrams.examples import ROOT, RUN, examples, recorded


def test_examples_are_current() -> None:
    """`python -m tests.diagrams.examples` draws them anew."""
    assert [path.name for path, picture in examples() if path.read_bytes() != picture] == []


def test_the_recorded_run_is_one_of_the_shipped_machine() -> None:
    """A journal from its start to its end, whose transitions are all still declared; it has several rounds."""
    records = [json.loads(line) for line in RUN.read_text(encoding="utf-8").splitlines()]
    assert [record["seq"] for record in records] == list(range(1, len(records) + 1))
    definition = load(ROOT / "machines/repair/repair.yaml")
    trail = recorded()
    assert not trail.strays
    assert (trail.status, trail.state) == ("succeeded", "complete")
    assert trail.stays["retry"].visits >= 3
    assert diagram(definition, trail).count("\n") < 50
