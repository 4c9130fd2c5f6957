"""A wrong file gets every fault, at its place, and nothing else."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from statemachine.errors import InvalidMachine
from statemachine.machine.load import load

FILES = sorted((Path(__file__).parent / "wrong").glob("*.yaml"))


def expected(file: Path) -> list[tuple[str, int, int]]:
    found = re.findall(r"^# expect: (SM\d+) (\d+):(\d+)$", file.read_text(), re.MULTILINE)
    return [(code, int(line), int(column)) for code, line, column in found]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_wrong_file_gives_exactly_its_faults_in_order_within_a_second(file: Path) -> None:
    """Codes and places are those in the file's header; each is shown with its line and a caret."""
    started = time.perf_counter()
    with pytest.raises(InvalidMachine) as refused:
        load(file)
    taken = time.perf_counter() - started
    findings = refused.value.findings
    assert [(f.code, f.place.line, f.place.column) for f in findings] == expected(file), refused.value
    assert taken < 1
    lines = file.read_text().split("\n")
    for finding in findings:
        head, *shown = finding.render().split("\n")
        place = finding.place
        assert head == f"{file}:{place.line}:{place.column}: error[{finding.code}]: {finding.message}"
        line = lines[place.line - 1]
        if not line:
            assert not shown
            continue
        source, caret = shown
        assert source.removeprefix("    ").removeprefix("…") in line
        assert caret.endswith("^")
        assert source[len(caret) - 1 :][:1] == line[place.column - 1 :][:1] or not line.isascii()


def test_there_are_many_wrong_files() -> None:
    """The corpus covers every code that a YAML machine can give, except those of a whole file."""
    codes = {code for file in FILES for code, _, _ in expected(file)}
    assert len(FILES) >= 70
    assert codes == {f"SM{n}" for n in (*range(101, 109), *range(110, 128))}
