"""Checkpoints come by themselves, survive crashes, reach a command, and are what `audit verify` holds a store against."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from statemachine.approvals.keys import load_key, make_key
from statemachine.approvals.policy import read_policy
from statemachine.errors import InvalidAnchor, NotDelivered
from statemachine.host import verifier
from statemachine.host.anchoring import read_anchors
from statemachine.host.auditing import audit_rest, audit_runs
from statemachine.host.checkpoints import Checkpoints, Often
from statemachine.store import ReadOnlyStore, Store
from tests.benchmarks.replay.__main__ import define, write

Make = Callable[..., Checkpoints]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store in which nothing has happened, and a policy with a signer."""
    _, public = make_key("worker", tmp_path / "keys")
    (tmp_path / "policy.yaml").write_text(f'signers:\n  worker: {{key: "{public}"}}\n')
    with Store.open(tmp_path / "runs.db") as opened:
        yield opened


@pytest.fixture
def make(store: Store, tmp_path: Path) -> Iterator[tuple[Make, list[float]]]:
    """What makes checkpoints by a clock that the test sets."""
    now, made = [1000.0], list[Checkpoints]()

    def begin(often: Often | None = None, command: tuple[str, ...] = ()) -> Checkpoints:
        key = load_key(tmp_path / "keys" / "worker.key")
        policy, anchors = tmp_path / "policy.yaml", tmp_path / "anchors"
        often = often or Often()
        options = {"by": "worker", "key": key, "command": command, "now": lambda: now[0]}
        made.append(Checkpoints(store, anchors, policy, often, **options))  # type: ignore[arg-type]
        return made[-1]

    yield begin, now
    for one in made:
        one.close()


def checkpoints(folder: Path, name: str = "anchors") -> int:
    """Return how many there are, and that both programs find the store to be what they say."""
    file, policy = folder / name, read_policy(folder / "policy.yaml")
    anchored = read_anchors(file, policy)
    assert set(anchored.signers) <= {"worker"}
    with ReadOnlyStore.open(folder / "runs.db") as store:
        assert [p for run in audit_runs(store, policy, None, anchored) for p in run.problems] == []
        assert list(audit_rest(store, anchored)) == []
    assert verifier.main([str(folder / "runs.db"), "--anchor", str(file)]) == 0
    return anchored.checkpoints


def test_they_come_every_so_many_records_or_seconds(
    store: Store, make: tuple[Make, list[float]], tmp_path: Path
) -> None:
    """Whichever is first; and none while nothing happens."""
    begin, now = make
    writer = begin(Often(records=100, seconds=60))
    writer.look()
    writer.look(last=True)
    assert not (tmp_path / "anchors").exists()
    write(store, define(), 40)
    writer.look()  # there is none yet, so that the last one was long ago
    assert checkpoints(tmp_path) == 1
    writer.look()
    write(store, define(), 40, "b" * 12)
    writer.look()
    assert checkpoints(tmp_path) == 1
    write(store, define(), 60, "c" * 12)
    writer.look()
    assert checkpoints(tmp_path) == 2
    write(store, define(), 5, "d" * 12)
    now[0] += 59
    writer.look()
    assert checkpoints(tmp_path) == 2
    now[0] += 1
    writer.look()
    assert checkpoints(tmp_path) == 3
    write(store, define(), 5, "e" * 12)
    writer.look(last=True)
    assert checkpoints(tmp_path) == 4


def test_whatever_a_crash_leaves_is_mended(
    store: Store, make: tuple[Make, list[float]], tmp_path: Path
) -> None:
    """Cut anywhere in the last checkpoint, the file is one again after the next."""
    begin, _ = make
    write(store, define(), 20)
    first = begin()
    first.look(last=True)
    first.close()
    whole = (tmp_path / "anchors").read_bytes()
    write(store, define(), 10, "b" * 12)
    second = begin()
    second.look(last=True)
    second.close()
    both = (tmp_path / "anchors").read_bytes()
    for cut in (len(whole) + 1, len(whole) + 40, both.index(b'{"store"', len(whole)), len(both) - 2):
        (tmp_path / "anchors").write_bytes(both[:cut])
        with pytest.raises(InvalidAnchor):
            read_anchors(tmp_path / "anchors", read_policy(tmp_path / "policy.yaml"))
        again = begin()
        again.look(last=True)
        again.close()
        assert checkpoints(tmp_path) == 2
        assert (tmp_path / "anchors").read_bytes().startswith(whole)


