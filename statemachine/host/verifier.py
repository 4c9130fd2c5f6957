"""Verify the journals of a statemachine store: nothing but this file and Python 3.11 is needed.

Usage: python verify.py runs.db|records.jsonl [--anchor FILE]

It answers, without the program that wrote them: are these the records that were written? What is promised:

1. A run's records are numbered 1, 2, 3 ... Each holds the hash of the one before it (`prev`) and its own (`hash`):
   SHA-256 over RFC 8785 JSON of at, body, kind, prev, run and seq, where the body enters as the SHA-256 of its salt
   (if it has one) and itself. The first `prev` is SHA-256 over {"machine": digest, "run": id}; the first record's
   body names that digest. So an edited, inserted, removed, moved or foreign record breaks the chain there.
   An erased body begins with {"$erased": and tells that SHA-256; its salt is gone. A later record of the kind
   run_erased says who erased and why, and as `left` the SHA-256 over a line "seq sha256-of-what-is-left" for each
   erased record before it. If the last one says something else, what was erased was not erased by the program.
2. A run's row tells the number and the hash of its last record; a large value lies apart, by its SHA-256, and so
   does a machine, by that of its text as RFC 8785 JSON once defaults are left out (the full program checks that).
3. A file of anchors holds, for each run, number and hash of the last record at some time, and checkpoints: the
   SHA-256 over the lines "run seq hash" of all runs, by id, and the SHA-256 of the checkpoint before. A record that
   was anchored and is gone, or has another hash, was cut off, rolled back or written anew.

Not looked at here, but by `statemachine audit verify`: signatures (no Ed25519 in Python's own library), snapshots,
and whether the records are a path of the machine.
Exit code: 0 all is as it was written, 1 something is not, 2 a file cannot be read.
"""

from __future__ import annotations

import argparse
import json
import re
import sqlite3
import sys
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

Heads = dict[str, tuple[int, str]]


def number(value: float) -> str:
    """Write a time as RFC 8785 does; between 0.0001 s and 2**53 s those are Python's own digits."""
    return str(int(value)) if value == int(value) else repr(value)


def hash_of(run: str, seq: int, at: float, kind: str, body: str, prev: str, salt: str = "") -> str:
    """Return the hash that a record must have."""
    digest = sha256((salt + body).encode()).hexdigest()
    if body.startswith('{"$erased":'):
        digest = json.loads(body)["$erased"]["digest"]
        if salt or not re.fullmatch("[0-9a-f]{64}", digest):
            raise ValueError("an erased body tells no digest, or its salt is still there")
    run, kind = json.dumps(run, ensure_ascii=False), json.dumps(kind, ensure_ascii=False)
    text = f'{{"at":{number(at)},"body":"{digest}","kind":{kind},"prev":"{prev}","run":{run},"seq":{seq}}}'
    return sha256(text.encode()).hexdigest()


def genesis(run: str, machine: str) -> str:
    """Return what the first record of a run holds as the hash before it."""
    pair = {"machine": machine, "run": run}
    text = json.dumps(pair, separators=(",", ":"), ensure_ascii=False)
    return sha256(text.encode()).hexdigest()


def check_chains(
    records: Iterable[tuple[Any, ...]], heads: Heads, hashes: set[tuple[str, int, str]]
) -> list[str]:
    """Return what is wrong with records that come run by run; note in ``heads`` where each run ends.

    Args:
        records: run, seq, at, kind, body, prev, hash and salt of each.
        heads: Filled with the last good record of each run.
        hashes: Those that an anchor names; the ones that are found are taken out.
    """
    problems: list[str] = []
    broken, seq, last = "", 0, ""
    now: Any = None
    left, suspect = sha256(), 0  # what is left of erased records; one that no erasure speaks for
    for run, found_seq, at, kind, body, prev, found, salt in records:
        if run != now:
            problems += unaccounted(now, suspect)
            now, seq, left, suspect = run, 0, sha256(), 0
        elif run == broken:
            continue
        seq += 1
        try:
            if seq == 1:
                last = genesis(run, json.loads(body)["digest"])
            good = (found_seq, prev, found) == (seq, last, hash_of(run, seq, at, kind, body, last, salt))
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError):
            good = False
        if not good:
            problems.append(f"run {run}, record {seq}: it is not what was written here, the chain breaks")
            broken, suspect = run, 0
            continue
        last = found
        if body.startswith('{"$erased":'):
            left.update(f"{seq} {sha256(body.encode()).hexdigest()}\n".encode())
            suspect = suspect or seq
        elif kind == "run_erased":
            suspect = 0 if json.loads(body).get("left") == left.hexdigest() else seq
        heads[run] = (seq, last)
        hashes.discard((run, seq, last))
    return problems + unaccounted(now, suspect)


def unaccounted(run: str, seq: int) -> list[str]:
    """Return what is wrong when a record was erased, and no record of an erasure says that this is left of it."""
    return [f"run {run}, record {seq}: what is left of it is not what its erasure left"] if seq else []


