"""A seeded simulation: simulated time, everything that can fail fails at random, in one process and with no waits."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import random
import selectors
import signal
import sys
import tempfile
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sqlalchemy import URL, Engine, create_engine

from statemachine.approvals.policy import Notifier
from statemachine.errors import EventRefused, LeaseLost, StoreUnusable
from statemachine.host import approving, driver, hosting, places
from statemachine.host.runtime import Runtime
from statemachine.machine.call import Call
from statemachine.machine.definition import Definition
from statemachine.machine.load import load
from statemachine.store import Store, database
from statemachine.tools import python
from tests.faults import world as worlds
from tests.faults.mutants import broken
from tests.faults.process import check, context, new_world, settle, watched
from tests.faults.tally import Tally
from tests.faults.world import EFFECTS, Trouble, machine

HOUR, DAY = 3600.0, 86400.0
_FOR_EVER = 30 * DAY
_CHUNK = 25
_TELL = 5000
"""Seeds after which one is told how far it is: all of them take an hour."""
_PATIENCE = 20
"""Seconds of the processor that a seed may take; it needs a tenth of one."""

_WRITING = ("commit", "acquire", "claim", "renew", "post")


class Crash(BaseException):
    """What a process that has died does next: nothing."""


class _Loop(asyncio.SelectorEventLoop):
    """An event loop that sleeps in no time: where it would wait, its time moves on."""

    def __init__(self) -> None:
        self.elapsed = 0.0
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self.elapsed


class _Selector(selectors.DefaultSelector):
    def __init__(self, loop: _Loop) -> None:
        super().__init__()
        self.loop = loop

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready:
            if timeout is None or self.loop.elapsed > _FOR_EVER:
                raise TimeoutError("a run neither ends nor waits for a person")
            self.loop.elapsed += timeout
        return ready


@cache
def _loaded(text: str) -> Definition:
    with tempfile.TemporaryDirectory() as folder:
        (file := Path(folder) / "effects.yaml").write_text(text)
        return load(file)


_compiled: dict[str, Any] = {}


def _engine(url: URL, **options: Any) -> Engine:
    """Make an engine whose statements are compiled once for all seeds: half of a seed's time went into that."""
    made = create_engine(url, **options)
    made.dialect = _compiled.setdefault("dialect", made.dialect)
    made._compiled_cache = _compiled.setdefault("statements", made._compiled_cache)
    return made


