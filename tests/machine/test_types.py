"""Types are spelled in one way, read back as they were, and seen by guards as what JSON makes of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from statemachine.errors import InvalidReference
from statemachine.machine import types
from statemachine.machine.references import Folder

HERE = Folder(Path(__file__).parent)
PLAIN = st.sampled_from([str, int, float, bool, Path, Any])
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]))
LITERALS = st.lists(TEXTS | st.integers() | st.booleans(), min_size=1).map(
    lambda values: Literal[tuple(values)]
)
MAKERS: list[Callable[[Any], Any]] = [lambda of: list[of], lambda of: dict[str, of], lambda of: of | None]
TYPES = st.recursive(
    PLAIN | LITERALS, lambda inner: st.builds(lambda make, of: make(of), st.sampled_from(MAKERS), inner)
)


class Verdict(BaseModel):
    ok: bool


@given(TYPES)
def test_a_type_is_read_back_from_its_spelling(of: Any) -> None:
    """And the spelling is the tidy one."""
    spelled = types.spell_type(of, HERE)
    if len(spelled) > 500:
        return
    assert types.parse_type(types.tidy_type(spelled), HERE) == of
    assert types.tidy_type(types.tidy_type(spelled)) == types.tidy_type(spelled)


@given(
    st.text(max_size=30)
    | st.lists(
        st.sampled_from(
            ["list", "[", "]", "str", "|", "dict", ",", "None", "Literal", "'a'", "x.py:Y", "_0_", "1"]
        )
    ).map("".join)
)
def test_any_text_is_a_type_or_is_refused(text: str) -> None:
    """Tidying changes no meaning: what was refused stays refused."""
    assert readable(text) == readable(types.tidy_type(text))


def readable(text: str) -> bool:
    try:
        types.parse_type(text, HERE)
    except InvalidReference:
        return False
    return True


@pytest.mark.parametrize(
    ("text", "of"),
    [
        ("str|None", str | None),
        (" list[ dict[str,int] ] ", list[dict[str, int]]),
        ('Literal["a:b", "it\'s"]', Literal["a:b", "it's"]),
        ("datetime:date", __import__("datetime").date),
        ("good/tools.py:Verdict", "Verdict"),
        ("list[good/tools.py:Verdict] | None", "Verdict"),
    ],
)
def test_a_type_may_be_written_in_several_ways(text: str, of: Any) -> None:
    """Spaces, quotes, classes beside the machine and of installed modules."""
    parsed = types.parse_type(text, HERE)
    assert of in str(parsed) if isinstance(of, str) else parsed == of
    assert types.parse_type(types.tidy_type(text), HERE) == parsed


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "string",
            "list",
            "list[",
            "dict[int, str]",
            "str()",
            "__import__('os')",
            "lambda: 0",
            "a b",
            "1",
        ),
        *("'str'", "Literal[]", "Literal[x]", "Literal[1.5]", "Literal[-x]", "str or None", "list[str, int]"),
        *("_0_", "\0", "x" * 600, "tuple[str]", "str; int", "[" * 400, "no.such.module:X", "os:environ"),
        *("good/tools.py:read_contract", "good/tools.py:none"),
    ],
)
def test_what_is_no_type_is_refused(text: str) -> None:
    """Nothing of it is evaluated."""
    with pytest.raises(InvalidReference):
        types.parse_type(text, HERE)


@pytest.mark.parametrize(
    "of",
    [
        set[str],
        tuple[int, str],
        Annotated[int, Field(ge=0)],
        dict[int, str],
        Literal[None],
        list,
        [str],
        5,
        "str",
    ],
)
def test_a_type_without_spelling_is_refused(of: Any) -> None:
    """Nothing about a type is lost on the way into YAML."""
    with pytest.raises(InvalidReference):
        types.spell_type(of, HERE)


def test_what_is_inside_a_type_has_a_type() -> None:
    """Optional on the way makes the part optional; what is untyped has any part."""
    holder = Verdict | None
    assert types.member_type(holder, ("ok",)) == bool | None
    assert types.member_type(dict[str, int], ("x", "y")) is Any
    with pytest.raises(KeyError, match="okay"):
        types.member_type(Verdict, ("okay",))


def test_a_class_that_holds_itself_has_finitely_many_names() -> None:
    """The names of its parts end a few levels down."""
    found: list[tuple[str, ...]] = []
    types.leaves(Node, (), lambda path, of, optional: found.append(path))
    assert ("next", "next", "value") in found
    assert max(map(len, found)) < 10


class Node(BaseModel):
    value: int
    next: Node | None = None


def test_a_type_with_annotations_that_cannot_be_hashed_is_checked_all_the_same() -> None:
    """A dictionary among them is no reason to refuse it."""
    assert types.adapter(Annotated[int, {"unit": "s"}]).validate_python("3") == 3
