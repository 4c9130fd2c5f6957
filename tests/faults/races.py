"""Two at once: decisions, cancellations, expiry and migration race for the same request.

Each pair of contenders meets on many runs, once as threads and once as processes. Whoever wins, at most one decision on
a request counts, and no call is made without a yes of its own.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from statemachine.approvals.decision import Decision, signed
from statemachine.approvals.policy import Verdict
from statemachine.errors import EventRefused, LeaseLost, RunOwned
from statemachine.host.migrating import migrate
from statemachine.host.runtime import Runtime
from statemachine.journal import decode
from statemachine.kernel import DECIDED
from statemachine.machine.load import load
from statemachine.store import Store
from tests.faults import world as worlds
from tests.faults.mutants import broken
from tests.faults.process import check, context, new_world
from tests.faults.tally import Tally
from tests.faults.world import BY_NAME, World, machine

_DAY = 86400.0
_EFFECTS = (BY_NAME["wire"],)
_COUNTS = ("granted", "denied", "expired", "held", "counted")
"""Results of a decision that counts."""


class Asked(NamedTuple):
    """A run that waits for approval, and what a contender knows of it.

    Attributes:
        run: Its id.
        request: Its request.
        other: A yes to the request of another run.
    """

    run: str
    request: str
    other: Decision


Act = Callable[[Runtime, World, Asked], Awaitable[object]]


def _decision(host: Runtime, world: World, request: str, verdict: Verdict = "approve") -> Decision:
    asked, body = host.desk.request(request)
    times = {"now": world.now(), "until": body["expires"] + 9 * _DAY}
    return signed(asked, verdict, worlds.APPROVER, worlds.approver_key(), **times)


async def _approve(host: Runtime, world: World, asked: Asked) -> None:
    await host.decide(_decision(host, world, asked.request))


async def _deny(host: Runtime, world: World, asked: Asked) -> None:
    await host.decide(_decision(host, world, asked.request, "deny"))


async def _cancel(host: Runtime, world: World, asked: Asked) -> None:
    await host.cancel(asked.run, by=worlds.PERSON)


async def _resume(host: Runtime, world: World, asked: Asked) -> None:
    await host.resume(asked.run)


async def _migrate(host: Runtime, world: World, asked: Asked) -> None:
    migrate(host.store, asked.run, load(world.folder / "next" / "effects.yaml"), world.now(), worlds.PERSON)


async def _swap(host: Runtime, world: World, asked: Asked) -> None:
    """Hand in a yes to another run's request as one to this, past the door that would refuse it."""
    forged = replace(asked.other, request=asked.request).as_data()
    host.store.post(asked.run, DECIDED, {"payload": forged, "by": worlds.APPROVER}, world.now())
    await host.resume(asked.run)


ACTS: dict[str, Act] = {
    "approve": _approve,
    "deny": _deny,
    "cancel": _cancel,
    "resume": _resume,
    "migrate": _migrate,
    "swap": _swap,
}


class Race(NamedTuple):
    """Two contenders, and what may come of it.

    Attributes:
        acts: What each does.
        late: Seconds by which the clock is past the request's asking.
        may: Whether the call may be made at all.
    """

    acts: tuple[str, str]
    late: float = 0.0
    may: bool = True


RACES = {
    "approve and deny": Race(("approve", "deny")),
    "approve twice": Race(("approve", "approve")),
    "approve and cancel": Race(("approve", "cancel")),
    "approve after expiry": Race(("approve", "resume"), late=2 * _DAY, may=False),
    "approve and migrate": Race(("approve", "migrate")),
    "another run's yes": Race(("swap", "deny"), may=False),
}


async def _ask(world: World, runs: int) -> list[Asked]:
    """Start runs, each of which then waits for approval."""
    asked: list[tuple[str, Decision]] = []
    async with Runtime(world.db, clock=world) as host:
        views = await asyncio.gather(
            *(host.start(world.machine, {"regrets": False}) for _ in range(runs)), return_exceptions=False
        )
        for body in host.desk.requests():
            asked.append((body["request"], _decision(host, world, body["request"])))
    assert len(asked) == len(views)
    return [
        Asked(request.partition(":")[0], request, asked[n - 1][1]) for n, (request, _) in enumerate(asked)
    ]


