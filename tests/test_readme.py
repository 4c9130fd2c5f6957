"""The README says what is so: its examples are files, its commands are those of the program and of CI."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", README, re.DOTALL)


def test_the_examples_are_there() -> None:
    """A first machine in YAML and the same in Python."""
    assert {name.rpartition(".")[2] for name, _ in EXAMPLES} == {"yaml", "py"}


@pytest.mark.parametrize(("name", "text"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_an_example_is_a_real_file(name: str, text: str) -> None:
    """Word for word; `python tests/test_readme.py` puts the files in."""
    assert text == (ROOT / name).read_text(encoding="utf-8")


def test_ci_runs_the_readmes_test_command() -> None:
    """Nothing that CI installs in another way hides a missing step."""
    (command,) = re.findall(r"Run the tests:\n\n```sh\n(.*)\n```", README)
    assert command.removeprefix("pip install ") in (ROOT / ".ci" / "run").read_text()


def test_every_command_is_in_the_table() -> None:
    """And no other."""
    import typer.main

    from statemachine.cli.app import app

    table = README[README.index("## Commands") : README.index("## How durable")]
    listed = set(re.findall(r"^\| `([a-z]+)", table, re.MULTILINE))
    assert listed == set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]  # it is a group


def test_the_bounds_of_the_machines_are_those_that_are_proved() -> None:
    """Steps, calls, time and rounds of each."""
    from statemachine.check.bounds import prover_of
    from statemachine.cli.bounds import shortly
    from statemachine.machine.load import load

    rows = re.findall(r"^\| `(\w+)` \| (\d.*) \|$", README[: README.index("## Commands")], re.MULTILINE)
    assert [name for name, _ in rows] == ["agent", "backup", "renewal", "repair", "triage"]
    for name, row in rows:
        definition = load(ROOT / "machines" / name / f"{name}.yaml")
        assert row == " | ".join(shortly(prover_of(definition).bounds))


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", README))
def test_links_lead_somewhere(link: str) -> None:
    """Files that are named are there."""
    assert link.startswith("https://") or (ROOT / link).exists()


if __name__ == "__main__":
    for name, text in EXAMPLES:
        README = README.replace(
            f"<!-- file: {name} -->\n```{'yaml' if name.endswith('yaml') else 'python'}\n{text}```",
            f"<!-- file: {name} -->\n```{'yaml' if name.endswith('yaml') else 'python'}\n{(ROOT / name).read_text()}```",
        )
    (ROOT / "README.md").write_text(README, encoding="utf-8")
