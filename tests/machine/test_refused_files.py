"""Whatever a file holds, loading it ends in a machine or in InvalidMachine, soon."""

from __future__ import annotations

import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from statemachine.errors import Finding, InvalidMachine
from statemachine.machine.definition import Definition
from statemachine.machine.load import load
from statemachine.machine.references import Folder
from statemachine.machine.source import LARGEST, parse_source
from statemachine.machine.yaml import define

HEAD = 'machine: demo\nversion: "1"\ninitial: ask\n'
STATES = "states:\n  ask: {on: {cancelled: fail}}\n  fail: {final: failed}\n"
LAUGHS = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in pairwise("abcdefghi"))


def refused(file: Path | str) -> tuple[Finding, ...]:
    """Return why a file is refused, which takes less than a second."""
    started = time.process_time()
    with pytest.raises(InvalidMachine) as caught:
        load(file)
    assert time.process_time() - started < 1
    assert str(caught.value).encode()  # it can be printed
    return caught.value.findings


CONTENTS = {
    "empty": (b"", "empty"),
    "white": (b" \n\t\n  \n", "empty"),
    "bom_only": (b"\xef\xbb\xbf", "empty"),
    "comment": (b"# nothing yet\n", "a machine is a mapping"),
    "document_marker": (b"---\n", "a machine is a mapping"),
    "binary": (bytes(range(256)) * 8, "not UTF-8"),
    "nul": (b"machine: demo\x00\n", "binary"),
    "escape": (b"machine: \x1b[31mdemo\n", "not YAML"),
    "utf16": ("machine: demo".encode("utf-16"), "not UTF-8"),
    "latin1": ("machine: d\xe9mo".encode("latin-1"), "not UTF-8 text (byte 10)"),
    "ten_megabytes": (b"# " + b"x" * 10_000_000, "10,000,002 bytes"),
    "deep_lists": (b"[" * 5000, "nested deeper than 32"),
    "deep_maps": (b"{a: " * 5000, "nested deeper than 32"),
    "deep_dashes": (b"- " * 5000, "nested deeper than 32"),
    "deep_keys": (b"{? " * 5000, "a key is text"),
    "deep_block": ("".join(" " * n + "a:\n" for n in range(300)).encode(), "nested deeper than 32"),
    "laughs": (LAUGHS.encode(), "anchor `&a` is refused"),
    "many_documents": (b"---\na: 1\n" * 5000, "second document"),
    "many_values": ("".join(f"k{n}: 1\n" for n in range(9000)).encode(), "at most 16,000 keys and values"),
    "many_unknown_keys": ("".join(f"k{n}: 1\n" for n in range(4500)).encode(), "unknown key"),
    "many_unknown_targets": (
        (
            HEAD + "states:\n" + "".join(f"  s{n}: {{on: {{cancelled: t{n}}}}}\n" for n in range(1200))
        ).encode(),
        "there is no state",
    ),
    "many_duplicates": (b"a: 1\n" * 9000, "there already"),
    "many_tags": (b"- !a b\n" * 9000, "tag"),
    "long_number": (HEAD.encode() + b"summary: " + b"9" * 50_000, "the number cannot be read"),
    "long_key": (HEAD.encode() + b"k" * 5000 + b": 1\n", "not YAML"),
    "long_line": (HEAD.encode() + b'summary: ["' + b"x" * 50_000 + b'", \n' + STATES.encode(), "not YAML"),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_a_file_that_is_no_machine_is_refused_within_a_second(tmp_path: Path, name: str) -> None:
    """The findings say what the file is instead, and their text stays short."""
    content, message = CONTENTS[name]
    file = tmp_path / "demo.yaml"
    file.write_bytes(content)
    findings = refused(file)
    assert any(message in finding.message for finding in findings)
    assert len(findings) <= 50
    assert all(len(finding.render()) < 1000 for finding in findings)


def test_what_is_not_a_file_is_refused(tmp_path: Path) -> None:
    """A missing file gets the nearest name; a folder, and a file inside a file, their own words."""
    (tmp_path / "renewal.yaml").write_text(HEAD)
    assert "did you mean `renewal.yaml`?" in refused(tmp_path / "renewl.yaml")[0].message
    assert "folder" in refused(tmp_path)[0].message
    assert refused(tmp_path / "renewal.yaml" / "inner.yaml")[0].code == "SM100"
    assert refused(tmp_path / "none" / "inner.yaml")[0].code == "SM100"
    assert refused(tmp_path / ("x" * 300))[0].code == "SM100"
    assert refused("a\0b.yaml")[0].code == "SM100"
    assert refused(tmp_path / "none.py")[0].code == "SM100"
    (tmp_path / "folder.py").mkdir()
    assert refused(tmp_path / "folder.py")[0].code == "SM100"


@pytest.mark.parametrize(
    ("newline", "bom"), [("\n", b""), ("\r\n", b""), ("\r", b""), ("\r\n", b"\xef\xbb\xbf")]
)
def test_line_ends_and_a_byte_order_mark_change_nothing(tmp_path: Path, newline: str, bom: bytes) -> None:
    """The same machine has the same digest, and a fault the same place."""
    file = tmp_path / "demo.yaml"
    file.write_bytes(bom + (HEAD + STATES).replace("\n", newline).encode())
    assert load(file).digest == define(parse_source(HEAD + STATES, "demo"), Folder(tmp_path)).digest
    file.write_bytes(bom + (HEAD + STATES).replace("cancelled", "canceled").replace("\n", newline).encode())
    (finding,) = refused(file)
    assert (finding.place.line, finding.place.column) == (5, 14)
    assert finding.place.source == "  ask: {on: {canceled: fail}}"


@pytest.mark.parametrize("spelling", ["on", '"on"', "'on'", "? on\n   "])
def test_on_is_the_text_on(tmp_path: Path, spelling: str) -> None:
    """YAML 1.1 reads it as true; YAML 1.2 does not."""
    file = tmp_path / "demo.yaml"
    text = f"states:\n  ask:\n   {spelling}: {{cancelled: fail}}\n  fail: {{final: failed}}\n"
    file.write_text(HEAD + text)
    assert set(load(file).declaration.states["ask"].on) == {"cancelled"}


def test_a_thousand_states_are_read(tmp_path: Path) -> None:
    """The limits leave room for any machine that people write; one byte more than the limit is refused."""
    lines = [f"  s{n}: {{on: {{cancelled: s{n + 1}}}}}\n" for n in range(1000)]
    text = HEAD.replace("ask", "s0") + "states:\n" + "".join(lines) + "  s1000: {final: failed}\n"
    file = tmp_path / "demo.yaml"
    file.write_text(text + "#" * (LARGEST - len(text)))
    assert len(load(file).declaration.states) == 1001
    file.write_text(text + "#" * (LARGEST - len(text) + 1))
    assert "at most" in refused(file)[0].message


PYTHON_TOOLS = {
    "syntax": ("def look(:\n", "SyntaxError: invalid syntax (tools.py:1)"),
    "raises": ("x = 1\nraise RuntimeError('no network')\n", "RuntimeError: no network (tools.py:2)"),
    "exits": ("import sys\nsys.exit(3)\n", "SystemExit: 3 (tools.py:2)"),
    "nul": ("def look() -> None:\n    return '\0'\n", "fails to load"),
    "circular": ("from .other import look\n", "ImportError: cannot import name 'look' from partially"),
    "missing_import": ("import no_such_package\n", "No module named 'no_such_package' (tools.py:1)"),
    "no_such_name": ("def lok() -> None: ...\n", "`tools.py` has no `look`; did you mean `lok`?"),
    "not_a_function": ("look = 5\n", "is not a function"),
    "a_class": ("class look: ...\n", "is not a function"),
    "an_instance": ("class L:\n    def __call__(self) -> None: ...\nlook = L()\n", "is not a function"),
    "no_annotation": ("def look(x): ...\n", "annotate the parameter `x`"),
    "no_result": ("def look(): ...\n", "annotate what it returns"),
    "star": ("def look(*args: int) -> None: ...\n", "`args` has no name to be given by"),
    "bad_annotation": ("def look(x: 'int |') -> None: ...\n", "its annotations cannot be read"),
    "raising_annotation": ("def look(x: '1/0') -> None: ...\n", "its annotations cannot be read"),
    "unchecked_type": ("class T: ...\ndef look(x: T) -> None: ...\n", "values cannot be checked against `T`"),
    "no_type": ("def look(x: 5) -> None: ...\n", "values cannot be checked against `5`"),
    "raising_module": ("def __getattr__(name): raise OSError('disk')\n", "`tools.py` has no `look`"),
}


@pytest.mark.parametrize("name", PYTHON_TOOLS)
def test_a_tool_file_that_cannot_be_used_is_a_finding_at_its_reference(tmp_path: Path, name: str) -> None:
    """Nothing of it reaches the caller but the finding, with the file and line of the cause."""
    content, message = PYTHON_TOOLS[name]
    (tmp_path / "tools.py").write_text(content)
    (tmp_path / "other.py").write_text("from .tools import look\n")
    file = tmp_path / "demo.yaml"
    tool = 'tools:\n  look: {python: "tools.py:look", effect: read}\n'
    file.write_text(HEAD + tool + STATES)
    (finding,) = refused(file)
    assert finding.code == "SM116"
    assert message in finding.message
    assert "statemachine_machines" not in finding.message
    assert (finding.place.line, finding.place.column) == (5, 18)


def test_what_a_tool_file_prints_while_it_loads_goes_to_standard_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command's own output stays clean."""
    (tmp_path / "tools.py").write_text("print('loading')\ndef look() -> None: ...\n")
    file = tmp_path / "demo.yaml"
    file.write_text(HEAD + 'tools:\n  look: {python: "tools.py:look", effect: read}\n' + STATES)
    load(file)
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "loading\n")


