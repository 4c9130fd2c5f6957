"""The prompt over a pipe: lines in, text or JSON out; every verb does what its help says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from statemachine import Runtime
from statemachine.approvals.keys import default_folder, make_key
from statemachine.host.migrating import migrate
from statemachine.machine.load import load
from statemachine.repl.completion import candidates
from statemachine.repl.debugger import Debugger
from statemachine.repl.path import Visit, folded
from statemachine.repl.session import Session
from statemachine.repl.verbs import VERBS
from statemachine.store import Store
from tests.repl.conftest import world
from tests.repl.test_debugger import begun


async def said(session: Session, *lines: str) -> str:
    """Return the text that lines give."""
    return "\n".join([(await session.say(line))[1].text for line in lines])


def piped(folder: Path, lines: str, *words: object) -> subprocess.CompletedProcess[str]:
    """Run the program with lines on its standard input."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("STATEMACHINE")}
    return subprocess.run(
        [sys.executable, "-m", "statemachine", "repl", *map(str, words)],
        cwd=folder, env=env, input=lines, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_a_script_reads_as_a_session(folder: Path, database: Path) -> None:
    """Each line stands after its prompt; the last words say how to go on."""
    done = piped(folder, "b retry\nc\nwhy\n", "loop.yaml", "-i", "world=world.txt", "--db", database)
    assert done.returncode == 0, done.stderr
    assert "act → write) b retry\nbreakpoint 1: retry\n" in done.stdout
    assert "verdict.ok = false" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("go on with: statemachine repl ")


def test_json_is_one_object_a_line(folder: Path, database: Path) -> None:
    """Also for what cannot be done; the exit code is 2 then."""
    lines = "step\nstep\nfrob\nwhere\nprint lines\nback\nfork\nquit\n"
    done = piped(folder, lines, "loop.yaml", "-i", "world=world.txt", "--db", database, "--json")
    assert done.returncode == 2
    told: list[Any] = [json.loads(line) for line in done.stdout.splitlines()]
    assert [t["verb"] for t in told] == ["step", "step", "frob", "where", "print", "back", "fork", "quit"]
    assert [t["ok"] for t in told] == [True, True, False, True, True, True, True, True]
    assert told[0]["result"]["about"] == {
        "tool": "judge", "effect": "read", "input": {"world": str(folder / "world.txt"), "want": 3}
    }  # fmt: skip
    assert (told[4]["result"], told[5]["result"]["past"]) == (1, True)
    assert told[6]["result"]["run"] != told[0]["result"]["run"]


def test_the_command_fork_names_the_writes_that_it_would_repeat(folder: Path, database: Path) -> None:
    """And makes nothing; allowed, it makes a run of its own that `resume` drives."""
    done = piped(folder, "c\n", "loop.yaml", "-i", "world=world.txt", "--db", database, "--json")
    run = json.loads(done.stdout.splitlines()[0])["result"]["run"]

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "statemachine", *words, "--db", str(database)]
        return subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False, timeout=60)

    refused = command("fork", run, "--at", "2")
    assert refused.returncode == 2
    assert "made 3 writes after record 2" in refused.stderr
    made = json.loads(command("fork", run[:6], "--at", "2", "--repeat-writes", "--json").stdout)
    assert made["parent"] == {"run": run, "seq": 2}
    assert command("resume", made["run"]).returncode == 0
    assert f"forked off run {run} at its record 2" in command("journal", made["run"]).stdout
    assert "forked:    off" in command("status", made["run"]).stdout
    assert len(world(folder)) == 4  # three, and one that found them done


def test_what_was_said_can_be_said_again(folder: Path, database: Path) -> None:
    """`save` writes the lines that worked, `source` does them."""
    first = piped(
        folder, "s\nfrob\ns\nsave said.txt\n", "loop.yaml", "-i", "world=world.txt", "--db", database
    )
    assert "wrote 2 lines to said.txt" in first.stdout
    again = piped(folder, "source said.txt\n", "loop.yaml", "-i", "world=world.txt", "--db", database)
    assert "act --done--> validate" in again.stdout
    assert "validate --done--> " in again.stdout


def test_a_run_that_is_not_there_is_told(folder: Path, database: Path) -> None:
    """No prompt, and exit code 2."""
    Store.open(database).close()
    done = piped(folder, "", "nosuchrun", "--db", database)
    assert (done.returncode, "there is no run" in done.stderr) == (2, True)


