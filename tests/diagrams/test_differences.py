"""A picture of a difference tells both machines, and of each part whether it was added, removed or changed."""

from __future__ import annotations

import re
from collections import Counter
from itertools import combinations
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from statemachine.diagrams import CHANGE_FORMATS, render_difference
from statemachine.diagrams.changed import SIGNS
from statemachine.machine.compare import compare, paired
from statemachine.machine.model import Declaration
from tests.diagrams import reading
from tests.diagrams.claims import claims, later
from tests.diagrams.machines import agent, declarations
from tests.diagrams.reading import LaidOut, texts
from tests.machine.test_compare import edited

few = settings(
    max_examples=30, deadline=None, phases=(Phase.generate,), suppress_health_check=list(HealthCheck)
)
GREEN, RED, AMBER, PALE = "#15803d", "#b91c1c", "#b45309", "#bcc8d6"


def newer() -> Declaration:
    """Return a later version of the canonical machine: other guards, counters, contracts, states and limits."""
    data = agent().as_data()
    states, tools = data["states"], data["tools"]
    states["retry"]["attempts"] = 5
    states["act"]["timeout"] = "2m"
    states["act"]["on"]["failed"] = {"to": "fail"}
    states["diagnose"]["on"]["done"][0]["when"] = "cause.recoverable && attempts.retry < 4"
    states["review"] = {"timeout": "1d", "on": {"approve": "complete", "timeout": "fail"}}
    states["validate"]["on"]["done"][0]["to"] = "review"
    tools["write_file"] |= {"timeout": "10s"}
    data["events"] = {"approve": {}}
    data["limits"]["steps"] = 90
    data["version"] = "1.4.0"
    return Declaration.model_validate(data)


@pytest.fixture(scope="module")
def picture() -> LaidOut:
    """The picture of what became of the canonical machine."""
    return LaidOut(render_difference(agent(), newer(), "dot").decode())


def rows(thing: dict[str, Any]) -> list[str]:
    """Return the lines of text of a node or an edge."""
    return [piece["text"] for piece in texts(thing)]


def looks(picture: LaidOut, tail: str, head: str) -> dict[tuple[str, ...], tuple[str, str]]:
    """Return colour and style of each edge between two nodes, by its text."""
    return {tuple(rows(e)): (e["color"], e.get("style", "solid")) for e in picture.between(tail, head)}


def test_added_is_solid_green_removed_dashed_red_changed_amber_with_both_values(picture: LaidOut) -> None:
    """Each with its sign, so that it can be told without colours; what did not change is pale."""
    assert looks(picture, "review", "complete") == {("+ approve",): (GREEN, "solid")}
    assert looks(picture, "act", "diagnose")[("- failed", "(now to fail)")] == (RED, "dashed")
    assert looks(picture, "act", "fail")[("~ failed", "(was to diagnose)")] == (AMBER, "solid")
    assert looks(picture, "act", "diagnose")[("~ timeout 1m -> 2m",)] == (AMBER, "solid")
    ((label, look),) = looks(picture, "diagnose", "retry").items()
    assert " ".join(label) == "~ done [cause.recoverable -> cause.recoverable && attempts.retry < 4]"
    assert look == (AMBER, "solid")
    assert looks(picture, "retry", "fail") == {("~ exhausted after 3 -> 5",): (AMBER, "solid")}
    assert looks(picture, "plan", "act")[("done", "[size(plan) > 0]")] == (PALE, "solid")


def test_states_tell_what_changed_in_them_and_in_the_tools_that_they_call(picture: LaidOut) -> None:
    """A contract that changed is told where it matters."""
    assert rows(picture.node("review"))[0] == "+ Review"
    assert (picture.node("review")["color"], picture.node("retry")["color"]) == (GREEN, AMBER)
    assert rows(picture.node("retry"))[-1] == "attempts 3 -> 5"
    assert rows(picture.node("act"))[-2:] == ["timeout 1m -> 2m", "write_file: timeout 30s -> 10s"]
    assert picture.node("validate")["color"] == PALE


def test_what_is_no_part_of_the_graph_is_told_below_the_title(picture: LaidOut) -> None:
    """Counts first, then version, limits and events."""
    told = [row.strip() for row in rows(picture.data)]
    assert "~ version 1.3.0 -> 1.4.0" in told
    assert "~ limit steps 60 -> 90" in told
    assert "+ event approve" in told


def test_a_removed_state_stays_in_the_picture() -> None:
    """Dashed and red, with the transitions that it had."""
    picture = LaidOut(render_difference(newer(), agent(), "dot").decode())
    assert rows(picture.node("review"))[0] == "- Review"
    assert "dashed" in picture.node("review")["style"]
    assert looks(picture, "review", "complete") == {("- approve",): (RED, "dashed")}


