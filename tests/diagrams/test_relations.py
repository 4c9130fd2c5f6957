"""Every picture tells the whole machine, and nothing else."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from statemachine.diagrams import FORMATS, render
from statemachine.machine.model import Declaration
from tests.diagrams.machines import Relation, agent, declarations, pipeline, relations
from tests.diagrams.reading import LaidOut, listing, mermaid

few = settings(max_examples=60, deadline=None)


def titled(found: Counter[Relation]) -> Counter[Relation]:
    """Relations between states named by their titles."""

    def title(name: str) -> str:
        return name if name == "any state" else name.replace("_", " ").capitalize()

    return Counter(
        {
            (title(source), label, guard, title(target), resets): n
            for (source, label, guard, target, resets), n in found.items()
        }
    )


@few
@given(declarations())
def test_dot_tells_every_state_and_transition(declaration: Declaration) -> None:
    """The layout program, which parses DOT on its own, finds the states and transitions declared."""
    read = LaidOut(render(declaration, "dot").decode())
    assert sorted(read.states()) == sorted(declaration.states)
    assert read.relations() == relations(declaration)


@few
@given(declarations())
def test_mermaid_tells_every_state_and_transition(declaration: Declaration) -> None:
    """Mermaid's states and relations, read back, are those declared."""
    states, found = mermaid(render(declaration, "mermaid").decode())
    assert states == [name.replace("_", " ").capitalize() for name in declaration.states]
    assert found == titled(relations(declaration))


@few
@given(declarations())
def test_text_tells_every_state_and_transition(declaration: Declaration) -> None:
    """The listing, read back, tells the states in declared order and every transition."""
    text = render(declaration, "text").decode()
    states, found = listing(text)
    assert states == list(declaration.states)
    assert found == relations(declaration)
    assert all(len(line) <= 80 for line in text.splitlines())


# The layout program's JSON, though not its SVG, cuts off texts that hold backslashes: test_bytes has those.
texts = st.text(
    st.characters(exclude_characters="\\", exclude_categories=["C", "Z"]) | st.just(" "), min_size=1
)


@few
@given(declarations(guards=texts.filter(lambda text: text.strip())))
def test_any_guard_text_leaves_the_picture_whole(declaration: Declaration) -> None:
    """Whatever a guard holds, each picture has the same states and as many transitions."""
    expected = relations(declaration).total()
    assert LaidOut(render(declaration, "dot").decode()).relations().total() == expected
    states, found = mermaid(render(declaration, "mermaid").decode())
    assert (len(states), found.total()) == (len(declaration.states), expected)


@few
@given(declarations(), st.sampled_from(["dot", "mermaid", "text", "svg"]))
def test_the_same_declaration_gives_the_same_bytes(declaration: Declaration, form: str) -> None:
    """A declaration read from its own data is drawn alike, byte for byte."""
    again = Declaration.model_validate(declaration.as_data())
    assert render(declaration, form) == render(again, form)


def test_large_machines_are_told_completely() -> None:
    """Where a crowded final state is drawn again and again, every transition still reads as declared."""
    for declaration in (agent(), pipeline()):
        states, found = listing(render(declaration, "text").decode())
        assert states == list(declaration.states)
        read = LaidOut(render(declaration, "dot").decode())
        assert sorted(read.states()) == sorted(declaration.states)
        ends = {(source, target) for source, _, _, target, _ in found}
        assert {(source, target) for source, _, _, target, _ in read.relations()} == ends
        assert read.relations().total() == found.total()


def test_every_format_has_a_suffix() -> None:
    """The formats are those that the README lists."""
    assert FORMATS == {
        "svg": ".svg",
        "png": ".png",
        "pdf": ".pdf",
        "dot": ".dot",
        "mermaid": ".mmd",
        "text": ".txt",
    }