PYTHON_MACHINES = {
    "syntax": ("machine = (\n", "SyntaxError"),
    "exits": ("raise SystemExit\n", "SystemExit"),
    "none": ("x = 1\n", "it declares no machine"),
    "two": (
        "from statemachine.machine.python import MachineBuilder\n"
        "a = MachineBuilder('a', version='1')\nb = MachineBuilder('b', version='1')\n",
        "it declares several machines",
    ),
}


@pytest.mark.parametrize("name", PYTHON_MACHINES)
def test_a_python_file_without_one_machine_is_refused(tmp_path: Path, name: str) -> None:
    """Its own errors, and what it does not declare, are findings about the file."""
    content, message = PYTHON_MACHINES[name]
    file = tmp_path / "demo.py"
    file.write_text(content)
    (finding,) = refused(file)
    assert finding.code == "SM100"
    assert message in finding.message
    assert "no machine `c`; it has: " in refused(f"{file}:c")[0].message or name in ("syntax", "exits")


def test_loading_leaves_the_import_path_alone(tmp_path: Path) -> None:
    """Neither ``sys.path`` nor a module called ``tools`` is touched."""
    (tmp_path / "tools.py").write_text("def look() -> None: ...\n")
    file = tmp_path / "demo.yaml"
    file.write_text(HEAD + 'tools:\n  look: {python: "tools.py:look", effect: read}\n' + STATES)
    before = list(sys.path), "tools" in sys.modules
    load(file)
    assert (list(sys.path), "tools" in sys.modules) == before


