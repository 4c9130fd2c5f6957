"""A machine in Python is the same data as in YAML, and its faults are at the calls that made them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from statemachine.errors import Finding, InvalidMachine
from statemachine.machine.load import load
from statemachine.machine.python import Backoff, Final, Limits, MachineBuilder, Owner, Retry, To
from statemachine.machine.references import Folder
from statemachine.machine.source import parse_source
from statemachine.machine.yaml import define, to_yaml

GOOD = Path(__file__).parent / "good"


def test_the_same_machine_in_python_and_yaml_has_one_digest() -> None:
    """Decorators, calls and YAML are three spellings of one declaration."""
    python, yaml = load(GOOD / "renewal.py"), load(GOOD / "renewal.yaml")
    assert python.declaration.as_data() == yaml.declaration.as_data()
    assert python.digest == yaml.digest


def test_a_python_machine_prints_as_yaml_that_reads_back_as_the_same_machine() -> None:
    """The YAML stands beside the Python file, whose functions it names."""
    for file in ("renewal.py", "review.py"):
        python = load(GOOD / file)
        again = define(parse_source(to_yaml(python.declaration), file), python.folder)
        assert again.declaration == python.declaration
        assert again.digest == python.digest


class Context(BaseModel):
    vendor: str
    rounds: int = 0


def yes(vendor: str) -> bool:
    return bool(vendor)


def look(vendor: str) -> str:
    return vendor


def machine(**parts: Any) -> MachineBuilder:
    made = MachineBuilder("demo", version="1", **{"context": Context} | parts)
    made.add("fail", Final.failed)
    return made


def faults(made: MachineBuilder) -> list[tuple[str, str]]:
    """Return each finding's code and source line; every one is in this file."""
    with pytest.raises(InvalidMachine) as refused:
        _ = made.definition
    assert all(f.place.file == __file__ and f.place.line for f in refused.value.findings)
    return [(f.code, f.place.source.strip()) for f in refused.value.findings]


def test_a_function_guard_works_and_has_no_yaml() -> None:
    """Only Python can say it; printing names the function and what to do."""
    made = machine()
    made.add("ask", initial=True, on={"cancelled": [To("fail", when=yes), To("fail")]})
    (edge, _) = made.definition.edges["ask"]["cancelled"]
    assert edge.guard is not None
    assert edge.guard.opaque
    with pytest.raises(
        InvalidMachine, match=r"YAML cannot say the function test_python\.py:yes; write it as"
    ):
        to_yaml(made.declaration)


def test_every_fault_is_reported_at_once_at_the_line_of_its_call() -> None:
    """Faults of form, names, types and expressions; none of them hides another."""
    made = machine(limits=Limits(elapsed="soon"))
    made.add("ask", initial=True, on={"done": "fial"}, do="lok")
    made.add("wait", wait="1 hour", on={"elapsed": "fail"})
    made.add("again", on={"cancelled": To("fail", when="vendr == ''")})
    made.add("Again", on={"cancelled": "fail"})
    made.shell("count", "wc {file}", effect="read")
    assert faults(made) == [
        ("SM106", 'made = MachineBuilder("demo", version="1", **{"context": Context} | parts)'),
        ("SM111", 'made.add("ask", initial=True, on={"done": "fial"}, do="lok")'),
        ("SM110", 'made.add("ask", initial=True, on={"done": "fial"}, do="lok")'),
        ("SM106", 'made.add("wait", wait="1 hour", on={"elapsed": "fail"})'),
        ("SM114", 'made.add("again", on={"cancelled": To("fail", when="vendr == \'\'")})'),
        ("SM106", 'made.add("Again", on={"cancelled": "fail"})'),
        ("SM116", 'made.shell("count", "wc {file}", effect="read")'),
    ]


