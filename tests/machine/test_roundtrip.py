"""A machine is one thing in YAML, in Python's model and as JSON data, and its digest says which."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from statemachine.machine.contract import REPEATABLE
from statemachine.machine.duration import UNITS, spell
from statemachine.machine.language import RESERVED_WORDS
from statemachine.machine.load import load
from statemachine.machine.model import Declaration
from statemachine.machine.references import Folder
from statemachine.machine.source import parse_source
from statemachine.machine.yaml import define, to_yaml

GOOD = Path(__file__).parent / "good"
TAKEN = RESERVED_WORDS | {
    "event",
    "output",
    "failure",
    "known",
    "fresh",
    "attempts",
    "operator",
    "fail",
    "done",
}
TAKEN |= {"partial", "failed", "elapsed", "timeout", "cancelled", "limit", "always"}

names = st.from_regex(r"[a-z][a-z0-9_]{0,7}", fullmatch=True).filter(lambda name: name not in TAKEN)
texts = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\n\t:#'\"{}&*|> "), min_size=1
)
texts = texts.filter(lambda text: bool(text.strip()))
durations = st.integers(1, 10**9).map(lambda milliseconds: spell(milliseconds / 1000))
numbers = st.floats(0.001, 1e9)
small = st.integers(1, 1000)
TYPES: dict[str, tuple[st.SearchStrategy[Any], str]] = {
    "str": (texts, '{0} != "x"'),
    "int": (st.integers(-(2**53) + 1, 2**53 - 1), "{0} > 3"),
    "float": (st.floats(allow_nan=False, allow_infinity=False), "{0} < 0.5"),
    "bool": (st.booleans(), "!{0}"),
    "list[str]": (st.lists(texts, max_size=3), "size({0}) == 0"),
    "dict[str, int]": (st.dictionaries(texts, st.integers(0, 9), max_size=3), '"x" in {0}'),
    "str | None": (st.none() | texts, "known.{0}"),
    "any": (st.none() | st.booleans() | st.lists(st.integers(0, 5)), "{0} == null"),
    "Literal['a', 'b']": (st.sampled_from("ab"), "{0} == 'a'"),
    "tools.py:Verdict": (st.just({"ok": True, "confidence": 0.5}), "{0}.ok && fresh.{0}"),
    "path": (st.just("a/b.txt"), "{0}.endsWith('.txt')"),
}
VALUES = {"str": "'x'", "int": "1 + 1", "float": "0.5", "bool": "true", "list[str]": "['x']", "any": "null"}


def some(**parts: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return mappings with any of the keys."""
    return st.fixed_dictionaries({}, optional=parts)


