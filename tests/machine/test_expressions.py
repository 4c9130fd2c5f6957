"""Expressions are typed when they are read, and honest when they are evaluated."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any, Literal, NotRequired, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, RootModel

from statemachine.errors import InvalidExpression
from statemachine.machine.expressions import Scope, Variable, variables_of
from statemachine.machine.language import mentions


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Size(enum.IntEnum):
    SMALL = 1


class Inner(BaseModel):
    depth: int
    note: str | None = None


class Model(BaseModel):
    ok: bool
    score: float
    inner: Inner
    maybe: Inner | None = None
    colour: Colour = Colour.RED
    size: Size = Size.SMALL
    mode: Literal["fast", "slow"] = "fast"
    level: Literal[1, 2] = 1
    counts: dict[str, int] = {}
    scores: list[float] = []
    inners: list[Inner] = []
    renamed: str = Field(default="", alias="reNamed")


@dataclasses.dataclass
class Data:
    name: str
    inner: Inner


class Typed(TypedDict):
    name: str
    count: NotRequired[int]


class Tags(RootModel[list[str]]):
    pass


TYPES: dict[str, Any] = {
    "m": Model,
    "d": Data,
    "t": Typed,
    "tags": Tags,
    "text": str,
    "n": int,
    "x": float,
    "yes": bool,
    "opt": str | None,
    "any": Any,
    "words": list[str],
    "table": dict[str, float],
    "rows": list[dict[str, int]],
}
VALUES: dict[str, Any] = {
    "m": {
        "ok": True,
        "score": 1,
        "inner": {"depth": 3},
        "colour": "red",
        "size": 1,
        "mode": "fast",
        "level": 1,
        "counts": {"a": 1},
        "scores": [1, 0.5],
        "inners": [{"depth": 1}],
        "renamed": "x",
    },
    "d": {"name": "é", "inner": {"depth": 1}},
    "t": {"name": "x"},
    "tags": ["a"],
    "text": "日本 ☕",
    "n": 7,
    "x": 2,
    "yes": False,
    "any": {"deep": [1, {"k": None}]},
    "words": ["a", "b"],
    "table": {"k": 1},
    "rows": [{"k": 1}],
}


class Values:
    """Reads from plain data; ``known`` and ``fresh`` as a run answers them."""

    def __init__(self, context: Mapping[str, Any]) -> None:
        self.context = context

    def read(self, root: str, path: tuple[str, ...]) -> Any:
        if root in ("known", "fresh"):
            return self.read("context", path) is not None
        value: Any = self.context
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value


def scope() -> Scope:
    variables: dict[str, Variable] = {"known.opt": Variable("known", ("opt",), bool)}
    for name, of in TYPES.items():
        variables |= variables_of("context", name, (name,), of)
    return Scope(variables)


SCOPE = scope()
RUN = Values(VALUES)


@pytest.mark.parametrize(
    "guard",
    [
        "m.ok && m.score >= 0.8",
        "m.inner.depth == 3",
        "m.colour == 'red' && m.size == 1 && m.mode == 'fast' && m.level < 2",
        "m.counts['a'] == 1 && 'a' in m.counts && m.counts.a == 1",
        "m.scores.all(s, s > 0.1) && m.scores[0] == 1.0",
        "m.inners[0].depth == 1 && m.inners.exists(i, i.depth == 1)",
        "m.renamed == 'x'",
        "d.name == 'é' && d.inner.depth == 1",
        "t.name.startsWith('x')",
        "tags[0] == 'a' && size(tags) == 1",
        "text == '日本 ☕' && size(text) == 4",
        "n == 7 && double(n) > 6.5 && x > 1.5",
        "!yes",
        "!known.opt",
        "has(any.deep) && !has(any.none) && has(m.counts.a)",
        "text != 'has(opt)' && n == 7",
        "any.deep[0] == 1 && any.deep[1].k == null",
        "words == ['a', 'b'] && words.filter(w, w != 'a') == ['b']",
        "table.k == 1.0 && rows[0].k == 1",
        "m . ok",
        "m.ok // verdikt.ok\n && true",
        r"text != r'\d' && text != '''it's verdikt.ok''' && m.ok",
    ],
)
def test_a_guard_sees_each_kind_of_value(guard: str) -> None:
    """Models, data classes, typed dictionaries, enums, lists, maps; an int stands for a float."""
    assert SCOPE.guard(guard).decide(RUN)[0] is True


@pytest.mark.parametrize(
    ("guard", "column", "message"),
    [
        ("m.okay", 1, "there is no `m.okay` here; did you mean `m.ok`?"),
        ("true && m.inner.depht == 1", 9, "did you mean `m.inner.depth`?"),
        ("'日本' == text && txt == ''", 17, "there is no `txt` here; did you mean `text`?"),
        ("m.reNamed == 'x'", 1, "there is no `m.reNamed` here; did you mean `m.renamed`?"),
        ("m == m", 1, "`m` is not a plain value; use one of its parts"),
        ("m.inner == m.inner", 1, "`m.inner` is not a plain value"),
        ("n > 1.5", 3, "`>` does not take (int, double)"),
        ("text > 1", 6, "`>` does not take (str, int)"),
        ("m.colour == 1", 10, "`==` does not take (str, int)"),
        ("m.ok == 'yes'", 6, "`==` does not take (bool, str)"),
        ("words[0] == 1", 10, "`==` does not take (str, int)"),
        ("table['k'] == 'x'", 12, "`==` does not take (double, str)"),
        ("n", 1, "a guard gives true or false; this gives int"),
        ("any", 1, "a guard gives true or false; this gives dyn"),
        ("m.ok and m.ok", 6, "write `&&` instead of `and`"),
        ("m.ok or m.ok", 6, "write `||` instead of `or`"),
        ("n = 7", 3, "write `==` instead of `=`"),
        ("m.ok &&", 8, "the expression breaks off here"),
        ("m.ok &&\n  m.oky", 11, "there is no `m.oky` here"),
        ("m.ok && '\u2028' == text &&\n\n m.oky", 26, "there is no `m.oky` here"),
        ("open('x') == ''", 1, "there is no `open` here"),
        ("m.ok && has(m.ok)", 9, "`has` looks into maps only; write `known.m`"),
        ("has(opt)", 1, "write `known.opt`"),
        ("99999999999999999999 == n", 1, "invalid int literal"),
        ("m.ok && " * 600 + "true", 1, "at most 4000 characters"),
        ("(" * 1900 + "m.ok" + ")" * 1900, 1, "nested too deeply"),
        ("[" * 1900 + "]" * 1900, 1, "nested too deeply"),
        ("n" + "+n" * 1900 + " == 1", 1, "nested too deeply"),
        ("{1.5: 2}", 1, "Unsupported map key type"),
        ("\ud800", 1, ""),
        ("\0", 1, ""),
        ("", 1, ""),
    ],
)
def test_a_wrong_guard_is_refused_at_its_column(guard: str, column: int, message: str) -> None:
    """Misspelt, ill-typed, not boolean, or no expression at all."""
    with pytest.raises(InvalidExpression) as refused:
        SCOPE.guard(guard)
    assert message in str(refused.value)
    assert refused.value.column == column or not message


@pytest.mark.parametrize(
    ("guard", "values", "why"),
    [
        ("opt == 'x'", {}, "no value for opt"),
        ("m.maybe.depth == 1", VALUES, "no value for m.maybe.depth"),
        ("m.maybe.depth == 1 || n > 3", {"m": VALUES["m"]}, "no value for m.maybe.depth, n"),
        ("t.count == 1", VALUES, "no value for t.count"),
        ("n == 7", {"n": 2**63}, "too big"),
        ("n == 7", {"n": "7"}, "Unexpected value type"),
        ("n == 7", {"n": 7.5}, "cannot be interpreted"),
        ("n + n > 0", {"n": 2**62}, "overflow"),
        ("n / (n - n) == 1", VALUES, "divide by zero"),
        ("words[9] == 'a'", VALUES, "index=9 size=2"),
        ("table['none'] == 1.0", VALUES, "none"),
        ("any.missing == 1", VALUES, "missing"),
        ("any == 1 || any.deep == 1", {"any": object()}, ""),
        ("text == 'x'", {"text": "\ud800"}, ""),
    ],
)
def test_a_guard_that_fails_gives_no_verdict_and_says_why(
    guard: str, values: dict[str, Any], why: str
) -> None:
    """A missing value is an error, never false; nothing that a run holds breaks the caller."""
    verdict, _, error = SCOPE.guard(guard).decide(Values(values))
    assert verdict is None
    assert why in error
    assert error


def test_a_missing_value_does_not_matter_where_the_verdict_does_not_need_it() -> None:
    """The language's own rule: ``false && error`` is false."""
    verdict, values, error = SCOPE.guard("known.opt && opt == 'x'").decide(RUN)
    assert (verdict, values, error) == (False, {"known.opt": False}, "")


