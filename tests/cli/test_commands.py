"""Commands do what their help says, with the exit codes that the help lists."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import HELLO, ROOT, Program

COMMANDS = ("new", "check", "show", "schema", "render", "run", "resume", "send", "cancel", "resolve")
COMMANDS += ("repl", "fork", "worker", "runs", "status", "explain", "journal", "replay", "doctor")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(program: Program, command: str) -> None:
    """A newcomer can copy a line from the help."""
    done = program(command, "--help", expect=0)
    assert "Example: statemachine" in " ".join(done.out.split())


def test_run_prints_its_path_and_its_output(program: Program, hello: Path) -> None:
    """Piped, a run prints a line a transition; what its tools print is not among them."""
    done = program("run", hello, "-i", "name=world", expect=0)
    assert "greet --done--> complete" in done.out
    assert "text: hello world" in done.out
    assert "noise" not in done.out
    assert "noise" in done.err


def test_json_is_one_document_with_the_promised_keys(program: Program, hello: Path) -> None:
    """Programs find the outcome, the state, the reason, the attempts, the path and the output."""
    data = program("run", hello, "-i", "name=a", "--json", expect=0).data
    assert {"outcome", "state", "reason", "attempts", "path", "output"} <= data.keys()
    assert (data["outcome"], data["path"], data["output"]["text"]) == (
        "succeeded",
        ["greet", "complete"],
        "hello a",
    )


def test_inputs_come_from_words_and_files(program: Program, hello: Path, tmp_path: Path) -> None:
    """Text stays text, numbers are read, a path becomes absolute, a file gives several."""
    (tmp_path / "inputs.json").write_text('{"name": "7", "count": 1}')
    data = program("run", hello, "-i", "@inputs.json", "-i", "file=some/file", "--json", expect=0).data
    assert data["output"] == {"text": "hello 7", "file": str(tmp_path / "some/file")}


def test_a_run_that_waits_exits_with_3_and_goes_on_when_it_is_sent_to(program: Program, hello: Path) -> None:
    """The words that it prints are the words to go on with."""
    done = program("run", hello, "-i", "name=a", "-i", "count=2", expect=3)
    (line,) = [line for line in done.out.splitlines() if "statemachine send" in line]
    run = line.split()[-2]
    assert program("status", run[:4], expect=0).out.count("event answered") == 1
    assert program("runs", "--status", "waiting", "--json", expect=0).data[0]["id"] == run
    assert program("send", run, "answerd", expect=2).err.count("did you mean `answered`") == 1
    assert "yes" in program("send", run, "answered", "yes=perhaps", expect=2).err
    assert program("send", run, "answered", "yes=true", "--json", expect=0).data["status"] == "succeeded"
    lines = program("journal", run, "--json", expect=0).out.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert "the chain of hashes is whole" in program("journal", run, "--verify", expect=0).out


def test_cancel_and_what_cannot_be_done_any_more(program: Program, hello: Path) -> None:
    """A cancelled run stays cancelled; more is refused with the reason."""
    run = program("run", hello, "-i", "name=a", "-i", "count=2", "--json", expect=3).data["run"]
    assert program("cancel", run, "--json", expect=0).data["outcome"] == "cancelled"
    assert "cancelled" in program("cancel", run, expect=2).err
    assert "no call" in program("resolve", run, "--happened", expect=2).err
    assert program("resume", run, "--json", expect=1).data["status"] == "cancelled"


def test_a_shell_completes_ids_of_runs(program: Program, hello: Path, tmp_path: Path) -> None:
    """Of the store that the line names; where none can be read, none, and nothing is made."""
    run = program("run", hello, "-i", "name=x", "--json").data["run"]
    script = Path(sys.executable).with_name("statemachine")  # completion goes by the name of the program

    def completed(*words: str) -> str:
        asked = {"COMP_WORDS": " ".join(["statemachine", *words]), "COMP_CWORD": str(len(words))}
        env = {**os.environ, "_STATEMACHINE_COMPLETE": "complete_bash", **asked}
        done = subprocess.run([script], cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    assert completed("explain", run[:4]) == run
    assert completed("resume", "--db", ".statemachine/runs.db", run[:4]) == run
    assert completed("explain", "--db", "other.db", run[:4]) == ""
    assert completed("explain", "no") == ""
    assert not (tmp_path / "other.db").exists()


def test_a_failed_run_exits_with_1(program: Program, hello: Path) -> None:
    """The reason is told."""
    hello.write_text(HELLO.replace("tools.py:hello", "tools.py:leave"))
    done = program("run", hello, "-i", "name=a", expect=1)
    assert "sys.exit(9)" in done.out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run", "none.yaml"], "there is no such file"),
        (["run", "."], "folder"),
        (["run", "hello.yaml"], "name: missing"),
        (["run", "hello.yaml", "-i", "name"], "not NAME=VALUE"),
        (["run", "hello.yaml", "-i", "name=a", "-i", "count=many"], "count: not a int"),
        (["run", "hello.yaml", "-i", "nam=a"], "did you mean `name`"),
        (["run", "hello.yaml", "-i", "text=a", "-i", "name=a"], "owned by greet"),
        (["run", "hello.yaml", "-i", "@none.json"], "cannot be read"),
        (["run", "hello.yaml", "-i", "@hello.yaml"], "not JSON"),
        (["run", "tools.py"], "declares no machine"),
        (["render", "hello.yaml", "-o", "hello.gif"], "there is no format"),
        (["render", "hello.yaml", "-o", "/proc/none/hello.svg"], "cannot be written"),
        (["new", "Bad Name"], "name"),
        (["resume"], "name a run"),
        (["frobnicate"], "No such command"),
    ],
)
def test_a_mistake_is_told_with_exit_code_2(
    program: Program, hello: Path, words: list[str], says: str
) -> None:
    """Nothing is started and nothing is written."""
    done = program(*words, expect=2)
    assert says in done.err + done.out
    assert not (hello.parent / ".statemachine").exists()


def test_a_mistake_is_told_in_json_as_well(program: Program, hello: Path) -> None:
    """Programs get the findings as data."""
    hello.write_text(HELLO.replace("to: ask", "to: aks"))
    data = program("run", hello, "--json", expect=2).data
    assert data["error"] == "InvalidMachine"
    assert data["findings"][0]["code"] == "SM110"


def test_an_unknown_and_an_ambiguous_run_are_told_apart(program: Program, hello: Path) -> None:
    """A prefix that several runs share names them."""
    program("run", hello, "-i", "name=a", "--times", 17, expect=0)  # more than first digits: two share one
    assert "there is no run" in program("status", "zzzz", expect=2).err
    ids = [r["id"] for r in program("runs", "--json").data]
    shared = next(i[0] for i in ids if sum(j[0] == i[0] for j in ids) > 1)
    assert "more than one run" in program("status", shared, expect=2).err


@pytest.mark.damages_journals
@pytest.mark.parametrize(
    ("content", "says"),
    [(b"not a database at all, but long enough to be looked at" * 40, "not a database"), (None, "folder")],
)
def test_a_store_that_is_none_is_refused_with_exit_code_4(
    program: Program, hello: Path, tmp_path: Path, content: bytes | None, says: str
) -> None:
    """And left as it is."""
    place = tmp_path / "runs.db"
    if content is None:
        place.mkdir()
    else:
        place.write_bytes(content)
    done = program("run", hello, "-i", "name=a", "--db", place, expect=4)
    assert says in done.err
    assert content is None or place.read_bytes() == content


@pytest.mark.parametrize("url", ["postgresql://localhost/runs", "mysql://localhost/runs", "nonsense://"])
def test_a_kind_of_database_that_is_not_supported_is_refused(program: Program, hello: Path, url: str) -> None:
    """Whether its driver is installed or not; nothing is started."""
    done = program("run", hello, "-i", "name=a", "--db", url, expect=4)
    assert "SQLite" in done.err or "not a database URL" in done.err


@pytest.mark.damages_journals
def test_a_newer_and_a_foreign_store_are_refused(program: Program, hello: Path, tmp_path: Path) -> None:
    """A schema that this code does not know is not guessed at."""
    program("run", hello, "-i", "name=a", "--db", "runs.db", expect=0)
    with sqlite3.connect(tmp_path / "runs.db") as database:
        database.execute("UPDATE statemachine_version SET version_num = '9999'")
    database.close()
    assert "newer version" in program("runs", "--db", "runs.db", expect=4).err
    with sqlite3.connect(tmp_path / "other.db") as database:
        database.execute("CREATE TABLE things (x)")
    database.close()
    assert "another program" in program("run", hello, "-i", "name=a", "--db", "other.db", expect=4).err


@pytest.mark.damages_journals
def test_a_changed_journal_is_found(program: Program, hello: Path, tmp_path: Path) -> None:
    """The first record that is not what was written is named."""
    run = program("run", hello, "-i", "name=a", "--json", "--db", "runs.db", expect=0).data["run"]
    with sqlite3.connect(tmp_path / "runs.db") as database:
        database.execute("UPDATE records SET body = replace(body, 'hello', 'hullo') WHERE seq = 3")
    database.close()
    assert "record 3" in program("journal", run, "--verify", "--db", "runs.db", expect=4).err


def test_the_store_can_be_named_by_the_environment(program: Program, hello: Path, tmp_path: Path) -> None:
    """The option comes before the variable, the variable before the default."""
    program("run", hello, "-i", "name=a", env={"STATEMACHINE_DB": "mine.db"}, expect=0)
    assert (tmp_path / "mine.db").exists()
    assert len(program("runs", "--db", "mine.db", "--json", expect=0).data) == 1


def test_doctor_finds_nothing_to_mend_here(program: Program, hello: Path) -> None:
    """Versions, the renderer and the store's pragmas are told."""
    program("run", hello, "-i", "name=a", expect=0)
    data = program("doctor", "--json", expect=0).data
    assert data["store"]["pragmas"]["synchronous"] == 2
    assert data["renderer"]["program"]
    assert data["problems"] == []