async def test_each_verb_has_help_with_an_example(folder: Path, database: Path) -> None:
    """Short forms are all different, and a name may be shortened while it is the only one."""
    async with await begun(folder, database) as debugger:
        session = Session(debugger)
        for verb in VERBS:
            text = await said(session, f"help {verb.name}")
            assert "Example: " in text
            assert session.verb(verb.example.split()[0]) is verb
        shorts = [verb.short for verb in VERBS if verb.short]
        assert len(shorts) == len(set(shorts))
        assert session.verb("unt").name == "until"


async def test_an_empty_line_repeats(folder: Path, database: Path) -> None:
    """What moves is repeated; what only tells is not."""
    async with await begun(folder, database) as debugger:
        session = Session(debugger)
        await said(session, "s", "", "")
        assert debugger.snapshot.state == "act"
        await said(session, "where", "")
        assert debugger.snapshot.state == "act"


async def test_what_is_asked_is_told(folder: Path, database: Path) -> None:
    """Of a state between two calls, with its guards, its events and its source."""
    async with await begun(folder, database) as debugger:
        session = Session(debugger)
        await said(session, "s")
        assert "not known done → complete  when verdict.ok" in await said(session, "guards")
        assert "no value for verdict.ok" in await said(session, "why not complete")
        await said(session, "s")
        told = await said(session, "why")
        assert "no        done → complete  when verdict.ok" in told
        assert "verdict.ok = false" in told
        assert "it is reached from validate on done" in await said(session, "why not complete")
        assert await said(session, "events") == "cancelled  → fail"
        assert await said(session, "print want - lines") == "2"
        assert await said(session, "display want > 2") == "1: want > 2 = true"
        assert "1: want > 2 = true" in await said(session, "s")
        assert "→   retry:" in await said(session, "list retry")
        assert "calls" in await said(session, "info limits")
        assert "write, partly reversible, not idempotent" in await said(session, "info tools")
        assert "retry                choice  1/5" in await said(session, "info states")
        told = await said(session, "info fields")
        assert re.search(
            r"^lines                int, owner act, by act from write, \d+ s old$", told, re.MULTILINE
        )
        assert "write" in await said(session, "calls")
        assert "> | act" in await said(session, "diagram")
        assert "+ lines = 1" in await said(session, "diff 2")
        assert "let go by ann" in await said(session, "journal 9")
        assert "continue: " in await said(session, "explain")


async def test_fields_are_shown_with_their_age_and_what_is_stale(folder: Path, database: Path) -> None:
    """As of where the debugger is."""
    waits = folder / "waits.yaml"
    waits.write_text(waits.read_text().replace('default: "none"', 'default: "none", fresh_for: 1ms'))
    async with await begun(folder, database, "waits.yaml") as debugger:
        told = await said(Session(debugger), "info fields")
        assert re.search(
            r"^note .* by operator from default, 0 s old, STALE: fresh for 1ms$", told, re.MULTILINE
        )


async def test_a_run_that_was_moved_to_another_version_is_looked_at_across_the_switch(folder: Path) -> None:
    """Its path names states that the new version no longer has, and going back goes back to the old one."""
    database, second = folder / "moved.db", folder / "second.yaml"
    rule = '\nmigrations: {"1": {states: {ask: wait}}}\n'
    text = (folder / "waits.yaml").read_text().replace('"1"', '"2"').replace("ask", "wait")
    second.write_text(text + rule)
    async with Runtime(database) as runtime:
        run = (await runtime.start(folder / "waits.yaml", {"world": folder / "world.txt"})).run
        assert migrate(runtime.store, run, load(second), runtime.clock.now()).problems == ()
        await runtime.send(run, "stopped")
    async with Debugger(database) as debugger:
        await debugger.open(run)
        session = Session(debugger)
        assert [line.split()[2] for line in (await said(session, "where")).splitlines()] == ["ask", "fail"]
        await said(session, "back", "back")
        assert (debugger.definition.declaration.version, debugger.snapshot.state) == ("1", "ask")
        assert "ask" in await said(session, "info states", "list", "where", "events")


async def test_events_say_what_they_would_do(folder: Path, database: Path) -> None:
    """With what they carry, and the guards that decide."""
    async with await begun(folder, database, "waits.yaml") as debugger:
        session = Session(debugger)
        told = await said(session, "events")
        assert "answered yes=bool note=str" in told
        assert "answered → nap  when event.yes" in told
        assert "stopped  → fail" in told
        assert '"do it"' in await said(session, 'fire answered yes=true note="do it"', "print note")
        assert debugger.snapshot.state == "nap"


