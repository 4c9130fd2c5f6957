"""A tool takes secrets by reference; whatever it gives or says, no value of one is in its outcome."""

from __future__ import annotations

import asyncio
import base64
import html
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statemachine import Final, Machine
from statemachine.errors import InvalidMachine
from statemachine.machine.call import Call
from statemachine.machine.load import load
from statemachine.machine.outcome import Failure, Outcome
from statemachine.tools import invoke
from statemachine.tools.secrets import redacted

SECRET = 's3cr/t+K "ey" ü&<\'\\'
MARK = "[redacted: env:CRM_KEY]"
TOOLS = """
import base64
from pydantic import BaseModel, SecretStr
from statemachine import ToolFailure

def echo(form: str, key: str) -> str:
    return {"plain": f"got {key}", "basic": base64.b64encode(f"user:{key}".encode()).decode()}[form]

def nested(key: SecretStr) -> dict[str, list[str]]:
    return {key.get_secret_value(): ["a", f"?token={key.get_secret_value()}"]}

def fails(key: str) -> str:
    raise ToolFailure("transient", f"no answer from https://user:{key}@host/")

def raises(key: str) -> str:
    raise ValueError({"headers": key})

def wrong(key: str) -> int:
    return key

def number(key: str) -> int:
    return int(key)

def unannounced() -> str:
    import os
    return os.environ["CRM_KEY"]
"""
MACHINE = """
machine: one
version: "1"
context: {{form: {{type: str, owner: operator, default: plain}}, out: {{type: any, owner: act}}}}
tools:
  tool: {{{tool}, effect: read, timeout: 5s}}
  other: {{shell: "true", effect: read, timeout: 5s, secrets: {{KEY: "${{env:CRM_KEY}}"}}}}
initial: act
states:
  act: {{do: tool, save: out, on: {{done: complete, failed: fail}}}}
  more: {{do: other, on: {{done: complete, failed: fail}}}}
  complete: {{final: succeeded}}
  fail: {{final: failed}}
"""
SECRETS = 'secrets: {key: "${env:CRM_KEY}"}'


def taking(key: str) -> str:
    """A tool in Python; nothing calls it."""
    return key


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Call the tool of a machine with this contract."""
    (tmp_path / "tools.py").write_text(TOOLS)
    monkeypatch.setenv("CRM_KEY", SECRET)

    def made(tool: str, **inputs: Any) -> Outcome:
        (tmp_path / "machine.yaml").write_text(MACHINE.format(tool=tool))
        definition = load(tmp_path / "machine.yaml")
        about = Call("r:1", "r", 1, 1, 0.0, tmp_path)
        return asyncio.run(invoke(definition, "tool", inputs, about))

    return made


def test_the_value_is_given_to_the_tool_and_taken_out_of_its_output(call: Callable[..., Outcome]) -> None:
    """As text, in the middle of base64, and in the keys of what is nested."""
    echo = f'python: "tools.py:echo", {SECRETS}'
    assert call(echo, form="plain").output == f"got {MARK}"
    basic = call(echo, form="basic").output
    assert MARK in basic
    assert base64.b64encode(SECRET.encode())[4:-4].decode() not in basic
    assert call(f'python: "tools.py:nested", {SECRETS}').output == {MARK: ["a", f"?token={MARK}"]}


@pytest.mark.parametrize("function", ["fails", "raises", "wrong"])
def test_no_error_tells_it(call: Callable[..., Outcome], function: str) -> None:
    """Neither a failure's message, nor an exception that holds it, nor what is said of a wrong output."""
    failure = call(f'python: "tools.py:{function}", {SECRETS}').failure
    assert failure is not None
    assert "s3cr" not in failure.message
    assert function == "wrong" or MARK in failure.message


