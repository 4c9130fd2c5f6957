"""Whatever text a declaration holds breaks no picture, and no event or state is lost."""

from __future__ import annotations

import base64
import zlib
from collections import Counter
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from statemachine.diagrams import render
from statemachine.diagrams.drawing import draw, printable
from statemachine.machine.model import Declaration
from statemachine.machine.names import UNPRINTABLE
from tests.diagrams import reading
from tests.diagrams.tangles import tangle

SVG = "{http://www.w3.org/2000/svg}"
NASTY = (
    'x == "a"',
    "x == 'it''s' || \"\"",
    "a < b && b > c",
    "</font></td><table>&nbsp;&amp;&#65;<!-- x --> ]]>",
    "line\none\n\ttwo",
    r"\N \G \l \n \\ \" {a|b} \u0041 \\",
    "a;b:c#d%%e--f-->g::h{i}`j`$k",
    "state s0 as x [*] <<fork>> note end",
    "größer ≥ 3 · 漢字 · עברית · 🙂 · é · \u202eabc\u2066",
    "a -> plan => plan [x] resets y",
    'font-family="Arial" xmlns:xlink="http://www.w3.org/1999/xlink" <svg ',
    "#35; #quot; &quot; %{init}%",
    "x" * 5000,
    "x || " * 1000 + "y",
    "…" * 200,
)
texts = st.text(min_size=1).filter(lambda t: t.strip() and not UNPRINTABLE.search(t))


def told(guard: str, **more: Any) -> Declaration:
    """Return a machine with a text wherever a declaration takes a free one."""
    done = [{"to": "ask", "when": guard}, {"to": "fail"}]
    states = {
        "plan": {"do": "t", "sufficient": guard, "on": {"done": done}},
        "ask": {"on": {"go": {"to": "complete", "when": {"python": guard}}}},
        "complete": {"final": "succeeded", "summary": guard, "reason": guard},
        "fail": {"final": "failed"},
    }
    data = {"machine": "told", "version": guard, "summary": guard, "initial": "plan", "states": states}
    return Declaration.model_validate({**data, "tools": {"t": {"python": guard, "effect": "read"}}, **more})


def with_examples(test: Any) -> Any:
    """Run a property for each nasty text before the random ones."""
    for text in NASTY:
        test = example(text)(test)
    return settings(max_examples=40, deadline=None)(given(texts)(test))


def squeezed(text: str) -> str:
    """Return a text without white space: wrapping breaks where it must."""
    return "".join(text.split())


@with_examples
def test_no_text_breaks_mermaid_or_the_listing(guard: str) -> None:
    """Quotes, brackets, entities, arrows, line ends and any script come back as they went in."""
    shown = printable(guard)
    expected = [
        ("Plan", "done", shown, "Ask"),
        ("Plan", "done", "else", "Fail"),
        ("Ask", "go", f"{shown}()", "Complete"),
    ]
    states, found = reading.mermaid(render(told(guard), "mermaid").decode())
    assert states == ["Plan", "Ask", "Complete", "Fail"]
    assert found == Counter((*relation, ()) for relation in expected)
    picture = render(told(guard), "text").decode()
    assert max(map(len, picture.splitlines())) <= 80
    states, found = reading.listing(picture)
    assert [state.capitalize() for state in states] == ["Plan", "Ask", "Complete", "Fail"]
    assert [(s.capitalize(), event, squeezed(g), t.capitalize()) for s, event, g, t, _ in found] == [
        (s, event, squeezed(g), t) for s, event, g, t in expected
    ]


