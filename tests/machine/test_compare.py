"""A difference tells everything that differs, and nothing else."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from statemachine.machine.compare import Change, Detail, Difference, compare, paired
from statemachine.machine.model import Declaration
from tests.diagrams.machines import agent, declarations

check = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))


@st.composite
def edited(draw: st.DrawFn) -> tuple[Declaration, Declaration]:
    """A machine, and the same after a few edits of any part of it."""
    old = draw(declarations())
    data = old.as_data()
    for _ in range(draw(st.integers(1, 4))):
        _edit(draw, data)
    return old, Declaration.model_validate(data)


def _edit(draw: st.DrawFn, data: dict[str, Any]) -> None:
    names = list(data["states"])
    state = data["states"][draw(st.sampled_from(names))]
    tables = [table for table in (state.get("on"), {"always": state.get("always")}, data.get("on")) if table]
    lists = [transitions for table in tables for transitions in table.values() if transitions]
    match draw(
        st.sampled_from(["version", "tool", "field", "limit", "guard", "order", "target", "drop", "state"])
    ):
        case "version":
            data["version"] = draw(st.sampled_from(["3", "4"]))
        case "tool":
            data["tools"]["look"]["timeout"] = draw(st.sampled_from(["5s", "60s", "2m"]))
        case "field":
            field = {"type": draw(st.sampled_from(["int", "str"])), "owner": names[:1]}
            default = draw(st.sampled_from([{}, {"default": None}, {"default": 1}, {"default": True}]))
            data.setdefault("context", {})["extra"] = field | default
        case "limit":
            data["limits"] = {"steps": draw(st.integers(1, 2000))}
        case "state":
            data["states"]["extra"] = {"always": [{"to": "fail"}]}
        case what if lists:
            transitions = draw(st.sampled_from(lists))
            one = draw(st.sampled_from(transitions))
            if what == "guard":
                one["when"] = draw(st.sampled_from(["n > 1", "n > 7"]))
            elif what == "target":
                one["to"] = draw(st.sampled_from(names))
            elif what == "order":
                transitions.reverse()
            elif len(transitions) > 1:
                transitions.remove(one)


def inverted(change: Change) -> tuple[Any, ...]:
    """Return a change as it is seen from the other side; its name is that of what is new."""
    kind = {"added": "removed", "removed": "added"}.get(change.kind, change.kind)
    return (
        kind,
        change.part,
        frozenset(Detail(d.what, d.new, d.old) for d in change.details),
        change.new,
        change.old,
    )


def plain(change: Change) -> tuple[Any, ...]:
    return change.kind, change.part, frozenset(change.details), change.old, change.new


@check
@given(declarations())
def test_a_machine_does_not_differ_from_itself(declaration: Declaration) -> None:
    """Nor from the same one declared in another order."""
    assert compare(declaration, declaration).changes == ()
    data = declaration.as_data()
    data["states"] = dict(reversed(data["states"].items()))
    assert compare(declaration, Declaration.model_validate(data)).changes == ()


@check
@given(edited() | st.tuples(declarations(), declarations()))
def test_it_is_empty_if_and_only_if_the_digests_are_equal(pair: tuple[Declaration, Declaration]) -> None:
    """Whatever can be declared is compared."""
    old, new = pair
    assert (compare(old, new).changes == ()) == (old.digest == new.digest)


@check
@given(edited() | st.tuples(declarations(), declarations()))
def test_from_the_other_side_it_is_the_same(pair: tuple[Declaration, Declaration]) -> None:
    """What was added is removed, and each old value is the new one."""
    old, new = pair
    there, back = compare(old, new), compare(new, old)
    assert {inverted(change) for change in there.changes} == {plain(change) for change in back.changes}
    assert len(there.changes) == len(back.changes)


@check
@given(edited() | st.tuples(declarations(), declarations()))
def test_applied_to_the_old_names_it_gives_the_new_ones(pair: tuple[Declaration, Declaration]) -> None:
    """States, tools, fields, events and transitions: old without what was removed and with what was added."""
    old, new = pair
    found = compare(old, new)
    tables: dict[Any, Any] = {
        "state": lambda d: d.states,
        "tool": lambda d: d.tools,
        "context": lambda d: d.context,
        "event": lambda d: d.events,
    }
    for part, table in tables.items():
        gone, come = ({c.name for c in found.of(part) if c.kind == kind} for kind in ("removed", "added"))
        assert set(table(old)) - gone | come == set(table(new))
        assert not gone & come
    before, after = (dict(d.transitions()) for d in pair)
    pairs = list(paired(old, new))
    assert sorted(left for left, _ in pairs if left) == sorted(before)
    assert sorted(right for _, right in pairs if right) == sorted(after)
    said = {(change.old, change.new) for change in found.of("transition")}
    for left, right in pairs:
        if left is None or right is None or before[left] != after[right]:
            assert (left, right) in said


def changed(**parts: Any) -> Difference:
    """Return what compare says of the canonical machine after some of its parts were replaced."""
    data = agent().as_data()
    for path, value in parts.items():
        *keys, last = path.split("__")
        inner = data
        for key in keys:
            inner = inner[key]
        inner[last] = value
    return compare(agent(), Declaration.model_validate(data))


def test_each_value_is_told_as_it_is_written() -> None:
    """Durations with their unit, guards as their text, and a default that was never declared as what it is."""
    (change,) = changed(states__retry__attempts=5).changes
    assert (change.part, change.name, change.details) == ("state", "retry", (Detail("attempts", "3", "5"),))
    (change,) = changed(limits__steps=1000).changes
    assert change.details == (Detail("steps", "60", "1000"),)
    (change,) = changed(states__plan__timeout="30s").changes
    assert change.details == (Detail("timeout", None, "30s"),)
    assert change.details[0].text == "timeout nothing -> 30s"


def test_a_transition_that_leads_elsewhere_is_one_change() -> None:
    """One of several with the same guard, told with both targets; its paths say where it is in both."""
    old = agent()
    path = next(p for p, t in old.transitions() if p[:2] == ("states", "act") and "failed" in p)
    (change,) = changed(states__act__on={**old.as_data()["states"]["act"]["on"], "failed": "fail"}).changes
    assert (change.kind, change.name, change.old, change.new) == (
        "changed",
        "act: failed -> fail",
        path,
        path,
    )
    assert change.details == (Detail("to", "diagnose", "fail"),)


def test_transitions_that_change_places_have_changed() -> None:
    """The first whose guard holds is taken, so that order is meaning; a new one before them moves none."""
    one, two, three = ({"to": "act", "when": f"n > {n}"} for n in (1, 2, 3))
    data = agent().as_data()

    def with_ways(*ways: Any) -> Declaration:
        return Declaration.model_validate(
            {
                **data,
                "states": {**data["states"], "plan": {**data["states"]["plan"], "on": {"done": list(ways)}}},
            }
        )

    found = compare(with_ways(one, two), with_ways(two, one))
    assert [change.details for change in found.changes] == [
        (Detail("order", "2", "1"),),
        (Detail("order", "1", "2"),),
    ]
    (change,) = compare(with_ways(one, two), with_ways(three, one, two)).changes
    assert (change.kind, change.new) == ("added", ("states", "plan", "on", "done", 0))


def test_a_renamed_state_is_one_removed_and_one_added() -> None:
    """Nothing is guessed."""
    data = agent().as_data()
    data["states"]["tell"] = data["states"].pop("complete")
    found = compare(agent(), Declaration.model_validate(data))
    assert {(c.kind, c.name) for c in found.of("state")} == {("added", "tell"), ("removed", "complete")}
