"""The world outside the process, its tools, and one machine that touches it in every way a contract allows."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Literal, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from statemachine import Call, ToolFailure
from statemachine.approvals.keys import public_text

Trouble = Literal["", "fails", "refused", "broken", "late", "hangs", "acted", "unsent"]
"""What goes wrong with a call.

``fails``, ``refused``: it raises before it acts, a passing fault or a lasting one. ``broken``: it acts and
answers nonsense. ``late``, ``hangs``: it outlives its timeout, after it has acted or without. ``acted``,
``unsent``: it cannot tell whether it acted; it did, or did not.
"""

PERSON = "a person"
APPROVER = "ann"


@cache
def approver_key() -> Ed25519PrivateKey:
    """Return the approver's key: the same in every world, and so of no use anywhere else."""
    return Ed25519PrivateKey.from_private_bytes(bytes(32))


@dataclass(frozen=True, slots=True)
class Effect:
    """One class of effect: a tool, and the state that calls it.

    Attributes:
        name: Its name.
        contract: What its declaration says besides the function, as YAML.
        unsafe: Whether doing it twice does harm.
        troubles: What goes wrong, by the call's attempt, when nobody says otherwise.
        threaded: Whether the tool is a plain function, which runs in a thread and cannot be cancelled.
    """

    name: str
    contract: str
    unsafe: bool = False
    troubles: tuple[Trouble, ...] = ()
    threaded: bool = False

    @property
    def irreversible(self) -> bool:
        """Whether it needs approval."""
        return "reversibility: none" in self.contract


_RETRY = "retry: {{{}: {{max: 3, initial: 10ms, factor: 2, cap: 1s}}}}"
_WRITE = "effect: write, reversibility: partial, idempotent: "
# A new class of effect is one more line here: everything else follows from the table.
EFFECTS = (
    Effect("look", "effect: read, timeout: 700ms"),
    Effect("put", _WRITE + "true, timeout: 700ms"),
    Effect("pay", _WRITE + "false, timeout: 700ms", unsafe=True),
    Effect("ship", _WRITE + "false, timeout: 700ms, probe: happened", unsafe=True),
    Effect(
        "flaky", _WRITE + "false, timeout: 700ms, " + _RETRY.format("transient"), True, ("fails", "fails")
    ),
    Effect("slow", _WRITE + "true, timeout: 30ms, " + _RETRY.format("timeout"), False, ("late",)),
    Effect("late", _WRITE + "false, timeout: 30ms, probe: happened", True, ("late",)),
    Effect("lost", _WRITE + "false, timeout: 30ms, " + _RETRY.format("timeout"), True, ("late", "hangs")),
    Effect("block", _WRITE + "false, timeout: 700ms", unsafe=True, threaded=True),
    Effect("overrun", _WRITE + "false, timeout: 30ms, probe: happened", True, ("late",), threaded=True),
    Effect("wire", "effect: write, reversibility: none, idempotent: false, timeout: 700ms", unsafe=True),
)
# What undoes two of the effects: they are called by a roll back, and by no state.
UNDOES = {
    "put": Effect("take", _WRITE + "true, timeout: 700ms, " + _RETRY.format("transient"), False, ("fails",)),
    "ship": Effect("recall", _WRITE + "false, timeout: 700ms, probe: happened", unsafe=True),
    "pay": Effect("refund", _WRITE + "false, timeout: 700ms", unsafe=True),
}
BY_NAME = {effect.name: effect for effect in (*EFFECTS, *UNDOES.values())}


def machine(effects: tuple[Effect, ...] = EFFECTS) -> str:
    """Return a machine that has each effect in turn, then waits for time, as often as its input ``laps`` says.

    At the end what can be undone is, unless its input ``regrets`` is false.
    """
    names = [effect.name for effect in effects]
    tools = "\n".join(
        f'  {effect.name}: {{python: "tests.faults.world:tools.{effect.name}", {effect.contract}'
        + (f", undo: {UNDOES[effect.name].name}}}" if effect.name in UNDOES else "}")
        for effect in (*effects, *(UNDOES[name] for name in names if name in UNDOES))
    )
    states = "\n".join(
        f"  {name}: {{do: {name}, save: {name}, on: {{done: {after}, failed: fail}}}}"
        for name, after in zip(names, [*names[1:], "rest"], strict=True)
    )
    context = "\n".join(f'  {name}: {{type: "int | None", owner: {name}}}' for name in names)
    return f"""
machine: effects
version: "1"
context:
  laps: {{type: int, owner: operator, default: 1}}
  regrets: {{type: bool, owner: operator, default: true}}
{context}
tools:
{tools}
  happened: {{python: "tests.faults.world:happened", effect: read, timeout: 700ms}}
initial: {names[0]}
states:
{states.replace("{", "{attempts: 9, exhausted: fail, ", 1)}
  rest: {{wait: 10ms, on: {{elapsed: lap}}}}
  lap:
    attempts: 9
    exhausted: fail
    always:
      - {{to: {names[0]}, when: "attempts.lap < laps"}}
      - {{to: back, when: regrets}}
      - {{to: complete}}
  back: {{undo: all, on: {{done: complete, partial: complete, failed: fail}}}}
  complete: {{final: succeeded}}
  fail: {{final: failed}}
"""


class Line(NamedTuple):
    """One effect as the world saw it.

    Attributes:
        key: The call's key.
        tool: The tool.
        attempt: The call's attempt.
        pid: The process that had it.
        intended: Whether the intent of exactly this call was in the journal at that moment.
        owned: Whether the process owned the run at that moment.
    """

    key: str
    tool: str
    attempt: int
    pid: int
    intended: bool
    owned: bool