def test_a_number_that_spells_it_is_no_output(
    call: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of its type could stand in its place."""
    monkeypatch.setenv("CRM_KEY", "81723645")
    failure = call(f'python: "tools.py:number", {SECRETS}').failure
    assert failure is not None
    assert (failure.failure, "81723645" in failure.message) == ("contract", False)


def test_a_command_finds_it_in_its_environment(call: Callable[..., Outcome]) -> None:
    """Not among its words, which everybody on the machine can read; what it prints is redacted, errors too."""
    shell = '[sh, -c, \'printf %s "$key"; test "$key" = "$CRM_KEY"\']'
    assert call(f"shell: {shell}, {SECRETS}").output == MARK
    failure = call(f"shell: [sh, -c, 'echo \"refused: $key\" >&2; exit 77'], {SECRETS}").failure
    assert failure is not None
    assert failure.failure == "permission"
    assert failure.message.endswith(f"refused: {MARK}")
    with pytest.raises(InvalidMachine, match="everybody on the machine can read its words"):
        call(f"shell: 'curl -H {{{{key}}}}', {SECRETS}".replace("{{key}}", "{key}"))


def test_a_tool_without_secrets_gives_none_of_the_machine(call: Callable[..., Outcome]) -> None:
    """It may have looked into the environment that another tool's secret comes from."""
    assert call('python: "tools.py:unannounced"').output == MARK


@pytest.mark.parametrize(
    ("value", "why"), [(None, "is not set"), ("", "is not set"), ("abc", "fewer than 6")]
)
def test_without_the_variable_the_call_is_not_made(
    call: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch, value: str | None, why: str
) -> None:
    """It fails with `permission`, and the message names the variable and what takes it."""
    monkeypatch.delenv("CRM_KEY") if value is None else monkeypatch.setenv("CRM_KEY", value)
    failure = call(f'python: "tools.py:raises", {SECRETS}').failure
    assert failure is not None
    assert failure.failure == "permission"
    assert "CRM_KEY" in failure.message
    assert why in failure.message


@pytest.mark.parametrize(
    ("tool", "why"),
    [
        ('python: "tools.py:fails", secrets: {key: hunter2}', r"write \$\{env:NAME\}"),
        ('python: "tools.py:fails", secrets: {keys: "${env:CRM_KEY}"}', "takes no `keys`"),
        (
            'python: "tools.py:echo", secrets: {form: "${env:A}", key: "${env:B}", "a b": "${env:C}"}',
            "letters",
        ),
    ],
)
def test_what_is_no_reference_is_refused(call: Callable[..., Outcome], tool: str, why: str) -> None:
    """At load, with what to write."""
    with pytest.raises(InvalidMachine, match=why):
        call(tool)


def test_a_secret_is_declared_alike_in_python(call: Callable[..., Outcome], tmp_path: Path) -> None:
    """The declaration is the same, and holds the variable's name only."""
    call(f'python: "tools.py:fails", {SECRETS}')

    machine = Machine("one", version="1")
    machine.state("act", initial=True, effect="read", secrets={"key": "${env:CRM_KEY}"}, on={"done": "end"})(
        taking
    )
    machine.add("end", Final.succeeded)
    machine.add("fail", Final.failed)
    made = machine.declaration.tools["act"]
    assert made.secrets == load(tmp_path / "machine.yaml").declaration.tools["tool"].secrets
    assert machine.definition.signatures["act"].input == {}
    assert SECRET not in json.dumps(machine.declaration.as_data())


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=6, max_size=40).filter(
    lambda text: len(text.strip()) >= 6
)
SPELLED: list[Callable[[str], str]] = [
    str,
    repr,
    json.dumps,
    lambda text: json.dumps(json.dumps({"a": text})),
    lambda text: quote(text, safe=""),
    quote_plus,
    html.escape,
    lambda text: text.encode().hex(),
    lambda text: base64.b64encode(text.encode()).decode(),
    lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
]


@given(TEXTS, st.sampled_from(SPELLED), st.text(max_size=5), st.text(max_size=5))
@settings(max_examples=50, deadline=None)
def test_however_it_is_spelled(secret: str, spell: Callable[[str], str], before: str, after: str) -> None:
    """In every form that is promised, between any other text."""
    with pytest.MonkeyPatch.context() as patched:
        try:
            patched.setenv("CANARY", secret)
        except ValueError:
            return  # no environment holds that
        text = f"{before}|{spell(secret)}|{after}"
        found = redacted(Outcome([{"x": text}], failure=Failure("fatal", text)), ["CANARY"])
    assert found.failure is not None
    for told in (found.output[0]["x"], found.failure.message):
        assert "[redacted: env:CANARY]" in told
        assert spell(secret) not in told


@given(st.binary(max_size=9), st.binary(max_size=9), st.booleans())
@settings(max_examples=40, deadline=None)
def test_wherever_it_lies_in_base64(before: bytes, after: bytes, wrapped: bool) -> None:
    """At each offset, also where lines are broken."""
    encode = base64.encodebytes if wrapped else base64.b64encode
    text = encode(before * 9 + b"canary-4711-abcdef" + after).decode()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("CANARY", "canary-4711-abcdef")
        told = redacted(Outcome(text), ["CANARY"]).output
    assert "[redacted: env:CANARY]" in told
    assert b"canary-4711" not in base64.b64decode(told.replace("[redacted: env:CANARY]", "") + "==")


def test_a_secret_that_was_cut_off_is_recognised() -> None:
    """The end of a message may be where it was cut, in the middle of one."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("CANARY", "canary-4711-abcdef")
        failure = redacted(Outcome(failure=Failure("fatal", "said: canary-4711")), ["CANARY"]).failure
    assert failure is not None
    assert failure.message == "said: [redacted: env:CANARY]"