@with_examples
def test_no_text_breaks_dot_or_svg(guard: str) -> None:
    """The whole text is in the SVG's titles; in the picture it may be cut, and then says so."""
    declaration = told(guard)
    picture = reading.LaidOut(render(declaration, "dot").decode())
    assert sorted(picture.states()) == ["ask", "complete", "fail", "plan"]
    groups = ElementTree.fromstring(render(declaration, "svg")).iter(f"{SVG}g")
    drawn = {
        g.findtext(f"{SVG}title"): squeezed(
            "".join("".join(text.itertext()) for text in g.iter(f"{SVG}text"))
        )
        for g in groups
        if g.get("class") == "edge"
    }
    del drawn["Start to Plan"]
    ends = ("Plan to Ask", "Plan to Fail", "Ask to Complete")
    wholes = {
        f"{end}: {a.text}": squeezed(a.text) for end, a in zip(ends, draw(declaration).arrows, strict=True)
    }
    assert drawn.keys() == wholes.keys()
    for title, whole in wholes.items():
        shown = drawn[title]
        assert shown == whole or (shown.endswith("…]") and whole.startswith(shown[:-2]))


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
def test_no_text_breaks_a_pdf(text: str) -> None:
    """Twice the same bytes, whole, with the states' names as text."""
    pdf = render(told(text), "pdf")
    assert pdf == render(told(text), "pdf")
    assert pdf.rstrip().endswith(b"%%EOF")
    assert b"(Plan)" in _drawn(pdf)


def test_a_pdf_shows_what_helvetica_lacks_as_an_escape() -> None:
    """Never a black box: the escape is the one that CEL and Python read."""
    assert rb"([x == '\\u6f22'])" in _drawn(render(told("x == '漢'"), "pdf"))
    assert b"([a <= b])" in _drawn(render(told("a ≤ b"), "pdf"))


def _drawn(pdf: bytes) -> bytes:
    """Return a page's drawing commands, which reportlab writes in base 85 over zlib."""
    body = pdf.partition(b"stream\n")[2].partition(b"endstream")[0].strip()
    return zlib.decompress(base64.a85decode(b"<~" + body, adobe=True))


def test_a_row_of_many_events_is_not_cut() -> None:
    """Only free text is cut: each event of a line stands in the picture."""
    names = [f"approval_by_the_committee_{n}" for n in range(6)]
    states = {"plan": {"on": dict.fromkeys(names, "fail")}, "fail": {"final": "failed"}}
    picture = reading.LaidOut(render(told("x", states=states), "dot").decode())
    assert {label for _, label, *_ in picture.relations()} == set(names)


def test_names_that_look_like_the_layouts_own_are_kept_apart() -> None:
    """Two underscores in a name make it no other name, however often final states are drawn again."""
    on = {"one": "a", "two": "a__b", "three": "a__1"}
    names = ["c", "b__c", "x__1", *(f"x{n}" for n in range(9))]
    ends = {name: {"final": "failed"} for name in on.values()}
    declaration = told("x", initial="c", states={name: {"on": on} for name in names} | ends)
    picture = reading.LaidOut(render(declaration, "dot").decode())
    assert sorted(picture.states()) == sorted([*names, *ends])
    assert picture.relations() == Counter((n, e, "", t, ()) for n in names for e, t in on.items())


def test_everything_in_an_svg_has_an_id_and_a_title_for_people() -> None:
    """No title shows a name of the layout's own, also where a final state is drawn again in a large loop."""
    names = [f"s{n}" for n in range(12)]
    loop: dict[str, Any] = {
        name: {"on": {"go": "fail", "on": names[n + 1 - 12]}} for n, name in enumerate(names)
    }
    loop["fail"] = {"final": "failed"}
    for declaration, least in (
        (told("x", initial="s7", states=loop, on={"stop": "fail"}), 11),
        (tangle(30), 2),
    ):
        root = ElementTree.fromstring(render(declaration, "svg"))
        groups = list(root.iter(f"{SVG}g"))
        titles = {g.get("id"): g.findtext(f"{SVG}title") or "" for g in groups}
        assert len(titles) == len(groups)
        assert [title for title in titles.values() if not title or "__" in title or "->" in title] == []
        assert sum(title == "Fail" for title in titles.values()) >= least
    assert titles["loop_1"].startswith("work loop 1: Work 0, ")


def test_a_state_has_one_line_to_itself() -> None:
    """A second would run through the text of the first, so a timeout shares it, in its own colour."""
    again = {"timeout": "1m", "attempts": 2, "exhausted": "a", "on": {"go": "a", "timeout": "a"}}
    states = {"a": again, "fail": {"final": "failed"}}
    picture = reading.LaidOut(render(told("x", initial="a", states=states), "dot").decode())
    (edge,) = picture.between("a", "a")
    assert [piece["text"] for piece in reading.texts(edge)] == ["go", "timeout 1m", "exhausted after 2"]
    assert len({piece["color"] for piece in reading.texts(edge)}) == 3