WRONG: dict[str, tuple[str, str]] = {
    "no initial state": ("", "no state is the first: give one initial=True"),
    "two initial states": (
        "m.add('a', initial=True, on=GO); m.add('b', initial=True, on=GO)",
        "both `a` and",
    ),
    "a state twice": ("m.add('a', initial=True, on=GO); m.add('a', on=GO)", "`a` is there already, in line"),
    "a tool twice": (
        "A; m.tool(effect='read')(look); m.tool(effect='read')(look)",
        "`look` is there already",
    ),
    "a lambda as a tool": (
        "A; m.tool('x', effect='read')(lambda: None)",
        "cannot be named; define it at the top",
    ),
    "a lambda as a guard": (
        "m.add('a', initial=True, on={'cancelled': To('fail', when=lambda: True)})",
        "cannot be",
    ),
    "a guard of no field": (
        "m.add('a', initial=True, on={'cancelled': To('fail', when=key)})",
        "no context field",
    ),
    "a tool without types": ("A; m.tool(effect='read')(bare)", "annotate the parameter `x`"),
    "an unknown keyword": (
        "A; m.tool(effect='read', timeot='1s')(look)",
        "unknown key `timeot`; did you mean",
    ),
    "an unknown keyword of state": (
        "m.state(effect='read', initial=True, retyr={}, on=D)(look)",
        "did you mean `retry`",
    ),
    "an unknown effect": ("A; m.tool(effect='wirte')(look)", "`wirte` is none of read, write; did you mean"),
    "a write without contract": ("A; m.tool(effect='write')(look)", "a write declares its reversibility"),
    "a route that is a number": ("m.add('a', initial=True, on={'cancelled': 5})", "this must be a list"),
    "a list of numbers": ("m.add('a', initial=True, on={'cancelled': [5]})", "this must be a mapping"),
    "events as a list": ("m.add('a', initial=True, on=['cancelled'])", "this must be a mapping"),
    "a guard that is a number": (
        "m.add('a', initial=True, on={'cancelled': To('fail', when=5)})",
        "quotes around",
    ),
    "an unknown outcome": ("A; m.add('b', 'done')", "`done` is none of succeeded, failed"),
    "an unknown save": (
        "m.tool(effect='read')(look); m.add('a', initial=True, do='look', save='vendr', on=D)",
        "did you mean",
    ),
    "a save of a number": (
        "m.tool(effect='read')(look); m.add('a', initial=True, do='look', save=5, on=D)",
        "a mapping",
    ),
    "a local type": ("A; m.shell('x', 'ls {f}', effect='read', input={'f': Local})", "cannot be named"),
    "a constrained type": (
        "A; m.shell('x', 'ls {f}', effect='read', input={'f': Short})",
        "put the constraint into",
    ),
    "a type that is none": ("A; m.shell('x', 'ls {f}', effect='read', input={'f': [str]})", "is not a type"),
    "inputs that are none": ("A; m.shell('x', 'ls', effect='read', input=['f'])", "this must be a mapping"),
    "a command that is none": ("A; m.shell('x', 5, effect='read')", "this must be a list"),
    "a retry of strings": (
        "A; m.tool(effect='read', retry={'transient': 3})(look)",
        "this must be a mapping",
    ),
    "too many retries": (
        "A; m.tool(effect='read', retry={'transient': Retry(0)})(look)",
        "must be greater than",
    ),
    "a wait that shrinks": (
        "m.add('a', initial=True, wait=Backoff('2m'), on={'elapsed': 'fail'})",
        "cap is shorter",
    ),
    "attempts alone": ("m.add('a', initial=True, attempts=2, on=GO)", "attempts and exhausted go together"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_use_is_a_finding_with_the_line_of_the_call(tmp_path: Path, wrong: str) -> None:
    """It is raised when the machine is used, not in the middle of its file."""
    code, message = WRONG[wrong]
    code = "; ".join("m.add('a', initial=True, on=GO)" if part == "A" else part for part in code.split("; "))
    file = tmp_path / "demo.py"
    file.write_text(
        "from typing import Annotated\nfrom pydantic import BaseModel, Field\n"
        "from statemachine.machine.python import Backoff, MachineBuilder, Retry, To\n"
        "GO, D, Short = {'cancelled': 'fail'}, {'done': 'fail'}, Annotated[str, Field(max_length=3)]\n"
        "class Context(BaseModel):\n    vendor: str\n"
        "def look(vendor: str) -> str: return vendor\ndef key(key: str) -> bool: return True\n"
        "def bare(x): ...\ndef make():\n    class Local: ...\n    return Local\nLocal = make()\n"
        "m = MachineBuilder('demo', version='1', context=Context); m.add('fail', 'failed')\n" + code + "\n"
    )
    with pytest.raises(InvalidMachine) as refused:
        load(file)
    (finding,) = refused.value.findings
    assert message in finding.message
    assert finding.place.file == str(file)
    assert finding.place.line == (15 if code else 14)
    assert finding.place.source == (code or finding.place.source)


def test_a_version_that_is_a_number_and_a_context_that_is_none_are_findings() -> None:
    """What the constructor is given is judged with the rest."""
    made = MachineBuilder("demo", version=1, context=dict, on=["x"], events=7)  # type: ignore[arg-type]
    made.add("fail", "failed", initial=True)
    assert [code for code, _ in faults(made)] == ["SM106"] * 4


def test_a_context_field_that_yaml_cannot_say_is_a_finding() -> None:
    """A constraint would be lost, and a default that is no JSON changed."""

    class Narrow(BaseModel):
        count: int = Field(default=1, ge=0)
        names: set[str] = set()
        score: float = float("nan")
        tags: Annotated[list[str], Owner("ask")] = []
        fine: str | None = None

    made = machine(context=Narrow)
    made.add("ask", initial=True, on={"cancelled": "fail"})
    with pytest.raises(InvalidMachine) as refused:
        _ = made.declaration
    assert [f.path for f in refused.value.findings] == [
        ("context", "count"),
        ("context", "names"),
        ("context", "score", "default"),
    ]


def test_a_machine_in_use_takes_no_more_parts() -> None:
    """Its digest is out: a part added now would be in no run."""
    made = machine()
    made.add("ask", initial=True, on={"cancelled": "fail"})
    assert made.declaration.digest == made.definition.digest
    with pytest.raises(InvalidMachine, match="in use already"):
        made.add("late", on={"cancelled": "fail"})


def test_a_wrong_machine_says_the_same_each_time_it_is_asked() -> None:
    """Asking again neither repeats nor loses a finding."""
    made = machine()
    made.add("ask", initial=True, on={"cancelled": "fial"}, timeout="x")
    assert faults(made) == faults(made) != []


def test_a_subclass_and_a_helper_leave_the_place_with_the_caller() -> None:
    """The line is that of the code that uses the object, through any number of its own methods."""

    class Own(MachineBuilder):
        def __init__(self, name: str) -> None:
            super().__init__(name, version="1")

        def end(self, name: str) -> None:
            self.add(name, "faild")  # type: ignore[arg-type]

    own = Own("demo")
    own.add("ask", initial=True, on={"cancelled": "ask"})
    own.end("fail")
    assert [source for _, source in faults(own)] == ['own.end("fail")']


def test_functions_of_a_program_are_not_loaded_twice(tmp_path: Path) -> None:
    """A file that declares a machine and runs as a program is executed once, its types are one."""
    (tmp_path / "demo.py").write_text(
        "from pydantic import BaseModel\nfrom statemachine.machine.python import MachineBuilder\n"
        "print('loaded')\nclass Verdict(BaseModel):\n    ok: bool\n"
        "class Context(BaseModel):\n    verdict: Verdict\n"
        "m = MachineBuilder('demo', version='1', context=Context)\n"
        "@m.state(effect='read', initial=True, save='verdict', on={'done': 'fail'})\n"
        "def ask() -> Verdict: ...\n"
        "m.add('fail', 'failed')\n"
        "if __name__ == '__main__':\n"
        "    d = m.definition\n    print(d.types['verdict'] is Verdict, d.declaration.tools['ask'].python)\n"
    )
    root = Path(__file__).parents[2]
    ran = subprocess.run(
        [sys.executable, "demo.py"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == "loaded\nTrue demo.py:ask\n"


def test_one_of_several_machines_in_a_file_is_named(tmp_path: Path) -> None:
    """``file.py:name`` loads it."""
    file = tmp_path / "two.py"
    file.write_text(
        "from statemachine.machine.python import MachineBuilder\n"
        "def make(name):\n    m = MachineBuilder(name, version='1')\n"
        "    m.add('end', 'failed', initial=True)\n    return m\n"
        "a, b = make('a'), make('b')\n"
    )
    assert load(f"{file}:b").declaration.machine == "b"
    with pytest.raises(InvalidMachine) as refused:
        load(f"{file}:c")
    finding: Finding = refused.value.findings[0]
    assert finding.message == "it declares no machine `c`; it has: a, b"


def test_a_place_that_is_relative_to_a_folder_is_kept() -> None:
    """A definition knows where its references lead."""
    assert load(GOOD / "renewal.py").folder == Folder(GOOD)
    assert Backoff() == {"initial": "1s", "factor": 2.0, "cap": "1m"}
    assert Retry(2)["max"] == 2
