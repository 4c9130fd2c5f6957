"""`audit` says whether a store is what was written into it, and by exit codes to a script."""

from __future__ import annotations

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
