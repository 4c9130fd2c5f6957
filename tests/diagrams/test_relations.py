"""Every state and every transition of a machine is in its picture, whatever its texts hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

from hypothesis import example, given, settings
from hypothesis import strategies as st

from statemachine.diagrams import render
from statemachine.diagrams.drawing import Arrow, draw, printable
from statemachine.diagrams.layout import lay_out
from statemachine.machine.duration import spell
from statemachine.machine.model import Declaration, Transition
from statemachine.machine.names import UNPRINTABLE
from tests.diagrams import reading
from tests.kernel import strategies

SVG = "{http://www.w3.org/2000/svg}"
machines = strategies.machines().map(lambda definition: definition.declaration)


def declared(declaration: Declaration) -> Iterator[tuple[str | None, str, str, str]]:
    """Yield source, target, family and text of each transition, straight from the declaration."""
    for name, state in declaration.states.items():
        for event, transitions in ({"always": state.always} if state.always else state.on).items():
            timeout = event == "timeout" and state.timeout
            shown = f"timeout {spell(state.timeout)}" if timeout and state.timeout else event
            yield from _texts(name, event, shown, transitions)
        if state.exhausted:
            yield (
                name,
                state.exhausted,
                "exhausted" * (name != state.exhausted),
                f"exhausted after {state.attempts}",
            )
    for event, transitions in declaration.on.items():
        yield from _texts(None, event, event, transitions)


def _texts(
    source: str | None, event: str, shown: str, transitions: tuple[Transition, ...]
) -> Iterator[tuple[str | None, str, str, str]]:
    words = {"always": "at once", "*": "any other event"}.get(event, shown)
    several = sum(t.when is not None for t in transitions) > 1
    for n, transition in enumerate(transitions, 1):
        guard = transition.when or ("else" if n > 1 else "")
        text = f"{n}. " * several + words + f" [{guard}]" * bool(guard)
        text += f" resets {', '.join(transition.resets)}" * bool(transition.resets)
        yield source, transition.to, "timeout" * (event == "timeout" and source != transition.to), text


@given(machines)
@settings(max_examples=50, deadline=None)
def test_every_state_and_transition_is_in_every_picture(declaration: Declaration) -> None:
    """Read back by each language's own rules, Mermaid, text and DOT give the states and the transitions."""
    relations = list(declared(declaration))

    labels, found = reading.mermaid(render(declaration, "mermaid").decode())
    ids = dict(zip(labels, (*declaration.states, None), strict=False))
    assert len(labels) == len(declaration.states) + ("any" in labels)
    named = Counter({(ids[s or ""], str(ids[t]), text): n for (s, t, text), n in found.items()})
    assert named == Counter((s, t, text) for s, t, _, text in relations)

    listing = render(declaration, "text").decode()
    assert max(map(len, listing.splitlines())) <= 80
    states, found = reading.text(listing)
    assert states == list(declaration.states)
    assert found == Counter((s, t, reading.squeezed(text)) for s, t, _, text in relations)

    nodes, together = reading.dot(render(declaration, "dot"))
    assert nodes.keys() == declaration.states.keys()
    families: dict[tuple[str | None, str, str], str] = {}
    for source, target, family, text in relations:
        families[source, target, family] = families.get((source, target, family), "") + text
    expected: dict[tuple[str | None, str], str] = {}
    for (source, target, _), text in families.items():
        expected[source, target] = expected.get((source, target), "") + reading.squeezed(text)
    # Events alone share a row, with commas between.
    assert {ends: words.replace(",", "") for ends, words in together.items()} == {
        ends: words.replace(",", "") for ends, words in expected.items()
    }


