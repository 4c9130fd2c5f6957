"""Erasing what a run was given and what it got: the chain stays whole, and says that it was erased, by whom and why."""

from __future__ import annotations

import base64
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import groupby
from typing import TYPE_CHECKING, Any

import rfc8785

from statemachine.approvals.keys import verifies
from statemachine.approvals.policy import Policy
from statemachine.errors import NotErasable
from statemachine.host.places import work_folder
from statemachine.host.view import restore
from statemachine.journal import ERASURE, decode, encode, seal
from statemachine.journal.erasing import Erasure, Values, erasure_of, marked, skeleton, skeleton_of_snapshot
from statemachine.journal.record import Left, digest_of_body
from statemachine.store import ErasedRun, Store, StoredRun

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_CALL = re.compile(r"([^:]+):(\d+)")


@dataclass(frozen=True, slots=True)
class Erased:
    """What was erased.

    Attributes:
        run: Id of the run.
        call: Key of the call; empty for the whole run.
        by: Who did it.
        reason: Why.
        at: When, in seconds since the epoch.
        records: Records that were erased, by their numbers.
        already: Whether that was so before.
        guessable: How many of them were written before records had salts: their digests stay, and whoever has them
            can try out what they held.
        copies: Runs that have copies of what the run knew: its parent, and those that were forked off it.
    """

    run: str
    call: str
    by: str
    reason: str
    at: float
    records: str
    already: bool
    guessable: int
    copies: tuple[str, ...]

    def as_data(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def erase(
    store: Store,
    what: str,
    *,
    reason: str,
    by: str,
    now: float,
    key: Ed25519PrivateKey | None = None,
) -> Erased:
    """Erase the payload of a run that has ended, or of one call of it; what was erased before stays so.

    The bytes lie in the database's file until ``store.scrub()``, which belongs after the last of several.

    Args:
        store: Where the run lies.
        what: The run's id, or the call's key, ``run:seq``; the id may be shortened.
        reason: Why, for the record.
        by: Who erases.
        now: The time, in seconds since the epoch.
        key: Their private key, if they sign it.

    Raises:
        UnknownRun: There is no such run.
        NotErasable: It has not ended, or made no such call.
        LeaseLost: The run has gone on meanwhile.
    """
    found = _CALL.fullmatch(what)
    stored = store.load(store.find(found[1] if found else what))
    call = f"{stored.id}:{found[2]}" if found else ""
    _refuse(store, stored)
    shutil.rmtree(work_folder(store.name) / stored.id, ignore_errors=True)
    if (before := _before(store, stored.id, call)) is not None:
        return before
    now = round(max(now, stored.updated), 6)
    erasure = Erasure(now, by, reason, stored.seq + 1)
    bodies, blobs, left, guessable = _without_payload(store, stored, call, erasure)
    numbers = _ranges(bodies)
    snapshot, large = encode(_snapshot(store, stored, call, erasure))
    body: dict[str, Any] = {
        "by": by,
        "reason": reason,
        "records": numbers,
        "left": left,
        "snapshot": sha256(snapshot.encode()).hexdigest(),
        "guessable": guessable,
        **({"call": call} if call else {}),
    }
    if key is not None:
        body["signature"] = base64.b64encode(key.sign(_message(stored.id, erasure.record, body))).decode()
    ((record,), _) = seal(stored.id, stored.head, stored.seq, now, [(ERASURE, body)])
    store.erase(
        ErasedRun(stored.id, stored.seq, stored.head, bodies, record, snapshot, str(erasure), blobs | large)
    )
    return Erased(
        stored.id, call, by, reason, record.at, numbers, False, guessable, _copies(store, stored.id)
    )


def signed_wrongly(run: str, seq: int, body: Mapping[str, Any], policy: Policy) -> str:
    """Return why the signature of an erasure does not count; empty when it does, or nobody signed."""
    unsigned = {name: value for name, value in body.items() if name != "signature"}
    if "signature" not in body:
        return ""
    if body["by"] not in policy.approvers:
        return f"{body['by']} is not in the policy (who has left stays in it, with `until:`)"
    if not verifies(policy.approvers[body["by"]].key, body["signature"], _message(run, seq, unsigned)):
        return f"its signature is not {body['by']}'s"
    return ""


def _message(run: str, seq: int, body: Mapping[str, Any]) -> bytes:
    return rfc8785.dumps({"run": run, "seq": seq, **body})


def _refuse(store: Store, stored: StoredRun) -> None:
    """Raise NotErasable while a run may still need what it knows."""
    if stored.finished is None:
        raise NotErasable(
            f"run {stored.id} has not ended ({stored.status} in {stored.state}), and needs what it knows; "
            f"wait for its end, or: statemachine cancel {stored.id}"
        )
    if reviews := restore(store, stored).reviews:
        raise NotErasable(
            f"nobody has reviewed request {reviews[0]} yet, for which glass was broken; "
            f"first: statemachine approvals review {reviews[0]}"
        )


def _before(store: Store, run: str, call: str) -> Erased | None:
    """Return the erasure that has taken all of it already."""
    if (found := _covering(store, run, call)) is None:
        return None
    at, body = found
    told = (body["by"], body["reason"], at, body["records"], True, body["guessable"], _copies(store, run))
    return Erased(run, body.get("call", ""), *told)


def _covering(store: Store, run: str, call: str = "") -> tuple[float, dict[str, Any]] | None:
    """Return time and body of the record of an erasure that has taken a whole run, or a call of it."""
    for _, at, text in store.bodies(run, ERASURE):
        body: Any = decode(text, store.blob)
        if body.get("call", "") in ("", call):
            return at, body
    return None


def _without_payload(
    store: Store, stored: StoredRun, call: str, erasure: Erasure
) -> tuple[dict[int, str], dict[str, bytes], str, int]:
    """Return what is left of records, its large values, the digest of it all, and how many had no salt."""
    only, own = _of_call(store, stored.id, call) if call else (None, frozenset[int]())
    bodies: dict[int, str] = {}
    blobs: dict[str, bytes] = {}
    left, guessable = Left(), 0
    for record in store.records(stored.id, until=stored.seq):
        body: Any = decode(record.body, store.blob)
        rest = (
            None
            if record.kind == ERASURE
            else skeleton(record.kind, body, None if record.seq in own else only)
        )
        text = record.body
        if rest is not None and rest != {name: value for name, value in body.items() if name != "$erased"}:
            before = erasure_of(body)
            guessable += not record.salt and before is None
            text, large = marked(rest, digest_of_body(record.body, record.salt), erasure)
            bodies[record.seq] = text
            blobs |= large
        if record.seq in bodies or record.erased:
            left.add(record.seq, text)
    return bodies, blobs, left.digest(), guessable


def _of_call(store: Store, run: str, call: str) -> tuple[Values, frozenset[int]]:
    """Return the values of a call, and the records that are about it and nothing else."""
    own: set[int] = set()
    found: list[Any] = []  # values, and neither the names of inputs nor those of fields
    requests: set[str] = set()
    for record in store.records(run):
        body: Any = decode(record.body, store.blob)
        if body.get("key") != call:
            continue
        own.add(record.seq)
        if record.kind == "call_intended":
            found += body["input"].values()
            requests.add(body.get("approval", ""))
        elif record.kind == "call_finished":
            found += [body.get(name) for name in ("output", "message", "done", "not_done")]
    if not own:
        raise NotErasable(f"run {run} made no call {call}; its calls: statemachine explain {run} --json")
    own |= {int(request.rpartition(":")[2]) for request in requests if request}
    return Values(*found), frozenset(own)


def _snapshot(store: Store, stored: StoredRun, call: str, erasure: Erasure) -> dict[str, Any]:
    """Return what is left of the run's snapshot; it tells that, and why."""
    data: Any = decode(stored.snapshot, store.blob)
    only = _of_call(store, stored.id, call)[0] if call else None
    rest = skeleton_of_snapshot(data, only)
    return rest | {"seq": erasure.record, "because": str(erasure), "erased": str(erasure)}


def _copies(store: Store, run: str) -> tuple[str, ...]:
    """Return the runs that know what a run knew, and were not erased."""
    parent = restore(store, store.load(run)).parent.rpartition(":")[0]
    related = [*([parent] if parent else []), *store.forks(run)]
    return tuple(one for one in related if _covering(store, one) is None)


def _ranges(numbers: Iterable[int]) -> str:
    """Return numbers as people write them: ``1-9, 12``."""
    runs = groupby(enumerate(sorted(numbers)), key=lambda pair: pair[1] - pair[0])
    ends = [[number for _, number in pairs] for _, pairs in runs]
    return ", ".join(f"{some[0]}-{some[-1]}" if some[1:] else str(some[0]) for some in ends)
