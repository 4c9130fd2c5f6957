"""The prompt over a pipe: lines in, text or JSON out; every verb does what its help says."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from statemachine import Runtime
from statemachine.approvals.keys import default_folder, make_key
from statemachine.errors import InvalidExpression, InvalidInput, RunOwned
from statemachine.host.migrating import migrate
from statemachine.machine.load import load
from statemachine.repl.completion import candidates
from statemachine.repl.debugger import Debugger
from statemachine.repl.path import loops
from statemachine.repl.session import Session
from statemachine.repl.verbs import VERBS
from statemachine.store import Store
from tests.repl.conftest import world
from tests.repl.test_debugger import begun


async def said(session: Session, *lines: str) -> str:
    """Return the text that lines give."""
    return "\n".join([(await session.say(line))[1].text for line in lines])


def piped(
    folder: Path, lines: str | bytes, *words: object, command: str = "repl"
) -> subprocess.CompletedProcess[str]:
    """Run the program with lines on its standard input."""
    given = lines.encode() if isinstance(lines, str) else lines
    env = {k: v for k, v in os.environ.items() if not k.startswith("STATEMACHINE")}
    done = subprocess.run(
        [sys.executable, "-m", "statemachine", command, *map(str, words)],
        cwd=folder, env=env, input=given, capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def masked(text: str) -> str:
    """Return what a session wrote without ids and times."""
    return re.sub(r"\b[0-9a-f]{12}\b|(?<=\(loop )[0-9a-f]{4}|\d+\.\d+s", "…", text)


def test_a_script_reads_as_a_session(folder: Path, database: Path) -> None:
    """Each line stands after its prompt; the last words say how to go on."""
    done = piped(folder, "b retry\nc\nwhy\n", "loop.yaml", "-i", "world=world.txt", "--db", database)
    assert done.returncode == 0, done.stderr
    assert "act → write) b retry\nbreakpoint 1: retry\n" in done.stdout
    assert "verdict.ok = false" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("go on with: statemachine repl ")


def test_run_step_is_the_same_session(folder: Path, database: Path) -> None:
    """As `repl FILE`; it goes with nothing that drives the run itself."""
    step, repl = (
        piped(
            folder,
            "s\nwhere\n",
            *words,
            "loop.yaml",
            "-i",
            "world=world.txt",
            "--db",
            database,
            command=command,
        )
        for command, words in (("run", ["--step"]), ("repl", []))
    )
    assert (step.returncode, masked(step.stdout)) == (0, masked(repl.stdout))
    wrong = piped(folder, "", "loop.yaml", "--step", "--detach", "--db", database, command="run")
    assert (wrong.returncode, "--step" in wrong.stderr) == (2, True)


def test_lines_that_are_no_text_are_refused(folder: Path, database: Path) -> None:
    """And the next ones are done; a last line needs no end."""
    done = piped(folder, b"\xff\nsource .\nwhere", "loop.yaml", "-i", "world=world.txt", "--db", database)
    assert (done.returncode, done.stderr) == (2, "")
    assert "there is no verb" in done.stdout
    assert ". cannot be read: Is a directory" in done.stdout
    assert "1            0.0s  act" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_a_script_at_once(folder: Path, database: Path, number: int) -> None:
    """Also while it waits for a line; the run stays resumable."""
    words = ["repl", "loop.yaml", "-i", "world=world.txt", "--db", str(database), "--json"]
    child = subprocess.Popen(
        [sys.executable, "-m", "statemachine", *words],
        cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # these tests too may be run under nohup
    )  # fmt: skip
    assert child.stdin is not None
    assert child.stdout is not None
    print("step", file=child.stdin, flush=True)
    assert json.loads(child.stdout.readline())["ok"]
    child.send_signal(number)
    # Between two lines a signal that is to end it does so as ever: the run is held.
    assert child.wait(60) in ({130} if number == signal.SIGINT else {-number, 128 + number})
    child.stdin.close()
    child.stdout.close()


def signalled(folder: Path, database: Path, number: int, *before: str) -> tuple[int, str]:
    """Send a signal in the middle of a write that takes a second; return the exit code and what was said."""
    tools = (folder / "tools.py").read_text()
    slow = "n = note(world, call.key); time.sleep(1); return n"
    (folder / "tools.py").write_text(tools.replace("return note(world, call.key)", slow, 1))
    words = ["repl", "loop.yaml", "-i", "world=world.txt", "--db", str(database)]
    child = subprocess.Popen(
        [*before, sys.executable, "-m", "statemachine", *words],
        cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdin is not None
    print("c", file=child.stdin, flush=True)
    while not world(folder):
        time.sleep(0.02)
    child.send_signal(number)
    told, _ = child.communicate(timeout=60)
    return child.returncode, told


def test_a_signal_to_end_waits_for_a_write(folder: Path, database: Path) -> None:
    """The run is left at the next safe point, with nothing in doubt."""
    code, told = signalled(folder, database, signal.SIGTERM)
    assert code == 128 + signal.SIGTERM
    assert "stopping at the next safe point" in told
    assert "act --done--> validate\nstopped at a safe point" in told
    assert "go on with: statemachine repl" in told
    assert len(world(folder)) == 1


def test_a_hang_up_that_is_to_be_ignored_ends_nothing(folder: Path, database: Path) -> None:
    """Whoever starts a script under nohup wants it to go on when the terminal is gone."""
    code, told = signalled(folder, database, signal.SIGHUP, "nohup")
    assert code == 0
    assert "stopp" not in told
    assert len(world(folder)) == 3


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


async def test_verbs_of_other_debuggers_are_known(folder: Path, database: Path) -> None:
    """And those of the commands; `help` tells of them."""
    async with await begun(folder, database) as debugger:
        session = Session(debugger)
        for word, name in {
            "bt": "where",
            "send": "fire",
            "jump": "goto",
            "clear": "delete",
            "exit": "quit",
        }.items():
            assert session.verb(word).name == name
        assert "fire EVENT [NAME=VALUE …] (or `f`, `send`)" in await said(session, "help send")


async def test_runs_are_listed_and_opened(folder: Path, database: Path) -> None:
    """What is left is resumable; what was ended, or is another's, is said so."""
    async with await begun(folder, database) as debugger:
        session, first = Session(debugger), debugger.run
        told = await said(session, "s", "fork --repeat-writes", "info runs", f"open {first[:6]}", "info runs")
        second = (
            debugger.run
            if debugger.run != first
            else next(row.id for row in debugger.store.runs() if row.id != first)
        )
        assert f"→ {second}  loop 1  running in validate" in told
        assert f"→ {first}  loop 1  running in validate" in told
        assert f"run {first}: loop 1" in told
        async with Debugger(database) as other:
            await other.open(second)
            assert "can only be looked at" in await said(session, f"open {second}")
            with pytest.raises(RunOwned, match=f"driven by process .*`open {second}` tries again"):
                await said(session, "s")
        assert "about to call judge" in await said(session, f"open {second}")


