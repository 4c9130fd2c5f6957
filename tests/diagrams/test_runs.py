"""A picture of a run tells where it is, the order of its way, and what went wrong, on top of the whole machine."""

from __future__ import annotations

import re
from collections import Counter
from itertools import combinations
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from statemachine.diagrams import FORMATS, render_run
from statemachine.diagrams.text import diagram
from statemachine.diagrams.trail import Trail
from statemachine.host.trail import trail
from statemachine.machine.definition import Definition
from tests.diagrams import reading
from tests.diagrams.claims import settled, written
from tests.diagrams.reading import LaidOut, texts
from tests.kernel.driving import BAD, GOOD, Run, define
from tests.kernel.strategies import Moves, runs

SVG = "{http://www.w3.org/2000/svg}"
BLUE, RED, PALE = "#2563eb", "#b91c1c", "#bcc8d6"
few = settings(
    max_examples=30, deadline=None, phases=(Phase.generate,), suppress_health_check=list(HealthCheck)
)
AGENT = """
plan: {do: look, save: answer, on: {done: act, failed: diagnose}}
act: {do: put, save: answer, on: {done: validate, failed: diagnose}}
validate: {do: look, save: answer, on: {done: [{to: end, when: answer.ok}, {to: diagnose}], failed: diagnose}}
diagnose: {do: look, save: answer, on: {done: [{to: retry, when: answer.score > 0.0}, {to: fail}], failed: fail}}
retry: {attempts: 3, exhausted: fail, wait: 1s, on: {elapsed: plan}}
"""


def of(run: Run) -> Trail:
    """Return the way of a run that was driven by hand."""
    return trail(run.definition.declaration, "4f2a", written(run))


def agent(rounds: int = 1) -> Run:
    """Return a run of the canonical loop that is turned back so often, and then fails to act."""
    run = Run(define(AGENT, on={"cancelled": "fail"}), now=50.0)
    for _ in range(rounds):
        for output in (GOOD, GOOD, BAD, GOOD):
            run.now += 1.0
            run.finish(output)
        run.wait()
    run.now += 4.0
    run.finish(GOOD)
    run.fail("fatal")
    return run


@pytest.fixture(scope="module")
def run() -> Run:
    """A run that is diagnosing a failed call in its second round."""
    return agent()


@pytest.fixture(scope="module")
def picture(run: Run) -> LaidOut:
    """Its picture."""
    return LaidOut(render_run(run.definition.declaration, of(run), "dot").decode())


def rows(thing: dict[str, Any]) -> list[str]:
    """Return the lines of text of a node or an edge."""
    return [piece["text"] for piece in texts(thing)]


def turns(picture: LaidOut) -> dict[tuple[str, str], list[str]]:
    """Return the bold numbers on each edge, by its ends."""
    names = {number: thing["name"] for number, thing in picture.things.items()}
    found: dict[tuple[str, str], list[str]] = {}
    for edge in picture.edges:
        numbers = [piece["text"] for piece in texts(edge) if piece["size"] == 11]
        if numbers:
            found.setdefault((names[edge["tail"]], names[edge["head"]]), []).extend(numbers)
    return found


def test_each_arrow_has_its_turns(picture: LaidOut) -> None:
    """In order from the start; what was not taken has none."""
    assert turns(picture) == {
        ("__start", "plan"): ["1"],
        ("plan", "act"): ["2, 7"],
        ("act", "validate"): ["3"],
        ("validate", "diagnose"): ["4"],
        ("diagnose", "retry"): ["5"],
        ("retry", "plan"): ["6"],
        ("act", "diagnose"): ["8"],
    }


def test_what_was_taken_is_blue_what_failed_red_and_the_rest_pale(picture: LaidOut) -> None:
    """A way that a failure took is red; the others of the same machine stay readable, but pale."""
    (forward,), (failed,) = picture.between("plan", "act"), picture.between("act", "diagnose")
    (unused,) = picture.between("retry", "fail")
    assert (forward["color"], failed["color"], unused["color"]) == (BLUE, RED, PALE)
    assert {piece["color"] for piece in texts(failed)} == {RED}
    assert picture.node("end")["color"] == PALE
    assert picture.node("act")["color"] == RED


def test_states_tell_visits_attempts_time_and_failures(picture: LaidOut) -> None:
    """And the share of the whole time, which a bar shows too; the state that the run is in has a thick border."""
    assert rows(picture.node("plan"))[-1] == "×2 · 5.0s · 56%"
    assert rows(picture.node("retry"))[-1] == "attempts 1/3 · 1.0s · 11%"
    assert rows(picture.node("act"))[-2:] == ["×2 · 1.0s · 11%", "failed: fatal"]
    assert rows(picture.node("diagnose"))[-1] == "now here · ×2 · 1.0s · 11%"
    thick = [o["name"] for o in picture.things.values() if o.get("penwidth") == "4.5"]
    assert thick == ["diagnose"]
    assert rows(picture.data)[-2].startswith(
        "run 4f2a: running in diagnose · 8 steps · 7 calls · 1 failed · 9.0s"
    )


