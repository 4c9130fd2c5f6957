"""What the mutation operators make of programs."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from machines.repair import mutate
from machines.repair.operators import OPERATORS, Operator
from machines.repair.source import BadInput, Source, digest, read

FOLDER = Path(mutate.__file__).parent
PROGRAMS = sorted([*FOLDER.glob("samples/*/*.py"), FOLDER / "localise.py", FOLDER / "patches.py"])

EXPRESSIONS = st.recursive(
    st.sampled_from(
        ["a", "b", "n", "0", "1", "2.5", "True", "'x'", "ä", "a[0]", "a[1:n]", "b.left", "[]", "f(a, b)"]
    ),
    lambda inner: st.one_of(
        st.builds(
            "{} {} {}".format,
            inner,
            st.sampled_from(["+", "-", "*", "//", "<", "==", "and", "or", "not in", "is"]),
            inner,
        ),
        st.builds("({})".format, inner),
        st.builds("(  # ä < b\n {} )".format, inner),
        st.builds("not {}".format, inner),
        st.builds("-{}".format, inner),
        st.builds("min({}, {})".format, inner, inner),
        st.builds("a[{}][{}]".format, inner, inner),
        st.builds("{} if {} else {}".format, inner, inner, inner),
        st.builds("[x for x in range({}) if {}]".format, inner, inner),
    ),
    max_leaves=6,
)
STATEMENTS = st.one_of(
    st.builds("a = {}".format, EXPRESSIONS),
    st.builds("n += {}".format, EXPRESSIONS),
    st.builds("return {}".format, EXPRESSIONS),
    st.builds("while {}:\n        b.append({})\n        break".format, EXPRESSIONS, EXPRESSIONS),
    st.builds("if {}: return {}  # done\n    else: pass".format, EXPRESSIONS, EXPRESSIONS),
    st.builds("try:\n        {}\n    except KeyError: a = 'ö'".format, EXPRESSIONS),
)
TEXTS = st.lists(STATEMENTS, min_size=1, max_size=4).map(
    lambda lines: "def f(a, b, n=3):\n    ä = 1\n" + "".join(f"    {line}\n" for line in lines)
)


def source_of(text: str | bytes, path: Path) -> Source:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read(path)


def all_of(source: Source) -> list[mutate.Candidate]:
    everywhere = dict.fromkeys(range(1, len(source.starts) + 1), 1.0)
    return mutate.candidates(source, everywhere, {}, (), 10_000)


def check(source: Source) -> list[mutate.Candidate]:
    """Every candidate compiles, differs from the program and the others, and can be taken back."""
    found = all_of(source)
    for candidate in found:
        data = source.patched(candidate.start, candidate.end, candidate.after)
        compile(data, "candidate", "exec")
        assert data != source.data
        assert candidate.id == digest(data)
        assert source.text[candidate.start : candidate.end].decode() == candidate.before
        mutant = data.decode(source.encoding).encode()
        end = candidate.start + len(candidate.after.encode())
        undone = mutant[: candidate.start] + candidate.before.encode() + mutant[end:]
        assert undone.decode().encode(source.encoding) == source.data
    assert len({candidate.id for candidate in found}) == len(found)
    return found


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@settings(max_examples=60, deadline=None)
@given(TEXTS)
def test_candidates_of_any_program(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Whatever the expressions, comments and letters: candidates are valid, different and reversible."""
    try:
        compile(text, "generated", "exec")
    except SyntaxError:
        return
    check(source_of(text, tmp_path_factory.getbasetemp() / "generated.py"))


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@pytest.mark.parametrize("path", PROGRAMS[::5], ids=lambda path: path.stem)
def test_candidates_of_real_programs(path: Path) -> None:
    """The same holds for the samples and for this code itself."""
    assert check(read(path))


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=lambda operator: operator.name)
def test_each_operator_does_what_its_example_says(operator: Operator, tmp_path: Path) -> None:
    """The documented result is among the results on the documented line."""
    source = source_of(operator.before, tmp_path / "example.py")
    nodes = [node for node in ast.walk(source.tree) if isinstance(node, operator.on)]
    changes = [change for node in nodes for change in operator.changes(source, node)]
    assert operator.after.encode() in [
        source.patched(change.start, change.end, change.text) for change in changes
    ]


