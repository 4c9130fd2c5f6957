"""A finished store is changed in many ways, and each is found: by `audit verify`, and by the program for auditors."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from statemachine.approvals.keys import load_key
from statemachine.approvals.policy import read_policy
from statemachine.errors import InvalidAnchor, StoreUnusable
from statemachine.host import verifier
from statemachine.host.anchoring import add_anchor, read_anchors
from statemachine.host.auditing import Problem, audit_rest, audit_runs
from statemachine.host.erasing import erase
from statemachine.host.runtime import Runtime
from statemachine.journal import Record, genesis, seal
from statemachine.journal.record import digest_of_body
from statemachine.store import ReadOnlyStore, Store
from tests.benchmarks.replay.__main__ import define, write
from tests.host.conftest import TOOLS
from tests.host.test_approvals import MACHINE, Office

pytestmark = pytest.mark.damages_journals
LONG = "0123456789ab"
"""The run with two checkpoints of its snapshot; the others were approved, one with a reason of 70 KB."""


@dataclass(frozen=True)
class Corpus:
    """A finished store, an older copy of it, and what was anchored of it."""

    folder: Path
    runs: tuple[str, str]
    erased: str

    @property
    def anchor(self) -> Path:
        return self.folder / "anchors"

    @property
    def policy(self) -> Path:
        return self.folder / "policy.yaml"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Make the store once; tests change copies."""
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "tools.py").write_text(TOOLS)
    file = folder / "pays.yaml"
    file.write_text(MACHINE)
    office = Office(file)
    found: list[str] = []

    async def approved(why: str) -> None:
        async with office.runtime() as runtime:
            view = await runtime.start(file, {"world": str(folder / "world.txt"), "why": why})
            done = await runtime.decide(office.sign(runtime, view))
            assert done.status == "succeeded"
            found.append(view.run)

    asyncio.run(approved("it is due"))
    with Store.open(folder / "runs.db") as store:
        write(store, define(), 900)
    shutil.copy(folder / "runs.db", folder / "backup.db")
    with Store.open(folder / "runs.db") as store:
        _go_on(store)
    asyncio.run(approved("x" * 70_000))
    asyncio.run(approved("it was due"))
    ann = load_key(office.keys["ann"][0])
    with Store.open(folder / "runs.db") as store:
        shutil.copy(folder / "runs.db", folder / "whole.db")
        erase(store, found[2], reason="asked for", by="ann", now=2e9, key=ann)
        store.scrub()
    with ReadOnlyStore.open(folder / "runs.db") as read:
        add_anchor(
            read,
            folder / "anchors",
            read_policy(folder / "policy.yaml"),
            5.0,
            "ann",
            ann,
        )
    return Corpus(folder, (found[0], found[1]), found[2])


def _go_on(store: Store) -> None:
    """Let the long run take one step more, which the backup has not."""
    from statemachine.host.sealing import sealed
    from statemachine.host.view import restore
    from statemachine.kernel import FINISH, Event, PendingCall, step
    from statemachine.machine.outcome import Outcome

    stored, definition = store.load(LONG), define()
    before = restore(store, stored)
    assert isinstance(before.pending, PendingCall)
    outcome = Outcome({"ok": True, "score": 0.9, "size": 1})
    made = step(
        definition, before, Event(FINISH, outcome=outcome, key=before.pending.key), stored.updated + 1
    )
    commit = sealed(definition, made, seq=stored.seq, head=stored.head, epoch=1, now=made.at)
    assert store.commit([commit]) == [None]


Database = sqlite3.Connection
Change = Callable[[Database, Corpus], None]


def sql(*statements: str) -> Change:
    """Return a change by SQL; ``:a`` and ``:b`` are the approved runs, ``:e`` an erased, ``:l`` the long one."""

    def change(database: Database, corpus: Corpus) -> None:
        names = {"a": corpus.runs[0], "b": corpus.runs[1], "e": corpus.erased, "l": LONG}
        for statement in statements:
            done = database.execute(statement, names)
            assert done.rowcount, f"nothing was changed by {statement}"

    return change