@st.composite
def machines(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a valid machine as plain data."""
    states = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    targets = st.sampled_from([*states, "fail"])
    context: dict[str, Any] = {}
    for name in draw(st.lists(names, max_size=4, unique=True)):
        kind = draw(st.sampled_from(sorted(TYPES)))
        owner = draw(st.lists(st.sampled_from([*states, "operator"]), min_size=1, max_size=2, unique=True))
        context[name] = {"type": kind, "owner": owner}
        rests = st.lists(
            st.sampled_from(sorted(context.keys() - {name})), min_size=1, max_size=2, unique=True
        )
        derived = {"derived_from": rests} if len(context) > 1 else {}
        context[name] |= draw(some(default=TYPES[kind][0], fresh_for=durations, summary=texts, **derived))
    guards = [TYPES[field["type"]][1].format(name) for name, field in context.items()]
    events = draw(st.dictionaries(names, st.dictionaries(names, st.sampled_from(["str", "int"])), max_size=2))
    events = {e: {n: of for n, of in payload.items() if n != "name"} for e, payload in events.items()}
    counted: list[str] = []
    transition = st.fixed_dictionaries({"to": targets}, optional={"when": st.sampled_from([*guards, "true"])})
    routes = targets | transition | st.lists(transition, min_size=1, max_size=3)
    tools: dict[str, Any] = {}
    for name in draw(st.lists(names, max_size=3, unique=True)):
        inputs = draw(st.dictionaries(names, st.sampled_from(sorted(VALUES)), max_size=2))
        words = draw(st.lists(texts, min_size=1, max_size=3))
        words = [word.replace("{", "") for word in words] + [f"--{n}={{{n}}}" for n in inputs]
        tools[name] = {"shell": words, "effect": "read", "input": inputs, "output": "str"}
        tools[name] |= draw(
            some(
                timeout=durations,
                summary=texts,
                failures=st.dictionaries(texts, st.sampled_from(["fatal", "unknown"]), max_size=2),
                retry=st.dictionaries(
                    st.sampled_from(REPEATABLE),
                    st.fixed_dictionaries({"max": small}, optional={"jitter": st.just("none")}),
                ),
            )
        )
        if draw(st.booleans()):
            tools[name] |= {"effect": "write", "idempotent": draw(st.booleans()), "reversibility": "none"}
    made: dict[str, Any] = {}
    waits = durations | st.fixed_dictionaries({"cap": st.just("2h")}, optional={"initial": st.just("1.5s")})
    for name in states:
        kind = draw(st.sampled_from(["do", "wait", "always", "on"] if tools else ["wait", "always", "on"]))
        state: dict[str, Any] = {"on": draw(st.dictionaries(st.sampled_from(["cancelled", *events]), routes))}
        if kind == "do":
            tool = draw(st.sampled_from(sorted(tools)))
            state |= {"do": tool, "with": {n: VALUES[of] for n, of in tools[tool]["input"].items()}}
            state["on"] |= {"done": draw(routes), "failed.timeout": draw(routes)}
            saved = [n for n, f in context.items() if f["type"] in ("str", "any") and name in f["owner"]]
            state["save"] = draw(st.sampled_from([{}, *saved, *[{n: "output"} for n in saved]]))
            state |= draw(some(sufficient=st.just("size(output) > 0")))
        elif kind == "wait":
            state |= {"wait": draw(waits), "on": state["on"] | {"elapsed": draw(routes)}}
        elif kind == "always":
            state = {"always": draw(routes)}
        else:
            state["on"]["cancelled"] = draw(routes)
        if draw(st.booleans()):
            state |= {"attempts": draw(small), "exhausted": "fail"}
            counted.append(name)
        if kind != "always":
            state |= draw(some(timeout=durations))
        made[name] = state | draw(some(summary=texts))
    made["fail"] = {"final": "failed"} | draw(some(reason=st.just("'gone'"), output=st.just({"n": "1"})))
    machine = {"machine": draw(names), "version": draw(texts), "initial": draw(st.sampled_from(states))}
    machine |= {"context": context, "events": events, "tools": tools, "states": made}
    limits = some(
        steps=small, calls=small, elapsed=durations, cost=st.dictionaries(names, numbers, max_size=2)
    )
    fields = st.sampled_from([*context, None]) if context else st.none()
    values = st.dictionaries(st.sampled_from(sorted(context)), texts, max_size=2) if context else st.just({})
    moved = some(states=st.dictionaries(names, targets, max_size=2), set=values)
    moved = st.tuples(moved, some(fields=st.dictionaries(names, fields, max_size=2))).map(
        lambda parts: parts[0] | parts[1]
    )
    common = st.fixed_dictionaries({"cancelled": targets}, optional={"amended": targets})
    return machine | draw(
        some(summary=texts, limits=limits, on=common, migrations=st.dictionaries(texts, moved, max_size=2))
    )


MINIMAL = {"machine": "a", "version": "1", "initial": "a", "states": {"a": {"final": "failed"}}}


@example(
    {
        **MINIMAL,
        "tools": {"a": {"shell": [": "], "effect": "read", "failures": {":0": "fatal"}, "summary": ":0"}},
    }
)
@example({**MINIMAL, "states": {"a": {"wait": "1m", "on": {"elapsed": "b"}}, "b": {"final": "failed"}}})
@example({**MINIMAL, "on": {"*": "a"}, "version": "true", "summary": "x " * 80 + "\u2028\n  é"})
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(machines())
def test_any_machine_printed_as_yaml_reads_back_as_the_same(data: dict[str, Any]) -> None:
    """Equal declarations, equal digests; and as JSON data too."""
    declared = Declaration.model_validate(data)
    read = define(parse_source(to_yaml(declared), "drawn.yaml"), Folder(GOOD)).declaration
    assert read == declared
    assert read.digest == declared.digest
    stored = json.loads(json.dumps(declared.as_data()))
    again = Declaration.model_validate(stored)
    assert again == declared
    assert again.as_data() == declared.as_data() == stored
    assert again.digest == declared.digest


@pytest.mark.parametrize("file", ["renewal.yaml", "review.py"])
def test_printing_twice_gives_the_same_text(file: str) -> None:
    """The printed form is a fixed point."""
    definition = load(GOOD / file)
    text = to_yaml(definition.declaration)
    again = define(parse_source(text, file), definition.folder)
    assert to_yaml(again.declaration) == text
    assert max(map(len, text.splitlines())) <= 120


@given(st.integers(1, 3650 * UNITS["d"]))
def test_a_duration_is_read_back_from_its_spelling(milliseconds: int) -> None:
    """To the millisecond, from one to ten years."""
    spelled = spell(milliseconds / 1000)
    declared = Declaration.model_validate(MINIMAL | {"limits": {"elapsed": spelled}})
    assert declared.limits.elapsed == milliseconds / 1000
    assert declared.as_data()["limits"] == {"elapsed": spelled}
    assert declared == Declaration.model_validate(MINIMAL | {"limits": {"elapsed": f"{milliseconds}ms"}})


HEAD = 'machine: demo\nversion: "1"\ninitial: ask\n'
TWICE = {
    "a target": ("on: {cancelled: fail}", "on: {cancelled: [{to: fail}]}", "on: {cancelled: {to: fail}}"),
    "units": (
        "limits: {elapsed: 10m}",
        "limits: {elapsed: 600s}",
        "limits: {elapsed: 600}",
        "limits: {elapsed: 600000ms}",
    ),
    "defaults": ("limits: {}", "limits: {steps: 1000}", "", "limits: {cost: {}}"),
    "what is expected": ("expects: {elapsed: 10m}", "expects: {elapsed: 600s, interventions: null}"),
    "nothing expected": ("expects: {}", ""),
    "an owner": ("context: {a: {type: str, owner: ask}}", "context: {a: {type: str, owner: [ask]}}"),
    "a type": (
        "context: {a: {type: \"Literal['a', 'b'] | None\", owner: ask}}",
        'context: {a: {type: "Literal[\\"a\\",\\"b\\"]|None", owner: ask}}',
    ),
    "a command": (
        "tools: {a: {shell: \"ls -l 'x y'\", effect: read}}",
        "tools: {a: {shell: [ls, -l, x y], effect: read}}",
    ),
    "styles": (
        "summary: one line",
        "summary: 'one line'",
        'summary: "one line"',
        "summary: >-\n  one\n  line",
    ),
    "order": ("events: {a: {}, b: {x: str, y: int}}", "events: {b: {y: int, x: str}, a: {}}"),
}
WAITS = ("wait: 90s", "wait: 1.5m", "wait: {initial: 90s, factor: 1, cap: 90s}", "wait: 90")


@pytest.mark.parametrize("what", TWICE)
def test_two_spellings_of_one_machine_have_one_digest(what: str) -> None:
    """Short and long forms, units, styles, and what is left at its default."""
    states = "\nstates:\n  ask: {on: {cancelled: fail}}\n  fail: {final: failed}\n"
    digests = {define(parse_source(HEAD + part + states, what), Folder(GOOD)).digest for part in TWICE[what]}
    assert len(digests) == 1


def test_a_wait_has_one_digest_however_it_is_written() -> None:
    """``wait: 90s`` is a back-off that does not grow."""
    texts = [
        f"states:\n  ask: {{{wait}, on: {{elapsed: fail}}}}\n  fail: {{final: failed}}\n" for wait in WAITS
    ]
    assert len({define(parse_source(HEAD + text, "wait"), Folder(GOOD)).digest for text in texts}) == 1


def changes(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield each place of plain data with other values for it; ``...`` stands for its absence."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield (*path, key), ...
            yield from changes(value, (*path, key))
    elif isinstance(data, list):
        yield path, data[1:]
        yield path, [*data, *data[:1]]
        if data != data[::-1]:
            yield path, data[::-1]
        for index, value in enumerate(data):
            yield from changes(value, (*path, index))
    elif isinstance(data, bool):
        yield path, not data
    elif isinstance(data, int | float):
        yield path, data + 1
    elif isinstance(data, str):
        yield path, data + "1"
        yield path, {"1s": "2s", "read": "write", "none": "full", "failed": "succeeded"}.get(data, "x")


def test_every_change_of_meaning_changes_the_digest() -> None:
    """Each value of a machine changed, dropped or moved is another machine, or none."""
    first = load(GOOD / "renewal.yaml").declaration
    digests, accepted = {first.digest}, 0
    for path, value in changes(first.as_data()):
        data = copy.deepcopy(first.as_data())
        inner: Any = data
        for key in path[:-1]:
            inner = inner[key]
        if value is ...:
            del inner[path[-1]]
        else:
            inner[path[-1]] = value
        if data == first.as_data():
            continue
        try:
            other = Declaration.model_validate(data)
        except ValidationError:
            continue
        accepted += 1
        assert (other.digest == first.digest) == (other == first), path
        assert other != first, path
        digests.add(other.digest)
    assert accepted > 150
    assert len(digests) > accepted * 0.8