NASTY = (
    'x == "a"',
    "x == 'it''s' || \"\"",
    "a < b && b > c",
    "</font></td><table>&nbsp;&amp;&#65;<!-- x -->",
    "line\none\n\ttwo",
    r"\N \G \l \n \\ \" {a|b} \u0041",
    "a;b:c#d%%e--f-->g::h{i}`j`$k",
    "state s0 as x [*] <<fork>> note end",
    "größer ≥ 3 · 漢字 · עברית · 🙂 · e\u0301 · \u202eabc\u2066",
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
    tool = {"python": guard, "effect": "read"}
    states = {
        "plan": {
            "do": "t",
            "sufficient": guard,
            "on": {"done": [{"to": "ask", "when": guard}, {"to": "fail"}]},
        },
        "ask": {"on": {"go": {"to": "complete", "when": {"python": guard}}}},
        "complete": {"final": "succeeded", "summary": guard, "reason": guard},
        "fail": {"final": "failed"},
    }
    data = {"machine": "told", "version": guard, "summary": guard, "initial": "plan"}
    return Declaration.model_validate({**data, "tools": {"t": tool}, "states": states, **more})


def with_examples(test: Any) -> Any:
    """Run a property for each nasty text before the random ones."""
    for text in NASTY:
        test = example(text)(test)
    return settings(max_examples=40, deadline=None)(given(texts)(test))


@with_examples
def test_no_text_breaks_mermaid_or_text(guard: str) -> None:
    """Quotes, brackets, entities, arrows, line ends and any script come back as they went in."""
    declaration = told(guard)
    arrows = draw(declaration).arrows
    assert any(printable(guard) in arrow.text for arrow in arrows)
    _, found = reading.mermaid(render(declaration, "mermaid").decode())
    assert found == Counter(
        {("s0", "s1", arrows[0].text): 1, ("s0", "s3", arrows[1].text): 1, ("s1", "s2", arrows[2].text): 1}
    )
    states, found = reading.text(render(declaration, "text").decode())
    assert states == ["plan", "ask", "complete", "fail"]
    assert found == Counter((a.source, a.target, reading.squeezed(a.text)) for a in arrows)


@with_examples
def test_no_text_breaks_dot_or_svg(guard: str) -> None:
    """The whole text is in the SVG's titles; in the picture it may be cut, and says so."""
    declaration = told(guard)
    arrows = draw(declaration).arrows
    _, found = reading.dot(render(declaration, "dot"))
    assert found.keys() == {(a.source, a.target) for a in arrows}
    for arrow in arrows:
        _same_up_to_a_cut(found[arrow.source, arrow.target], arrow)
    root = ElementTree.fromstring(render(declaration, "svg"))
    titles = [t.text or "" for t in root.iter(f"{SVG}title")]
    assert [f"Plan to Ask: {arrows[0].text}"] == [t for t in titles if t.startswith("Plan to Ask: ")]
    assert [f"Ask to Complete: {arrows[2].text}"] == [t for t in titles if t.startswith("Ask to")]
    drawn = [reading.squeezed("".join(t.itertext())) for t in root.iter(f"{SVG}text")]
    shown = reading.squeezed(f"[{printable(guard)}]")
    assert any(shown.startswith(word.removesuffix("…")) for word in drawn if word.startswith("["))


def _same_up_to_a_cut(shown: str, arrow: Arrow) -> None:
    whole = reading.squeezed(arrow.text)
    assert shown == whole or (shown.endswith("…") and whole.startswith(shown[:-1])), shown


def test_a_row_of_many_events_is_not_cut() -> None:
    """Only free text is cut: each event of a line stands in the picture."""
    names = [f"approval_by_the_committee_{n}" for n in range(6)]
    declaration = told(
        "x", states={"plan": {"on": dict.fromkeys(names, "fail")}, "fail": {"final": "failed"}}
    )
    _, found = reading.dot(render(declaration, "dot"))
    assert found["plan", "fail"].split(",") == names


def test_states_with_the_names_of_words_of_dot() -> None:
    """A state may be called node, edge or graph, and two underscores in a name are no other name."""
    names = [
        "node",
        "edge",
        "graph",
        "subgraph",
        "strict",
        "a__b",
        "a",
        "b__c",
        "c",
        *(f"x{n}" for n in range(6)),
    ]
    on = {"one": "a", "two": "a__b"}
    declaration = told(
        "x",
        machine="digraph",
        initial="node",
        states={name: {"on": on} for name in names if name not in on.values()}
        | {"a": {"final": "failed"}, "a__b": {"final": "succeeded"}},
    )
    states, found = reading.dot(render(declaration, "dot"))
    assert states.keys() == set(names)
    assert found == {(n, t): e for n in names if n not in on.values() for e, t in on.items()}
    assert lay_out(render(declaration, "dot").decode(), "svg")


def test_everything_in_an_svg_has_an_id_and_a_title_for_people() -> None:
    """No title shows a name of the layout's own; ids are given once, also where a state is drawn again."""
    names = [f"s{n}" for n in range(12)]
    states = {name: {"on": {"go": "fail", "on": names[(n + 1) % 6]}} for n, name in enumerate(names)}
    declaration = told("x", initial="s7", states=states | {"fail": {"final": "failed"}}, on={"stop": "fail"})
    root = ElementTree.fromstring(render(declaration, "svg"))
    groups = {g.get("id"): g.findtext(f"{SVG}title") or "" for g in root.iter(f"{SVG}g")}
    assert len(groups) == len(list(root.iter(f"{SVG}g")))
    del groups["graph0"]
    assert groups["state-s1"] == "S1; waits for go, on"
    assert groups["loop-1"] == "work loop: S0, S1, S2, S3, S4, S5"
    assert {f"state-fail-s{n}" for n in range(11)} <= groups.keys()
    assert [title for title in groups.values() if not title or "__" in title or "->" in title] == []