def sealed_again(run: str, *statements: str) -> Change:
    """Return a change after which the chain is made to fit again, and the run's row with it."""

    def change(database: Database, corpus: Corpus) -> None:
        sql(*statements)(database, corpus)
        name = {"a": corpus.runs[0], "e": corpus.erased, "l": LONG}[run]
        rows = database.execute(
            "select seq, at, kind, body, salt from records where run = ? order by seq", [name]
        ).fetchall()
        head = genesis(name, json.loads(rows[0][3])["digest"])
        for seq, at, kind, body, salt in rows:
            text = verifier.hash_of(name, seq, at, kind, body, head, salt)
            where = [head, text, name, seq]
            database.execute("update records set prev = ?, hash = ? where run = ? and seq = ?", where)
            head = text
        database.execute("update runs set seq = ?, head = ? where id = ?", [len(rows), head, name])

    return change


def backup(database: Database, corpus: Corpus) -> None:
    """Put the older copy in the place of the store."""
    with closing(sqlite3.connect(corpus.folder / "backup.db")) as older:
        database.commit()
        older.backup(database)


def made_anew(database: Database, corpus: Corpus) -> None:
    """Write the long run's whole history anew, as a path of its machine with other answers."""
    folder = corpus.folder / "forged"
    folder.mkdir(exist_ok=True)
    with Store.open(folder / "runs.db") as store:
        if not store.runs():
            write(store, define(), 600)
    for table, key in (("records", "run"), ("checkpoints", "run"), ("runs", "id")):
        database.execute(f"delete from {table} where {key} = ?", [LONG])
        with closing(sqlite3.connect(folder / "runs.db")) as forged:
            rows = forged.execute(f"select * from {table}").fetchall()
        database.executemany(f"insert into {table} values ({','.join('?' * len(rows[0]))})", rows)


def put_back(database: Database, corpus: Corpus) -> None:
    """Put the body of an erased record back, with its salt, from a copy that was made before."""
    with closing(sqlite3.connect(corpus.folder / "whole.db")) as whole:
        where = "where run = ? and seq = 1"
        row = whole.execute(f"select body, salt from records {where}", [corpus.erased]).fetchone()
    database.execute(f"update records set body = ?, salt = ? {where}", [*row, corpus.erased])


def erased_by_hand(database: Database, corpus: Corpus) -> None:
    """Take the body of a record away as the program would, and write of nothing."""
    (run, _), where = corpus.runs, "where run = ? and seq = 2"
    body, salt = database.execute(f"select body, salt from records {where}", [run]).fetchone()
    mark = {"at": 5.0, "by": "ann", "digest": digest_of_body(body, salt), "reason": "asked for", "record": 9}
    text = json.dumps({"$erased": mark}, separators=(",", ":"))
    database.execute(f"update records set body = ?, salt = '' {where}", [text, run])


def another_store(database: Database, corpus: Corpus) -> None:
    """Say that this is another store."""
    database.execute("update identity set store = 'another'")


BODY = "update records set body = replace(body, '\"ok\":true', '\"ok\":false') where run = :l and seq = 50"
COPY = "insert into records select run, 999999, at, kind, body, prev, hash, salt from records where run = :l and seq = 50"
SWAP = (
    "update records set seq = -1 where run = :l and seq = 50",
    "update records set seq = 50 where run = :l and seq = 51",
    "update records set seq = 51 where run = :l and seq = -1",
)
LAST = "(select max(seq) from records where run = :l)"
DROP_LAST = f"delete from records where run = :l and seq = {LAST}"
SIGNATURE = "update records set body = replace(body, '\"signature\":\"', '\"signature\":\"AAAA') where run = :a and kind = 'approval_decided'"

FORGED = (
    "insert into records select run, seq + 1, at, 'run_erased', "
    '\'{"by":"ann","left":"00","reason":"asked for","records":"2","snapshot":"00"}\', hash, hash, \'\' '
    "from records where run = :a order by seq desc limit 1"
)
OTHER_REASON = "update records set body = replace(body, 'asked for', 'it was fun') where run = :e and kind = 'run_erased'"

