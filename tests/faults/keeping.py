"""SIGKILL before and after everything by which a run that has ended is kept: checkpoints outside, and its erasure.

The process drives a run, notes the store's heads in a file, erases the run, and notes the heads again. Whoever comes after
it does the same. Then nothing of what was erased is left in any file, and the auditor finds all as it was written.
"""

from __future__ import annotations

import random
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from statemachine.approvals.policy import read_policy
from statemachine.host import checkpoints, erasing
from statemachine.host.anchoring import read_anchors
from statemachine.host.auditing import audit_rest, audit_runs
from statemachine.host.checkpoints import Checkpoints, Often
from statemachine.store import ReadOnlyStore, Store
from tests.faults import world as worlds
from tests.faults.tally import Tally, side_by_side
from tests.faults.world import BY_NAME, World, machine

CANARY = "4929-7181-canary"
_EFFECTS = (BY_NAME["put"], BY_NAME["wire"])


@contextmanager
def watched(world: World) -> Iterator[None]:
    """Come by a point before and after each checkpoint and each part of an erasure."""
    doors: tuple[tuple[Any, str, str], ...] = (
        (checkpoints, "add_anchor", "a checkpoint"),
        (Store, "erase", "a run is erased"),
        (Store, "scrub", "the file is scrubbed"),
    )
    kept = [getattr(owner, name) for owner, name, _ in doors]

    def passing(work: Any, what: str) -> Any:
        def passed(*arguments: Any) -> Any:
            world.reached(f"before {what}")
            result = work(*arguments)
            world.reached(f"after {what}")
            return result

        return passed

    for (owner, name, what), work in zip(doors, kept, strict=True):
        setattr(owner, name, passing(work, what))
    try:
        yield
    finally:
        for (owner, name, _), work in zip(doors, kept, strict=True):
            setattr(owner, name, work)


def keep(world: World) -> None:
    """Make a checkpoint, erase every run, and make another one."""
    with watched(world), Store.open(world.db) as store:
        made = Checkpoints(
            store,
            _anchors(world),
            world.folder / "policy.yaml",
            Often(1, 0.0),
            by=worlds.APPROVER,
            key=worlds.approver_key(),
            now=world.now,
        )
        made.look()
        for run in store.runs():
            erasing.erase(store, run.id, reason="asked for", by=worlds.PERSON, now=world.now())
        store.scrub()
        made.look()
        made.close()


def _anchors(world: World) -> Path:
    return world.folder / "anchors.jsonl"


def kept(folder: Path, *, long: bool = False, seed: int = 0, most: int = 20, mutant: str = "") -> Tally:
    """Kill a process at each point at which it keeps a run; let another finish, and look at what is left."""
    from tests.faults.process import At, Order, ended, new_world, spawn, wrong

    tally = Tally("keeping")

    def fresh(place: Path) -> World:
        world = new_world(place)
        text = machine(_EFFECTS).replace("context:\n", "context:\n  card: {type: str, owner: operator}\n")
        world.machine.write_text(text)
        return world

    order = Order(fresh(folder / "count").folder, do="keep", mutant=mutant)
    ended(spawn(order))
    names = (order.folder / "points.txt").read_text().splitlines()
    # By name: how many commits there are before the keeping begins depends on how they fall together.
    points = [(name, names[:n].count(name)) for n, name in enumerate(names, 1)]
    if not long:  # all that is about keeping, and some of the rest
        late = [point for point in points if point[0].endswith(("checkpoint", "erased", "scrubbed"))]
        rest = [point for point in points if point not in late]
        points = late + random.Random(seed).sample(rest, max(0, min(len(rest), most - len(late))))

    def strike(place: Path, point: At) -> None:
        world = fresh(place)
        codes = [ended(spawn(Order(place, do="keep", at=point, mutant=mutant)))]
        codes.append(ended(spawn(Order(place, do="keep", mutant=mutant))))
        found = [*wrong(world, codes[0], 0, -signal.SIGKILL), *wrong(world, codes[1], 0), *_left(world)]
        tally.note(f"kill {point[0]}, number {point[1]}", point[0], codes[0] < 0, found)
        shutil.rmtree(place)

    side_by_side(folder, points, strike)
    return tally


def _left(world: World) -> Iterator[str]:
    """Yield what does not hold of a world in which all was kept."""
    for file in sorted(path for path in world.folder.rglob("*") if path.is_file()):
        if CANARY.encode() in file.read_bytes():
            yield f"what was erased lies in {file.name}"
    policy = read_policy(world.folder / "policy.yaml")
    with ReadOnlyStore.open(world.db) as store:
        anchored = read_anchors(_anchors(world), policy)
        for run in audit_runs(store, policy, None, anchored):
            yield from (f"{run.run}: {problem.why}" for problem in run.problems)
            erasures = len(list(store.records(run.run, kind="run_erased")))
            if erasures != 1:
                yield f"{run.run}: it was erased {erasures} times"
        yield from (problem.why for problem in audit_rest(store, anchored))
    for (key, tool), count in Counter((line.key, line.tool) for line in world.lines()).items():
        if BY_NAME[tool].unsafe and count > 1:
            yield f"unsafe {tool} happened {count} times ({key})"
    if not all(line.intended and line.owned for line in world.lines()):
        yield "an effect came before its intent, or without its lease"