def test_a_guard_names_what_it_reads() -> None:
    """Not what stands in strings and comments, nor the variables of a comprehension."""
    guard = SCOPE.guard("words.all(w, w != 'n') && m.inner.depth > n // yes")
    assert [name for name, _, _ in guard.reads] == ["words", "m.inner.depth", "n"]
    assert guard.reads[1] == ("m.inner.depth", "context", ("m", "inner", "depth"))


@pytest.mark.parametrize(
    ("text", "value", "of"),
    [
        ("m", VALUES["m"], Model),
        ("m.inner", {"depth": 3}, Inner),
        ("opt", None, str | None),
        ("n + 1", 8, int),
        ("text + '!'", "日本 ☕!", str),
        ("{'a': n, 'b': [x]}", {"a": 7, "b": [2.0]}, Any),
        ("words.map(w, w + w)", ["aa", "bb"], Any),
        ("x * 2.0", 4.0, float),
        ("n > 3 ? 'many' : 'few'", "many", str),
        ("null", None, Any),
        ("duration('60s')", "0:01:00", Any),
    ],
)
def test_an_expression_gives_json_data(text: str, value: object, of: object) -> None:
    """A path gives what is there, whatever it is; anything else gives what it computes."""
    expression = SCOPE.expression(text)
    assert expression.value(RUN) == value
    assert expression.type == of