@dataclass(slots=True)
class World:
    """A folder with the effects, the machine and the store.

    Attributes:
        folder: The folder.
        trouble: What goes wrong with a call of a tool; None for the effects' own troubles.
        reached: Told of each point at which a fault may strike.
        rest: What lets a thread pass so many seconds.
        time: What tells the time in seconds.
    """

    folder: Path
    trouble: Callable[[str, Call | None], Trouble] | None = None
    reached: Callable[[str], None] = lambda point: None
    rest: Callable[[float], None] = time.sleep
    time: Callable[[], float] = time.time

    def now(self) -> float:
        """Return the world's time: a world is the clock of those who live in it."""
        return self.time()

    @property
    def effects(self) -> Path:
        """The file to which each effect adds a line."""
        return self.folder / "world.txt"

    @property
    def db(self) -> Path:
        """The store."""
        return self.folder / "runs.db"

    @property
    def machine(self) -> Path:
        """The machine's file."""
        return self.folder / "effects.yaml"

    def make(self) -> World:
        """Write the machine; nothing has happened yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.machine.write_text(machine())
        self.effects.touch()
        (self.folder / "policy.yaml").write_text(
            f"approvers: {{{APPROVER}: {{key: '{public_text(approver_key())}'}}}}\nnotify: [{{file: '{self.told}'}}]\n"
        )
        return self

    @property
    def told(self) -> Path:
        """The file to which each request for approval is added when people are told of it."""
        return self.folder / "told.jsonl"

    def requests(self) -> set[str]:
        """Return the ids of the requests that people were told of; a line that was cut off tells nobody."""
        text = self.told.read_text() if self.told.exists() else ""
        return {json.loads(line)["request"] for line in text.split("\n")[:-1]}

    def lines(self) -> list[Line]:
        """Return every effect there was, in order."""
        rows = [text.split() for text in self.effects.read_text().splitlines()]
        return [Line(key, tool, int(n), int(pid), i == "1", o == "1") for key, tool, n, pid, i, o in rows]

    def has(self, key: str) -> bool:
        """Return whether the call with a key had its effect."""
        return any(line.key == key for line in self.lines())

    def act(self, tool: str, call: Call) -> None:
        """Have an effect, unless it is too late for it; say whether it was intended and owned by then."""
        with closing(sqlite3.connect(f"file:{self.db}?mode=ro", uri=True, timeout=30)) as database:
            (intended,) = database.execute(
                "SELECT count(*) FROM records WHERE run = ? AND kind = 'call_intended'"
                " AND body ->> 'key' = ? AND body ->> 'attempt' = ? AND body ->> 'tool' = ?",
                (call.run, call.key, call.attempt, tool),
            ).fetchone()
            (owner,) = database.execute("SELECT owner FROM runs WHERE id = ?", (call.run,)).fetchone() or (
                "",
            )
        owned = f":{os.getpid()}:" in (owner or "")
        line = f"{call.key} {tool} {call.attempt} {os.getpid()} {intended} {owned:d}\n".encode()
        if self.now() > call.deadline:  # as a server does that is told how long its client waits
            raise ToolFailure("transient", "the request came after its deadline")
        file = os.open(self.effects, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(file, line)
        finally:
            os.close(file)


current = World(Path("."))
"""The world that the tools of this process touch."""


def enter(world: World) -> World:
    """Make a world the one that this process's tools touch."""
    global current
    current = world
    return world


def _trouble(tool: str, call: Call) -> Trouble:
    if current.trouble is not None:
        return current.trouble(tool, call)
    troubles = BY_NAME[tool].troubles
    return troubles[call.attempt - 1] if call.attempt <= len(troubles) else ""


def _touch(name: str, call: Call) -> Trouble:
    """Touch the world as a call of a tool does; return what is still to go wrong after that."""
    trouble = _trouble(name, call)
    if trouble == "fails":
        raise ConnectionResetError("the connection was reset before anything was sent")
    if trouble == "refused":
        raise PermissionError(13, "not for you")
    if trouble == "unsent":
        raise ToolFailure("in_doubt", "no answer, and no word on whether it was received")
    if trouble != "hangs":
        current.reached(f"before {name}")
        current.act(name, call)
        current.reached(f"after {name}")
    if trouble == "acted":
        raise ToolFailure("in_doubt", "no answer, and no word on whether it was received")
    return trouble


def _tool(effect: Effect) -> Callable[[Call], object]:
    async def tool(call: Call) -> int:
        trouble = _touch(effect.name, call)
        if trouble in ("late", "hangs"):
            await asyncio.sleep(3600)
        return "nonsense" if trouble == "broken" else call.seq  # type: ignore[return-value]

    def threaded(call: Call) -> int:
        trouble = _touch(effect.name, call)
        if trouble in ("late", "hangs"):
            current.rest(3600)
        return "nonsense" if trouble == "broken" else call.seq  # type: ignore[return-value]

    return threaded if effect.threaded else tool


tools = SimpleNamespace(**{effect.name: _tool(effect) for effect in BY_NAME.values()})


async def happened(key: str) -> bool:
    """Return whether the call with a key had its effect; the probe of every tool that has one."""
    current.reached("before the probe")
    if current.trouble is not None and current.trouble("happened", None):
        raise ConnectionResetError("the world does not answer")
    return current.has(key)