def contend(folder: Path, act: str, late: float, runs: Sequence[Asked], ready: Any) -> None:
    """Be a contender: do the same to each run, at the same moment as the other."""
    world = World(folder, time=lambda: time.time() + late)
    if worlds.current.folder != folder:  # in a process of its own
        worlds.enter(world)

    async def contending() -> None:
        async with Runtime(world.db, clock=world) as host:
            host.store.owners()  # the database is open before the race
            for asked in runs:
                ready.wait(60)
                # Who comes too late is told so; what else goes wrong ends the race.
                with suppress(EventRefused, LeaseLost, RunOwned):
                    await ACTS[act](host, world, asked)

    asyncio.run(contending())


def _race(folder: Path, race: Race, runs: int, how: str, won: Counter[str]) -> Iterator[str]:
    """Let two contenders race on so many runs; yield what does not hold, and count who ``won``."""
    world = worlds.enter(new_world(folder))
    world.machine.write_text(machine(_EFFECTS))
    (world.folder / "next").mkdir()
    (world.folder / "next" / "effects.yaml").write_text(
        machine(_EFFECTS).replace('version: "1"', 'version: "2"')
    )
    asked = asyncio.run(_ask(world, runs))
    ready: Any = threading.Barrier(2) if how == "threads" else context().Barrier(2)
    kind: Any = threading.Thread if how == "threads" else context().Process
    contenders = [kind(target=contend, args=(folder, act, race.late, asked, ready)) for act in race.acts]
    for contender in contenders:
        contender.start()
    for contender in contenders:
        contender.join()
        if getattr(contender, "exitcode", 0):
            yield f"a contender ended with {contender.exitcode}"
    asyncio.run(_settled(world, race.late))
    yield from check(world, settled=False)
    effects = Counter(line.key.partition(":")[0] for line in world.lines())
    with Store.open(world.db) as store:
        for one in asked:
            yield from _of_run(store, one, effects[one.run], race, won)


async def _settled(world: World, late: float) -> None:
    world.time = lambda: time.time() + late
    async with Runtime(world.db, clock=world) as host:
        async for result in host.resume_all():
            if isinstance(result, tuple):
                raise result[1]


def _of_run(store: Store, one: Asked, effects: int, race: Race, won: Counter[str]) -> Iterator[str]:
    bodies = [decode(record.body, store.blob) for record in store.records(one.run, kind="approval_decided")]
    counted = [b["result"] for b in bodies if isinstance(b, dict) and b["result"] in _COUNTS]
    if len(counted) > 1:
        yield f"{one.run}: {len(counted)} decisions count: {', '.join(counted)}"
    if effects > counted.count("granted") or (effects and not race.may):
        yield f"{one.run}: {effects} calls after {', '.join(counted) or 'no decision'}"
    stored = store.load(one.run)
    moved = "migrate" in race.acts and stored.waiting == "approval of wire"
    won["migrated" if moved else counted[0] if counted else stored.status] += 1
    if stored.finished is None and not moved:
        yield f"{one.run}: it did not end: {stored.status} in {stored.state}"


def races(folder: Path, *, long: bool = False, seed: int = 0, most: int = 0, mutant: str = "") -> Tally:
    """Run every race as threads and as processes; ``most`` says on how many runs each."""
    tally, runs = Tally("races"), most or (1000 if long else 12)
    for how in ("threads", "processes"):
        for number, (name, race) in enumerate(RACES.items()):
            won = Counter[str]()
            with broken(mutant):
                found = list(_race(folder / f"{how}{number}", race, runs, how, won))
            tally.note(f"{name}, as {how}", "", False, found)
            tally.points += runs
            tally.fired += Counter({f"{name}, {how}: {end}": count for end, count in won.items()})
    return tally
