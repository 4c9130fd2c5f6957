"""A database that is not the one that was here before is refused, for it would make finished effects run again."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from statemachine.errors import StoreUnusable
from statemachine.store import Store
from statemachine.store.anchor import anchor_of, read_anchor
from tests.store.test_cost import WRITER


def gone(database: Path, old: Path) -> None:
    database.unlink()


def empty(database: Path, old: Path) -> None:
    database.write_bytes(b"")


def other(database: Path, old: Path) -> None:
    database.unlink()
    with Store.open(old.with_name("other.db")):
        pass
    shutil.copy(old.with_name("other.db"), database)


def older(database: Path, old: Path) -> None:
    shutil.copy(old, database)


@pytest.mark.parametrize(
    ("lose", "says"),
    [
        (gone, "is gone: the one that was here had 5 records or more on 20"),
        (empty, "is empty: the one that was here had 5 records or more on 20"),
        (other, "is another database: the one that was here was store [0-9a-f]{12}, this is"),
        (older, "is an older copy: the one that was here had 5 records or more on .*, this has 3"),
    ],
)
@pytest.mark.parametrize("create", [True, False])
def test_a_database_that_was_lost_is_refused(
    database: Path, new_run, lose: Callable[[Path, Path], None], says: str, create: bool
) -> None:
    """The message says what happened and what to do; the newest copy is taken, and so is a decision."""
    old, newest = database.with_name("old.db"), database.with_name("newest.db")
    with Store.open(database) as store:
        run = new_run("r1").begin(store)
        store.commit([run.step()])
    shutil.copy(database, old)
    with Store.open(database) as store:
        store.commit([run.step()])
    shutil.copy(database, newest)
    lose(database, old)
    with pytest.raises(StoreUnusable, match=says) as refused:
        Store.open(database, create=create)
    assert f"remove {anchor_of(database)}" in str(refused.value)
    shutil.copy(newest, database)
    Store.open(database, create=create).close()
    lose(database, old)
    anchor_of(database).unlink()
    with Store.open(database) as store:
        assert len(store.unfinished()) == (lose is older)
    Store.open(database).close()


def test_a_lost_log_is_found(database: Path, new_run) -> None:
    """A database without the log that its last steps are in opens cleanly, at an older state."""
    with Store.open(database) as store:
        run = new_run("r1").begin(store)
    crashed = database.with_name("crashed.db")
    store = Store.open(database)
    store.commit([run.step()])
    with Store.open(database):  # any opening tells the anchor, and so does any minute of work
        shutil.copy(database, crashed)  # without its -wal
        shutil.copy(anchor_of(database), anchor_of(crashed))
    store.close()
    with pytest.raises(StoreUnusable, match=r"is an older copy.*with its -wal file"):
        Store.open(crashed)


def test_a_crash_before_the_anchor_is_written_costs_nothing(database: Path, new_run) -> None:
    """A database without an anchor is taken as it is, and gets one; looking changes nothing more."""
    with Store.open(database) as store:
        new_run("r1").begin(store)
    anchor_of(database).unlink()
    Store.open(database).close()
    anchor = read_anchor(database)
    assert anchor is not None
    assert anchor.records == 1
    before = anchor_of(database).stat().st_mtime_ns
    Store.open(database, create=False).close()
    assert anchor_of(database).stat().st_mtime_ns == before
    assert [path for path in os.listdir(database.parent) if path.startswith(".")] == []


def test_the_anchor_follows_a_store_that_stays_open(
    database: Path, new_run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a minute, and not at each step."""
    with Store.open(database) as store:
        run = new_run("r1").begin(store)
        store.commit([run.step()])
        assert read_anchor(database).records == 0
        monkeypatch.setattr("statemachine.store.store._HOLD_AGAIN", 0.0)
        store.commit([run.step()])
        assert read_anchor(database).records == 3, "what was there before this commit"


def test_tables_of_an_older_version_are_upgraded(database: Path, new_run) -> None:
    """They get an identity and an anchor; what is in them stays."""
    with Store.open(database) as store:
        new_run("r1").begin(store)
    with sqlite3.connect(database) as connection:  # as the first version left it
        connection.executescript(
            "DROP TABLE identity; DROP TABLE checkpoints; DROP TABLE stops; DROP INDEX ix_runs_owner;"
            "ALTER TABLE records DROP COLUMN salt;"
            "UPDATE statemachine_version SET version_num = '0001'"
        )
    connection.close()
    anchor_of(database).unlink()
    with Store.open(database, create=False) as store:
        assert store.unfinished() == ["r1"]
    assert read_anchor(database).records == 1


def test_an_anchor_that_is_none_is_refused(database: Path) -> None:
    """Nobody can tell then whether the database is the right one."""
    Store.open(database).close()
    anchor_of(database).write_text("{}")
    with pytest.raises(StoreUnusable, match=r"is damaged, so nobody can tell.*remove that file"):
        Store.open(database)


def test_a_store_by_another_name_is_the_same(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The anchor lies beside the file that a link leads to, and stays there when the working folder changes."""
    Store.open(database).close()
    database.with_name("link.db").symlink_to(database)
    monkeypatch.chdir(database.parent)
    with Store.open("link.db", create=False):
        (database.parent / "else").mkdir()
        monkeypatch.chdir(database.parent / "else")
    database.unlink()
    with pytest.raises(StoreUnusable, match="is gone"):
        Store.open(database.with_name("link.db"))


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
def test_a_new_store_is_on_disk_with_its_folders(tmp_path: Path) -> None:
    """Every new folder's name is synced in the one above it, the anchor before it gets its name and after."""
    log, database = tmp_path / "strace", tmp_path / "a" / "b" / "runs.db"
    trace = ["strace", "-f", "-y", "-o", str(log), "-e", "trace=fsync,fdatasync,rename,mkdir"]
    subprocess.run([*trace, sys.executable, WRITER, database, "0", "1"], check=True, stdout=subprocess.PIPE)
    calls = re.findall(r"(mkdir|fsync|rename)\((?:\d+<)?\"?([^\">,]+)", log.read_text())
    ours = [(call, path) for call, path in calls if str(tmp_path) in path]
    a, b = tmp_path / "a", tmp_path / "a" / "b"
    expected = [("mkdir", str(a)), ("fsync", str(tmp_path)), ("mkdir", str(b)), ("fsync", str(a))]
    assert ours[:4] == expected
    at = next(place for place, (call, _) in enumerate(ours) if call == "rename")
    assert ours[at - 1][0] == "fsync"
    assert ours[at - 1][1] == ours[at][1]
    assert ours[at + 1] == ("fsync", str(b))
