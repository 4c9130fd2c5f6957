"""What is noted of a store outside of it: who can change the store cannot change this as well."""

from __future__ import annotations

import base64
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

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
        records: Records that the store had at the last of them.
        at: When that was, in seconds since the epoch.
        size: Bytes of the file up to the end of the last of them; what follows was never finished.
    """

    store: str = ""
    heads: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    checkpoints: int = 0
    last: str = ""
    signers: tuple[str, ...] = ()
    records: int = 0
    at: float = 0.0
    size: int = 0


def digest_of_heads(heads: Mapping[str, tuple[int, str]]) -> str:
    """Return the SHA-256 of all runs' heads: a line ``run seq hash`` for each, by id."""
    lines = (f"{run} {seq} {head}\n" for run, (seq, head) in sorted(heads.items()))
    return sha256("".join(lines).encode()).hexdigest()


def read_anchors(file: Path, policy: Policy, *, torn: bool = False) -> Anchored:
    """Return what a file of anchors says, its own chain and its signatures verified.

    Checkpoints that come once more are passed over: whoever hands them on does not know what arrived before a crash.

    Args:
        file: The file.
        policy: Whose signatures it may bear.
        torn: Whether it may end in the middle of a checkpoint, as a crash leaves it to those who write it.

    Raises:
        InvalidAnchor: It cannot be read, or is not what was written; the message says in which line.
    """
    anchored, seen, new = Anchored(), set[str](), dict[str, tuple[int, str]]()
    number = size = 0
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if torn and not line.endswith(b"\n"):
                    return anchored
                size += len(line)
                data = json.loads(line)
                if "run" in data:
                    new[str(data["run"])] = (int(data["seq"]), str(data["head"]))
                    continue
                digest = sha256(rfc8785.dumps(data)).hexdigest()
                if digest in seen:
                    anchored, new = replace(anchored, size=size), {}
                    continue
                heads, new = {**anchored.heads, **new}, {}
                if why := _why_wrong(data, anchored, heads, policy):
                    raise InvalidAnchor(f"{file}:{number}: {why}")
                seen.add(digest)
                anchored = _after(data, anchored, heads, digest, size)
    except OSError as error:
        raise InvalidAnchor(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise InvalidAnchor(f"{file}:{number}: no line that `audit anchor` writes: {error}") from error
    if new and not torn:
        raise InvalidAnchor(
            f"{file}: it ends without its checkpoint: it was cut, or a crash came between. Whoever writes it mends it "
            "at the next checkpoint; or remove the lines after the last one"
        )
    return anchored


def _after(
    data: Mapping[str, Any], before: Anchored, heads: Mapping[str, tuple[int, str]], digest: str, size: int
) -> Anchored:
    """Return what is anchored once a checkpoint has been read or written."""
    return Anchored(
        store=data["store"],
        heads=heads,
        checkpoints=before.checkpoints + 1,
        last=digest,
        signers=(*before.signers, data["by"]),
        records=int(data["records"]),
        at=float(data["at"]),
        size=size,
    )


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
    if (public := policy.signing_key(data["by"])) is None:
        return f"signed by {data['by']}, who is not in the policy"
    unsigned = {name: value for name, value in data.items() if name != "signature"}
    if not verifies(public, data["signature"], rfc8785.dumps(unsigned)):
        return f"its signature is not {data['by']}'s"
    return ""


def add_anchor(
    store: ReadOnlyStore,
    file: Path,
    policy: Policy,
    now: float,
    by: str = "",
    key: Ed25519PrivateKey | None = None,
    before: Anchored | None = None,
) -> tuple[dict[str, Any], Anchored]:
    """Append a checkpoint of a store to a file: the runs that changed since the last one, then a line on all.

    What a crash has left unfinished at the end of the file is taken away first.

    Args:
        store: The store.
        file: Where to; made if need be. It belongs where whoever can write the store cannot.
        policy: Whose signatures the file may bear.
        now: The time, in seconds since the epoch.
        by: Who signs; empty for an unsigned one.
        key: Their key.
        before: What is in the file, if that is known; else it is read.

    Returns:
        The checkpoint, and what is anchored now.

    Raises:
        InvalidAnchor: The file is of another store, is damaged, or speaks of runs that are other ones now.
        StoreUnusable: It cannot be written.
    """
    with _held(file) as out:
        if before is None or before.size != out.seek(0, os.SEEK_END):
            before = read_anchors(file, policy, torn=True)
        text, checkpoint, heads = _next(store, file, before, now, by, key)
        with _refused(file):
            out.truncate(before.size)
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
    digest = sha256(rfc8785.dumps(checkpoint)).hexdigest()
    changed = text.count(b"\n") - 1
    return {**checkpoint, "changed": changed}, _after(
        checkpoint, before, heads, digest, before.size + len(text)
    )


def _next(
    store: ReadOnlyStore, file: Path, before: Anchored, now: float, by: str, key: Ed25519PrivateKey | None
) -> tuple[bytes, dict[str, Any], dict[str, tuple[int, str]]]:
    """Return what to append, the checkpoint at its end, and the heads that it is of."""
    here = store.identity()
    if before.store and before.store != here:
        raise InvalidAnchor(f"{file} is of store {before.store[:12]}, this is store {here[:12]}")
    heads = {run: (seq, head) for run, seq, head in store.heads()}
    changed = {run: head for run, head in heads.items() if before.heads.get(run) != head}
    for run, (seq, head) in before.heads.items():
        if (run in changed or run not in heads) and store.hash_at(run, seq) != head:
            raise InvalidAnchor(
                f"run {run} is not as it was anchored at record {seq}; see: statemachine audit verify --anchor {file}"
            )
    lines = [json.dumps({"run": run, "seq": seq, "head": head}) for run, (seq, head) in changed.items()]
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
    return "".join(f"{line}\n" for line in (*lines, json.dumps(checkpoint))).encode(), checkpoint, heads


@contextmanager
def _held(file: Path) -> Iterator[BinaryIO]:
    """Open a file to append to it, so that nobody else does meanwhile."""
    with _refused(file):
        out = file.open("ab")
    with out:
        fcntl.flock(out, fcntl.LOCK_EX)
        yield out


@contextmanager
def _refused(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise disk_refused(error, f"{file} cannot be written: {error.strerror}") from error
