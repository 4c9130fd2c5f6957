"""People are told of a request again where that failed: by real commands, in real processes, also after a kill."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from statemachine.host.places import policy_file
from statemachine.host.runtime import Runtime
from statemachine.host.view import RunView
from statemachine.monitor import measured, warnings
from tests.host.test_approval_clock import until
from tests.host.test_approvals import MACHINE, NOW, Office
from tests.host.test_standstill import why

Write = Callable[[str], Path]
COUNT = "echo $$ >> mail.txt; test $(wc -l < mail.txt) -gt 2"


def announced(runtime: Runtime, run: str) -> list[dict[str, Any]]:
    """Return what was journaled of who was told."""
    return [json.loads(r.body) for r in runtime.store.records(run, kind="approval_announced")]


def statemachine(folder: Path, *words: str) -> list[str]:
    """Return a command on the store in a folder."""
    return [sys.executable, "-m", "statemachine", *words, "--db", str(folder / "runs.db")]


def said(folder: Path, *words: str) -> str:
    """Return what a command prints."""
    done = subprocess.run(
        statemachine(folder, *words), cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout


async def asking(office: Office) -> RunView:
    """Start a run that asks, as its folder's own process would."""
    async with Runtime(office.folder / "runs.db", starter="carl") as runtime:
        return await runtime.start(office.file, {"world": str(office.folder / "world.txt")})


def test_a_worker_tells_again_what_failed_twice_and_never_what_worked(
    machine: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a command that works at its third try; meanwhile a worker is killed between two of them."""
    policy = (
        f"notify:\n  - {{name: mail, shell: [sh, -c, '{COUNT}'], retry: {{initial: 300ms}}}}\n"
        "  - {file: told.jsonl}\n"
    )
    office = Office(machine(MACHINE), policy)
    folder, mails = office.folder, office.folder / "mail.txt"
    monkeypatch.chdir(folder)
    view = asyncio.run(asking(office))
    assert len(mails.read_text().splitlines()) == 1
    assert "nobody could be told by mail since" in said(folder, "status", view.run)
    words = statemachine(folder, "worker", "--poll", "0.05")
    for tries in (2, 3):
        with subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL) as worker:
            try:
                until(lambda tries=tries: len(mails.read_text().splitlines()) >= tries)
                if tries == 3:
                    until(lambda: "not told" not in said(folder, "status", view.run))
            finally:
                os.kill(worker.pid, signal.SIGKILL if tries == 2 else signal.SIGTERM)
    with Runtime(folder / "runs.db").store as store:
        bodies = [json.loads(r.body) for r in store.records(view.run, kind="approval_announced")]
    assert bodies[0]["told"] == ["file told.jsonl"]
    assert bodies[-1] == {"request": f"{view.run}:3", "told": ["mail"]}
    # The kill may have come before the second try was noted: it is made once more then, and the third is the good one.
    assert len(mails.read_text().splitlines()) in (3, 4)
    assert len((folder / "told.jsonl").read_text().splitlines()) == 1


def test_it_is_given_up_after_so_many_tries_and_said_so(machine: Write) -> None:
    """On a clock of its own; the request waits all the same, `stats` warns, and the journal does not grow on."""
    office = Office(machine(MACHINE), "notify: [{name: mail, shell: ['false'], retry: {max: 2}}]\n")

    async def go() -> None:
        async with office.runtime() as runtime:
            view = await runtime.start(office.file, {"world": str(office.folder / "world.txt")})
            (warning,) = [w for w in warnings(measured(runtime.store, NOW)) if w.code == "untold"]
            assert warning.says.startswith("1 request could not be told")
            for wait, tries in ((9, 1), (1, 2), (19, 2), (1, 3), (3000, 3)):
                office.clock.at += wait
                await runtime.resume(view.run)
                assert len(announced(runtime, view.run)) == tries
            (mail,) = why(runtime, view.run, NOW + 3030).untold
            assert (mail.way, mail.since, mail.attempt, mail.again) == ("mail", NOW, 3, 0.0)
            done = await runtime.decide(office.sign(runtime, view))
            assert done.status == "succeeded"

    asyncio.run(go())


def test_what_the_policy_names_no_more_is_not_tried_again(machine: Write) -> None:
    """And one that was mended works, by the same name."""
    office = Office(
        machine(MACHINE), "notify: [{name: mail, shell: ['false']}, {name: chat, shell: ['false']}]\n"
    )

    async def go() -> None:
        async with office.runtime() as runtime:
            view = await runtime.start(office.file, {"world": str(office.folder / "world.txt")})
            text = (office.folder / "policy.yaml").read_text()
            (office.folder / "policy.yaml").write_text(
                text.replace("{name: mail, shell: ['false']}", "{name: mail, shell: ['true']}").replace(
                    ", {name: chat, shell: ['false']}", ""
                )
            )
            office.clock.at += 10
            await runtime.resume(view.run)
            body = announced(runtime, view.run)[-1]
            assert body["told"] == ["mail"]
            gone = {"way": "chat", "attempt": 2, "error": "the policy names it no more"}
            assert body["untold"] == [gone]

    asyncio.run(go())


def test_one_that_hangs_keeps_nobody_else_from_being_told(machine: Write) -> None:
    """All are told at once."""
    ways = ", ".join("{shell: [sleep, '1']}" for _ in range(6))
    office = Office(machine(MACHINE), f"notify: [{ways}]\n")

    async def go() -> None:
        async with office.runtime() as runtime:
            began = time.monotonic()
            view = await runtime.start(office.file, {"world": str(office.folder / "world.txt")})
            assert time.monotonic() - began < 5
            (body,) = announced(runtime, view.run)
            assert body["told"] == ["shell sleep", *(f"shell sleep ({n})" for n in range(2, 7))]

    asyncio.run(go())


def test_the_policy_lies_beside_the_store_however_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a path or a URL; the environment names another."""
    monkeypatch.delenv("STATEMACHINE_POLICY", raising=False)
    for place in (
        tmp_path / "runs.db",
        f"sqlite:///{tmp_path}/runs.db",
        f"sqlite:///{tmp_path}/runs.db?timeout=3",
    ):
        assert policy_file(place) == Runtime(str(place)).policy == tmp_path / "policy.yaml"
    monkeypatch.setenv("STATEMACHINE_POLICY", "/etc/policy.yaml")
    assert policy_file(tmp_path / "runs.db") == Path("/etc/policy.yaml")
