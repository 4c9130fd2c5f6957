"""What is noted of a store outside of it: who can change the store cannot change this as well."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rfc8785

from statemachine.approvals.keys import public_text, verifies
from statemachine.approvals.policy import Policy
from statemachine.errors import InvalidAnchor, disk_refused
from statemachine.store import ReadOnlyStore

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class Anchored:
    """What a file of anchors says of a store.

    Attributes:
        store: Which store it is of; empty when the file is new.
        heads: For each run the number and the hash of its last record, as they were at the last checkpoint.
        checkpoints: Checkpoints in the file.
        last: SHA-256 of the last of them.
        signers: Who signed, each checkpoint's in order; empty for one that nobody did.
    """

    store: str = ""
    heads: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    checkpoints: int = 0
    last: str = ""
    signers: tuple[str, ...] = ()


def digest_of_heads(heads: Mapping[str, tuple[int, str]]) -> str:
    """Return the SHA-256 of all runs' heads: a line ``run seq hash`` for each, by id."""
    lines = (f"{run} {seq} {head}\n" for run, (seq, head) in sorted(heads.items()))
    return sha256("".join(lines).encode()).hexdigest()


def read_anchors(file: Path, policy: Policy) -> Anchored:
    """Return what a file of anchors says, its own chain and its signatures verified.

    Raises:
        InvalidAnchor: It cannot be read, or is not what was written; the message says in which line.
    """
    anchored, heads = Anchored(), dict[str, tuple[int, str]]()
    number = 0
    try:
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                data = json.loads(line)
                if "run" in data:
                    heads[str(data["run"])] = (int(data["seq"]), str(data["head"]))
                    continue
                if why := _why_wrong(data, anchored, heads, policy):
                    raise InvalidAnchor(f"{file}:{number}: {why}")
                anchored = Anchored(
                    data["store"],
                    dict(heads),
                    anchored.checkpoints + 1,
                    sha256(rfc8785.dumps(data)).hexdigest(),
                    (*anchored.signers, data["by"]),
                )
    except OSError as error:
        raise InvalidAnchor(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, LookupError, TypeError) as error:
        raise InvalidAnchor(f"{file}:{number}: no line that `audit anchor` writes: {error}") from error
    if heads != anchored.heads:
        raise InvalidAnchor(
            f"{file}: it ends without its checkpoint; remove the lines after the last checkpoint"
        )
    return anchored


def _why_wrong(
    data: Mapping[str, Any], before: Anchored, heads: Mapping[str, tuple[int, str]], policy: Policy
) -> str:
    """Return what is wrong with a checkpoint; empty when it is what was written."""
    if data["prev"] != before.last or (before.store and data["store"] != before.store):
        return "this checkpoint does not follow the one before it"
    if (data["runs"], data["digest"]) != (len(heads), digest_of_heads(heads)):
        return "this checkpoint is not one of the runs above it"
    if not data["by"]:
        return ""
    if data["by"] not in policy.approvers:
        return f"signed by {data['by']}, who is not in the policy"
    unsigned = {name: value for name, value in data.items() if name != "signature"}
    if not verifies(policy.approvers[data["by"]].key, data["signature"], rfc8785.dumps(unsigned)):
        return f"its signature is not {data['by']}'s"
    return ""


def add_anchor(
    store: ReadOnlyStore,
    file: Path,
    policy: Policy,
    now: float,
    by: str = "",
    key: Ed25519PrivateKey | None = None,
) -> dict[str, Any]:
    """Append a checkpoint of a store to a file: the runs that changed since the last one, then a line on all.

    Args:
        store: The store.
        file: Where to; made if need be. It belongs where whoever can write the store cannot.
        policy: Whose signatures the file may bear.
        now: The time, in seconds since the epoch.
        by: Who signs; empty for an unsigned one.
        key: Their key.

    Returns:
        The checkpoint.

    Raises:
        InvalidAnchor: The file is of another store, is damaged, or speaks of runs that are other ones now.
        StoreUnusable: It cannot be written.
    """
    before = read_anchors(file, policy) if file.exists() else Anchored()
    here = store.identity()
    if before.store and before.store != here:
        raise InvalidAnchor(f"{file} is of store {before.store[:12]}, this is store {here[:12]}")
    for run, (seq, head) in before.heads.items():
        if store.hash_at(run, seq) != head:
            raise InvalidAnchor(
                f"run {run} is not as it was anchored at record {seq}; see: statemachine audit verify --anchor {file}"
            )
    heads = {run: (seq, head) for run, seq, head in store.heads()}
    lines = [
        json.dumps({"run": run, "seq": seq, "head": head})
        for run, (seq, head) in heads.items()
        if before.heads.get(run) != (seq, head)
    ]
    checkpoint: dict[str, Any] = {
        "store": here,
        "at": round(now, 6),
        "runs": len(heads),
        "records": sum(seq for seq, _ in heads.values()),
        "digest": digest_of_heads(heads),
        "prev": before.last,
        "by": by,
        "key": public_text(key) if key is not None else "",
    }
    if key is not None:
        checkpoint["signature"] = base64.b64encode(key.sign(rfc8785.dumps(checkpoint))).decode()
    _append(file, "\n".join([*lines, json.dumps(checkpoint)]) + "\n")
    return {**checkpoint, "changed": len(lines)}


def _append(file: Path, text: str) -> None:
    try:
        with file.open("a", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
    except OSError as error:
        raise disk_refused(error, f"{file} cannot be written: {error.strerror}") from error