# By each: without and with the anchor. `audit verify` first, then the program without dependencies.
ALWAYS, ANCHOR, NEVER = (True, True), (False, True), (False, False)
CHANGES: dict[str, tuple[Change, tuple[bool, bool], tuple[bool, bool]]] = {
    "a body": (sql(BODY.replace("seq = 50", "kind = 'call_finished'")), ALWAYS, ALWAYS),
    "a space in a body": (sql("update records set body = body || ' ' where run = :a and seq = 2"), ALWAYS, ALWAYS),
    "a body that is no JSON": (sql("update records set body = '{' where run = :a and seq = 1"), ALWAYS, ALWAYS),
    "a body that is bytes": (sql("update records set body = x'ff' where run = :a and seq = 2"), ALWAYS, ALWAYS),
    "a time": (sql("update records set at = at + 1 where run = :l and seq = 7"), ALWAYS, ALWAYS),
    "a time by a microsecond": (sql("update records set at = at + 1e-6 where run = :l and seq = 7"), ALWAYS, ALWAYS),
    "a kind": (sql("update records set kind = 'note' where run = :l and seq = 7"), ALWAYS, ALWAYS),
    "a number": (sql("update records set seq = 999999 where run = :l and seq = 7"), ALWAYS, ALWAYS),
    "the hash before": (sql("update records set prev = hash where run = :l and seq = 7"), ALWAYS, ALWAYS),
    "a salt": (sql("update records set salt = replace(salt, '0', '1') where run = :l and seq between 1 and 9"), ALWAYS, ALWAYS),
    "a salt taken out": (sql("update records set salt = '' where run = :l and seq = 7"), ALWAYS, ALWAYS),
    "a hash": (sql("update records set hash = prev where run = :l and seq = 7"), ALWAYS, ALWAYS),
    "two swapped": (sql(*SWAP), ALWAYS, ALWAYS),
    "one taken out": (sql("delete from records where run = :l and seq = 50"), ALWAYS, ALWAYS),
    "the first taken out": (sql("delete from records where run = :l and seq = 1"), ALWAYS, ALWAYS),
    "the last taken out": (sql(DROP_LAST), ALWAYS, ALWAYS),
    "the last taken out, the row with it": (sealed_again("l", DROP_LAST), ALWAYS, ANCHOR),
    "one put in": (sql(COPY), ALWAYS, ALWAYS),
    "one put in at the end, sealed": (sealed_again("l", COPY.replace("999999", f"{LAST} + 1")), ALWAYS, NEVER),
    "one of another run": (
        sql("update records set body = (select body from records where run = :b and seq = 2) where run = :a and seq = 2",
            "update records set hash = (select hash from records where run = :b and seq = 2) where run = :a and seq = 2"),
        ALWAYS, ALWAYS,
    ),
    "all of another run": (
        sql("delete from records where run = :a", "update records set run = :a where run = :b"), ALWAYS, ALWAYS
    ),
    "a body, sealed again": (
        sealed_again("a", "update records set body = replace(body, 'it is due', 'it is fun') where run = :a"),
        ALWAYS, ANCHOR,
    ),
    "a time, sealed again": (
        sealed_again("l", "update records set at = at + 1 where run = :l and seq > 800"), ALWAYS, ANCHOR
    ),
    "a signature, sealed again": (sealed_again("a", SIGNATURE), ALWAYS, ALWAYS),
    "an approved input, sealed again": (
        sealed_again("a", "update records set body = replace(body, 'world.txt', 'other.txt') where run = :a and kind = 'approval_requested'"),
        ALWAYS, ALWAYS,
    ),
    "an approver, sealed again": (
        sealed_again("a", "update records set body = replace(body, '\"ann\"', '\"bob\"') where run = :a and kind = 'approval_decided'"),
        ALWAYS, ALWAYS,
    ),
    "a run's number of records": (sql("update runs set seq = seq - 1 where id = :l"), ALWAYS, ALWAYS),
    "a run's hash": (sql("update runs set head = 'x' where id = :l"), ALWAYS, ALWAYS),
    "a run's status": (sql("update runs set status = 'failed' where id = :a"), ALWAYS, NEVER),
    "a run's state": (sql("update runs set state = 'fail' where id = :a"), ALWAYS, NEVER),
    "a run's reason": (sql("update runs set reason = 'x' where id = :a"), ALWAYS, NEVER),
    "what a run waits for": (sql("update runs set waiting = 'approval of x' where id = :l"), ALWAYS, NEVER),
    "a run's timer": (sql("update runs set due = 5 where id = :a"), ALWAYS, NEVER),
    "when a run started": (sql("update runs set started = started - 9 where id = :a"), ALWAYS, NEVER),
    "when a run ended": (sql("update runs set finished = finished + 9 where id = :a"), ALWAYS, NEVER),
    "that a run ended": (sql("update runs set finished = null where id = :a"), ALWAYS, NEVER),
    "a run's snapshot": (
        sql("update runs set snapshot = replace(snapshot, 'complete', 'fail') where id = :a"), ALWAYS, NEVER
    ),
    "a snapshot that is none": (sql("update runs set snapshot = '[]' where id = :a"), ALWAYS, NEVER),
    "a kept snapshot": (
        sql("update checkpoints set snapshot = replace(snapshot, '0.9', '0.8') where run = :l"), ALWAYS, NEVER
    ),
    "a run's machine": (
        sql("update runs set machine = (select machine from runs where id = :l) where id = :a"), ALWAYS, NEVER
    ),
    "a run's machine taken out": (
        sql("delete from machines where digest = (select machine from runs where id = :a)"), ALWAYS, ALWAYS
    ),
    "a machine's declaration": (
        sql("update machines set declaration = replace(declaration, '\"none\"', '\"full\"') where name = 'pays'"),
        ALWAYS, NEVER,
    ),
    "a machine's version": (sql("update machines set version = '9' where name = 'pays'"), ALWAYS, NEVER),
    "a value kept apart": (sql("update blobs set data = x'7b7d'"), ALWAYS, ALWAYS),
    "a value taken out": (sql("delete from blobs"), ALWAYS, ALWAYS),
    "a run without its records": (sql("delete from records where run = :a"), ALWAYS, ALWAYS),
    "records without their run": (sql("delete from runs where id = :a"), ALWAYS, ALWAYS),
    "a run taken out": (sql("delete from records where run = :a", "delete from runs where id = :a"), ANCHOR, ANCHOR),
    "the backup": (backup, ANCHOR, ANCHOR),
    "a history made anew": (made_anew, ANCHOR, ANCHOR),
    "a body taken away": (sql("update records set body = '' where run = :a and seq = 2"), ALWAYS, ALWAYS),
    "a body erased by hand": (erased_by_hand, ALWAYS, ALWAYS),
    "an erased body put back": (put_back, ALWAYS, ALWAYS),
    "what is left of an erased body": (
        sql("update records set body = replace(body, '\"tool\":\"pay\"', '\"tool\":\"get\"') where run = :e"), ALWAYS, ALWAYS
    ),
    "the digest of an erased body": (
        sql("update records set body = replace(body, '\"digest\":\"', '\"digest\":\"0') where run = :e and seq = 1"),
        ALWAYS, ALWAYS,
    ),
    "a salt put to an erased body": (
        sql("update records set salt = '00112233445566778899aabbccddeeff' where run = :e and seq = 1"), ALWAYS, ALWAYS
    ),
    "the reason of an erasure": (sql(OTHER_REASON), ALWAYS, ALWAYS),
    "the reason of an erasure, sealed again": (sealed_again("e", OTHER_REASON), ALWAYS, ALWAYS),
    "an erasure taken out, sealed again": (
        sealed_again("e", "delete from records where run = :e and kind = 'run_erased'"), ALWAYS, ALWAYS
    ),
    "an erasure forged, sealed": (sealed_again("a", FORGED), ALWAYS, ALWAYS),
    "the snapshot of an erased run": (
        sql("update runs set snapshot = replace(snapshot, 'complete', 'fail') where id = :e"), ALWAYS, NEVER
    ),
    "the status of an erased run": (sql("update runs set status = 'failed' where id = :e"), ALWAYS, NEVER),
    "another store": (another_store, ANCHOR, ANCHOR),
}  # fmt: skip


