"""Two records of each call for two kinds of readers: compliance without payload, and technical with all of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from statemachine.host.pinned import VERSION_OF, declared
from statemachine.journal import decode
from statemachine.journal.erasing import erasure_of
from statemachine.machine.contract import Tool
from statemachine.machine.model import Declaration
from statemachine.store import Store

Stream = Literal["compliance", "technical"]

#: All that the compliance stream holds. Of a call's input it tells only what the tool's declaration names.
#: ``seq`` is the record of the intent, ``as_of`` the record that last told of the call.
COMPLIANCE = (
    "run", "seq", "as_of", "at", "machine", "version", "state", "key", "attempt", "tool", "effect", "reversibility",
    "sentence", "reads", "modifies", "undoes", "authorised_by", "authorised_how", "request",
    "input_sha256", "outcome", "ended_at", "erased",
)  # fmt: skip
TECHNICAL = (
    "run", "seq", "as_of", "at", "machine", "version", "state", "key", "attempt", "tool", "input", "outcome",
    "output", "error", "ended_at", "seconds", "cost", "erased",
)  # fmt: skip
FIELDS: Mapping[Stream, tuple[str, ...]] = {"compliance": COMPLIANCE, "technical": TECHNICAL}

ENDING = ("call_finished", "call_in_doubt", "call_resolved")
"""The kinds of records that say how a call ended, as far as anybody knows."""

_DECIDED = "in doubt; "
_NAMED = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Told:
    """What a record says of an attempt at a call.

    Attributes:
        call: All that is known of it by now.
        closed: Whether nothing more will be said of it.
        repeated: Whether that is so because it was made again, without a word on how it ended.
    """

    call: Mapping[str, Any]
    closed: bool
    repeated: bool = False

    def only(self, stream: Stream) -> dict[str, Any]:
        """Return the fields of a stream and no other."""
        return {name: self.call.get(name) for name in FIELDS[stream]}


class Calls:
    """A run's calls, folded from its records as they come, from the first.

    Args:
        store: Where the run lies: its machine is read from there.
        run: Its id.
    """

    def __init__(self, store: Store, run: str) -> None:
        self._store, self._run = store, run
        self._state, self._by = "", ""
        self._declaration: Declaration | None = None
        self._tried: dict[str, dict[str, Any]] = {}
        self._granted: dict[str, tuple[str, str]] = {}
        self._asked: dict[str, Mapping[str, Any]] = {}
        self._latest: dict[str, Any] | None = None  # the call that ended last

    @property
    def unended(self) -> list[Told]:
        """Those of which nothing more was said so far."""
        return [Told(call, closed=False) for call in self._tried.values()]

    def add(self, seq: int, at: float, kind: str, body: Mapping[str, Any]) -> Told | None:
        """Take the next record, and return what it says of an attempt at a call, if it ends one or puts it in doubt."""
        if kind in VERSION_OF:
            self._declaration = declared(self._store, body[VERSION_OF[kind]])
            self._by = body.get("by", self._by)
            self._state = self._state or body.get("snapshot", {}).get("state", self._declaration.initial)
        elif kind == "transition":
            self._state = body["to"]
        elif kind == "approval_requested":
            self._asked[body["request"]] = body
        elif kind == "approval_decided" and body["result"] in ("counted", "granted", "held"):
            request = body["request"]
            self._granted[request] = _authorised(body["decision"], self._granted.get(request))
        elif kind == "call_intended":
            before = self._tried.pop(body["key"], None)
            self._tried[body["key"]] = self._intended(seq, at, body)
            return Told(before | {"as_of": seq}, closed=True, repeated=True) if before else None
        elif kind in ENDING:
            key = body["key"]
            if kind == "call_in_doubt" and self._latest is not None and self._latest["key"] == key:
                self._tried[key] = self._latest  # it failed in a way that leaves open whether it happened
            if key in self._tried:
                call = self._tried[key]
                before = call["outcome"]
                call |= _ended(kind, body, at - call["at"]) | {"ended_at": at, "as_of": seq}
                call["erased"] = str(erasure_of(body) or "") or call["erased"]
                if before.startswith(_DECIDED):
                    call["outcome"] += f"; was {before}"
                if kind == "call_finished":
                    self._latest = self._tried.pop(key)
                return Told(dict(call), closed=kind == "call_finished")
        return None

    def _intended(self, seq: int, at: float, body: Mapping[str, Any]) -> dict[str, Any]:
        assert self._declaration is not None  # a run begins with its machine
        who, how = (self._by, "the machine, started by them") if self._by else ("", "the machine")
        allowed = body.get("approval") or ""
        if allowed in self._granted:
            who, how = self._granted[allowed]
        about = {"run": self._run, "seq": seq, "as_of": seq, "at": at, "state": self._state}
        about |= {"machine": self._declaration.machine, "version": self._declaration.version}
        about |= {"request": allowed, "authorised_by": who, "authorised_how": how}
        about["erased"] = str(erasure_of(body) or "")
        return about | _told(self._declaration.tools[body["tool"]], body, self._asked.get(allowed, {}))


def export_calls(store: Store, run: str, stream: Stream) -> Iterator[dict[str, Any]]:
    """Yield a record of each attempt at a call of a run, in the order in which they ended; open ones come last.

    Args:
        store: Where the run lies.
        run: Its id.
        stream: Which fields of it: :data:`COMPLIANCE` or :data:`TECHNICAL`.
    """
    calls, closed = Calls(store, run), None
    for record in store.records(run):
        body: Any = decode(record.body, store.blob)
        told = calls.add(record.seq, record.at, record.kind, body)
        if closed is not None and (told is None or told.closed):
            yield closed.only(stream)  # the next record did not put it in doubt
        closed = told if told is not None and told.closed else None
    if closed is not None:
        yield closed.only(stream)
    yield from (told.only(stream) for told in calls.unended)


def _authorised(decision: Mapping[str, Any], before: tuple[str, str] | None) -> tuple[str, str]:
    """Return who let a call through, and how: people by their signatures, or a rule of the policy."""
    if decision.get("by_time"):
        return "policy", "rule by_time: nobody answered in time"
    names = [*(before[0].split(", ") if before else []), decision["approver"]]
    broken = decision.get("break_glass") or (before is not None and "broke" in before[1])
    return ", ".join(names), "signed, and broke the glass" if broken else "signed"


def _told(tool: Tool, body: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an intent tells: for compliance by the tool's own templates, and the input for the technical one."""
    given: Mapping[str, Any] = body["input"]
    return {
        "key": body["key"],
        "attempt": body["attempt"],
        "tool": body["tool"],
        "effect": tool.effect,
        "reversibility": tool.reversibility or "",
        "sentence": _filled(tool.says or tool.summary or f"Called {body['tool']}", given),
        "reads": [_filled(text, given) for text in tool.reads],
        "modifies": [_filled(text, given) for text in tool.modifies],
        "undoes": body.get("undoes") or "",
        "input_sha256": request.get("digest", ""),
        "input": given,
        "outcome": "open",
    }