def test_each_operator_is_documented() -> None:
    """The README's table is the registry, the most likely operator first."""
    readme = (FOLDER / "README.md").read_text()
    for operator in OPERATORS.values():
        before, after = (text.replace("\n", "⏎") for text in (operator.before, operator.after))
        assert (
            f"| {operator.name} | {operator.prior:g} | {operator.summary} | `{before}` | `{after}` |"
            in readme
        )


@pytest.mark.parametrize(
    ("encoding", "newline"),
    [("utf-8", "\r\n"), ("utf-8-sig", "\n"), ("latin-1", "\n"), ("utf-8", "\r"), ("utf-8", "\n\n\f")],
)
def test_encodings_and_line_ends_are_kept(encoding: str, newline: str, tmp_path: Path) -> None:
    """A patch changes its own bytes and nothing else of the file."""
    cookie = "# coding: latin-1" if encoding == "latin-1" else "# ü"
    text = newline.join([cookie, "ä = 'ö' * 3", "if ä < 'ü': ä += 1  # é", ""])
    source = source_of(text.encode(encoding), tmp_path / "encoded.py")
    found = check(source)
    boundary = next(candidate for candidate in found if candidate.operator == "boundary")
    patched = source.patched(boundary.start, boundary.end, boundary.after)
    assert patched == source.data.replace(b" < ", b" <= ")


def test_the_order_is_deterministic_and_follows_suspicion(tmp_path: Path) -> None:
    """Equal inputs give equal candidates; a line that is not suspicious gives none."""
    source = source_of("def f(a, b):\n    if a < b:\n        return a + 1\n    return b\n", tmp_path / "p.py")
    first = mutate.candidates(source, {2: 1.0, 3: 0.5}, {}, (), 50)
    again = mutate.candidates(read(source.path), {3: 0.5, 2: 1.0}, {}, (), 50)
    assert first == again
    assert first[0].line == 2
    assert {candidate.line for candidate in first} == {2, 3}
    assert [each.score for each in first] == sorted((each.score for each in first), reverse=True)


def test_what_was_tried_is_left_out_and_lessons_change_the_order(tmp_path: Path) -> None:
    """Tried ids do not come back; a line with little weight falls behind."""
    source = source_of("def f(a, b):\n    if a < b:\n        return a <= b\n", tmp_path / "p.py")
    suspects = {2: 1.0, 3: 1.0}
    first = mutate.candidates(source, suspects, {}, (), 2)
    assert [each.line for each in first] == [2, 3]
    rest = mutate.candidates(source, suspects, {}, [first[0].id], 50)
    assert first[0].id not in {each.id for each in rest}
    assert mutate.candidates(source, suspects, {"line 2": 0.5}, (), 1)[0].line == 3
    assert mutate.candidates(source, suspects, {"operator boundary": 0.1}, (), 1)[0].operator != "boundary"


def test_names_are_bound_before_they_are_used(tmp_path: Path) -> None:
    """A variable is not replaced by one that has no value yet, or by one of a comprehension elsewhere."""
    text = "def f(a):\n    b = a\n    c = [x for x in b]\n    return c\n"
    source = source_of(text, tmp_path / "p.py")
    swaps = {(each.line, each.before, each.after) for each in all_of(source) if each.operator == "variable"}
    assert (2, "a", "c") not in swaps
    assert not any(after == "x" and line != 3 for line, _, after in swaps)
    assert (4, "c", "b") in swaps


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"def f(:\n", "line 1"),
        (b"\x00\x01", "not valid Python"),
        (b"# coding: nonsense\n", "unknown encoding"),
        (b"x = '\xff'\n", "not valid Python"),
        (b"(" * 5000, "not valid Python"),
    ],
)
def test_what_is_not_python_is_refused(data: bytes, says: str, tmp_path: Path) -> None:
    """One line says what is wrong with the file."""
    with pytest.raises(BadInput, match=says) as caught:
        source_of(data, tmp_path / "p.py")
    assert "\n" not in str(caught.value)
