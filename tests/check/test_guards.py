"""What is said of guards agrees with the guards themselves, and two ways of deciding them with each other."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from statemachine.check import check
from statemachine.check.domain import Domain, Given
from statemachine.check.enumerate import rows
from statemachine.check.facts import Facts
from statemachine.check.solve import Solver
from statemachine.machine.definition import Definition
from statemachine.machine.load import load
from statemachine.machine.references import Folder
from statemachine.machine.source import parse_source
from statemachine.machine.yaml import define

MACHINE = """
machine: judge
version: "1"
context:
  n: {{type: int, owner: operator}}
  m: {{type: "int | None", owner: operator}}
  x: {{type: float, owner: operator}}
  k: {{type: "Literal['red', 'green']", owner: operator}}
  s: {{type: str, owner: operator}}
  l: {{type: "list[str]", owner: operator}}
  b: {{type: bool, owner: operator}}
initial: judge
states:
  judge: {{always: [{edges}]}}
  one: {{final: succeeded}}
  two: {{final: succeeded}}
  failed: {{final: failed, output: {{n: n, m: m, x: x, k: k, s: s, l: l, b: b}}}}
"""

NUMBER = st.integers(-3, 3)
COMPARE = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
ATOM = st.one_of(
    st.builds("{} {} {}".format, st.sampled_from(["n", "m", "size(l)", "size(s)"]), COMPARE, NUMBER),
    st.builds("x {} {}.5".format, COMPARE, st.integers(-2, 2)),
    st.builds("k {} '{}'".format, st.sampled_from(["==", "!="]), st.sampled_from(["red", "green", "blue"])),
    st.builds("s in ['{}', 'c']".format, st.sampled_from("ab")),
    st.sampled_from(["b", "known.m", "known.n"]),
)
GUARD = st.recursive(
    ATOM,
    lambda inner: st.one_of(
        st.builds("({}) && ({})".format, inner, inner),
        st.builds("({}) || ({})".format, inner, inner),
        st.builds("!({})".format, inner),
        st.builds("(({}) ? ({}) : ({}))".format, inner, inner, inner),
    ),
    max_leaves=4,
)
VALUES = st.fixed_dictionaries(
    {
        "n": NUMBER,
        "m": st.none() | NUMBER,
        "x": st.sampled_from([-2.5, -1.0, 0.0, 0.5, 1.0, 7.25]),
        "k": st.sampled_from(["red", "green"]),
        "s": st.sampled_from(["", "a", "b", "c", "xyz"]),
        "l": st.lists(st.just("w"), max_size=4),
        "b": st.booleans(),
    }
)


MANY = "n == -2 && m == -2 && size(l) == 1 && size(s) == 1", "x == 0.5 && k == 'red' && b && s in ['a', 'c']"
"""Two guards of which as many combinations are to be tried as of any that are drawn here."""


def machine(*guards: str) -> Definition:
    """Return a machine that chooses by guards."""
    edges = ", ".join(
        f'{{to: {to}, when: "{when}"}}' for to, when in zip(("one", "two"), guards, strict=False)
    )
    return define(parse_source(MACHINE.format(edges=edges), "judge.yaml"), Folder(Path(__file__).parent))


def reader(values: dict[str, object]) -> Given:
    """Return values as guards read them."""
    known = {("known", (name,)): value is not None for name, value in values.items()}
    return Given({**{("context", (name,)): value for name, value in values.items()}, **known})  # type: ignore[dict-item]


@settings(max_examples=60, deadline=None)
@example(*MANY, {"n": 2, "m": None, "x": 1.5, "k": "red", "s": "a", "l": ["w"], "b": True})
@given(GUARD, GUARD, VALUES)
def test_trying_all_values_misses_no_combination_of_verdicts(
    one: str, two: str, values: dict[str, object]
) -> None:
    """Whatever the values, the verdicts of the guards are among those that were found; one that fails included."""
    definition = machine(one, two)
    guards = [edge.guard for edge in definition.edges["judge"]["always"] if edge.guard is not None]
    domain = Domain(definition, Facts(definition), "judge", "always")
    names = sorted({read for guard in guards for read in guard.reads})
    table = rows(guards, domain, [domain.variable(*read) for read in names])
    assert table is not None
    verdicts = tuple(guard.decide(reader(values))[0] for guard in guards)
    assert verdicts in {found for _, found in table}


@settings(max_examples=25, deadline=None)
@given(GUARD, GUARD)
def test_the_solver_agrees_with_trying_all_values(one: str, two: str) -> None:
    """On each combination of two verdicts: both find values, or both find none."""
    definition = machine(one, two)
    guards = [edge.guard for edge in definition.edges["judge"]["always"] if edge.guard is not None]
    domain = Domain(definition, Facts(definition), "judge", "always")
    variables = [domain.variable(*read) for read in sorted({r for guard in guards for r in guard.reads})]
    table = rows(guards, domain, variables)
    assert table is not None
    solver = Solver(guards, domain, variables)
    for first in (True, False, None):
        for second in (True, False, None):
            found = solver.find({0: first, 1: second})
            assert (found is not None) == any(v == (first, second) for _, v in table), (
                one,
                two,
                first,
                second,
            )


SOLVED = [
    ("n + 2 > n", True),  # but for an overflow
    ("n / 2 * 2 == n || n / 2 * 2 + 1 == n || n / 2 * 2 - 1 == n", True),
    ("n % 3 > -3 && n % 3 < 3", True),
    ("-n == 9223372036854775807", None),
    ("s + 'a' == 'ba' && s != 'b'", False),
    ("'a' in l && size(l) == 0", False),
    ("l[0] == 'a' && size(l) == 0", False),
    ("s.contains('ab') && size(s) == 2 && s != 'ab'", False),
    ("s < 'a' && s > 'b'", False),
    ("n > m && m > n", False),
    ("s.endsWith('b') && s.startsWith('a') && size(s) == 3", None),
]


@pytest.mark.parametrize(("text", "verdict"), SOLVED)
def test_the_solver_knows_the_languages_operators(text: str, verdict: bool | None) -> None:
    """Division goes towards zero, sums overflow, texts and lists have sizes; None: it may be either."""
    definition = machine(text)
    guards = [edge.guard for edge in definition.edges["judge"]["always"] if edge.guard is not None]
    domain = Domain(definition, Facts(definition), "judge", "always")
    solver = Solver(guards, domain, [domain.variable(*read) for read in guards[0].reads])
    assert (solver.find({0: True}) is None, solver.find({0: False}) is None) == (
        verdict is False,
        verdict is True,
    )


def test_without_the_solver_what_needs_it_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """And says what to install; what can be tried is decided all the same."""
    monkeypatch.setitem(sys.modules, "z3", None)
    (unknown,) = [f for f in check(machine("n % 2 == 0", "b")) if f.code == "SM306"]
    assert "agent-statemachine[check]" in unknown.message
    assert [f.code for f in check(machine("n > 3", "n <= 3"))] == []


def test_a_guard_in_python_is_unknown() -> None:
    """Nothing looks into a function; a comment above the call that adds the state says why that is right."""
    file = Path(__file__).parent / "choosing.py"
    (finding,) = check(load(f"{file}:silent"))
    assert (finding.code, finding.verdict, finding.allowed) == ("SM306", "UNKNOWN", "")
    assert "is a Python function" in finding.message
    (finding,) = check(load(f"{file}:allowed"))
    assert (finding.code, finding.allowed) == ("SM306", "the function is tested by itself")