def test_an_expression_that_fails_raises_with_the_reason() -> None:
    """It has no value to give."""
    for text, values in [
        ("opt + 'x'", {}),
        ("n + 1", {"n": 2**63}),
        ("text + 'x'", {"text": "\udfff"}),
        ("1.0 / 0.0", {}),  # infinity has no place in JSON
        ("[0.0 / 0.0]", {}),
    ]:
        with pytest.raises(InvalidExpression):
            SCOPE.expression(text).value(Values(values))


@given(
    st.text(max_size=40)
    | st.lists(st.sampled_from(["m.ok", "n", "(", ")", "'", '"', "&&", "!", "[", "]", ".", "1", "?"])).map(
        " ".join
    )
)
def test_any_text_compiles_or_is_refused(text: str) -> None:
    """The column lies in the text, or just behind it."""
    try:
        SCOPE.expression(text)
    except InvalidExpression as error:
        column = error.column
    else:
        column = 1
    assert 1 <= column <= len(text) + 2


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5)
)
def test_any_value_of_a_field_leaves_a_verdict_or_an_error(value: Any) -> None:
    """Data from elsewhere never breaks a step."""
    for guard in ("any == 1", "n > 1", "x > 0.5", "text == 'x'", "'a' in words", "yes"):
        verdict, _, error = SCOPE.guard(guard).decide(Values(dict.fromkeys(TYPES, value)))
        assert (verdict is None) == bool(error)


def test_mentions_finds_a_name_and_its_parts_only() -> None:
    """Not a longer word, and not the inside of a string."""
    assert mentions("a.b > 1", {"a"})
    assert mentions("x && known.a", {"known.a"})
    assert not mentions("ab.c && x.a && 'a'", {"a"})
