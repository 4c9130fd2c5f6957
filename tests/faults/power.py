"""Power loss: what a process wrote and synced is recorded, and every disk that could be left of it is tried.

The record is strace's: each write to the database and its log with its bytes, each sync, each effect in the world and
each acknowledgement, in their order. At a moment, what was synced is on the disk. Of what was not yet, anything may be:
nothing, all, any subset, or half of a write, torn between two sectors. The world and what was acknowledged do not
lose power. A disk that reorders is the only assumption; SQLite's shared memory file is not on it.
"""

from __future__ import annotations

import os
import random
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tests.faults.process import Order, judged, new_world
from tests.faults.syscalls import traced
from tests.faults.tally import Tally, side_by_side

SECTOR = 512
_FILES = ("runs.db", "runs.db-wal")
_LOGS = ("world.txt", "told.jsonl", "acknowledged.txt")
_CALL = re.compile(
    r"^\d+ +(?P<name>pwrite64|write|fdatasync|fsync|ftruncate)\(\d+<(?P<path>[^>]*)>"
    r'(?:, "(?P<data>[^"]*)", \d+(?:, (?P<at>\d+))?|, (?P<size>\d+))?\) = (?P<result>\d+)',
)
_UNLINK = re.compile(r'^\d+ +unlink\("(?P<path>[^"]*)"\) = 0')


class Op(NamedTuple):
    """One thing that a process asked of the disk.

    Attributes:
        name: ``write``, ``sync``, ``truncate`` or ``unlink``.
        file: Name of the file.
        at: Where it was written, or to what size it was cut.
        data: What was written.
    """

    name: str
    file: str
    at: int = 0
    data: bytes = b""


def recorded(folder: Path, mutant: str = "") -> list[Op]:
    """Return what a process asks of the disk that starts a run and drives it as far as it goes."""
    order = Order(folder, wait=True, mutant=mutant)
    options = ("-y", "-xx", "-s", "100000", "-e", "trace=pwrite64,write,fdatasync,fsync,ftruncate,unlink")
    _, report = traced(order, *options)
    ops = []
    for line in report.read_text().splitlines():
        if (call := _CALL.match(line)) is not None:
            file = os.path.basename(_text(call["path"]))
            data = _bytes(call["data"] or "")[: int(call["result"])]
            match call["name"]:
                case "pwrite64":
                    ops.append(Op("write", file, int(call["at"]), data))
                case "write":
                    ops.append(Op("append", file, 0, data))
                case "ftruncate":
                    ops.append(Op("truncate", file, int(call["size"])))
                case _:
                    ops.append(Op("sync", file))
        elif (gone := _UNLINK.match(line)) is not None:
            ops.append(Op("unlink", os.path.basename(_bytes(gone["path"]).decode())))
    report.unlink()
    return [op for op in ops if op.file in (*_FILES, *_LOGS)]


def _bytes(escaped: str) -> bytes:
    return bytes.fromhex(escaped.replace("\\x", ""))


def _text(path: str) -> str:
    return _bytes(path).decode() if path.startswith("\\x") else path


def left(ops: Iterable[Op], kept: str, chance: random.Random) -> dict[str, bytes]:
    """Return the files that a power loss after some operations leaves, when a disk ``kept`` so much.

    Args:
        ops: The operations.
        kept: Of what was not synced: ``none``, ``all``, ``some`` or ``torn``.
        chance: What decides which.
    """
    files: dict[str, bytearray] = {}
    waiting: dict[str, list[Op]] = {}

    def apply(op: Op) -> None:
        content = files.setdefault(op.file, bytearray())
        if op.name == "truncate":
            del content[op.at :]
            content.extend(bytes(op.at - len(content)))
        elif op.name == "unlink":
            del files[op.file]
        else:
            content.extend(bytes(max(0, op.at + len(op.data) - len(content))))
            content[op.at : op.at + len(op.data)] = op.data

    for op in ops:
        if op.name == "append":
            files.setdefault(op.file, bytearray()).extend(op.data)
        elif op.name == "sync":
            for done in waiting.pop(op.file, []):
                apply(done)
        else:
            waiting.setdefault(op.file, []).append(op)
    for unsynced in waiting.values():
        for op in unsynced:
            if kept == "all" or (kept in ("some", "torn") and chance.random() < 0.5):
                apply(_torn(op, chance) if kept == "torn" else op)
    return {name: bytes(content) for name, content in files.items()}


def _torn(op: Op, chance: random.Random) -> Op:
    if op.name != "write" or len(op.data) <= SECTOR:
        return op
    start, end = sorted(chance.sample(range(0, len(op.data) + 1, SECTOR), 2))
    return op._replace(at=op.at + start, data=op.data[start:end])


def loss(folder: Path, *, long: bool = False, seed: int = 0, most: int = 40, mutant: str = "") -> Tally:
    """Cut the power after each operation; open what is left, go on and check."""
    tally, chance = Tally("power"), random.Random(seed)
    world = new_world(folder / "recorded")
    before = world.db.read_bytes()
    base = [Op("write", "runs.db", 0, before), Op("sync", "runs.db")]
    ops = base + recorded(world.folder, mutant)
    points = [
        (after, kept, draw)
        for after in range(len(base), len(ops) + 1)
        for kept, draws in (("none", 1), ("all", 1), ("some", 2), ("torn", 1))
        for draw in range(draws)
    ]
    if not long:
        points = chance.sample(points, min(most, len(points)))

    def strike(place: Path, point: tuple[int, str, int]) -> None:
        after, kept, draw = point
        lost = new_world(place)
        for name, content in left(ops[:after], kept, random.Random(f"{seed} {point}")).items():
            (place / name).write_bytes(content)
        where = f"power lost after operation {after} of {len(ops)}, {kept} of the unsynced kept (draw {draw})"
        tally.note(where, f"{kept} kept", True, judged(lost, mutant))
        shutil.rmtree(place)

    side_by_side(folder, points, strike)
    return tally
