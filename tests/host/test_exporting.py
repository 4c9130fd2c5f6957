"""Two records of each call: what compliance is told holds no payload, what engineers are told holds all of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given

from statemachine.host.erasing import erase
from statemachine.host.exporting import COMPLIANCE, TECHNICAL, export_calls
from statemachine.host.runtime import Runtime
from statemachine.host.view import RunView
from statemachine.machine.definition import Definition
from statemachine.store import Store
from tests.host.test_approvals import MACHINE, Office, act
from tests.host.test_replay import check, stored
from tests.host.test_replay import template as template
from tests.kernel.strategies import Moves, runs

CANARY = "canary-7f3a"
SAYING = MACHINE.replace(
    "    summary: Pay", "    says: Paid the vendor\n    modifies: [account]\n    summary: Pay"
)


def test_compliance_is_told_who_let_a_call_through_and_no_payload(machine: Callable[[str], Path]) -> None:
    """The canary lies in the context and in the input; the technical record has the input."""
    office = Office(machine(SAYING.replace('"it is due"', f'"{CANARY}"')))

    async def work(runtime: Runtime, view: RunView) -> None:
        await runtime.decide(office.sign(runtime, view, reason=CANARY))
        (call,) = export_calls(runtime.store, view.run, "compliance")
        assert tuple(call) == COMPLIANCE
        assert (call["authorised_by"], call["authorised_how"], call["outcome"]) == (
            "ann",
            "signed",
            "success",
        )
        assert (call["sentence"], call["modifies"]) == ("Paid the vendor", ["account"])
        assert (call["state"], call["request"]) == ("pay", f"{view.run}:3")
        text = json.dumps(call)
        assert CANARY not in text
        assert str(office.folder) not in text
        (technical,) = export_calls(runtime.store, view.run, "technical")
        assert tuple(technical) == TECHNICAL
        assert technical["input"]["world"] == str(office.folder / "world.txt")
        assert technical["output"] == 1

    act(office, work)


def test_a_sentence_tells_the_inputs_that_it_names(machine: Callable[[str], Path]) -> None:
    """And an open request is no call yet."""
    office = Office(machine(SAYING.replace("Paid the vendor", "Paid by {world}")))

    async def work(runtime: Runtime, view: RunView) -> None:
        assert list(export_calls(runtime.store, view.run, "compliance")) == []
        await runtime.decide(office.sign(runtime, view))
        (call,) = export_calls(runtime.store, view.run, "compliance")
        assert call["sentence"] == f"Paid by {office.folder / 'world.txt'}"

    act(office, work)


@pytest.mark.damages_journals  # what is erased cannot be replayed
@given(runs())
@check
def test_compliance_does_not_depend_on_payload(template: Path, case: tuple[Definition, Moves]) -> None:
    """Of any run it holds the fields of its list and no other, and says the same when all payload is erased."""
    with stored(template, *case) as path, Store.open(path) as store:
        told = list(export_calls(store, "run", "compliance"))
        assert all(tuple(call) == COMPLIANCE for call in told)
        if store.load("run").finished is None or case[1][-1][2].snapshot.reviews:
            return
        erase(store, "run", reason="asked for", by="carl", now=2e9)
        left = list(export_calls(store, "run", "compliance"))
        assert [call | {"erased": ""} for call in left] == told
