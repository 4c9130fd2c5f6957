"""What is said of a machine is never contradicted by the kernel, and what the kernel stumbles over has been said."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from statemachine.check import contracts, data, guards
from statemachine.kernel import Event, PendingCall, start, step
from statemachine.kernel.events import RECOVER, RESOLVE
from statemachine.kernel.receipt import Receipt
from statemachine.machine.definition import REFUSED, Definition
from statemachine.machine.load import load
from statemachine.machine.model import Declaration
from statemachine.machine.resolve import resolve
from tests.check.explorer import possible
from tests.check.random_machines import random_machine
from tests.kernel.driving import BAD, FOLDER

GUARDS = (
    "n > 2",
    "n <= 2",
    "n > 1 && n < 3",
    "answer.ok",
    "answer.size > 2",
    "size > 1",
    "size < 3 && size > 0",
    "known.answer && answer.ok",
    "known.size ? size > 0 : n > 1",
    "!known.answer || answer.size >= 3",
    "known.failure",
    "known.failure && failure.class == 'timeout'",
    "event.name == 'done'",
    "n + size > 3",
    "history.failed.look < 1",
    "history.failed.look + history.failures.transient > 0",
    "history.standing.put >= 0 && history.succeeded.look <= 1",
)
SAVES: tuple[dict[str, str], ...] = ({}, {"answer": "output"}, {"size": "output.size"})


def machine(seed: int) -> Definition:
    """Return a random machine whose calls write fields and whose guards read them."""
    chance = random.Random(seed)
    plain = random_machine(seed, guards=True).declaration.as_data()
    # Where nothing calls there are no fields to write.
    usable = [g for g in GUARDS if "answer" in plain["context"] or not ("answer" in g or "size" in g)]
    for state in plain["states"].values():
        if "do" in state:
            state.pop("with", None)
            state["save"] = chance.choice(SAVES)
        for table in (state.get("on", {}), {"always": state.get("always", [])}):
            for transition in (t for listed in table.values() for t in listed):
                if "when" in transition:
                    transition["when"] = chance.choice(usable)
    return resolve(Declaration.model_validate(plain), FOLDER)


def receipts(definition: Definition, seed: int) -> Iterator[Receipt]:
    """Yield what happens in some runs that meet random events."""
    chance = random.Random(seed)
    for _ in range(12):
        snapshot = start(definition, "run", {"n": chance.randint(1, 3)}, 0.0).snapshot
        for _ in range(30):
            events = list(possible(definition, snapshot))
            if not events:
                break
            event, now = chance.choice(events)
            if event.outcome is not None and event.outcome.output is not None and chance.random() < 0.5:
                event = event._replace(outcome=replace(event.outcome, output=BAD))
            done = step(definition, snapshot, event, now)
            snapshot = done.snapshot
            yield done.receipt


def said(definition: Definition) -> dict[str, set[tuple[Any, ...]]]:
    """Return the paths at which each rule has found something."""
    found: dict[str, set[tuple[Any, ...]]] = {}
    for part in (guards, contracts, data):
        for finding in part.check(definition):
            found.setdefault(finding.code, set()).add(finding.path)
    return found


def places(definition: Definition, receipt: Receipt) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Yield each candidate of a receipt with the path at which it is declared."""
    edges = definition.candidates(receipt.state, receipt.event)
    failed = [number for number, candidate in enumerate(receipt.candidates, 1) if candidate.verdict is None]
    if failed:  # what answers a guard that fails is asked after it
        edges = (*edges[: failed[0]], *definition.candidates(receipt.state, REFUSED))
    index: dict[str, int] = {}
    for number, (candidate, edge) in enumerate(zip(receipt.candidates, edges, strict=False)):
        if failed and number == failed[0]:
            index.clear()
        place = index[edge.event] = index.get(edge.event, -1) + 1
        above = ("states", receipt.state) if edge.event in definition.edges[receipt.state] else ()
        on = () if edge.event == "always" else ("on",)
        yield candidate, (*above, *on, edge.event, place)


def disagreements(definition: Definition, seed: int) -> Iterator[str]:
    """Yield where the kernel does what the checker says it cannot, or stumbles where it said nothing."""
    found = said(definition)
    for receipt in receipts(definition, seed):
        if receipt.verdict not in ("taken", "denied", "guard_error", "unknown"):
            continue
        for candidate, path in places(definition, receipt):
            when = (*path, "when")
            if candidate.verdict and not ({path, when}).isdisjoint(
                found.get("SM301", set()) | found.get("SM302", set())
            ):
                yield f"{path} is taken: {candidate}"
            if candidate.verdict is not True and when in found.get("SM303", set()):
                yield f"{path} does not always hold: {candidate}"
            if candidate.error.startswith("no value for") and when not in found.get("SM501", set()):
                yield f"{path} reads what is not there: {candidate}"
        doubted = receipt.event == "failed.in_doubt"  # which a person has decided, or undone
        if receipt.instead == "otherwise" and receipt.verdict == "denied" and not doubted:
            listed = found.get("SM304", set()) | {path[:-2] for path in found.get("SM306", set())}
            if not any(path[:-1] in listed for _, path in places(definition, receipt)):
                yield f"no guard holds: {receipt}"
        if receipt.instead == "otherwise" and receipt.verdict == "unknown":
            routes = {"timeout": "SM403", "failed": "SM401"}
            code = routes.get(receipt.event.partition(".")[0])
            if (
                code
                and not doubted
                and not any(p[:2] == ("states", receipt.state) for p in found.get(code, ()))
            ):
                yield f"no transition takes it: {receipt}"


@pytest.mark.parametrize("block", range(4))
def test_no_run_contradicts_what_is_said_of_its_machine(block: int) -> None:
    """A transition that is never taken is not, a guard that always holds does, and no value is missing unsaid."""
    for seed in range(block * 15, block * 15 + 15):
        assert list(disagreements(machine(seed), seed)) == [], seed


@pytest.mark.long
def test_no_run_of_many_machines_contradicts_what_is_said_of_them() -> None:
    """The same for a thousand more."""
    for seed in range(1000, 2000):
        assert list(disagreements(machine(seed), seed)) == [], seed


@pytest.mark.parametrize(
    ("name", "ends", "because"),
    [
        ("untold_output", "failed", "answer"),
        ("untold_output_null", "a", ""),
        ("untold_output_guard", "b", "guard `output"),
        ("untold_output_sufficient", "failed", "not sufficient: no value for output"),
        ("untold_output_context", "a", ""),
    ],
)
def test_a_call_of_which_only_a_probe_knows_that_it_happened_gives_no_output(
    name: str, ends: str, because: str
) -> None:
    """As SM408 says: what must be saved from it cannot be, and what asks for it cannot be decided."""
    definition = load(Path(__file__).parent / "corpus" / f"{name}.yaml")
    given = {"wanted": True} if "wanted" in definition.types else {}
    sent = start(definition, "run", given, 0.0).snapshot
    assert isinstance(sent.pending, PendingCall)
    asked = step(definition, sent, Event(RECOVER, key=sent.pending.key), 1.0).snapshot
    answer = Event(RESOLVE, {"happened": True}, key=sent.pending.key, by="probe ask")
    made = step(definition, asked, answer, 2.0)
    assert made.snapshot.state == ends
    assert because in made.snapshot.because