GOOD = (Path(__file__).parent / "good" / "renewal.yaml").read_text()


def outcome(text: str) -> Definition | tuple[Finding, ...]:
    try:
        return define(parse_source(text, "demo.yaml"), Folder(Path(__file__).parent / "good"))
    except InvalidMachine as error:
        return error.findings


PIECES = st.sampled_from(
    [
        "[",
        "]",
        "{",
        "}",
        ":",
        "-",
        "'",
        '"',
        "|",
        ">",
        "#",
        "%",
        "?",
        "<<",
        "~",
        "1",
        "1.5",
        ".nan",
        "true",
        "0x1F",
        "é",
        "日",
        "\\",
        ",",
        "on",
        "states",
        "@",
        "`",
        "&a",
        "*a",
        "!x",
    ]
) | st.sampled_from(["\n", "  ", "\t", ": ", "- ", "? ", "&a ", "\u2028"])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_damaged_machine_is_refused_or_read_but_never_breaks(data: st.DataObject) -> None:
    """Pieces of YAML put into, or cut from, a good machine: the answer is a definition or findings."""
    text = GOOD
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.integers(0, 12))
        text = text[:at] + data.draw(PIECES | st.text(max_size=3)) + text[at + cut :]
    answer = outcome(text)
    if not isinstance(answer, Definition):
        order = [(f.place.line, f.place.column) for f in answer]
        assert order
        assert order == sorted(order)
        assert order[-1][0] <= text.count("\n") + text.count("\r") + 1


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_refused_but_never_breaks(text: str) -> None:
    """No text of a few characters is a machine."""
    with pytest.raises(InvalidMachine):
        define(parse_source(text, "demo.yaml"), Folder(Path()))