@few
@given(edited())
def test_every_transition_of_both_is_told_once_with_its_sign(pair: tuple[Declaration, Declaration]) -> None:
    """Mermaid's relations, read back, are those of the comparison; one that leads elsewhere now is told twice."""
    old, new = pair
    difference = compare(old, new)
    changes = {(change.old, change.new): change for change in difference.of("transition")}
    expected: Counter[tuple[str, str]] = Counter()
    retimed = {c.name for c in difference.of("state") if any(d.what == "timeout" for d in c.details)}
    befores, afters = dict(old.transitions()), dict(new.transitions())
    for left, right in paired(old, new):
        change = changes.get((left, right))
        sign = SIGNS[change.kind] if change else ""
        path = right or left or ()
        if not sign and path[-2] == "timeout" and path[1] in retimed:
            sign = "~"
        if left and right and befores[left].to != afters[right].to:
            expected["-", befores[left].to] += 1
        expected[sign, (afters[right] if right else befores[left or ()]).to] += 1
    found: Counter[tuple[str, str]] = Counter()
    _, relations = reading.mermaid(render_difference(old, new, "mermaid").decode())
    for (_, label, _, target, _), n in relations.items():
        if "exhausted after" not in label:
            sign = re.match(r"([-+~]) ", label)
            found[sign[1] if sign else "", target] += n
    title = {name: name.replace("_", " ").capitalize() for name in (*old.states, *new.states)}
    assert Counter({(sign, re.sub("^[-+~] ", "", name)): n for (sign, name), n in found.items()}) == Counter(
        {(sign, title[target]): n for (sign, target), n in expected.items()}
    )


@few
@given(edited())
def test_text_and_markdown_tell_every_change(pair: tuple[Declaration, Declaration]) -> None:
    """Each by its name, in 80 columns, and in tables whose rows all have as many cells."""
    changes = compare(*pair).changes
    text = render_difference(*pair, "text").decode()
    markdown = render_difference(*pair, "markdown").decode()
    assert max(map(len, text.splitlines())) <= 80
    signs = Counter(re.findall(r"^  ([-+~]) ", text, re.MULTILINE))
    whole = ("machine", "limits")
    assert signs == Counter(
        SIGNS[c.kind] for c in changes for _ in (c.details if c.part in whole else (None,))
    )
    cells = [len(re.split(r"(?<!\\)\|", line)) for line in markdown.splitlines() if line.startswith("|")]
    assert set(cells) <= {7}
    for change in changes:
        assert change.name in markdown
    assert ("```mermaid\nstateDiagram-v2" in markdown) == bool(changes)


def test_machines_that_do_not_differ_are_said_to() -> None:
    """In every format, and nothing in the picture has a sign."""
    assert "no difference" in render_difference(agent(), agent(), "text").decode()
    assert render_difference(agent(), agent(), "markdown").decode().endswith(": no difference\n")
    picture = LaidOut(render_difference(agent(), agent(), "dot").decode())
    assert not [row for edge in picture.edges for row in rows(edge) if row[0] in "+-~"]
    assert {o["color"] for o in picture.things.values() if o["name"] in agent().states} == {PALE}


def test_every_format_is_drawn() -> None:
    """Twice the same bytes."""
    for form in CHANGE_FORMATS:
        assert render_difference(agent(), newer(), form) == render_difference(agent(), newer(), form)


@pytest.mark.parametrize("big", [False, True], ids=["8 states", "31 states"])
def test_labels_cover_neither_each_other_nor_states(big: bool) -> None:
    """With both values on them too."""
    pair = (claims().declaration, later().declaration) if big else (agent(), newer())
    nodes, labels = LaidOut(render_difference(*pair, "dot").decode()).boxes()
    assert not [(a, b) for a in labels for b in nodes if a.meets(b)]
    assert not [(a, b) for a, b in combinations(labels, 2) if a.meets(b)]


@few
@given(declarations())
def test_any_text_survives_markdown(declaration: Declaration) -> None:
    """Guards with bars and backticks break no table."""
    data = declaration.as_data()
    data["states"]["complete"] |= {"reason": "`a || b` | \\| ``c``"}
    markdown = render_difference(declaration, Declaration.model_validate(data), "markdown").decode()
    (row,) = [line for line in markdown.splitlines() if line.startswith("| ~ | `complete`")]
    assert len(re.split(r"(?<!\\)\|", row.replace("\\\\|", "\\|"))) == 7