async def test_tab_completes_what_can_stand_there(folder: Path, database: Path) -> None:
    """Verbs, states, events, tools, fields, classes of failure."""
    async with await begun(folder, database) as debugger:
        session = Session(debugger)
        assert candidates(session, "st") == ["step"]
        assert candidates(session, "break va") == ["validate"]
        assert candidates(session, "break on failed.t") == ["failed.timeout", "failed.transient"]
        assert candidates(session, "break call j") == ["judge"]
        assert candidates(session, "break if verdict.") == ["verdict.ok", "verdict.score"]
        assert candidates(session, "why not co") == ["complete"]
        assert candidates(session, "set wa") == ["want"]
        assert candidates(session, "fire ca") == ["cancelled"]
        assert candidates(session, "fail rate") == ["rate_limited"]
        assert candidates(session, "help unt") == ["until"]
        assert candidates(session, "info l") == ["limits"]
        assert candidates(session, "frob x") == []


async def test_a_roll_back_is_stepped(folder: Path, database: Path) -> None:
    """What cannot be undone is said so; a machine that can is undone call by call."""
    machine = (folder / "loop.yaml").read_text()
    undoing = "undo: unwrite, "
    tools = '\n  unwrite: {python: "tools.py:unwrite", effect: write, reversibility: none, idempotent: true, timeout: 5s}'
    (folder / "tools.py").write_text((folder / "tools.py").read_text() + UNWRITE)
    (folder / "loop.yaml").write_text(
        machine.replace("idempotent: false, timeout: 5s}", f"idempotent: false, {undoing}timeout: 5s}}{tools}")
        .replace("reversibility: none, idempotent: false", "reversibility: full, idempotent: false")
    )  # fmt: skip
    async with await begun(folder, database, "loop.yaml") as debugger:
        session = Session(debugger)
        await said(session, "c")
        assert len(world(folder)) == 3
        assert "about to call unwrite" in await said(session, "undo")
        await said(session, "n")
        assert "undone" in world(folder)[-1]
        await said(session, "c")
        assert debugger.view().status == "cancelled"
        assert [line for line in world(folder) if line.startswith("undone")] == [
            f"undone {key}" for key in reversed(world(folder)[:3])
        ]


UNWRITE = '''
def unwrite(world: Path, key: str) -> int:
    """Note that a write is undone."""
    return note(world, f"undone {key}")
'''


def test_loops_are_summarised() -> None:
    """A path reads as its loops, and the rest state by state."""
    states = ["a"] + ["plan", "act", "plan", "act", "fix"] * 3 + ["b", "b", "c"]
    path = [Visit(n, n, float(n), state, "done", None, "") for n, state in enumerate(states, start=1)]
    told = [(stretch.states, stretch.times) for stretch in folded(path)]
    assert told == [(("a",), 1), (("plan", "act", "plan", "act", "fix"), 3), (("b",), 2), (("c",), 1)]


@pytest.mark.parametrize("name", ["Debugger"])
def test_the_package_exports_it(name: str) -> None:
    """For notebooks and scripts."""
    import statemachine

    assert getattr(statemachine, name) is Debugger


async def test_a_call_is_approved_at_the_prompt(
    folder: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it asks for is said before; a signed yes leads to the call, which is held as any other."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder))
    monkeypatch.setenv("STATEMACHINE_USER", "carl")
    _, public = make_key("ann", default_folder())
    (folder / "policy.yaml").write_text(f'approvers:\n  ann: {{key: "{public}", roles: []}}\n')
    waits = (folder / "waits.yaml").read_text().replace("reversibility: partial", "reversibility: none")
    (folder / "waits.yaml").write_text(
        waits.replace("failed: ask", "failed: ask, denied: fail, expired: fail")
    )
    async with await begun(folder, database, "waits.yaml") as debugger:
        session = Session(debugger)
        await said(session, 'fire answered yes=true note="do it"')
        assert "about to ask for approval to call write (write, irreversible" in await said(session, "s")
        assert "waits for approval of write" in await said(session, "s")
        assert world(folder) == []
        assert "about to call write" in await said(session, "approve ann it is right")
        assert world(folder) == []
        assert "succeeded in complete" in await said(session, "s")
        assert len(world(folder)) == 1
