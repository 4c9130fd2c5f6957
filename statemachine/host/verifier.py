"""Verify the journals of a statemachine store: nothing but this file and Python 3.11 is needed.

Usage: python verify.py runs.db|records.jsonl [--anchor FILE] [--policy policy.yaml] [--key NAME=ed25519:... ...]

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

4. With public keys, of a policy or given one by one: each decision that counted, each signed erasure and each signed
   checkpoint bears its signer's Ed25519 signature (RFC 8032) over RFC 8785 JSON of itself without the signature, an
   erasure with run and seq. A decision is on a request of this run, which names its machine and its input's digest
   (SHA-256 of salt and input), it was in time, and whoever started the run did not approve.

Not looked at here, but by `statemachine audit verify`: snapshots, and whether the records are a path of the machine.
Exit code: 0 all is as it was written, 1 something is not, 2 a file cannot be read.
"""

from __future__ import annotations

import argparse
import json
import re
import sqlite3
import sys
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

from statemachine.host.ed25519 import verifies

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


def canonical(data: dict[str, Any]) -> bytes:
    """Write an object without parts of its own as RFC 8785 does."""
    parts = (
        f"{json.dumps(name)}:{number(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)}"
        for name, value in sorted(data.items())
    )
    return f"{{{','.join(parts)}}}".encode()


def genesis(run: str, machine: str) -> str:
    """Return what the first record of a run holds as the hash before it."""
    pair = {"machine": machine, "run": run}
    text = json.dumps(pair, separators=(",", ":"), ensure_ascii=False)
    return sha256(text.encode()).hexdigest()


def read_keys(text: str) -> dict[str, dict[str, str]]:
    """Return the public keys in a policy's text by name, of ``approvers`` and of ``signers``.

    This reads no YAML, but looks for `NAME: {... key: "ed25519:..."`; it refuses a file of which it misses a key.
    """
    found: dict[str, dict[str, str]] = {"approvers": {}, "signers": {}}
    text = re.sub(r"(?m)(^|\s)#.*$", "", text)
    for part in re.split(r"(?m)^(?=[a-z])", text):
        names = found.get(part.partition(":")[0], {})
        for key in re.finditer(r"\bkey[\"']?\s*:\s*[\"']?(ed25519:[A-Za-z0-9+/]{43}=)", part):
            before = re.findall(r"([A-Za-z_][\w.-]*)[\"']?\s*:\s*(?:\{|\n)", part[: key.start()])
            names[[name for name in before if name not in ("roles", "until")][-1]] = key[1]
    if sum(map(len, found.values())) != text.count("ed25519:"):
        raise ValueError(
            "not all keys of the policy can be read here; give them one by one: --key NAME=ed25519:..."
        )
    return found


