"""A stored run is taken again from its journal; whatever a hand has changed in it is found."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from statemachine.host.forking import fork_run
from statemachine.host.pinned import pin
from statemachine.host.replay import Replayed, replay_run
from statemachine.host.runtime import Runtime
from statemachine.host.sealing import sealed
from statemachine.journal import genesis, seal
from statemachine.machine.definition import Definition
from statemachine.store import NewRun, Store
from tests.kernel.strategies import Moves, runs

check = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
Row = list[Any]
"""A record as it lies in the database: sequence number, time, kind, body, hash before and own hash."""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new database, to be copied: making one takes a while."""
    path = tmp_path_factory.mktemp("template") / "runs.db"
    Store.open(path).close()
    return path


@contextmanager
def stored(template: Path, definition: Definition, moves: Moves) -> Iterator[Path]:
    """Give a database with a run, as a host stores it."""
    path = template.with_name("copy.db")
    shutil.copy(template, path)
    steps = [made for _, _, made in moves if made.entries]
    head, commits = genesis("run", definition.digest), []
    for made in steps:
        seq = made.snapshot.seq - len(made.entries)
        commits.append(sealed(definition, made, seq=seq, head=head, epoch=1, now=made.at))
        head = commits[-1].records[-1].hash
    with Store.open(path) as store:
        assert store.commit([NewRun(pin(definition), commits[0], "me", 1e12)]) == [None]
        assert store.commit(commits[1:]) == [None] * len(commits[1:])
    try:
        yield path
    finally:
        for left in template.parent.glob("copy.db*"):
            left.unlink()


def replayed(path: Path) -> Replayed:
    """Return how the run replays."""
    with Store.open(path) as store:
        return replay_run(store, "run")


def rewrite(path: Path, rows: list[Row]) -> None:
    """Put other records in the place of a run's; the anchor, which would notice that some are gone, goes too."""
    path.with_name(f"{path.name}.anchor").unlink()
    with sqlite3.connect(path) as database:
        database.execute("delete from records")
        database.executemany("insert into records values ('run', ?, ?, ?, ?, ?, ?, ?)", rows)
    database.close()


def read(path: Path) -> list[Row]:
    """Return a run's records."""
    database = sqlite3.connect(path)
    rows = database.execute(
        "select seq, at, kind, body, prev, hash, salt from records order by seq"
    ).fetchall()
    database.close()
    return [list(row) for row in rows]


def changed(rows: list[Row], data: Any) -> list[Row]:
    """Return the records with one dropped, two swapped, or one edited in its body, time or kind."""
    place = data.draw(st.integers(0, len(rows) - 1))
    how = data.draw(st.sampled_from(["drop", "drop and number anew", "swap", "body", "time", "kind"]))
    if how.startswith("drop"):
        del rows[place]
        return [[n, *row[1:]] for n, row in enumerate(rows, start=1)] if "anew" in how else rows
    if how == "swap":
        other = data.draw(st.integers(0, len(rows) - 1).filter(lambda n: n != place))
        rows[place][1:], rows[other][1:] = rows[other][1:], rows[place][1:]
    elif how == "body":
        body = json.loads(rows[place][3])
        body[data.draw(st.sampled_from(sorted(body)))] = data.draw(
            st.sampled_from([None, "x", -7, [1], {"x": 1}])
        )
        text = json.dumps(body)
        rows[place][3] = text if text != rows[place][3] else "[]"
    elif how == "time":
        rows[place][1] += data.draw(st.sampled_from([-5.0, 0.5, 1000.0]))
    else:
        rows[place][2] = data.draw(
            st.sampled_from(["note", "event", "transition"]).filter(lambda k: k != rows[place][2])
        )
    return rows


def sealed_anew(rows: list[Row], definition: Definition) -> list[Row]:
    """Return the records with a chain of hashes that fits them, as far as there can be one."""
    head, found = genesis("run", definition.digest), []
    for seq, at, kind, body, *_ in rows:
        ((record,), _) = seal("run", head, seq - 1, at, [(kind, json.loads(body))])
        found.append([seq, record.at, kind, record.body, head, record.hash, record.salt])
        head = record.hash
    return found


@given(runs(), st.data())
@check
@pytest.mark.damages_journals
def test_what_was_written_cannot_be_changed_unseen(
    template: Path, case: tuple[Definition, Moves], data: Any
) -> None:
    """Dropped, swapped or edited, also with the hashes made anew: the run no longer conforms."""
    definition, moves = case
    with stored(template, definition, moves) as path:
        found = replayed(path)
        assert (found.deviation, found.records) == (None, len(read(path)))
        if found.records < 2:
            return
        before = read(path)
        rows = changed(read(path), data)
        if data.draw(st.booleans()):
            rows = sealed_anew(rows, definition)
        if [row[:4] for row in rows] == [row[:4] for row in before]:
            return  # an edit that says the same in other words, sealed anew, is what was written
        rewrite(path, rows)
        assert replayed(path).deviation is not None


@given(runs(), st.data())
@check
@pytest.mark.damages_journals
def test_a_missing_end_shows_against_the_snapshot(
    template: Path, case: tuple[Definition, Moves], data: Any
) -> None:
    """Each prefix of whole steps is a path; that it is not all is told, and from where on."""
    definition, moves = case
    with stored(template, definition, moves) as path:
        rows = read(path)
        kept = data.draw(st.integers(0, len(rows) - 1))
        rewrite(path, rows[:kept])
        wrong = replayed(path).deviation
        assert wrong is not None
        assert wrong.seq == kept + 1
        assert "the journal ends" in wrong.why


@pytest.mark.damages_journals
@given(runs())
@settings(check, max_examples=10)
def test_a_snapshot_that_was_changed_is_found(template: Path, case: tuple[Definition, Moves]) -> None:
    """What differs is named, with what the journal leads to and what is stored."""
    with stored(template, *case) as path:
        with sqlite3.connect(path) as database:
            ((text,),) = database.execute("select snapshot from runs").fetchall()
            data = json.loads(text) | {"steps": 99}
            database.execute("update runs set snapshot = ?", [json.dumps(data)])
        database.close()
        wrong = replayed(path).deviation
        assert wrong is not None
        assert (wrong.expected, wrong.found) == (
            ("snapshot", {"steps": case[1][-1][2].snapshot.steps}),
            ("snapshot", {"steps": 99}),
        )


@pytest.mark.damages_journals
def test_what_another_version_worded_otherwise_is_told_with_both_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts are part of a journal; who upgrades must not take their new words for somebody's hand."""
    file = tmp_path / "waits.yaml"
    file.write_text(
        'machine: waits\nversion: "1"\ninitial: a\nstates:\n'
        "  a: {timeout: 10ms, on: {cancelled: b}}\n  b: {final: failed}\n"
    )

    async def run() -> tuple[str, str]:
        async with Runtime(tmp_path / "runs.db") as here:
            begun = await here.start(file, {})
            off = (await fork_run(here, begun.run, 1)).snapshot.run
            await asyncio.sleep(0.05)  # until its time is over, too
            return begun.run, (await here.resume(off)).run

    with monkeypatch.context() as before:
        for module in ("hosting", "forking"):
            before.setattr(f"statemachine.host.{module}.package_version", lambda: "0.0.9")
        before.setattr("statemachine.kernel.route._why_nowhere", lambda *_: "it was too late")
        ended = asyncio.run(run())
    with Store.open(tmp_path / "runs.db") as store:
        found = [replay_run(store, each).deviation for each in ended]
    for wrong in found:
        assert wrong is not None
        assert wrong.why.startswith(
            "the machine gives another reason (version 0.0.9 of this package began the run"
        )