async def test_what_the_operator_gave_is_amended(folder: Path, database: Path) -> None:
    """It says what it was; the transition is taken."""
    loop = (folder / "loop.yaml").read_text()
    (folder / "loop.yaml").write_text(loop.replace("on: {cancelled", "on: {amended: act, cancelled"))
    async with await begun(folder, database) as debugger:
        session = Session(debugger)
        told = await said(session, "s", "amend want=1")
        assert "amended by ann: want from 3 to 1" in told
        assert "about to call write" in told
        with pytest.raises(InvalidInput, match="is not NAME=VALUE"):
            await said(session, "amend want")


async def test_a_value_that_nobody_knows_is_said_so(folder: Path, database: Path) -> None:
    """A value that JSON has no word for is refused, and so is an expression that has no type."""
    async with await begun(folder, database) as debugger:
        session = Session(debugger)
        assert await said(session, "print verdict.ok") == "not known"
        assert await said(session, "display lines") == "1: lines = not known"
        for text, why in {
            "1.0 / 0.0": "no number in JSON",
            "{1.5: 2}": "map key type",
            "[1][2]": "Index",
        }.items():
            with pytest.raises(InvalidExpression, match=why):
                await said(session, f"print {text}")


async def test_what_a_run_waits_for_is_said_with_the_verb_for_it(folder: Path, database: Path) -> None:
    """An event, or a decision."""
    async with await begun(folder, database, "waits.yaml") as debugger:
        assert "waits for event answered or stopped; `events` tells" in await said(Session(debugger), "c")
    async with await begun(folder, database) as debugger:
        told = await said(Session(debugger), "fail timeout", "s")
        assert "; `resolve happened`, `resolve not-happened` or `resolve undo` decides" in told


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
        assert candidates(session, "amend w") == ["want=", "world="]
        assert candidates(session, "delete ") == []
        await said(session, "b retry", "b validate")
        assert candidates(session, "delete ") == ["1", "2"]
        first = debugger.run
        assert candidates(session, f"open {first[:4]}") == [first]
        await said(session, "fork --repeat-writes")
        assert candidates(session, "open ") == sorted([first, debugger.run])
    async with await begun(folder, database, "waits.yaml") as debugger:
        session = Session(debugger)
        assert candidates(session, "fire answered ") == ["note=", "yes="]


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
    told = [(states[at : at + period], times) for at, period, times in loops(states)]
    assert told == [(["a"], 1), (["plan", "act", "plan", "act", "fix"], 3), (["b"], 2), (["c"], 1)]


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