def test_doctor_names_a_clash_of_packages(program: Program, tmp_path: Path) -> None:
    """python-statemachine installs a folder of the same name: the last one installed wins silently."""
    info = tmp_path / "site" / "python_statemachine-2.5.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: python-statemachine\nVersion: 2.5.0\n")
    (info / "top_level.txt").write_text("statemachine\n")
    done = program("doctor", env={"PYTHONPATH": f"{tmp_path / 'site'}:{ROOT}"}, expect=1)
    assert "pip uninstall python-statemachine" in done.out


def test_check_lists_several_files(program: Program, hello: Path, tmp_path: Path) -> None:
    """Each with its verdict; an unreachable state is an error of its own code."""
    (tmp_path / "alone.yaml").write_text(HELLO + "  alone: {always: complete}\n")
    (tmp_path / "trap.yaml").write_text(
        HELLO.replace("initial: greet", "initial: round") + "  round: {always: round}\n"
    )
    done = program("check", "hello.yaml", "alone.yaml", "trap.yaml", expect=1)
    assert "hello.yaml: ok: hello 1, 4 states" in done.out
    assert "alone.yaml:18:3: error[SM201]" in done.out
    assert "error[SM202]" in done.out


def test_show_prints_what_reads_back_the_same(program: Program, hello: Path, tmp_path: Path) -> None:
    """YAML printed and read again has the same digest."""
    (tmp_path / "again.yaml").write_text(program("show", hello, expect=0).out)
    digests = [c["digest"] for c in program("check", hello, "again.yaml", "--json", expect=0).data]
    assert digests[0] == digests[1]


def test_who_reads_no_further_is_no_error(program: Program, hello: Path, tmp_path: Path) -> None:
    """As `head` does: nothing is said, and the exit code is that of a broken pipe."""
    run = program("run", hello, "-i", "name=a", "--json", expect=0).data["run"]
    read, write = os.pipe()
    os.close(read)
    for words in (("runs",), ("journal", run), ("status", run, "--json")):
        done = subprocess.run(
            [sys.executable, "-m", "statemachine", *words],
            cwd=tmp_path,
            stdout=write,
            stderr=subprocess.PIPE,
            check=False,
        )
        assert (done.returncode, done.stderr) == (141, b"")
    os.close(write)
