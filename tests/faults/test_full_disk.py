"""A disk that is full or fails ends a command with exit code 4 and words that help; with room again all goes on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from statemachine.journal import verify
from statemachine.store import Store
from tests.faults import syscalls

TOOLS = """
from statemachine import Call

def act(call: Call, world: str) -> str:
    with open(world, "a") as file:
        file.write(call.key + "\\n" + call.key + " " * 5_000 + "\\n")
    return "x" * 20_000
"""
MACHINE = """
machine: filling
version: "1"
context:
  world: {type: str, owner: operator}
  out: {type: str, owner: act}
tools:
  act: {python: "tools.py:act", effect: write, reversibility: partial, idempotent: false, timeout: 5s}
initial: act
states:
  act: {do: act, save: out, on: {done: again, failed: fail}}
  again: {attempts: 40, exhausted: fail, always: [{to: complete, when: "attempts.again >= 20"}, {to: act}]}
  complete: {final: succeeded}
  fail: {final: failed}
"""


def statemachine(db: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the program."""
    command = [sys.executable, "-m", "statemachine", *words, "--db", db]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A machine with an unsafe effect, whose records take room."""
    (tmp_path / "tools.py").write_text(TOOLS)
    (tmp_path / "filling.yaml").write_text(MACHINE)
    (tmp_path / "world.txt").touch()
    return tmp_path / "filling.yaml"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A real, small disk; skips where none may be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", place]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs leave to mount a disk")
    yield place
    subprocess.run(["umount", place], check=True)


def resize(disk: Path, size: str) -> None:
    """Let a disk have another size."""
    subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=True)


def clear(done: subprocess.CompletedProcess[str]) -> bool:
    """Return whether a command ended as it must on a disk that is full, or fails."""
    return (
        done.returncode == 4
        and "Traceback" not in done.stderr
        and ("make room" in done.stderr or "check the disk" in done.stderr)
    )


@pytest.mark.parametrize("size", ["60k", "300k"])
def test_a_full_disk_stops_a_run_which_goes_on_when_there_is_room(
    machine: Path, disk: Path, size: str
) -> None:
    """Wherever room runs out: nothing happens twice, and what is stored is whole."""
    world, db = machine.with_name("world.txt"), disk / "runs.db"
    resize(disk, size)
    assert clear(statemachine(db, "run", machine, "-i", f"world={world}"))
    effects = world.read_text()
    if effects:  # how the run stands can be seen meanwhile, but nothing moves
        assert "running" in statemachine(db, "runs").stdout
        assert clear(statemachine(db, "worker", "--poll", "0.1"))
        assert world.read_text() == effects
    resize(disk, "20m")
    if not effects:  # there was no room for a store, so that no run was begun
        assert statemachine(db, "resume", "--all").returncode == 4
        return
    done = statemachine(db, "resume", "--all")
    with Store.open(db) as store:
        (run,) = store.runs()
        if done.returncode == 3:  # what it could not note any more that it had done, it does not do again
            done = statemachine(db, "resolve", run.id, "--happened", "--output", '"x"')
        assert done.returncode == 0, done.stderr
        assert store.load(run.id).status == "succeeded"
        assert verify(store.records(run.id), store.load(run.id).machine) is None
    keys = world.read_text().split()[::2]
    assert len(keys) == len(set(keys)) == 20


def test_a_tools_full_disk_is_the_tools_failure(machine: Path, disk: Path) -> None:
    """It has a class, the machine routes it, and the store is well."""
    resize(disk, "20k")
    db = machine.with_name("runs.db")
    done = statemachine(db, "run", machine, "-i", f"world={disk / 'world.txt'}", "--json")
    assert (done.returncode, done.stderr) == (1, "")
    assert "No space left on device" in done.stdout
    with Store.open(db) as store:
        (run,) = store.runs()
        failures = [record.body for record in store.records(run.id) if record.kind == "call_finished"]
    assert '"class":"fatal"' in failures[-1]


@pytest.mark.skipif(not syscalls.available(), reason="needs strace, and leave to trace")
@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["run"], "fdatasync:error=EIO:when=2+"),
        (["resume", "--all"], "mkdir:error=ENOSPC:when=1+"),
        (["worker", "--poll", "0.1"], "fdatasync:error=EIO:when=1+"),
    ],
    ids=["run", "resume", "worker"],
)
def test_a_disk_that_fails_stops_a_run_which_goes_on_when_it_works(
    machine: Path, words: list[str], fault: str
) -> None:
    """Nothing was done that is not known: the run goes on by itself, and to its end."""
    world, db, call = machine.with_name("world.txt"), machine.with_name("runs.db"), fault.partition(":")[0]
    started = ["run", str(machine), "-i", f"world={world}"]
    assert statemachine(db, *started, "--detach").returncode == 0
    options = ["-f", "-o", f"{db}.trace", "-e", f"trace={call}", "-e", f"inject={fault}"]
    places = [word for place in (db, f"{db}-wal", f"{db}.work") for word in ("-P", str(place))]
    program = [sys.executable, "-m", "statemachine", *(started if words == ["run"] else words), "--db", db]
    done = subprocess.run(
        ["strace", *options, *places, *program], capture_output=True, text=True, check=False, timeout=60
    )
    assert clear(done), done
    assert "INJECTED" in Path(f"{db}.trace").read_text()
    assert statemachine(db, "resume", "--all").returncode in (0, 3)
    keys = world.read_text().split()[::2]
    assert len(keys) == len(set(keys))
