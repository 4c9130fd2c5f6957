"""Two records of each call for two kinds of readers: compliance without payload, and technical with all of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from statemachine.host.pinned import VERSION_OF, declared
from statemachine.journal import decode
from statemachine.journal.erasing import erasure_of
from statemachine.machine.model import Declaration, Tool
from statemachine.store import Store

Stream = Literal["compliance", "technical"]

#: All that the compliance stream holds. Of a call's input it tells only what the tool's declaration names.
COMPLIANCE = (
    "run", "seq", "at", "machine", "version", "state", "key", "attempt", "tool", "effect", "reversibility",
    "sentence", "reads", "modifies", "undoes", "authorised_by", "authorised_how", "request", "input_sha256",
    "outcome", "ended_at", "erased",
)  # fmt: skip
TECHNICAL = (
    "run", "seq", "at", "machine", "version", "state", "key", "attempt", "tool", "input", "outcome", "output",
    "error", "ended_at", "seconds", "cost", "erased",
)  # fmt: skip
FIELDS: Mapping[Stream, tuple[str, ...]] = {"compliance": COMPLIANCE, "technical": TECHNICAL}

_NAMED = re.compile(r"\{(\w+)\}")


def export_calls(store: Store, run: str, stream: Stream) -> Iterator[dict[str, Any]]:
    """Yield a record of each attempt at a call of a run, in the order in which they ended; open ones come last.

    Args:
        store: Where the run lies.
        run: Its id.
        stream: Which fields of it: :data:`COMPLIANCE` or :data:`TECHNICAL`.
    """
    state, by = "", ""
    declaration: Declaration | None = None
    tried: dict[str, dict[str, Any]] = {}
    granted: dict[str, tuple[str, str]] = {}
    asked: dict[str, Mapping[str, Any]] = {}
    for record in store.records(run):
        body: Any = decode(record.body, store.blob)
        if record.kind in VERSION_OF:
            declaration, by = declared(store, body[VERSION_OF[record.kind]]), body.get("by", by)
            state = state or body.get("snapshot", {}).get("state", declaration.initial)
        elif record.kind == "transition":
            state = body["to"]
        elif record.kind == "approval_requested":
            asked[body["request"]] = body
        elif record.kind == "approval_decided" and body["result"] in ("counted", "granted", "held"):
            request = body["request"]
            granted[request] = _authorised(body["decision"], granted.get(request))
        elif record.kind == "call_intended":
            assert declaration is not None  # a run begins with its machine
            if (before := tried.pop(body["key"], None)) is not None:
                yield _only(before, stream)  # made again without a word on the attempt before
            who, how = (by, "the machine, started by them") if by else ("", "the machine")
            allowed = body.get("approval") or ""
            if allowed in granted:
                who, how = granted[allowed]
            tool = declaration.tools[body["tool"]]
            about = {"run": run, "seq": record.seq, "at": record.at, "state": state, "request": allowed}
            about |= {"machine": declaration.machine, "version": declaration.version}
            about |= {"authorised_by": who, "authorised_how": how}
            about["erased"] = str(erasure_of(body) or "")
            tried[body["key"]] = about | _told(tool, body, asked.get(allowed, {}))
        elif record.kind in ("call_finished", "call_in_doubt", "call_resolved") and body["key"] in tried:
            call = tried[body["key"]]
            call |= _ended(record.kind, body, record.at - call["at"]) | {"ended_at": record.at}
            call["erased"] = str(erasure_of(body) or "") or call["erased"]
            if record.kind == "call_finished":
                yield _only(tried.pop(body["key"]), stream)
    yield from (_only(call, stream) for call in tried.values())


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
        return {"outcome": f"in doubt; {body['by'] or 'somebody'} said that it {happened}"}
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


def _only(call: Mapping[str, Any], stream: Stream) -> dict[str, Any]:
    """Return the fields of a stream and no other."""
    return {name: call.get(name) for name in FIELDS[stream]}


def as_cells(call: Mapping[str, Any]) -> list[str]:
    """Return a record as the cells of a table: lists of words with semicolons, other structures as JSON."""

    def cell(value: Any) -> str:
        if value is None or isinstance(value, str):
            return value or ""
        if isinstance(value, list) and all(isinstance(part, str) for part in value):
            return "; ".join(value)
        return json.dumps(value, ensure_ascii=False)

    return [cell(value) for value in call.values()]
