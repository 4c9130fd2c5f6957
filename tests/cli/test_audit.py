"""`audit` says whether a store is what was written into it, and by exit codes to a script."""

from __future__ import annotations

import base64
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import Program


@pytest.mark.damages_journals
def test_a_store_is_anchored_verified_and_found_to_be_changed(
    program: Program, hello: Path, tmp_path: Path
) -> None:
    """0 as long as all is as it was, 1 with the first bad record, 2 without a usable anchor, 4 without a store."""
    program("audit", "verify", expect=4)
    run = program("run", hello, "-i", "name=a", "--json", expect=0).data["run"]
    key = program("key", "new", "ann", "--in", tmp_path / "keys", "--json", expect=0).data
    folder = tmp_path / ".statemachine"
    (folder / "policy.yaml").write_text(f'approvers:\n  ann: {{key: "{key["public"]}"}}\n')
    backup = shutil.copytree(folder, tmp_path / "backup")
    program("run", hello, "-i", "name=b", expect=0)
    made = program(
        "audit", "anchor", "anchors", "--as", "ann", "--key", key["private"], "--json", expect=0
    ).data
    assert (made["runs"], made["records"], made["by"]) == (2, 12, "ann")
    found = program("audit", "verify", "--anchor", "anchors", "--json", expect=0).data
    assert (found["whole"], found["records"], found["anchored"], found["signed_by"]) == (True, 12, 2, "ann")
    old = ("--db", backup / "runs.db")
    program("audit", "verify", *old, expect=0)
    assert "is gone" in program("audit", "verify", *old, "--anchor", "anchors", expect=1).out
    (tmp_path / "damaged").write_text("{}")
    assert "damaged:1: no line" in program("audit", "verify", "--anchor", "damaged", expect=2).err
    with closing(sqlite3.connect(folder / "runs.db")) as database:
        database.execute("update records set at = at + 1 where run = ? and seq > 2", [run])
        database.commit()
    assert (
        f"run {run}, record 3: it is not what was written here"
        in program("audit", "verify", run, expect=1).out
    )
    (tmp_path / "verify.py").write_text(program("audit", "verifier", expect=0).out)
    # -I and -S: nothing but the interpreter's own library can be imported.
    words = [sys.executable, "-I", "-S", "verify.py", ".statemachine/runs.db", "--anchor", "anchors"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert f"run {run}, record 3" in done.stdout


SECRET = "canary-4711-secret"
TOOLS = """
import base64, logging, sys

def ask(name: str, key: str) -> dict[str, str]:
    if name == "nobody":
        raise PermissionError(f"https://user:{key}@host/ refused {key!r}")
    return {"url": f"https://host/?key={key}", "basic": base64.b64encode(f"u:{key}".encode()).decode(), "name": name}
"""
MACHINE = """
machine: asks
version: "1"
context: {name: {type: str, owner: operator}, answer: {type: any, owner: ask}}
tools: {ask: {python: "tools.py:ask", effect: read, timeout: 5s, secrets: {key: "${env:CANARY_KEY}"}}}
initial: ask
states:
  ask: {do: ask, save: answer, on: {done: end, failed: fail}}
  end: {final: succeeded, output: {answer: answer}}
  fail: {final: failed}
"""


def test_no_secret_is_told_or_kept(program: Program, tmp_path: Path) -> None:
    """Nowhere in what any command prints, in pictures, exports, logs, the store, or the prompt's file of lines."""
    (tmp_path / "tools.py").write_text(TOOLS)
    (tmp_path / "asks.yaml").write_text(MACHINE)
    env = {"CANARY_KEY": SECRET, "XDG_STATE_HOME": str(tmp_path / "state")}
    good = program("run", "asks.yaml", "-i", "name=ann", "--json", env=env, expect=0)
    bad = program("run", "asks.yaml", "-i", "name=nobody", "--json", env=env, expect=1)
    assert "[redacted: env:CANARY_KEY]" in good.out
    told = [good, bad]
    for words in (
        ("status", good.data["run"]),
        ("journal", bad.data["run"], "--json"),
        ("explain", bad.data["run"]),
        ("audit", "export"),
        ("audit", "export", "--stream", "technical", "--format", "csv"),
        ("render", "--run", bad.data["run"], "-o", "bad.svg"),
        ("repl", "asks.yaml", "-i", "name=ann"),
    ):
        told.append(program(*words, env=env, expect=0))
    encoded = base64.b64encode(b"u:" + SECRET.encode()).decode()
    assert not [done for done in told if SECRET in done.out + done.err or encoded in done.out + done.err]
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert not [
        file
        for file in files
        if SECRET.encode() in file.read_bytes() or encoded.encode() in file.read_bytes()
    ]


def test_a_run_is_erased_for_a_reason(program: Program, hello: Path, tmp_path: Path) -> None:
    """0 also once more; 2 for a run that goes on or is not there, or without a reason. Each look at it says why."""
    waiting = program("run", hello, "-i", "name=canary-b", "-i", "count=2", "--json", expect=3).data["run"]
    run = program("run", hello, "-i", "name=canary-a", "--json", expect=0).data["run"]
    key = program("key", "new", "ann", "--in", tmp_path / "keys", "--json", expect=0).data
    folder = tmp_path / ".statemachine"
    (folder / "policy.yaml").write_text(f'approvers:\n  ann: {{key: "{key["public"]}"}}\n')
    program("audit", "erase", run, expect=2)
    assert "has not ended" in program("audit", "erase", waiting, "--reason", "x", expect=2).err
    signed = ("--reason", "asked for", "--as", "ann", "--key", key["private"])
    (done,) = program("audit", "erase", run[:8], *signed, "--json", expect=0).data
    assert (done["run"], done["by"], done["already"], done["copies"]) == (run, "ann", False, [])
    assert "erased before by ann" in program("audit", "erase", run, "--reason", "again", expect=0).out
    assert not [file for file in folder.iterdir() if b"canary-a" in file.read_bytes()]
    for words in ("status", "journal", "audit verify"):
        told = program(*words.split(), run, expect=0).out
        assert "erased" in told
        assert "asked for" in told
        assert "canary" not in told
    assert "asked for" in program("replay", run, expect=2).err
