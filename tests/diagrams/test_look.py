"""What stands out in a picture, and that it can be read."""

from __future__ import annotations

from itertools import combinations

import pytest

from statemachine.diagrams import render
from statemachine.machine.model import Declaration
from tests.diagrams.machines import agent, pipeline
from tests.diagrams.reading import LaidOut, texts

BLUE, AMBER, ORANGE, RED, GREEN = "#2563eb", "#b45309", "#c2410c", "#b91c1c", "#15803d"


@pytest.fixture(scope="module")
def picture() -> LaidOut:
    """The canonical machine, laid out."""
    return LaidOut(render(agent(), "dot").decode())


def words(thing: dict[str, object]) -> list[str]:
    """The lines of a label."""
    return [piece["text"] for piece in texts(thing)]


def test_title_tells_name_version_digest_and_counts(picture: LaidOut) -> None:
    """The title names the machine, its version and digest, counts what is drawn and tells the limits."""
    told = " ".join(piece["text"].replace("\xa0", " ").strip() for piece in texts(picture.data))
    digest = agent().digest[:8]
    assert told.split("  ")[0].strip() == (
        f"code_fixer v1.3.0 sha256:{digest} · 7 states · 18 transitions "
        "at most 60 steps, 2h, 1.5 usd; past that, or unanswered: fail"
    )


def test_the_way_round_the_loop_is_thick_and_blue(picture: LaidOut) -> None:
    """Plan, act, validate, diagnose, retry and back to plan is the highlighted walk, and nothing else is."""
    names = {number: thing["name"] for number, thing in picture.things.items()}
    thick = {
        (names[e["tail"]], names[e["head"]])
        for e in picture.edges
        if e.get("penwidth") == "2.6" and e["color"] == BLUE
    }
    assert thick == {
        ("plan", "act"),
        ("act", "validate"),
        ("validate", "diagnose"),
        ("diagnose", "retry"),
        ("retry", "plan"),
    }


def test_failures_timeouts_and_exhausted_attempts_have_colours_of_their_own(picture: LaidOut) -> None:
    """Failures into diagnose are orange, timeouts dashed amber, exhausted attempts red."""
    (failed,) = picture.between("plan", "diagnose")
    assert (failed["color"], words(failed)) == (ORANGE, ["failed"])
    failed, timeout = picture.between("act", "diagnose")
    assert (failed["color"], words(failed)) == (ORANGE, ["failed, partial"])
    assert (timeout["color"], timeout["style"], words(timeout)) == (AMBER, "dashed", ["timeout 1m"])
    (exhausted,) = picture.between("retry", "fail")
    assert (exhausted["color"], words(exhausted)) == (RED, ["exhausted after 3"])


def test_an_irreversible_call_is_marked(picture: LaidOut) -> None:
    """A state that calls an irreversible tool is amber, thickly framed, and says so."""
    act = picture.node("act")
    assert (act["color"], act["penwidth"]) == (AMBER, "2.6")
    assert words(act) == [
        "Act",
        "calls write_file",
        "write ! irreversible · 30s",
        "asks an approver · 1d",
        "attempts ≤ 5 · timeout 1m",
    ]
    assert words(picture.node("retry")) == ["Retry", "waits 1s ×2 ≤ 1m", "attempts ≤ 3"]


def test_complete_and_fail_stand_apart_from_the_work_loop(picture: LaidOut) -> None:
    """The loop is framed; the final states, green and red with a double border, are outside of the frame."""
    (frame,) = (o for o in picture.things.values() if o["name"].startswith("cluster"))
    inside = {picture.things[n]["name"] for n in frame["nodes"]}
    assert inside == {"plan", "act", "validate", "diagnose", "retry"}
    for name, color in (("complete", GREEN), ("fail", RED)):
        assert (picture.node(name)["peripheries"], picture.node(name)["color"]) == ("2", color)


def test_what_holds_in_any_state_is_drawn_once(picture: LaidOut) -> None:
    """Transitions of the machine leave one node, not every state."""
    assert [words(e) for e in picture.between("__any", "plan")] == [["amended"]]
    assert [words(e) for e in picture.between("__any", "fail")] == [["cancelled"]]


def test_long_guards_are_wrapped_and_cut() -> None:
    """A guard takes at most three lines of a label; its title in the SVG has all of it."""
    guard = " && ".join(f"verdict.part_{n} > {n}" for n in range(12))
    data = agent().as_data()
    data["states"]["diagnose"]["on"]["done"][0]["when"] = guard
    declaration = Declaration.model_validate(data)
    (edge,) = LaidOut(render(declaration, "dot").decode()).between("diagnose", "retry")
    assert len(words(edge)) == 4
    assert words(edge)[-1].endswith(" …]")
    assert guard in render(declaration, "svg").decode().replace("&amp;", "&").replace("&gt;", ">")


@pytest.mark.parametrize("declaration", [agent(), pipeline(5)], ids=["7 states", "31 states"])
def test_labels_cover_neither_each_other_nor_states(declaration: Declaration) -> None:
    """No label lies on a state, and no two labels on each other."""
    nodes, labels = LaidOut(render(declaration, "dot").decode()).boxes()
    assert len(labels) >= len(nodes)
    assert not [(a, b) for a in labels for b in nodes if a.meets(b)]
    assert not [(a, b) for a, b in combinations(labels, 2) if a.meets(b)]


def test_a_crowded_final_state_is_drawn_beside_each_loop() -> None:
    """Where many lines lead to one final state it is drawn again, so that no line crosses the picture."""
    picture = LaidOut(render(pipeline(5), "dot").decode())
    again = [o for o in picture.things.values() if o["name"].startswith("__fail__")]
    assert len(again) == 8  # intake, route, five loops, approval; the state itself is left to notify
    assert all(words(o) == ["Fail"] for o in again)


def test_text_fits_a_terminal() -> None:
    """The canonical machine is a page of text with its loop in one line."""
    lines = render(agent(), "text").decode().splitlines()
    assert "loop: plan => act => validate => diagnose => retry => plan" in lines
    assert "|   done [size(plan) > 0] => act" in lines
    assert "| act  calls write_file; write ! irreversible · 30s; asks an approver · 1d;" in lines
    assert len(lines) < 50