class Simulation:
    """One world, in which processes come and go.

    Args:
        folder: Folder of the world; it is emptied.
        seed: What decides everything that is left to chance.
        jumps: Instead of chance: at which point the clock jumps, and by how many seconds.
    """

    def __init__(self, folder: Path, seed: int, jumps: tuple[int, float] | None = None) -> None:
        self.random = random.Random(seed)
        self.jumps = jumps
        self.loop = _Loop()
        self.fired: Counter[str] = Counter()
        self.world = worlds.enter(new_world(folder))
        self.world.time = lambda: 1e9 + self.loop.elapsed + self.jumped
        self.world.reached = self.reached
        self.world.rest = self.rest
        self.resting, self.over = threading.Event(), threading.Event()
        if jumps is None:
            self.world.trouble = self.trouble
        self.jumped, self.crash_at, self.dead = 0.0, 0, False
        self.points: list[str] = []
        self.alive: set[str] = set()
        self.owners: dict[Store, str] = {}
        self.unhandled: list[str] = []
        self.loop.set_exception_handler(self._unhandled)
        self.calm = jumps is not None

    @property
    def count(self) -> int:
        """How many points were come by."""
        return len(self.points)

    # What goes wrong

    def reached(self, point: str) -> None:
        """Die, or let the clock jump, as chance has it."""
        if self.dead:
            raise Crash
        self.points.append(point)
        if self.jumps is not None:
            if self.count == self.jumps[0]:
                self.jump(self.jumps[1], point)
            return
        if self.count == self.crash_at:
            self.fired["crash"] += 1
            self.dead = True
            self.loop.stop()
            if point.startswith("before"):
                raise Crash
        if not self.calm and self.random.random() < 0.01:
            self.jump(self.random.choice((-HOUR, DAY)), point)

    def _unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, Crash):
            self.unhandled.append(f"unhandled: {context['message']}: {error!r}")

    def jump(self, seconds: float, point: str) -> None:
        """Let the clock jump."""
        self.fired[f"clock {'back' if seconds < 0 else 'forward'}" + (f" {point}" if self.jumps else "")] += 1
        self.jumped += seconds

    def rest(self, seconds: float) -> None:
        """Be a thread that nobody waits for any more; all of them end with the world."""
        self.resting.set()
        self.over.wait()
        raise Crash

    def _in_step(self, in_thread: Callable[..., Any]) -> Callable[..., Any]:
        """Let the loop, and so time, stand still until a tool's thread has ended or rests: a seed then repeats."""

        def started(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
            others = set(threading.enumerate())
            self.resting.clear()
            future = in_thread(function, arguments)
            for thread in set(threading.enumerate()) - others:
                while thread.is_alive() and not self.resting.is_set():
                    thread.join(0.001)
            return future

        return started

    async def _tell(self, way: Notifier, body: Mapping[str, Any]) -> str:
        """Tell people without a thread, so that a seed repeats."""
        approving._file(way, json.dumps(body))
        return ""

    def trouble(self, tool: str, call: Call | None) -> Trouble:
        """Return what goes wrong with a call."""
        troubles: tuple[Trouble, ...] = ("fails", "refused", "broken", "late", "hangs", "acted", "unsent")
        weights = (8, 1, 1, 6, 4, 3, 3)
        if self.calm or self.random.random() < 0.7:
            return ""
        (chosen,) = self.random.choices(troubles, weights)
        self.fired[chosen if call is not None else "probe fails"] += 1
        return chosen

    @contextmanager
    def _unreliable(self) -> Iterator[None]:
        """Let the store refuse at times, before or after it has stored; a dead process stores nothing."""
        kept = {name: getattr(Store, name) for name in _WRITING}

        def failing(name: str) -> Callable[..., Any]:
            def work(store: Store, *arguments: Any, **more: Any) -> Any:
                if self.dead:
                    raise Crash
                when = "" if self.calm else self.random.choices(("", "before", "after"), (60, 1, 1))[0]
                if when == "before":
                    self.fired[f"store refuses to {name}"] += 1
                    raise StoreUnusable("the disk is full")
                done = kept[name](store, *arguments, **more)
                if when == "after":
                    self.fired[f"store fails after {name}"] += 1
                    raise StoreUnusable("the disk failed")
                return done

            return work

        poll, driver._POLL = driver._POLL, 30.0  # nobody posts anything from outside here
        dead, hosting.is_dead = hosting.is_dead, lambda owner: owner not in self.alive
        for name in _WRITING:
            setattr(Store, name, failing(name))
        names = patch.object(places.secrets, "token_hex", lambda size: self.random.randbytes(size).hex())
        threads = patch.object(python, "_in_thread", self._in_step(python._in_thread))
        telling = patch.object(approving, "_tell", self._tell)
        engines = patch.object(database, "create_engine", _engine)
        try:
            with names, threads, telling, engines:  # jitter depends on a run's name
                yield
        finally:
            hosting.is_dead, driver._POLL = dead, poll
            for name in _WRITING:
                setattr(Store, name, kept[name])

    # What happens

    def live(self, life: Coroutine[Any, Any, None]) -> None:
        """Let the processes live until they are done or die."""
        task = self.loop.create_task(life)
        stop = lambda _: self.loop.stop()  # noqa: E731
        task.add_done_callback(stop)
        with contextlib.suppress(Crash):
            self.loop.run_forever()
        task.remove_done_callback(stop)
        while left := asyncio.all_tasks(self.loop):  # after a crash: nothing of it stores anything
            for each in left:
                each.cancel()
            with contextlib.suppress(Crash):
                # A commit that died with the process answers nobody: who waits for it is cancelled once more.
                self.loop.run_until_complete(asyncio.wait(left, timeout=1))
        if (
            task.done()
            and not task.cancelled()
            and (error := task.exception())
            and not isinstance(error, Crash)
        ):
            raise error
        self.dead = False
        self.alive.clear()

    async def process(self, start: int, after: float = 0.0) -> None:
        """Be a process: start some runs, or resume all."""
        await asyncio.sleep(after)
        if after and not self.calm and self.random.random() < 0.3:
            self.jump(DAY, "as another process comes")  # the leases of the first one have lapsed by now
        async with Runtime(self.world.db, clock=self.world) as host:
            self.alive.add(host.owner)
            self.owners[host.store] = host.owner
            laps = {"laps": 1 if self.jumps else self.random.choice((1, 1, 1, 2))}
            runs = [host.start(_loaded(machine()), laps) for _ in range(start)]
            for result in await asyncio.gather(*runs, return_exceptions=True):
                self._expected(result)
            try:
                async for outcome in host.resume_all():
                    self._expected(outcome[1] if isinstance(outcome, tuple) else None)
            except StoreUnusable as refused:
                self._expected(refused)
            await self._someone(host)

    def _expected(self, result: object) -> None:
        """Count an error that a fault explains; raise any other."""
        if isinstance(result, LeaseLost | StoreUnusable):
            self.fired[type(result).__name__] += 1
        elif isinstance(result, BaseException):
            raise result

    async def _someone(self, host: Runtime) -> None:
        """Let a person cancel a run, or roll it back, at times."""
        for run in [run.id for run in host.store.runs()]:
            if self.random.random() < 0.1:
                demand = self.random.choice((host.cancel, host.undo))
                self.fired[demand.__name__] += 1
                with contextlib.suppress(StoreUnusable, LeaseLost, EventRefused):
                    await demand(run, by=worlds.PERSON)

    async def processes(self, start: int) -> None:
        """Be one process or, at times, two at once; the second comes when the first one's leases may have lapsed."""
        others = []
        if self.random.random() < 0.4:
            self.fired["second process"] += 1
            others = [self.process(0, self.random.uniform(0.0, 0.2))]
        await asyncio.gather(self.process(start), *others)

    def run(self, mutant: str = "") -> list[str]:
        """Let it all happen; return the invariants that do not hold."""
        found = self.unhandled
        try:
            with self._unreliable():
                with broken(mutant), watched(self.world, self.owners.__getitem__):
                    for life in range(1 if self.jumps else self.random.randint(1, 4)):
                        self.crash_at = 0 if self.jumps else self.count + self.random.randint(1, 50)
                        self.live(self.processes(0 if life else self.random.randint(1, 2)))
                found += self._settle(mutant)
        finally:
            self.loop.close()
            self.over.set()
        return found

    def _settle(self, mutant: str) -> list[str]:
        self.calm, self.crash_at = True, 0
        self.world.machine.write_text(machine(EFFECTS[:1]))
        with broken(mutant), watched(self.world, lambda _: "last"):
            self.live(settle(self.world))
        return check(self.world, settled=True)


def seeds(folder: Path, *, long: bool = False, seed: int = 0, most: int = 0, mutant: str = "") -> Tally:
    """Run many seeds from one on, on every core; a seed that finds something is told with how to repeat it."""
    tally, count = Tally("simulation"), most or (100_000 if long else 1000)
    folder.mkdir(parents=True, exist_ok=True)
    firsts = range(seed, seed + count, _CHUNK)
    # What is imported when a process begins stays, and need not be looked at again and again.
    with ProcessPoolExecutor(mp_context=context(), initializer=gc.freeze) as pool:
        chunks = [pool.submit(_chunk, folder, n, min(_CHUNK, seed + count - n), mutant) for n in firsts]
        for chunk in chunks:
            tally.add(chunk.result())
            if tally.points % _TELL == 0:
                bad = len(tally.violations)
                print(f"simulation   {tally.points:7} of {count} seeds, {bad} violations", file=sys.stderr)
    return tally


def _chunk(folder: Path, first: int, count: int, mutant: str) -> Tally:
    tally = Tally("simulation")
    signal.signal(signal.SIGPROF, _stuck)
    with tempfile.TemporaryDirectory(dir=folder) as own:
        for seed in range(first, first + count):
            simulation = Simulation(Path(own), seed)
            again = f"`python -m tests.faults --only simulation --seed {seed} --most 1`"
            signal.setitimer(signal.ITIMER_PROF, _PATIENCE)
            tally.note(again, "", True, _found(simulation, mutant))
            tally.fired += simulation.fired
            if mutant and tally.violations:
                break
        signal.setitimer(signal.ITIMER_PROF, 0)
    return tally


def _stuck(number: int, frame: object) -> None:
    raise TimeoutError("a run goes round and round, and does not even wait")


def times(folder: Path, *, long: bool = False, seed: int = 0, mutant: str = "") -> Tally:
    """Let the clock jump back an hour or forward a day at each point, in back-off, lease and timeout among them."""
    tally, names = Tally("time"), _points(folder, seed)
    folder.mkdir(parents=True, exist_ok=True)
    # The sample holds each sort of point at least once.
    chosen = {names.index(name) + 1 for name in names} | set(range(1, len(names) + 1, 1 if long else 5))
    for point in sorted(chosen):
        for seconds in (-HOUR, DAY):
            simulation = Simulation(folder / "world", seed, (point, seconds))
            found = _found(simulation, mutant)
            tally.note(f"clock jumps {seconds:+g} s at point {point}", "", True, found)
            tally.fired += simulation.fired
    return tally


def _points(folder: Path, seed: int) -> list[str]:
    simulation = Simulation(folder / "world", seed, (0, 0.0))
    assert _found(simulation, "") == []
    return simulation.points


def _found(simulation: Simulation, mutant: str) -> list[str]:
    try:
        return simulation.run(mutant)
    except Exception:
        return [traceback.format_exc()]
