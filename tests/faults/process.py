"""A process that drives runs in a world, and strikes itself down at a point that it is told."""

from __future__ import annotations

import asyncio
import ctypes
import multiprocessing
import os
import shutil
import signal
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from threading import Lock
from typing import Any, Literal
from unittest.mock import patch
from zlib import crc32

from statemachine.approvals.decision import signed
from statemachine.approvals.policy import Notifier, Verdict
from statemachine.errors import EventRefused, LeaseLost, StoreUnusable
from statemachine.host import approving
from statemachine.host.driver import Driver
from statemachine.host.runtime import Runtime
from statemachine.host.worker import Worker
from statemachine.kernel import DECIDED, PendingCall
from statemachine.store import Change, Commit, NewRun, Release, Store, database
from tests.faults import keeping
from tests.faults import world as worlds
from tests.faults.invariants import acknowledged, violations
from tests.faults.world import EFFECTS, World, machine

_ROUNDS = 40
# Starting a process looks at how all others ended, and an exit code can be read only once.
_one_at_a_time = Lock()
_PR_SET_PTRACER = 0x59616D61
At = tuple[str, int]
"""A point by its name, and which one of that name, from 1."""

DEADLINE = 60.0
"""Seconds after which a process that has not ended is stuck, and is ended by SIGALRM."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a process is to do.

    Attributes:
        folder: Folder of its world.
        do: ``start`` runs; ``resume`` all; ``work``: start some, then resume all until none is left that could
            go on; ``keep``: one run to its end, then checkpoints and its erasure; ``judge``: finish all, and write down which invariants do not hold.
        runs: How many runs to start.
        laps: How often each goes round.
        point: The point at which a signal strikes, from 1; 0 for never.
        at: Or the point by its name, and which one of that name, from 1.
        signal: The signal.
        lease: Seconds that its leases last.
        mutant: What is broken in this process on purpose; empty for nothing.
        wait: Whether to wait, before anything else, until ``go`` is in the folder.
        skew: Seconds by which its clock is fast.
        jump: How its clock is set at the point, instead of a signal: what libfaketime is to read.
    """

    folder: Path
    do: Literal["start", "resume", "work", "keep", "judge"] = "start"
    runs: int = 1
    laps: int = 1
    point: int = 0
    at: At | None = None
    signal: int = signal.SIGKILL
    lease: float = 30.0
    mutant: str = ""
    wait: bool = False
    skew: float = 0.0
    jump: str = ""


class Points:
    """Counts the points that a process comes by, and strikes it at one of them."""

    def __init__(self, order: Order) -> None:
        self.order, self.log, self.counts = order, order.folder / "points.txt", Counter[str]()

    def reached(self, name: str) -> None:
        """Come by a point."""
        self.counts[name] += 1
        if self.counts.total() == self.order.point or (name, self.counts[name]) == self.order.at:
            self.log.write_text(name)
            if self.order.jump:
                (self.order.folder / "clock.txt").write_text(self.order.jump)
            else:
                os.kill(os.getpid(), self.order.signal)
        elif not (self.order.point or self.order.at):
            with self.log.open("a") as file:
                file.write(f"{name}\n")