def audited(corpus: Corpus, file: Path, *, anchor: bool) -> list[Problem]:
    """Return what is found wrong with a store."""
    policy = read_policy(corpus.policy)
    anchored = read_anchors(corpus.anchor, policy) if anchor else None
    with ReadOnlyStore.open(file) as store:
        found = [problem for run in audit_runs(store, policy, None, anchored) for problem in run.problems]
        return found + list(audit_rest(store, anchored))


def by_verifier(corpus: Corpus, file: Path, *, anchor: bool, keys: bool = True) -> int:
    """Return the exit code of the program without dependencies, with or without the keys of the policy."""
    words = ["--anchor", str(corpus.anchor)] if anchor else []
    return verifier.main([str(file), *words, *(["--policy", str(corpus.policy)] if keys else [])])


@pytest.fixture
def copied(corpus: Corpus, tmp_path: Path) -> Iterator[Path]:
    """A copy of the store, without the small file beside it: who changes the one can change the other."""
    shutil.copy(corpus.folder / "runs.db", tmp_path / "changed.db")
    return tmp_path / "changed.db"


@pytest.mark.parametrize("anchor", [False, True])
def test_a_store_that_nobody_changed_is_whole(corpus: Corpus, anchor: bool) -> None:
    """And is not touched: no byte of it, and no file beside it."""
    before = {file: file.read_bytes() for file in corpus.folder.iterdir() if file.is_file()}
    assert audited(corpus, corpus.folder / "runs.db", anchor=anchor) == []
    assert by_verifier(corpus, corpus.folder / "runs.db", anchor=anchor) == 0
    assert {file: file.read_bytes() for file in corpus.folder.iterdir() if file.is_file()} == before


