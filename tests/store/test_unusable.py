"""A database that cannot be used is refused with its name, the reason and what to do."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, create_mock_engine
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

import statemachine.store
from statemachine.errors import StoreUnusable
from statemachine.store import ReadOnlyStore, Store
from statemachine.store.schema import VERSION_TABLE, VERSIONS, metadata
from statemachine.store.writer import Writer


def folder(path: Path) -> None:
    path.mkdir()


def long_text(path: Path) -> None:
    path.write_text("machine: renewal\n" * 1000)


def short_text(path: Path) -> None:
    path.write_text("no database")


def other_program(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE customers (id INTEGER)")
    connection.close()


def newer(path: Path) -> None:
    Store.open(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    connection.close()


def damaged(path: Path) -> None:
    Store.open(path).close()
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xa5" * (len(whole) - 4096))


@pytest.mark.parametrize(
    ("make", "create", "says"),
    [
        (folder, True, r"is a folder; name a file in it, such as .*runs\.db/runs\.db"),
        (long_text, True, "is not a database; name another one"),
        (short_text, True, "is not a database; name another one"),
        (other_program, True, r"is another program's database \(customers"),
        (newer, True, r"was written by a newer version \(tables 9999, .*; upgrade agent-statemachine"),
        (damaged, True, r"is damaged \(.*\); restore a backup"),
        (Path.touch, False, "is empty: no run was ever started in it"),
        (lambda path: None, False, "there is no database"),
        (lambda path: path.parent.rmdir(), False, "there is no database"),
    ],
)
def test_what_is_no_store_of_ours_is_refused(
    database: Path, make: Callable[[Path], object], create: bool, says: str
) -> None:
    """Each cause has its own message, which names the file; the file is left as it is."""
    make(database)
    before = database.read_bytes() if database.is_file() else None
    with pytest.raises(StoreUnusable, match=says) as refused:
        Store.open(database, create=create)
    assert str(database) in str(refused.value)
    assert (database.read_bytes() if database.is_file() else None) == before


@pytest.mark.parametrize(
    ("where", "says"),
    [
        (":memory:", "a database in memory keeps no runs"),
        ("sqlite://", "a database in memory keeps no runs"),
        ("mysql://host/runs", "mysql is not supported"),
        ("://", "is not a database URL"),
        ("/dev/null/runs.db", "/dev/null/runs.db cannot be|/dev/null is"),
        ("/dev/null/more/runs.db", "the folder of /dev/null/more/runs.db cannot be made"),
    ],
)
def test_what_names_no_database_is_refused(where: str, says: str) -> None:
    """Neither memory, nor another kind of server, nor a path that cannot be."""
    with pytest.raises(StoreUnusable, match=says):
        Store.open(where)


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("sqlite://", "a database in memory keeps no runs"),
        ("mysql://host/runs", "mysql is not supported"),
        ("/dev", "/dev is a folder"),
        ("/dev/null/runs.db", "there is no database /dev/null/runs.db"),
    ],
)
def test_what_names_no_database_is_refused_to_an_auditor_in_the_same_words(where: str, says: str) -> None:
    """Reading alone is no reason to say less."""
    with pytest.raises(StoreUnusable, match=says):
        ReadOnlyStore.open(where)


def test_a_url_and_a_path_open_the_same(database: Path, new_run) -> None:
    """Folders on the way are made."""
    path = database.parent / "some where" / "50%" / "runs.db"
    with Store.open(path) as store:
        new_run("r1").begin(store)
    with Store.open(f"sqlite:///{path}", create=False) as store:
        assert store.unfinished() == ["r1"]


@pytest.fixture
def own_folder() -> Iterator[Path]:
    """A folder with a store in it, owned by a user who is not above permissions and who is this process's."""
    path = Path(tempfile.mkdtemp())
    Store.open(path / "runs.db").close()
    root = os.geteuid() == 0
    if root:
        for target in (path, path / "runs.db"):
            os.chown(target, 65534, 65534)
        os.seteuid(65534)
    yield path
    if root:
        os.seteuid(0)
    path.chmod(0o700)
    shutil.rmtree(path)