def test_one_of_several_makes_them(store: Store, make: tuple[Make, list[float]], tmp_path: Path) -> None:
    """The other goes on when that one has ended, without a gap or a repetition."""
    begin, _ = make
    one, other = begin(), begin()
    write(store, define(), 20)
    one.look()
    other.look(last=True)
    assert checkpoints(tmp_path) == 1
    one.close()
    write(store, define(), 10, "b" * 12)
    other.look(last=True)
    assert checkpoints(tmp_path) == 2


def test_a_command_gets_each_checkpoint_at_least_once(
    store: Store, make: tuple[Make, list[float]], tmp_path: Path
) -> None:
    """What it got is a file of anchors, also when it failed, or a crash came before that was noted."""
    begin, _ = make
    script = tmp_path / "send.py"
    script.write_text(
        "import pathlib, sys\n"
        "text = sys.stdin.read()\n"
        "if pathlib.Path(sys.argv[1]).exists(): sys.exit('the line is dead')\n"
        "open(sys.argv[2], 'a').write(text)\n"
    )
    dead, got = tmp_path / "dead", tmp_path / "got"
    command = (sys.executable, str(script), str(dead), str(got))
    write(store, define(), 20)
    dead.touch()
    writer = begin(command=command)
    with pytest.raises(NotDelivered, match="ended with 1: the line is dead"):
        writer.look()
    write(store, define(), 10, "b" * 12)
    with pytest.raises(NotDelivered):
        writer.look(last=True)
    dead.unlink()
    writer.look()
    assert got.read_bytes() == (tmp_path / "anchors").read_bytes()
    assert checkpoints(tmp_path, "got") == 2
    writer.close()
    # As if it had been killed before it noted that they had arrived.
    (tmp_path / "anchors.sent").write_text(f"{store.identity()} {0:020}\n")
    again = begin(command=command)
    again.look()
    assert got.read_bytes() == 2 * (tmp_path / "anchors").read_bytes()
    write(store, define(), 10, "c" * 12)
    again.look(last=True)
    assert checkpoints(tmp_path, "got") == 3


@pytest.mark.damages_journals
def test_what_was_changed_while_it_ran_is_told(
    store: Store, make: tuple[Make, list[float]], tmp_path: Path
) -> None:
    """No checkpoint is made of a run that is not as it was anchored."""
    import sqlite3
    from contextlib import closing

    begin, _ = make
    run = write(store, define(), 20)
    writer = begin()
    writer.look()
    with closing(sqlite3.connect(tmp_path / "runs.db")) as database:
        database.execute("update records set hash = 'ff' where run = ? and seq >= 19", [run])
        database.execute("update runs set head = 'ff' where id = ?", [run])
        database.commit()
    write(store, define(), 10, "b" * 12)
    with pytest.raises(InvalidAnchor, match=f"run {run} is not as it was anchored"):
        writer.look(last=True)
    assert json.loads((tmp_path / "anchors").read_text().splitlines()[-1])["runs"] == 1


def test_a_signer_approves_nothing(tmp_path: Path) -> None:
    """Not even what anyone may approve."""
    _, public = make_key("worker", tmp_path / "keys")
    (tmp_path / "policy.yaml").write_text(f'signers:\n  worker: {{key: "{public}"}}\n')
    policy = read_policy(tmp_path / "policy.yaml")
    assert policy.signing_key("worker") == public
    assert policy.signing_key("eve") is None
    assert not policy.may_answer("worker", (), 0.0)