@pytest.mark.parametrize("what", CHANGES)
def test_each_change_is_found(corpus: Corpus, copied: Path, what: str) -> None:
    """With the anchor by `audit verify` always; what else finds it is as the table says."""
    change, by_audit, by_program = CHANGES[what]
    with closing(sqlite3.connect(copied)) as database:
        database.execute("pragma journal_mode = delete")
        change(database, corpus)
        database.commit()
    assert what == "another store" or content(copied) != content(corpus.folder / "runs.db")
    assert tuple(bool(audited(corpus, copied, anchor=anchor)) for anchor in (False, True)) == by_audit
    assert tuple(by_verifier(corpus, copied, anchor=anchor) == 1 for anchor in (False, True)) == by_program


SIGNED = [what for what in CHANGES if what.endswith("sealed again") and CHANGES[what][2] == ALWAYS]


@pytest.mark.parametrize("what", [what for what in SIGNED if not what.startswith("an erasure")])
def test_what_only_a_signature_tells_takes_the_keys(corpus: Corpus, copied: Path, what: str) -> None:
    """Without them the program for auditors says that it looked at no signature, and finds it by the anchor."""
    with closing(sqlite3.connect(copied)) as database:
        CHANGES[what][0](database, corpus)
        database.commit()
    found = [by_verifier(corpus, copied, anchor=anchor, keys=False) for anchor in (False, True)]
    assert found == [0, 1]


COVERED = {
    "records": "*",
    "blobs": "*",
    "checkpoints": "*",
    "machines": "digest, name, version, declaration",
    "runs": "id, machine, status, state, waiting, due, seq, head, started, updated, finished, reason, snapshot",
}
"""What is covered. Not who drives a run and until when, and not in which folder a machine's file lay."""


def content(file: Path) -> Any:
    """Return all that is covered; None when it cannot be read."""
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro&immutable=1", uri=True)) as database:
            return [
                database.execute(f"select {what} from {table} order by 1, 2").fetchall()
                for table, what in COVERED.items()
            ]
    except (sqlite3.Error, UnicodeDecodeError):
        return None


def test_a_byte_that_is_another_is_found_wherever_it_matters(corpus: Corpus, copied: Path) -> None:
    """Sampled over the file; what is no longer read as it was is found, or the store cannot be read."""
    whole, expected = copied.read_bytes(), content(copied)
    mattered = 0
    for offset in random.Random(7).sample(range(len(whole)), 40):
        copied.write_bytes(whole[:offset] + bytes([whole[offset] ^ 0x15]) + whole[offset + 1 :])
        if content(copied) == expected:
            continue
        mattered += 1
        with suppress(StoreUnusable):
            assert audited(corpus, copied, anchor=False), f"byte {offset}"
    assert mattered > 10