class Signatures:
    """Verifies what is signed, record by record of whole chains.

    Args:
        approvers: Who decides and erases, by name; each public key as ``ed25519:`` and base64.
        signers: Who else signs checkpoints.
        values: Returns a value that is kept apart, by its SHA-256.
    """

    def __init__(self, approvers: dict[str, str], signers: dict[str, str]) -> None:
        self.approvers, self.all = approvers, {**approvers, **signers}
        self.values: Callable[[str], bytes | None] = lambda digest: None
        self.count = 0
        self.run = self.starter = ""
        self.requests: dict[str, dict[str, Any]] = {}

    def wrong(self, name: str, keys: dict[str, str], data: dict[str, Any], **more: Any) -> str:
        """Return what is wrong with the signature in some data; empty when it is its signer's."""
        if name not in keys:
            return f"there is no key of {name}"
        message = canonical({**{n: v for n, v in data.items() if n != "signature"}, **more})
        try:
            public, signature = b64decode(keys[name][8:]), b64decode(data["signature"], validate=True)
        except (ValueError, TypeError):
            return "its signature is none"
        self.count += 1
        return "" if verifies(public, signature, message) else f"its signature is not {name}'s"

    def look(self, run: str, seq: int, at: float, kind: str, text: str) -> str:
        """Return what is wrong with a record; empty when nothing is, or it is not signed."""
        if run != self.run:
            self.run, self.requests = run, {}
        if kind not in ("run_started", "approval_requested", "approval_decided", "run_erased"):
            return ""
        body = json.loads(text, object_hook=self.whole)
        if kind == "run_started":
            self.starter = body.get("by", "")
        elif kind == "run_erased":
            return (
                self.wrong(body["by"], self.approvers, body, run=run, seq=seq) if "signature" in body else ""
            )
        elif kind == "approval_requested":
            self.requests[body["request"]] = body
            given = json.dumps(body.get("input"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            if (
                "$erased" not in body
                and body["digest"] != sha256(f"{body.get('salt', '')}{given}".encode()).hexdigest()
            ):
                return "the digest that people sign is not that of the input"
        elif body["result"] not in ("void", "expired") and not body.get("decision", {}).get("by_time"):
            return self.decided(body["decision"], at)
        return ""

    def decided(self, told: dict[str, Any], at: float) -> str:
        """Return why a decision that counted should not have; empty when it should."""
        names = [
            "request",
            "machine",
            "digest",
            "verdict",
            "approver",
            "reason",
            "at",
            "until",
            "nonce",
            "break_glass",
            "signature",
        ]
        decision, asked = {name: told[name] for name in names}, self.requests.get(told["request"])
        if asked is None or (asked["machine"], asked["digest"]) != (told["machine"], told["digest"]):
            return "it is a decision on something else"
        if at >= told["until"]:
            return "the decision had expired"
        if told["verdict"] == "approve" and told["approver"] == self.starter:
            return f"{self.starter} started the run, and approved"
        return self.wrong(told["approver"], self.approvers, decision)

    def whole(self, found: dict[str, Any]) -> Any:
        """Put a value that is kept apart into its place."""
        data = self.values(found["$blob"]) if isinstance(found.get("$blob"), str) else None
        return found if data is None else json.loads(data, object_hook=self.whole)


def check_chains(
    records: Iterable[tuple[Any, ...]],
    heads: Heads,
    hashes: set[tuple[str, int, str]],
    signatures: Signatures | None = None,
) -> list[str]:
    """Return what is wrong with records that come run by run; note in ``heads`` where each run ends.

    Args:
        records: run, seq, at, kind, body, prev, hash and salt of each.
        heads: Filled with the last good record of each run.
        hashes: Those that an anchor names; the ones that are found are taken out.
        signatures: Verifies what is signed; None leaves that out.
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
        if signatures is not None:
            try:
                wrong = signatures.look(run, seq, at, kind, body)
            except (TypeError, ValueError, KeyError, AttributeError) as error:
                wrong = f"it is not what the program writes: {error!r}"
            problems += [f"run {run}, record {seq}: {wrong}"] if wrong else []
        heads[run] = (seq, last)
        hashes.discard((run, seq, last))
    return problems + unaccounted(now, suspect)


def unaccounted(run: str, seq: int) -> list[str]:
    """Return what is wrong when a record was erased, and no record of an erasure says that this is left of it."""
    return [f"run {run}, record {seq}: what is left of it is not what its erasure left"] if seq else []


def check_database(
    file: Path, anchored: Heads, store: str, signatures: Signatures | None = None
) -> tuple[list[str], Heads]:
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
    if signatures is not None:
        signatures.values = lambda digest: next(
            (row[0] for row in database.execute("SELECT data FROM blobs WHERE digest = ?", [digest])), None
        )
    problems += check_chains(rows, heads, wanted, signatures)
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


def check_lines(file: Path, anchored: Heads, signatures: Signatures | None = None) -> tuple[list[str], Heads]:
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
    problems = check_chains(rows(), heads, wanted, signatures)
    problems += [
        f"run {run}, record {seq}: it was anchored, and is not there" for run, seq, _ in sorted(wanted)
    ]
    return problems, heads


def read_anchors(file: Path, signatures: Signatures | None = None) -> tuple[list[str], Heads, str]:
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
        checkpoint = sha256(canonical(data)).hexdigest()
        if checkpoint in seen:  # handed on twice, because nobody knew whether it had arrived
            new = {}
            continue
        heads, new = {**heads, **new}, {}
        lines = (f"{run} {seq} {head}\n" for run, (seq, head) in sorted(heads.items()))
        digest = sha256("".join(lines).encode()).hexdigest()
        if (data["prev"], data["digest"], data["runs"]) != (prev, digest, len(heads)):
            return [f"{file}, line {place}: this checkpoint is not the one that was written"], {}, ""
        wrong = signatures.wrong(data["by"], signatures.all, data) if signatures and data["by"] else ""
        if wrong:
            return [f"{file}, line {place}: {wrong}"], {}, ""
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
    options.add_argument("--policy", type=Path, help="the policy, for the public keys of those who sign")
    options.add_argument(
        "--key", action="append", default=[], metavar="NAME=ed25519:...", help="one who signs"
    )
    given = options.parse_args(words)
    try:
        keys = read_keys(given.policy.read_text(encoding="utf-8") if given.policy else "")
        keys["approvers"].update(key.split("=", 1) for key in given.key)
        signatures = Signatures(**keys) if given.policy or given.key else None
        problems, anchored, store = read_anchors(given.anchor, signatures) if given.anchor else ([], {}, "")
        with given.file.open("rb") as opened:
            is_database = opened.read(16) == b"SQLite format 3\0"
        found, heads = (
            check_database(given.file, anchored, store, signatures)
            if is_database
            else check_lines(given.file, anchored, signatures)
        )
    except (OSError, ValueError, LookupError, TypeError, sqlite3.Error) as error:
        print(f"cannot be read: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    problems += found
    for problem in problems:  # of a store that somebody has changed it may quote anything
        print("".join(c if c.isprintable() else ascii(c)[1:-1] for c in problem))
    signed = (
        "no keys given: signatures not looked at"
        if signatures is None
        else _count(signatures.count, "signature")
    )
    how = _count(len(problems), "problem") if problems else "all as written"
    records = sum(seq for seq, _ in heads.values())
    print(f"{_count(len(heads), 'run')}, {_count(records, 'record')}, {signed}: {how}")
    return 1 if problems else 0


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


if __name__ == "__main__":
    sys.exit(main())