@contextmanager
def watched(world: World, who: Callable[[Store], object] = lambda _: os.getpid()) -> Iterator[None]:
    """Come by a point before and after whatever is stored or told, and in back-off; note what is acknowledged."""
    commit, acquire, claim, following = Store.commit, Store.acquire, Store.claim, Driver.next_event
    tell = approving._tell
    file = os.open(world.folder / "acknowledged.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(store: Store, kind: str, run: str, epoch: int, seq: int, head: str) -> None:
        os.write(file, f"{kind} {run} {epoch} {seq} {head} {who(store)}\n".encode())

    def note(store: Store, step: Commit) -> None:
        if step.records:
            last = step.records[-1]
            write(store, "commit", step.run, step.epoch, last.seq, last.hash)

    def committing(self: Store, changes: Sequence[Change]) -> Any:
        what = "a run is created" if any(isinstance(one, NewRun) for one in changes) else "a commit"
        if all(isinstance(one, Release) for one in changes):
            what = "a run is given back"
        world.reached(f"before {what}")
        verdicts = commit(self, changes)
        for one, refused in zip(changes, verdicts, strict=True):
            if refused is None and not isinstance(one, Release):
                note(self, one.first if isinstance(one, NewRun) else one)
        world.reached(f"after {what}")
        return verdicts

    def acquiring(self: Store, run: str, *arguments: Any) -> int:
        world.reached("before a lease is taken")
        epoch = acquire(self, run, *arguments)
        stored = self.load(run)
        write(self, "lease", run, epoch, stored.seq, stored.head)
        world.reached("after a lease is taken")
        return epoch

    def claiming(self: Store, *arguments: Any, **more: Any) -> dict[str, int]:
        world.reached("before leases are taken")
        epochs = claim(self, *arguments, **more)
        for run, epoch in epochs.items():
            stored = self.load(run)
            write(self, "lease", run, epoch, stored.seq, stored.head)
        world.reached("after leases are taken")
        return epochs

    async def next_(self: Driver) -> Any:
        pending = self.snapshot.pending
        if isinstance(pending, PendingCall) and pending.phase == "backoff":
            world.reached("in back-off")
        return await following(self)

    async def telling(way: Notifier, body: Mapping[str, Any]) -> str:
        world.reached("before people are told")
        told = await tell(way, body)
        world.reached("after people are told")
        return told

    approving._tell = telling
    Store.claim = claiming  # type: ignore[method-assign]
    Store.commit, Store.acquire = committing, acquiring  # type: ignore[method-assign,assignment]
    Driver.next_event = next_  # type: ignore[method-assign]
    try:
        yield
    finally:
        approving._tell = tell
        Store.claim = claim  # type: ignore[method-assign]
        Store.commit, Store.acquire = commit, acquire  # type: ignore[method-assign]
        Driver.next_event = following  # type: ignore[method-assign]
        os.close(file)


def obey(order: Order) -> None:
    """Be the process."""
    from tests.faults.mutants import broken

    ctypes.CDLL(None).prctl(_PR_SET_PTRACER, ctypes.c_ulong(-1), 0, 0, 0)  # whoever wants may trace us
    many = order.do in ("work", "judge")  # hundreds of runs, each with people's decisions one after the other
    signal.alarm(int(10 * DEADLINE if many else DEADLINE))
    while order.wait and not (order.folder / "go").exists():
        time.sleep(0.005)
    world = worlds.enter(World(order.folder))
    world.time = lambda: time.time() + order.skew
    world.reached = Points(order).reached
    try:
        if order.do == "judge":
            found = asyncio.run(_judge(world, order.mutant))
            (world.folder / "violations.txt").write_text("\n".join(found))
            return
        with broken(order.mutant), watched(world):
            does = {"start": _start, "resume": _resume, "work": _work, "keep": _keep}
            asyncio.run(does[order.do](world, order))
    except StoreUnusable as error:
        (world.folder / "refused.txt").write_text(str(error))
        raise SystemExit(4) from None
    except Exception:
        (world.folder / "failed.txt").write_text(traceback.format_exc())
        raise SystemExit(1) from None


def wrong(world: World, code: int, *right: int) -> list[str]:
    """Return what is wrong with how a process ended, if its exit code is not one of the right ones."""
    if code in right:
        return []
    failed = world.folder / "failed.txt"
    return [f"it ended with {code}: {failed.read_text().strip() if failed.exists() else 'no word'}"]


async def _start(world: World, order: Order) -> None:
    async with Runtime(world.db, clock=world, lease=order.lease) as host:
        starts = [host.start(world.machine, {"laps": order.laps}) for _ in range(order.runs)]
        for result in await asyncio.gather(*starts, return_exceptions=True):
            if isinstance(result, BaseException) and not isinstance(result, LeaseLost):
                raise result
        if order.do == "start":
            await _decide_all(host, world)


async def _resume(world: World, order: Order) -> None:
    async with Runtime(world.db, create=False, clock=world, lease=order.lease) as host:
        await _resume_all(host)
        await _decide_all(host, world)


async def _resume_all(host: Runtime) -> None:
    async for result in host.resume_all():
        if isinstance(result, tuple) and not isinstance(result[1], LeaseLost):
            raise result[1]


async def _work(world: World, order: Order) -> None:
    """Start runs, then be a worker until every run has ended or waits for a person."""
    await _start(world, order)
    async with Runtime(world.db, clock=world, lease=order.lease) as host:
        async for result in Worker(host, poll=0.1, until_idle=True).work():
            if isinstance(result, tuple):
                raise result[1]


async def _keep(world: World, order: Order) -> None:
    """Drive a run to its end, whoever began it, and then keep it as long as it has to be kept."""
    # Some builds of SQLite clear what they free; most do not, and an erasure must not rest on it.
    with patch.dict(database._PRAGMAS, {"secure_delete": 0}):
        async with Runtime(world.db, clock=world) as host:
            if not host.store.runs():
                await host.start(world.machine, {"regrets": False, "card": keeping.CANARY * 500})
            await _resume_all(host)
            await _decide_all(host, world)
        keeping.keep(world)


async def _decide_all(host: Runtime, world: World) -> None:
    """Be the person who decides, as long as each decision leads on."""
    decided: set[str] = set()
    while found := set(await _decide(host, world, decided)):
        decided |= found


async def _decide(host: Runtime, world: World, decided: Collection[str] = ()) -> list[str]:
    """Decide on every call in doubt by asking the world, and on every request, but on what is ``decided``.

    Returns:
        The keys and requests that were decided on.
    """
    keys = []
    for view in [host.status(run) for run in host.store.unfinished()]:
        if view.pending is None or view.pending["phase"] != "doubt" or view.pending["key"] in decided:
            continue
        keys.append(key := view.pending["key"])
        happened = world.has(key)
        output = int(key.partition(":")[2]) if happened else None
        with suppress(EventRefused, LeaseLost):  # another decided meanwhile, or took the run over
            await host.resolve(view.run, happened, output, by=worlds.PERSON)
    for body in list(host.desk.requests()):
        if body["request"] in decided or body["held"]:
            continue
        keys.append(body["request"])
        # Mostly yes; the same whenever a seed is tried again.
        verdict: Verdict = "deny" if crc32(body["request"].encode()) % 8 == 0 else "approve"
        with suppress(EventRefused, LeaseLost):
            asked, times = (
                host.desk.request(body["request"])[0],
                {"now": world.now(), "until": body["expires"]},
            )
            decision = signed(asked, verdict, worlds.APPROVER, worlds.approver_key(), **times)
            if verdict == "deny":  # before it somebody else says yes in ann's name
                forged = replace(decision, verdict="approve").as_data()
                host.store.post(body["run"], DECIDED, {"payload": forged, "by": worlds.APPROVER}, world.now())
            await host.decide(decision)
    return keys


async def settle(world: World) -> None:
    """Be whoever comes after the faults: resume every run, and decide what is in doubt."""
    async with Runtime(world.db, clock=world) as host:
        for _ in range(_ROUNDS):
            await _resume_all(host)
            await _decide(host, world)
            if not host.store.unfinished():
                return


async def _judge(world: World, mutant: str) -> list[str]:
    """Finish what is left and return the invariants that do not hold, before and after."""
    from tests.faults.mutants import broken

    found = check(world, settled=False)
    world.machine.write_text(
        machine(EFFECTS[:1])
    )  # a run is pinned to its machine, whatever becomes of the file
    with broken(mutant), watched(world):
        await settle(world)
    return found + check(world, settled=True)


def check(world: World, *, settled: bool) -> list[str]:
    """Return the invariants that do not hold in a world and its store."""
    with Store.open(world.db) as store:
        return violations(store, world, acknowledged(world.folder / "acknowledged.txt"), settled=settled)


@cache
def _template() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        Store.open(Path(folder) / "runs.db").close()
        return (Path(folder) / "runs.db").read_bytes()


def new_world(folder: Path, *, fresh: bool = False) -> World:
    """Return an empty world in a folder that is emptied; its tables are made already unless it is ``fresh``."""
    shutil.rmtree(folder, ignore_errors=True)
    world = World(folder).make()
    if not fresh:
        world.db.write_bytes(_template())
    return world


@cache
def context() -> multiprocessing.context.ForkServerContext:
    """Return how processes are made: from one that has loaded everything and has no threads."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.process", "tests.faults.mutants", "statemachine.tools"])
    return context


def spawn(order: Order) -> ForkServerProcess:
    """Start a process that obeys an order."""
    process = context().Process(target=obey, args=(order,))
    with _one_at_a_time:
        process.start()
    return process


def ended(process: ForkServerProcess) -> int:
    """Wait for a process and return its exit code: minus the signal, if one ended it."""
    while True:
        with _one_at_a_time:
            if process.exitcode is not None:
                return process.exitcode
        time.sleep(0.005)


def judged(world: World, mutant: str = "", skew: float = 0.0) -> list[str]:
    """Let a last process finish what is left in a world; return the invariants that do not hold."""
    code = ended(spawn(Order(world.folder, do="judge", mutant=mutant, skew=skew)))
    if code != 0:
        return [f"whoever came after the faults could not go on; {what}" for what in wrong(world, code, 0)]
    return (world.folder / "violations.txt").read_text().splitlines()