def test_the_first_bad_record_is_named(corpus: Corpus, copied: Path) -> None:
    """With its run."""
    with closing(sqlite3.connect(copied)) as database:
        sql("update records set at = at + 1 where run = :l and seq in (7, 9)")(database, corpus)
        database.commit()
    (problem,) = audited(corpus, copied, anchor=False)
    assert (problem.run, problem.seq, problem.what) == (LONG, 7, "record")


def test_an_anchor_that_was_changed_is_refused(corpus: Corpus, tmp_path: Path) -> None:
    """In a run's line, in the checkpoint, in the signature, or by taking the checkpoint away."""
    policy, text = read_policy(corpus.policy), corpus.anchor.read_text()
    lines = text.splitlines(keepends=True)
    changed = {
        "not one of the runs above": text.replace(LONG, "ffffffffffff"),
        "its signature is not ann's": text.replace('"at": 5.0', '"at": 6.0'),
        "is not in the policy": text.replace('"by": "ann"', '"by": "eve"'),
        "ends without its checkpoint": "".join(lines[:-1]),
        "no line that": text + "{",
    }
    for why, other in changed.items():
        (tmp_path / "anchors").write_text(other)
        with pytest.raises(InvalidAnchor, match=why):
            read_anchors(tmp_path / "anchors", policy)


def test_an_anchor_holds_only_what_changed(corpus: Corpus, copied: Path, tmp_path: Path) -> None:
    """A second one on the same store is one line; on a store that was rolled back it is refused."""
    file, policy = tmp_path / "anchors", read_policy(corpus.policy)
    with ReadOnlyStore.open(corpus.folder / "backup.db") as store:
        assert add_anchor(store, file, policy, 1.0)[0]["changed"] == 2
        assert add_anchor(store, file, policy, 2.0)[0]["changed"] == 0
    with ReadOnlyStore.open(copied) as store:
        assert add_anchor(store, file, policy, 3.0)[0]["changed"] == 3
    assert read_anchors(file, policy).checkpoints == 3
    assert verifier.read_anchors(file)[0] == []
    with (
        ReadOnlyStore.open(corpus.folder / "backup.db") as store,
        pytest.raises(InvalidAnchor, match="not as it was anchored"),
    ):
        add_anchor(store, file, policy, 4.0)


def test_exported_records_verify_alone(corpus: Corpus, tmp_path: Path) -> None:
    """As JSON lines, with and without the anchor; an edit is found."""
    file = tmp_path / "records.jsonl"
    with Store.open(corpus.folder / "runs.db") as store:
        ids = sorted(run.id for run in store.runs())
        records = [record for run in ids for record in store.records(run)]
    names = Record._fields
    text = "".join(json.dumps({name: getattr(record, name) for name in names}) + "\n" for record in records)
    file.write_text(text)
    assert [by_verifier(corpus, file, anchor=anchor) for anchor in (False, True)] == [0, 0]
    file.write_text(text.replace('"kind": "transition"', '"kind": "move"', 1))
    assert by_verifier(corpus, file, anchor=False) == 1


def test_the_verifier_seals_as_the_runtime_does() -> None:
    """The same hashes for odd names, times and texts; they were written independently."""
    for at in (0.25, 5.0, 1.8e9, 1_800_000_000.123457):
        ((record,), _) = seal('rün"1', genesis('rün"1', "d"), 0, at, [("kïnd", {"x": "ä\n\u2028"})])
        assert verifier.genesis('rün"1', "d") == record.prev
        told = (record.seq, record.at, record.kind, record.body, record.prev, record.salt)
        assert verifier.hash_of('rün"1', *told) == record.hash


def test_a_fork_is_told_from_an_edit(corpus: Corpus, tmp_path: Path) -> None:
    """A fork names the record that it went on from, and that is still so."""
    from statemachine.host.forking import fork_run

    shutil.copy(corpus.folder / "runs.db", tmp_path / "runs.db")

    async def forked() -> None:
        async with Runtime(tmp_path / "runs.db") as runtime:
            await fork_run(runtime, LONG, 300)

    asyncio.run(forked())
    assert audited(corpus, tmp_path / "runs.db", anchor=True) == []


def test_the_readme_counts_the_changes() -> None:
    """As many as there are here."""
    readme = Path(__file__).parents[2] / "README.md"
    assert f"Each of {len(CHANGES)} ways of changing" in readme.read_text(encoding="utf-8")
