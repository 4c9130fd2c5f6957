"""What `statemachine new` writes, and that it is the canonical loop of machines/agent."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from statemachine.check import check
from statemachine.cli.template import SCHEMA, contents, write
from statemachine.errors import InvalidInput, OutputUnwritable
from statemachine.host.runtime import Runtime
from statemachine.machine.load import load

ROOT = Path(__file__).parents[2]
AGENT = ROOT / "machines" / "agent"


def test_the_canonical_loop_is_what_new_writes() -> None:
    """machines/agent holds the template's text and nothing else; only the schema lies elsewhere."""
    schema = "../../statemachine/machine/machine.schema.json"
    found = {path.name: path.read_text(encoding="utf-8") for path in AGENT.iterdir() if path.is_file()}
    assert found == contents("agent", schema)
    assert (AGENT / schema).is_file()


def test_a_new_machine_passes_the_check_and_runs(tmp_path: Path) -> None:
    """It is a whole machine: nothing has to be filled in before it works."""
    machine, tools, schema = write("shorten", tmp_path)
    assert [machine, tools, schema] == [
        tmp_path / "shorten" / n for n in ("shorten.yaml", "tools.py", SCHEMA)
    ]
    definition = load(machine)
    assert (definition.declaration.machine, len(definition.declaration.states)) == ("shorten", 7)
    assert check(definition) == []

    async def run() -> str:
        async with Runtime(tmp_path / "runs.db") as runtime:
            return (await runtime.start(definition, {"text": "It is really short.", "words": 3})).status

    assert asyncio.run(run()) == "succeeded"


def test_its_schema_lies_beside_it(tmp_path: Path) -> None:
    """The path in the first line is relative to the file, so it holds on any computer."""
    machine, _, schema = write("shorten", tmp_path)
    first = machine.read_text(encoding="utf-8").splitlines()[0]
    assert first == f"# yaml-language-server: $schema={schema.name}"
    assert schema.read_bytes() == (ROOT / "statemachine" / "machine" / SCHEMA).read_bytes()


def test_nothing_that_is_there_is_written_over(tmp_path: Path) -> None:
    """A folder with anything in it, and a file, are left as they are; nothing else is left behind."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "tools.py").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("mine", "file"):
        with pytest.raises(OutputUnwritable, match="is there already and is left as it is; choose another"):
            write(name, tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "mine", "tools.py"]


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """The message says what stands in the way."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputUnwritable, match="Not a directory; choose another place with --in"):
        write("shorten", tmp_path / "file")
    with pytest.raises(OutputUnwritable, match="name too long"):
        write("a" * 300, tmp_path)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("My-Machine", "; did you mean `my_machine`"),
        ("../up", "; did you mean `up`"),
        ("2nd", "; did you mean `nd`"),
        ("", "begins with a letter$"),
        ("ünder", "; did you mean `nder`"),
    ],
)
def test_a_wrong_name_is_refused_with_a_better_one(name: str, hint: str, tmp_path: Path) -> None:
    """A machine's name is checked before anything is written."""
    with pytest.raises(InvalidInput, match=hint):
        write(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["null", "true", "on", "class"])
def test_a_name_that_is_a_word_of_a_language_is_still_a_name(name: str, tmp_path: Path) -> None:
    """Neither YAML nor Python reads anything into it."""
    texts = contents(name)
    (tmp_path / f"{name}.yaml").write_text(texts[f"{name}.yaml"])
    (tmp_path / "tools.py").write_text(texts["tools.py"])
    assert load(tmp_path / f"{name}.yaml").declaration.machine == name
