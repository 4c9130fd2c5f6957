"""The file of earlier lines tells what was done, and no value that it was done with."""

from __future__ import annotations

from pathlib import Path

import pytest

from statemachine.repl.remembered import Remembered, without_values


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("step 3", "step 3"),
        ("set patience canary", "set patience"),
        ("set patience=canary", "set patience"),
        ("m patience canary", "m patience"),
        ('fire answered text="canary canary"', "fire answered"),
        ("send answered text=canary", "send answered"),
        ("amend vendor=canary text=canary", "amend vendor"),
        ("fail timeout canary", "fail timeout"),
        ("approve ann canary", "approve ann"),
        ("resolve happened canary", "resolve happened"),
        ("break diagnose if vendor == 'canary'", 'break diagnose if vendor == "…"'),
        ('print name == "can\\"ary', 'print name == "…"'),
        ("canary", ""),
        ("sett patience canary", ""),
    ],
)
def test_a_line_is_kept_without_its_values(line: str, left: str) -> None:
    """Verbs and names stay, also where the verb is shortened; what is no line of the prompt is not kept."""
    assert without_values(line) == left


def test_only_the_file_forgets(tmp_path: Path) -> None:
    """In the session the arrow keys find the line as it was typed."""
    lines = Remembered(str(tmp_path / "history"))
    lines.append_string("set patience canary")
    assert lines.get_strings() == ["set patience canary"]
    assert "canary" not in (tmp_path / "history").read_text()
    assert list(Remembered(str(tmp_path / "history")).load_history_strings()) == ["set patience"]
