"""References lead to Python objects beside the machine, each folder a package of its own."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

import pytest

from statemachine.errors import InvalidReference
from statemachine.machine.definition import event_names
from statemachine.machine.references import Folder


def folder(path: Path, **files: str) -> Folder:
    for name, text in files.items():
        file = path / f"{name.replace('__', '/')}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return Folder(path)


def test_siblings_import_each_other_relatively_and_are_loaded_once(tmp_path: Path) -> None:
    """Also from a folder below, and whether named first by reference or by import."""
    here = folder(
        tmp_path,
        tools="from .parts import Part\nfrom .deep.inner import look\n",
        parts="class Part: ...\n",
        deep__inner="from ..parts import Part\ndef look() -> Part: ...\n",
    )
    part = here.resolve("parts.py:Part")
    assert here.resolve("tools.py:Part") is part
    assert here.resolve("deep/inner.py:look") is here.resolve("tools.py:look")
    assert here.resolve("deep/inner.py:Part") is part
    assert Folder(tmp_path / "deep" / "..").resolve("parts.py:Part") is part


def test_two_folders_with_a_tools_file_each_do_not_meet(tmp_path: Path) -> None:
    """Nor do they touch ``sys.path``, or a module that is called ``tools``."""
    before = list(sys.path)
    one = folder(tmp_path / "one", tools="from .parts import WHO\n", parts="WHO = 'one'\n")
    two = folder(tmp_path / "two", tools="from .parts import WHO\n", parts="WHO = 'two'\n")
    assert (one.resolve("tools.py:WHO"), two.resolve("tools.py:WHO")) == ("one", "two")
    assert sys.path == before
    assert "tools" not in sys.modules
    assert "parts" not in sys.modules


def test_a_file_that_failed_to_load_is_tried_again(tmp_path: Path) -> None:
    """A mistake that was mended does not stick."""
    here = folder(tmp_path, tools="1/0\n")
    with pytest.raises(InvalidReference, match=r"ZeroDivisionError: division by zero \(tools.py:1\)"):
        here.resolve("tools.py:X")
    (tmp_path / "tools.py").write_text("X = 'mended, and of another length'\n")
    assert here.resolve("tools.py:X").startswith("mended")


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("tools", "is not a reference"),
        ("tools.py", "is not a reference"),
        ("tools.py:", "is not a reference"),
        ("../tools.py:X", "is not a reference"),
        ("tools.py:X()", "is not a reference"),
        ("tool.py:X", "there is no `tool.py` beside the machine; did you mean `tools.py`?"),
        ("/etc/x.py:X", "lies outside the machine's folder"),
        ("link.py:X", "lies outside the machine's folder"),
        ("tools.py:Xlie", "`tools.py` has no `Xlie`; did you mean `Xlib`?"),
        ("tools.py:X.y", "`tools.py` has no `y`"),
        ("os.no:X", "there is no module `os.no` to import; for a file beside the machine write `os/no.py:…`"),
        ("nosuch:X", "there is no module `nosuch`"),
        ("json.tool:nosuch", "`json.tool` has no `nosuch`"),
        ("other.py:X", "No module named 'nosuch'"),
    ],
)
def test_a_reference_that_leads_nowhere_says_what_to_write(
    tmp_path: Path, reference: str, message: str
) -> None:
    """The nearest file and name are suggested; a link out of the folder is not followed."""
    here = folder(tmp_path / "here", tools="X = Xlib = 1\n", other="import nosuch\n")
    (tmp_path / "outside.py").write_text("X = 1\n")
    (tmp_path / "here" / "link.py").symlink_to(tmp_path / "outside.py")
    with pytest.raises(InvalidReference) as refused:
        here.resolve(reference)
    assert message in str(refused.value)


def test_what_is_spelled_leads_back(tmp_path: Path) -> None:
    """Classes and functions of the folder by file, others by module; what is local has no name."""
    here = folder(
        tmp_path, tools="class A:\n    class B: ...\n    def f(self): ...\ndef g(): return lambda: 0\n"
    )
    for name in ("A", "A.B", "A.f", "g"):
        assert here.spell(here.resolve(f"tools.py:{name}")) == f"tools.py:{name}"
    assert here.spell(date) == "datetime:date"
    for nameless in (here.resolve("tools.py:g")(), 5, "x", lambda: 0):
        with pytest.raises(InvalidReference, match="cannot be named"):
            here.spell(nameless)


@pytest.mark.parametrize(
    ("event", "names"),
    [
        ("done", ("done", "*")),
        ("partial", ("partial", "failed", "*")),
        ("failed.transient", ("failed.transient", "failed", "*")),
        ("elapsed", ("elapsed", "*")),
        ("order.paid", ("order.paid", "*")),
        ("cancelled", ("cancelled",)),
        ("limit.cost.usd", ("limit.cost.usd", "limit.cost", "limit")),
        ("always", ("always",)),
    ],
)
def test_an_event_is_matched_from_the_most_specific_name_to_the_least(
    event: str, names: tuple[str, ...]
) -> None:
    """Limits and cancellations are demands: ``*`` does not match them."""
    assert event_names(event) == names