@pytest.mark.parametrize("target", ["runs.db", "."])
def test_what_cannot_be_written_is_refused(own_folder: Path, target: str) -> None:
    """A read-only file, or folder, is told when the store is opened and not in the middle."""
    (own_folder / target).chmod(0o555)
    with pytest.raises(StoreUnusable, match="is read-only; make it writable"):
        Store.open(own_folder / "runs.db")


def test_a_lock_is_waited_for_only_so_long(database: Path, new_run) -> None:
    """A writer held up by another program gives up in time, says so, and stores the same step afterwards."""
    with Store.open(database, busy_timeout=0.1) as store:
        step = (run := new_run("r1").begin(store)).step()
        other = sqlite3.connect(database, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        for write in (lambda: store.commit([step]), lambda: store.post("r1", "go", None, 1.0)):
            with pytest.raises(
                StoreUnusable, match=r"runs\.db has been locked .* for more than 0\.1 s; wait for"
            ):
                write()
        assert store.load("r1").seq == 1
        other.execute("ROLLBACK")
        other.close()
        assert store.commit([step, run.step()]) == [None, None]


def test_a_database_that_is_locked_whole_cannot_be_opened(database: Path) -> None:
    """Opening, too, waits no longer than it was told to."""
    other = sqlite3.connect(database, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreUnusable, match="has been locked by another program"):
        Store.open(database, busy_timeout=0.1)
    other.close()


def test_damage_is_told_where_it_is_met(database: Path, new_run) -> None:
    """Pages gone bad are reported by the reading that needs them; other runs can still be read."""
    with Store.open(database) as store:
        run, other = new_run("r1").begin(store), new_run("r2").begin(store)
        store.commit([run.step() for _ in range(300)])
    pages = database.read_bytes()
    middle = len(pages) // 2 // 4096 * 4096
    database.write_bytes(pages[:middle] + b"\xa5" * 40960 + pages[middle + 40960 :])
    with Store.open(database) as store:
        assert store.commit([other.step()]) == [None]
        with pytest.raises(
            StoreUnusable, match=r"is damaged \(.*malformed\); restore a backup, or save what can"
        ):
            list(store.records("r1"))


def test_pragmas_are_read_back(store: Store) -> None:
    """Every connection keeps what it acknowledges: a log, synced at each commit."""
    found = store.pragmas()
    assert (found["journal_mode"], found["synchronous"], found["foreign_keys"]) == ("wal", 2, 1)
    assert found["busy_timeout"] == 30_000


def test_a_store_that_is_there_opens_without_alembic(database: Path) -> None:
    """Only making or upgrading tables pays for importing what does it."""
    code = (
        "import sys; from statemachine.store import Store; "
        "Store.open(sys.argv[1]); print('alembic' in sys.modules)"
    )
    ran = [
        subprocess.run(
            [sys.executable, "-c", code, database], check=True, capture_output=True, text=True
        ).stdout
        for _ in range(2)
    ]
    assert ran == ["True\n", "False\n"]


def test_migrations_make_the_tables_that_the_code_knows(database: Path) -> None:
    """What Alembic's scripts build is what is declared, and their versions are those accepted."""
    Store.open(database).close()
    engine = create_engine(f"sqlite:///{database}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, metadata) == []
    engine.dispose()
    config = Config()
    config.set_main_option("script_location", str(Path(statemachine.store.__file__).with_name("migrations")))
    script = ScriptDirectory.from_config(config)
    assert tuple(revision.revision for revision in script.walk_revisions())[::-1] == VERSIONS
    assert script.get_heads() == [VERSIONS[-1]]


def test_nothing_stands_in_the_way_of_postgresql() -> None:
    """Every table can be declared there, and every statement of the hot path can be written."""
    Writer(create_mock_engine("postgresql+psycopg://", print))
    for table in metadata.sorted_tables:
        assert "CREATE TABLE" in str(CreateTable(table).compile(dialect=postgresql.dialect()))
