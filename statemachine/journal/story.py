"""A journal as people read it: one line a record."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from statemachine.journal.erasing import erasure_of
from statemachine.kernel.rollback import account

Body = Mapping[str, Any]


def tell(kind: str, body: Body) -> str:
    """Return what a record says, in one line, and whether it was erased; an unknown kind is shown as it is."""
    teller = _TELLERS.get(kind)
    told = teller(body) if teller is not None else f"{kind} {_short(body)}"
    erasure = erasure_of(body)
    return told if erasure is None else f"{told} (erased, see record {erasure.record})"


def _short(value: Any, most: int = 160) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _started(body: Body) -> str:
    if parent := body.get("parent"):
        by = f" by {body['by']}" if body["by"] else ""
        return f"forked off run {parent['run']} at its record {parent['seq']}{by}"
    by = f" by {body['by']}" if body.get("by") else ""
    begun = "queued" if body.get("queued") else "started"
    return f"{begun} {body['machine']} {body['version']}{by} with {_short(body['inputs'])}"


def _event(body: Body) -> str:
    by = f" from {body['by']}" if body.get("by") else ""
    if body["name"] == "call.intend":
        return f"let go{by.replace('from', 'by')}{': ' + body['error'] if 'error' in body else ''}"
    carried = f" {_short(body['payload'])}" if body.get("payload") else ""
    return f"event {body['name']}{by}{carried}"


def _transition(body: Body) -> str:
    attempt = f" (entered {body['attempt']} times)" if body.get("attempt", 1) > 1 else ""
    instead = f" because of {body['instead']}" if body.get("instead") else ""
    passed = [t for t in body.get("tried", ()) if t.get("guard") and t["verdict"]]
    guard = f" as {_short(passed[-1]['guard'])}" if passed else ""
    start = f"{body['from']} -> {body['to']} on {body['event']}" if body["event"] else f"-> {body['to']}"
    held = ", held before its call" if body.get("held") else ""
    stale = (
        f" because {', '.join(body['stale'])} {'is' if len(body['stale']) == 1 else 'are'} stale"
        if "stale" in body
        else ""
    )
    return f"{start}{guard}{instead}{stale}{attempt}{held}"


def _intended(body: Body) -> str:
    again = f", try {body['attempt']}" if body["attempt"] > 1 else ""
    undoes = f"undoes {body['undoes']}: " if "undoes" in body else ""
    return f"{undoes}calls {body['tool']} (key {body['key']}{again}) with {_short(body['input'])}"


def _finished_call(body: Body) -> str:
    if body["kind"] == "failure":
        said = f" (pretended by {body['pretended']}; it was not made)" if "pretended" in body else ""
        return f"call {body['key']} failed ({body['class']}){said}: {_short(body['message'])}"
    untrusted = "" if body.get("trusted", True) else " (not trusted: the run was amended meanwhile)"
    partly = f", not done: {', '.join(body['not_done'])}" if body["kind"] == "partial" else ""
    return f"call {body['key']} gave {_short(body['output'])}{partly}{untrusted}"


def _resolved(body: Body) -> str:
    if body.get("undo"):
        return f"call {body['key']} in doubt: it is to be undone, says {body['by'] or 'somebody'}"
    verdict = {True: "it happened", False: "it did not happen", None: "no clear answer"}[body["happened"]]
    return f"call {body['key']} in doubt: {verdict}, says {body['by'] or 'somebody'}"


def _edited(body: Body) -> str:
    values = ", ".join(f"{name} = {_short(value)}" for name, value in body["values"].items())
    return f"edited by hand{' by ' + body['by'] if body['by'] else ''}: {values}"


def _requested(body: Body) -> str:
    who = ", ".join(body["approvers"]) or "anyone who may"
    many = f" ({body['needed']} of them)" if body["needed"] > 1 else ""
    return f"asks {who}{many} to approve {body['tool']} with {_short(body['input'])}"


def _announced(body: Body) -> str:
    told = f"told of request {body['request']}: {', '.join(body['told']) or 'nobody'}"
    for way in body.get("untold", ()):
        if isinstance(way, Mapping):  # else it was erased
            again = "is tried again" if "again" in way else "is not tried again"
            told += f"; {way['way']} failed, try {way['attempt']} ({_short(way['error'])}), and {again}"
    return told


def _decided(body: Body) -> str:
    told = body.get("decision", {})
    reason = f": {_short(told['reason'])}" if told.get("reason") else ""
    if body["result"] == "expired":
        return f"request {body['request']} was not answered in time"
    if body["result"] == "void":
        why = told.get("void") or body.get("because") or "it was not asked for"
        return f"a decision on request {body['request']} does not count: {why}"
    who = "the policy" if told.get("by_time") else told["approver"]
    glass = ", out of turn," if told.get("break_glass") else ""
    verb = "denies" if body["result"] == "denied" else "approves"
    more = "; others must, too" if body["result"] == "counted" else ""
    return f"{who}{glass} {verb} request {body['request']}{reason}{more}"


def _rolled_back(body: Body) -> str:
    stopped = f", stopped by a failure ({body['failed']})" if "failed" in body else ""
    return f"rolled back{stopped}: {account(body['undone'], body['left'])}"


def _amended(body: Body) -> str:
    values = ", ".join(
        f"{name} from {_short(body['was'][name])} to {_short(value)}"
        for name, value in body["values"].items()
    )
    unknown = f"; no longer known: {', '.join(body['invalidated'])}" if body["invalidated"] else ""
    during = f"; call {body['during']} is waited for" if "during" in body else ""
    return f"amended by {body['by'] or 'somebody'}: {values}{unknown}{during}"


def _migrated(body: Body) -> str:
    renamed = [f"{old} is {new or 'dropped'}" for old, new in {**body["states"], **body["fields"]}.items()]
    told = f" ({', '.join(renamed)})" if renamed else ""
    return (
        f"migrated to version {body['version']} sha256:{body['to'][:12]} by {body['by'] or 'somebody'}{told}"
    )


def _timer(body: Body) -> str:
    why = f" to call {body['key']} again after {body['after']}" if "key" in body else ""
    return f"waits for time{why}"


def _erased(body: Body) -> str:
    what = f"the payload of call {body['call']}" if "call" in body else "the payload of the run"
    return f"{what} was erased by {body['by'] or 'somebody'}, in records {body['records']}, because {body['reason']}"


def _finished(body: Body) -> str:
    reason = f": {_short(body['reason'])}" if body["reason"] else ""
    return f"{body['status']} in {body['state']}{reason}"


_TELLERS: dict[str, Callable[[Body], str]] = {
    "run_started": _started,
    "event": _event,
    "transition": _transition,
    "call_intended": _intended,
    "call_finished": _finished_call,
    "call_in_doubt": lambda body: f"call {body['key']} is in doubt; asks {body['asks']}",
    "call_resolved": _resolved,
    "context_changed": _edited,
    "approval_requested": _requested,
    "approval_announced": _announced,
    "approval_decided": _decided,
    "approval_refused": lambda body: (
        f"does not ask again to call {body['tool']}: it was denied (asked {body['asked']} times)"
    ),
    "approval_held": lambda body: f"request {body['request']} is approved, and held: {body['because']}",
    "approval_reviewed": lambda body: (
        f"{body['by']} reviewed request {body['request']}: {_short(body['note'])}"
    ),
    "rolled_back": _rolled_back,
    "amended": _amended,
    "migrated": _migrated,
    "timer_set": _timer,
    "run_finished": _finished,
    "run_erased": _erased,
}
