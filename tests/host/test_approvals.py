"""Approvals end to end: keys, policy, signed decisions, and what does not count."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from statemachine.approvals.decision import Decision, signed
from statemachine.approvals.enrolling import enrol
from statemachine.approvals.keys import load_key, make_key
from statemachine.approvals.policy import read_policy
from statemachine.errors import EventRefused, InvalidKey, InvalidPolicy
from statemachine.host.runtime import Runtime
from statemachine.host.view import RunView

Write = Callable[[str], Path]
MACHINE = """
machine: pays
version: "1"
context:
  world: {type: path, owner: operator}
  why: {type: str, owner: operator, default: "it is due"}
tools:
  pay:
    python: "tools.py:write"
    effect: write
    reversibility: none
    idempotent: false
    timeout: 5s
    summary: Pay the vendor.
    blast_radius: one account
initial: pay
states:
  pay:
    do: pay
    approval: {approvers: [legal], expires: 1h}
    reasoning: why
    on: {done: complete, failed: fail, denied: fail}
  complete: {final: succeeded}
  fail: {final: failed}
"""
NOW = 1_800_000_000.0


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> float:
        """Return the time."""
        return self.at


class Office:
    """A folder with a machine, a policy and two approvers, ann (legal) and bob (nothing)."""

    def __init__(self, file: Path, policy: str = "") -> None:
        self.file, self.folder, self.clock = file, file.parent, Clock()
        self.keys = {name: make_key(name, self.folder / "keys") for name in ("ann", "bob")}
        people = "".join(
            f'  {name}: {{key: "{public}", roles: [{role}]}}\n'
            for (name, (_, public)), role in zip(self.keys.items(), ("legal", "sales"), strict=True)
        )
        (self.folder / "policy.yaml").write_text(f"approvers:\n{people}{policy}")

    def runtime(self, starter: str = "carl") -> Runtime:
        """Return a runtime whose runs carl starts."""
        return Runtime(self.folder / "runs.db", clock=self.clock, starter=starter)

    def world(self) -> list[str]:
        """Return what was paid."""
        return (self.folder / "world.txt").read_text().split()

    def sign(
        self, runtime: Runtime, view: RunView, name: str = "ann", verdict: Any = "approve", **more: Any
    ) -> Decision:
        """Return a decision on the open request of a run, signed."""
        asked, _ = runtime.desk.request(f"{view.run}:3")
        key = load_key(self.keys[name][0])
        return signed(
            asked, verdict, name, key, **{"now": self.clock.at, "until": self.clock.at + 60, **more}
        )


def act(office: Office, work: Callable[[Runtime, RunView], Any], starter: str = "carl") -> None:
    """Start the run, and work on its request."""

    async def go() -> None:
        async with office.runtime(starter) as runtime:
            view = await runtime.start(office.file, {"world": str(office.folder / "world.txt")})
            assert (view.status, view.waiting.partition(",")[0]) == ("waiting", "approval of pay")
            await work(runtime, view)

    asyncio.run(go())


def test_a_signed_yes_lets_exactly_that_call_through_once(machine: Write) -> None:
    """The same signature again finds no open request."""
    office = Office(machine(MACHINE))

    async def work(runtime: Runtime, view: RunView) -> None:
        decision = office.sign(runtime, view, reason="fine")
        done = await runtime.decide(decision)
        assert (done.status, office.world()) == ("succeeded", [f"{view.run}:{view.seq if False else 6}"])
        with pytest.raises(EventRefused, match="no longer open"):
            await runtime.decide(decision)
        assert len(office.world()) == 1

    act(office, work)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"name": "bob"}, "bob is not among those who may: legal"),
        ({"until": NOW}, "has expired"),
    ],
)
def test_a_decision_of_the_wrong_person_or_time_does_not_count(machine: Write, change: Any, why: str) -> None:
    """It is refused when it is handed in, and the request stays open."""
    office = Office(machine(MACHINE))

    async def work(runtime: Runtime, view: RunView) -> None:
        with pytest.raises(EventRefused, match=why):
            await runtime.decide(office.sign(runtime, view, **change))
        assert (runtime.status(view.run).status, office.world()) == ("waiting", [])

    act(office, work)


@pytest.mark.parametrize(
    "part", ["request", "digest", "machine", "verdict", "approver", "nonce", "until", "signature"]
)
def test_a_decision_that_was_changed_does_not_count(machine: Write, part: str) -> None:
    """Whatever part of it, also when it is put into the inbox by hand: it is noted as void, and nothing is paid."""
    office = Office(machine(MACHINE))

    async def work(runtime: Runtime, view: RunView) -> None:
        decision = office.sign(
            runtime, view, "bob" if part == "approver" else "ann", "deny" if part == "verdict" else "approve"
        )
        changed = {"verdict": "approve", "approver": "ann", "until": NOW + 9e9}.get(
            part, f"{getattr(decision, part)}0"
        )
        forged = replace(decision, **{part: changed})
        with pytest.raises(EventRefused):
            await runtime.decide(forged)
        data = forged.as_data() | {"request": decision.request}
        runtime.store.post(view.run, "approval.decided", {"payload": data, "by": "x"}, office.clock.at)
        after = await runtime.resume(view.run)
        if part == "request":  # the payload names the right one again: the signature is whole
            return
        assert (after.status, office.world()) == ("waiting", [])
        assert [b["result"] for k, b in _records(runtime, view.run) if k == "approval_decided"] == ["void"]

    act(office, work)


def _records(runtime: Runtime, run: str) -> list[tuple[str, Any]]:
    return [(r.kind, json.loads(r.body)) for r in runtime.store.records(run)]


def test_who_started_a_run_does_not_approve_its_calls(machine: Write) -> None:
    """Even in the right role."""
    office = Office(machine(MACHINE))

    async def work(runtime: Runtime, view: RunView) -> None:
        with pytest.raises(EventRefused, match="ann started the run"):
            await runtime.decide(office.sign(runtime, view))

    act(office, work, starter="ann")


def test_a_decision_for_one_run_is_worth_nothing_in_another(machine: Write) -> None:
    """It names its request, which names its run."""
    office = Office(machine(MACHINE))

    async def work(runtime: Runtime, view: RunView) -> None:
        other = await runtime.start(office.file, {"world": str(office.folder / "world.txt")})
        data = office.sign(runtime, view).as_data() | {"request": f"{other.run}:3"}
        runtime.store.post(other.run, "approval.decided", {"payload": data, "by": "x"}, office.clock.at)
        assert (await runtime.resume(other.run)).status == "waiting"
        assert office.world() == []

    act(office, work)


def test_somebody_who_left_approves_nothing_even_if_they_signed_before(machine: Write) -> None:
    """The policy is asked at the moment of use."""
    office = Office(machine(MACHINE))

    async def work(runtime: Runtime, view: RunView) -> None:
        data = office.sign(runtime, view).as_data()
        runtime.store.post(view.run, "approval.decided", {"payload": data, "by": "ann"}, office.clock.at)
        (office.folder / "policy.yaml").write_text("{}")
        assert (await runtime.resume(view.run)).status == "waiting"
        assert office.world() == []

    act(office, work)


FREEZE = 'freeze:\n  - {from: "2027-01-15T07:00", until: "2027-01-15T08:30", because: the books are closed}\n'


def test_a_freeze_holds_an_approved_call_until_it_is_over(machine: Write) -> None:
    """And then it goes on by itself."""
    office = Office(machine(MACHINE), FREEZE)

    async def work(runtime: Runtime, view: RunView) -> None:
        runtime.patience = 0
        nonsense = {"payload": {"request": f"{view.run}:3", "verdict": "approve"}, "by": "eve"}
        runtime.store.post(view.run, "approval.decided", nonsense, NOW)
        held = await runtime.decide(office.sign(runtime, view, until=NOW + 3600))
        assert (held.waiting, held.due, office.world()) == ("a freeze to end, to call pay", NOW + 1800, [])
        office.clock.at += 1800
        assert (await runtime.resume(view.run)).status == "succeeded"

    act(office, work)


@pytest.mark.parametrize("lapse", ["expired", "left"])
def test_a_yes_is_verified_again_when_the_call_that_it_is_for_is_made(machine: Write, lapse: str) -> None:
    """After a freeze a signature may have run out, or its signer have left: people are asked anew then."""
    office = Office(machine(MACHINE), FREEZE)

    async def work(runtime: Runtime, view: RunView) -> None:
        runtime.patience = 0
        await runtime.decide(office.sign(runtime, view, until=NOW + (60 if lapse == "expired" else 3600)))
        if lapse == "left":
            (office.folder / "policy.yaml").write_text("{}")
        office.clock.at += 1800
        asked = await runtime.resume(view.run)
        assert (asked.waiting, office.world()) == ("approval of pay", [])
        first, second = [body for kind, body in _records(runtime, view.run) if kind == "approval_requested"]
        assert (first["input"], first["request"] != second["request"]) == (second["input"], True)
        *_, void = [body for kind, body in _records(runtime, view.run) if kind == "approval_decided"]
        why = "ann said yes, and it has expired"
        why = why if lapse == "expired" else "ann said yes, and ann is no approver of the policy"
        assert (void["result"], void["because"]) == ("void", why)

    act(office, work)


def test_people_are_told_after_the_request_is_committed_and_once(machine: Write) -> None:
    """In each way that the policy names; one that fails is journaled and holds up nothing."""
    office = Office(
        machine(MACHINE), 'notify: [{file: TOLD}, {shell: ["false"]}]\n'.replace("TOLD", "told.jsonl")
    )
    os.chdir(office.folder)

    async def work(runtime: Runtime, view: RunView) -> None:
        (told,) = [json.loads(line) for line in (office.folder / "told.jsonl").read_text().splitlines()]
        assert (told["request"], told["agent_says"]["reasoning"]) == (f"{view.run}:3", "it is due")
        (body,) = [b for k, b in _records(runtime, view.run) if k == "approval_announced"]
        assert body["told"] == ["file told.jsonl"]
        (failed,) = body["untold"]
        assert (failed["way"], failed["attempt"], failed["error"]) == ("shell false", 1, "exit status 1")
        await runtime.resume(view.run)
        assert len((office.folder / "told.jsonl").read_text().splitlines()) == 1

    act(office, work)


def test_people_are_told_by_a_web_server(machine: Write) -> None:
    """It gets the request as JSON; one that answers with an error, or not at all, is journaled as that."""
    got: list[dict[str, Any]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200 if self.path == "/ok" else 500)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    Thread(target=server.serve_forever, daemon=True).start()
    at = f"http://127.0.0.1:{server.server_address[1]}"
    nobody = "http://127.0.0.1:9/nobody"
    hooks = f"notify: [{{webhook: '{at}/ok'}}, {{webhook: '{at}/bad'}}, {{webhook: '{nobody}'}}]\n"
    office = Office(machine(MACHINE), hooks)

    async def work(runtime: Runtime, view: RunView) -> None:
        (body,) = [b for k, b in _records(runtime, view.run) if k == "approval_announced"]
        bad, gone = body["untold"]
        assert body["told"] == ["webhook 127.0.0.1"]
        assert (bad["way"], bad["error"]) == (
            "webhook 127.0.0.1 (2)",
            "HTTP Error 500: Internal Server Error",
        )
        assert gone["way"] == "webhook 127.0.0.1 (3)"
        assert [(told["request"], told["tool"]) for told in got] == [(f"{view.run}:3", "pay")] * 2

    try:
        act(office, work)
    finally:
        server.shutdown()
        server.server_close()


def test_a_policy_that_is_wrong_says_where(machine: Write) -> None:
    """With the line and a caret."""
    office = Office(
        machine(MACHINE), "freeze:\n  - {from: yesterday, until: fri 16:00}\n  - {from: a, untill: b}\n"
    )

    async def work(runtime: Runtime, view: RunView) -> None:
        with pytest.raises(InvalidPolicy, match=r"policy.yaml:5:5: error\[SM150\].*\n.*yesterday") as error:
            runtime.desk.policy  # noqa: B018
        assert "untill" in str(error.value)

    with pytest.raises(InvalidPolicy):
        act(office, work)


def test_a_private_key_is_its_owners_alone(tmp_path: Path) -> None:
    """It is made so, never written over, and not used when others may read it."""
    path, public = make_key("ann", tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert public.startswith("ed25519:")
    with pytest.raises(InvalidKey, match="is there already"):
        make_key("ann", tmp_path)
    path.chmod(0o644)
    with pytest.raises(InvalidKey, match="others may read"):
        load_key(path)
    with pytest.raises(InvalidKey, match="statemachine key new"):
        load_key(tmp_path / "nobody.key")


@pytest.mark.parametrize("name", ["", "Ann", "ann/key", "ann smith", "../ann"])
def test_a_key_has_a_name_that_a_policy_can_have(tmp_path: Path, name: str) -> None:
    """Another would make the policy one that nobody can read, or lie somewhere else."""
    with pytest.raises(InvalidKey, match="cannot name a person: a name is lower case letters"):
        make_key(name, tmp_path / "keys")
    assert not list(tmp_path.iterdir())


def test_a_person_is_put_into_a_policy_that_stays_as_it_is(tmp_path: Path) -> None:
    """Its comments too; somebody of that name stays who they are."""
    policy = tmp_path / "new" / "policy.yaml"
    enrol(policy, "ann", make_key("ann", tmp_path)[1], ["legal"])
    policy.write_text(f"# who may\n{policy.read_text()}by_time: [copy]  # harmless\n")
    enrol(policy, "bob", make_key("bob", tmp_path)[1], [])
    assert "# who may\n" in policy.read_text()
    assert "# harmless" in policy.read_text()
    read = read_policy(policy)
    assert {name: person.roles for name, person in read.approvers.items()} == {"ann": ("legal",), "bob": ()}
    with pytest.raises(InvalidKey, match="has ann already"):
        enrol(policy, "ann", make_key("eve", tmp_path)[1], [])


def test_the_commands_lead_from_a_key_to_a_paid_bill(machine: Write) -> None:
    """What an approver sees says what, on what, why, how far it reaches and what happens if nobody answers."""
    file = machine(MACHINE)
    place = {
        **os.environ,
        "STATEMACHINE_KEYS": str(file.parent / "keys"),
        "STATEMACHINE_DB": str(file.parent / "runs.db"),
    }

    def say(*words: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "statemachine", *words],
            capture_output=True,
            text=True,
            env=place,
            cwd=file.parent,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    public = json.loads(say("key", "new", "ann", "--json"))["public"]
    (file.parent / "policy.yaml").write_text(f'approvers: {{ann: {{key: "{public}", roles: [legal]}}}}\n')
    told = say("run", "machine.yaml", "-i", "world=world.txt", code=3)
    assert "approvals show" in told
    assert "pays: pay" in say("approvals")
    run = json.loads(say("approvals", "--json"))[0]["run"]
    shown = say("approvals", "show", run[:6])
    for part in (
        "Pay the vendor.",
        "IRREVERSIBLE",
        "one account",
        "“it is due”",
        "the agent's own words; nobody has checked them",
        "1 of legal",
        "it is denied at",
        "given by",
    ):
        assert part in shown
    assert "no approver" in say(
        "approvals", "approve", run, "--as", "bob", "--key", str(file.parent / "keys/ann.key"), code=2
    )
    assert "succeeded" in say("approvals", "approve", run, "--as", "ann", "--reason", "ok")
    story = say("journal", run)
    assert "asks legal to approve pay" in story
    assert f"ann approves request {run}:3: ok" in story
    assert "no open request" in say("approvals", "deny", run, "--as", "ann", code=2)