def _ended(kind: str, body: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    if kind == "call_in_doubt":
        return {"outcome": "in doubt"}
    if kind == "call_resolved":
        happened = {True: "happened", False: "did not happen", None: "was not decided"}[body["happened"]]
        return {"outcome": f"{_DECIDED}{body['by'] or 'somebody'} said that it {happened}"}
    failed = body["kind"] == "failure"
    return {
        "outcome": f"failed: {body['class']}" if failed else body["kind"],
        "output": body.get("output"),
        "error": body.get("message", ""),
        "seconds": round(seconds, 6),
        "cost": body.get("cost", {}),
    }


def _filled(template: str, given: Mapping[str, Any]) -> str:
    """Return a template with the inputs that it names; what is no plain value, or is not given, stays a name."""

    def value(found: re.Match[str]) -> str:
        told = given.get(found[1])
        return str(told) if isinstance(told, str | int | float) else found[0]

    return _NAMED.sub(value, template)


def as_event(call: Mapping[str, Any], stream: Stream, store: str) -> dict[str, Any]:
    """Return a record as a CloudEvent: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md.

    Args:
        call: The record.
        stream: Which one it is of.
        store: Which store it is from. An event's id is that of the journal's record that last told of the call.
    """
    ended = call["at"] if call["ended_at"] is None else call["ended_at"]
    return {
        "specversion": "1.0",
        "id": f"{call['run']}:{call['as_of']}",
        "source": f"/statemachine/stores/{store}",
        "type": f"statemachine.call.{stream}",
        "subject": call["key"],
        "time": datetime.fromtimestamp(ended, UTC).isoformat(),
        "datacontenttype": "application/json",
        "data": dict(call),
    }


def as_cells(call: Mapping[str, Any]) -> list[str]:
    """Return a record as the cells of a table: lists of words with semicolons, other structures as JSON."""

    def cell(value: Any) -> str:
        if value is None or isinstance(value, str):
            return value or ""
        if isinstance(value, list) and all(isinstance(part, str) for part in value):
            return "; ".join(value)
        return json.dumps(value, ensure_ascii=False)

    return [cell(value) for value in call.values()]