def check_database(file: Path, anchored: Heads, store: str) -> tuple[list[str], Heads]:
    """Return what is wrong with a store, and where its runs end; the file is not changed."""
    log = file.with_name(f"{file.name}-wal")
    how = "mode=ro" if log.exists() else "mode=ro&immutable=1"
    database = sqlite3.connect(f"file:{quote(str(file.absolute()))}?{how}", uri=True, isolation_level=None)
    database.execute("BEGIN")  # all of it as it is now, whoever writes meanwhile
    problems = [f"the file is damaged: {row[0]}" for row in database.execute("PRAGMA integrity_check(10)")]
    problems = [] if problems == ["the file is damaged: ok"] else problems
    heads: Heads = {}
    wanted = {(run, seq, head) for run, (seq, head) in anchored.items()}
    columns = "run, seq, at, kind, body, prev, hash, salt"
    if not any(row[1] == "salt" for row in database.execute("PRAGMA table_info(records)")):
        columns = columns.replace("salt", "''")  # a store of old
    rows = database.execute(f"SELECT {columns} FROM records ORDER BY run, seq")
    problems += check_chains(rows, heads, wanted)
    problems += [
        f"run {run}, record {seq}: it was anchored, and is not there" for run, seq, _ in sorted(wanted)
    ]
    present = {}
    for run, seq, head, machine in database.execute("SELECT id, seq, head, machine FROM runs"):
        present[run] = machine
        if heads.get(run) != (seq, head):
            problems.append(f"run {run}: it does not end with record {seq} and the hash that its row says")
        if not database.execute("SELECT 1 FROM machines WHERE digest = ?", [machine]).fetchone():
            problems.append(f"run {run}: its machine is not there")
    problems += [f"run {run}: there are records of it, and no run" for run in heads if run not in present]
    kept = set()
    for digest, data in database.execute("SELECT digest, data FROM blobs"):
        kept.add(digest)
        if not isinstance(data, bytes) or sha256(data).hexdigest() != digest:
            problems.append(f"value {digest}: it is not the one that was kept")
    for run, seq, body in database.execute(
        "SELECT run, seq, body FROM records WHERE body LIKE '%\"$blob\":%'"
    ):
        for digest in re.findall(r'"\$blob":"([0-9a-f]{64})"', body):
            if digest not in kept:
                problems.append(f"run {run}, record {seq}: value {digest} is gone")
    ((here,),) = database.execute("SELECT store FROM identity").fetchall() or [("",)]
    if store and here != store:
        problems.append(f"the anchor is of store {store}, this is store {here}")
    database.close()
    return problems, heads


def check_lines(file: Path, anchored: Heads) -> tuple[list[str], Heads]:
    """Return what is wrong with exported records, a JSON object a line, and where their runs end."""

    def rows() -> Iterator[tuple[Any, ...]]:
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                record = json.loads(line)
                body = record["body"]
                if not isinstance(body, str):
                    body = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
                yield (
                    *(record[name] for name in ("run", "seq", "at", "kind")),
                    body,
                    record["prev"],
                    record["hash"],
                    record.get("salt", ""),
                )

    heads: Heads = {}
    wanted = {(run, seq, head) for run, (seq, head) in anchored.items()}
    problems = check_chains(rows(), heads, wanted)
    problems += [
        f"run {run}, record {seq}: it was anchored, and is not there" for run, seq, _ in sorted(wanted)
    ]
    return problems, heads


def read_anchors(file: Path) -> tuple[list[str], Heads, str]:
    """Return what is wrong with a file of anchors, each run's head in it, and which store it is of."""
    heads: Heads = {}
    new: Heads = {}
    prev = store = ""
    seen = set()
    for place, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        data = json.loads(line)
        if "run" in data:
            new[data["run"]] = (data["seq"], data["head"])
            continue
        parts = (f"{json.dumps(k)}:{number(v) if isinstance(v, float) else json.dumps(v, ensure_ascii=False)}"
                 for k, v in sorted(data.items()))  # fmt: skip
        checkpoint = sha256(f"{{{','.join(parts)}}}".encode()).hexdigest()
        if checkpoint in seen:  # handed on twice, because nobody knew whether it had arrived
            new = {}
            continue
        heads, new = {**heads, **new}, {}
        lines = (f"{run} {seq} {head}\n" for run, (seq, head) in sorted(heads.items()))
        digest = sha256("".join(lines).encode()).hexdigest()
        if (data["prev"], data["digest"], data["runs"]) != (prev, digest, len(heads)):
            return [f"{file}, line {place}: this checkpoint is not the one that was written"], {}, ""
        seen.add(checkpoint)
        prev, store = checkpoint, data["store"]
    if new:
        return [f"{file}: it ends without its checkpoint: it was cut, or a crash came between"], {}, ""
    return [], heads, store


def main(words: list[str] | None = None) -> int:
    """Verify what the command line names, say what is wrong, and return the exit code."""
    options = argparse.ArgumentParser(description="Verify the journals of a statemachine store.")
    options.add_argument("file", type=Path, help="a store (SQLite), or records as JSON lines")
    options.add_argument("--anchor", type=Path, help="a file that `statemachine audit anchor` wrote")
    given = options.parse_args(words)
    try:
        problems, anchored, store = read_anchors(given.anchor) if given.anchor else ([], {}, "")
        with given.file.open("rb") as opened:
            is_database = opened.read(16) == b"SQLite format 3\0"
        found, heads = (
            check_database(given.file, anchored, store) if is_database else check_lines(given.file, anchored)
        )
    except (OSError, ValueError, LookupError, TypeError, sqlite3.Error) as error:
        print(f"cannot be read: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    problems += found
    for problem in problems:
        print(problem)
    records = sum(seq for seq, _ in heads.values())
    print(
        f"{len(heads)} runs, {records} records: {f'{len(problems)} problems' if problems else 'all as written'}"
    )
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
