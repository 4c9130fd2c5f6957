"""A machine in Python and its twin in YAML are one machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from statemachine.machine.load import load
from statemachine.machine.references import Folder
from statemachine.machine.source import parse_source
from statemachine.machine.yaml import define, to_yaml

MACHINES = Path(__file__).parents[2] / "machines"
TWINS = sorted(path for path in MACHINES.glob("*/*.py") if path.with_suffix(".yaml").exists())


def test_there_are_twins() -> None:
    """The first example of the README and the main job are both declared twice."""
    assert {path.stem for path in TWINS} >= {"backup", "repair"}


@pytest.mark.parametrize("python", TWINS, ids=lambda path: path.stem)
def test_both_have_one_digest(python: Path) -> None:
    """Written in Python, in YAML, or printed from Python as YAML: the same data."""
    ours, twin = load(python), load(python.with_suffix(".yaml"))
    assert ours.declaration.as_data() == twin.declaration.as_data()
    assert ours.digest == twin.digest
    printed = define(parse_source(to_yaml(ours.declaration), "printed"), Folder(python.parent))
    assert printed.digest == ours.digest


@pytest.mark.parametrize("path", sorted(MACHINES.glob("*/*.yaml")), ids=lambda path: path.stem)
def test_yaml_is_read_again_as_it_was_printed(path: Path) -> None:
    """YAML to model to YAML to model is the same model."""
    first = load(path)
    again = define(parse_source(to_yaml(first.declaration), "printed"), Folder(path.parent))
    assert again.declaration == first.declaration