def test_many_rounds_are_summed_up() -> None:
    """The first turns, the last, and how many."""
    run = Run(define(AGENT.replace("attempts: 3", "attempts: 999"), limits={"steps": 9000}))
    for _ in range(412):
        for output in (GOOD, GOOD, BAD, GOOD):
            run.finish(output)
        run.wait()
    numbers = turns(LaidOut(render_run(run.definition.declaration, of(run), "dot").decode()))
    assert numbers["plan", "act"] == ["2, 7, 12 … 2057 ×412"]


def test_the_end_and_what_no_transition_declares_are_drawn() -> None:
    """An outcome has its own colour; an unanswered event gets an arrow, which says so."""
    run = Run(define("act: {do: put, on: {done: end}}"))
    run.fail("fatal")
    picture = LaidOut(render_run(run.definition.declaration, of(run), "dot").decode())
    (stray,) = picture.between("act", "fail")
    assert rows(stray) == ["2", "unanswered: failed.fatal"]
    assert stray["color"] == RED
    assert (picture.node("fail")["color"], picture.node("fail")["peripheries"]) == (RED, "2")
    assert rows(picture.node("fail")) == ["Fail", "ended here"]


@few
@given(runs())
def test_the_whole_machine_is_still_there(made: tuple[Definition, Moves]) -> None:
    """In Mermaid and in text every declared transition is told, and each passage with its turns."""
    definition, moves = made
    entries = [(step.at, kind, body) for _, _, step in moves for kind, body in step.entries]
    found = trail(definition.declaration, "r", ((n, at, k, b) for n, (at, k, b) in enumerate(entries)))
    machine = reading.mermaid(render_run(definition.declaration, found, "mermaid").decode())[1]
    told: Counter[str] = Counter()
    relations: Counter[Any] = Counter()
    for (source, label, _, target, _), n in machine.items():
        badge = re.match(r"(\d[\d, …×]*): ", label)
        told[badge[1] if badge else ""] += n
        relations[source, target] += n
    expected = [p.numbers for p in (*found.passages.values(), *found.strays.values())]
    assert told - Counter({"": told[""]}) == Counter(expected)
    assert sum(relations.values()) == len(list(definition.declaration.transitions())) + len(
        found.strays
    ) + sum(state.exhausted is not None for state in definition.declaration.states.values())
    text = render_run(definition.declaration, found, "text").decode()
    assert all(f"({numbers})" in " ".join(text.replace("|", " ").split()) for numbers in expected)
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("big", [False, True], ids=["7 states", "29 states"])
def test_labels_cover_neither_each_other_nor_states(big: bool) -> None:
    """With the turns on them too."""
    run = settled() if big else agent(3)
    nodes, labels = LaidOut(render_run(run.definition.declaration, of(run), "dot").decode()).boxes()
    assert not [(a, b) for a in labels for b in nodes if a.meets(b)]
    assert not [(a, b) for a, b in combinations(labels, 2) if a.meets(b)]


def test_every_format_is_drawn_and_the_svg_says_it_in_words(run: Run) -> None:
    """The titles of the SVG tell each part's story to who cannot see it."""
    for form in FORMATS:
        assert render_run(run.definition.declaration, of(run), form)
    root = ElementTree.fromstring(render_run(run.definition.declaration, of(run), "svg"))
    titles = [title.text or "" for title in root.iter(f"{SVG}title")]
    assert "Plan to Act: 2, 7: done" in titles
    assert any("run 4f2a: running in diagnose" in title for title in titles)
    assert any(title.startswith("Act; ") and title.endswith("failed: fatal") for title in titles)


def test_the_terminal_shows_as_much_as_fits(run: Run) -> None:
    """With marks for the run's state and for breakpoints; what is left out is said."""
    whole = diagram(run.definition, of(run), ["act", "end"])
    assert "> | diagnose  now here · ×2 · 1.0s · 11%" in whole
    assert " *| act  ×2 · 1.0s · 11%  failed: fatal  calls put" in whole
    assert "  |   done => validate  (3)" in whole
    assert " *  end  (succeeded)" in whole
    events, states = (diagram(run.definition, of(run), rows=rows) for rows in (24, 13))
    assert "  | plan  ×2 · 5.0s · 56%  done => act (2, 7); failed -> diagnose\n" in events
    assert events.endswith("(guards, contracts and limits are left out: more than 24 lines)\n")
    assert "> | diagnose  now here · ×2 · 1.0s · 11%  -> retry, fail\n" in states
    assert states.endswith("(only states and where they lead are shown: more than 13 lines)\n")
    assert [text.count("\n") <= rows for text, rows in ((events, 24), (states, 13))] == [True, True]


def test_a_large_machine_fits_a_terminal_too() -> None:
    """Twenty-nine states take 50 lines with their events, and 40 without."""
    run = settled()
    for rows, says in ((200, ""), (50, "guards, contracts"), (40, "only states")):
        text = diagram(run.definition, of(run), rows=rows)
        assert text.count("\n") <= rows
        assert max(map(len, text.splitlines())) <= 80
        assert says in text
        assert all(f" {name} " in text.replace("\n", " ") for name in run.definition.declaration.states)


def test_without_a_run_or_breakpoints_there_is_no_margin(run: Run) -> None:
    """It is the listing that `render -f text` gives."""
    from statemachine.diagrams import render

    assert diagram(run.definition) == render(run.definition.declaration, "text").decode()
