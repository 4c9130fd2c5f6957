"""What a person reads before they decide on a request: what, on what, why, how far it reaches, and what follows.

An agent writes parts of it. Whatever it writes stays in its place: on lines that are indented, without line breaks and
without characters that move the cursor or turn the text round.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from statemachine.cli.terminal import columns, lasting, plain, when, wrapped
from statemachine.legible import counted

_TITLE = 12
_WIDTH = 108


def lines(body: Mapping[str, Any], machine: str, starter: str, now: float) -> Iterator[str]:
    """Yield a request in the order of what matters to who has never seen the machine.

    Args:
        body: The request, as :meth:`Desk.requests` gives it.
        machine: Name and version of the machine, and what it does.
        starter: Who started the run.
        now: Seconds since the epoch.
    """
    for title, text in _parts(body, machine, starter, now):
        first, *rest = wrapped(plain(text), min(_WIDTH, columns()) - _TITLE)
        yield f"{title:<{_TITLE}}{first}".rstrip()
        yield from (" " * _TITLE + line for line in rest)


def reach(body: Mapping[str, Any]) -> str:
    """Return what can be undone of the call, by its tool's declaration."""
    if body["reversibility"] == "none":
        return "IRREVERSIBLE: nothing undoes it"
    how = "wholly" if body["reversibility"] == "full" else "partly"
    return f"can be undone {how}" + (f", by {body['undo']}" if body["undo"] else "")


def left(expires: float, now: float) -> str:
    """Return how much time there is to answer."""
    return f"{lasting(expires - now)} left" if expires > now else "its time is over"


def untold(ways: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield, of each way in which people could not be told, since when not, why, and whether it is tried again."""
    for way in ways:
        tries = counted(way["attempt"], "try", "tries")
        again = f"the next at {when(way['again'])}" if way["again"] else "and no more"
        yield (
            f"nobody could be told by {way['way']} since {when(way['since'])} ({way['error']}; {tries}, {again}); "
            "the request waits all the same"
        )


def several(people: Mapping[str, Any]) -> str:
    """Return how many of whom are asked."""
    return f"{people['needed']} of {', '.join(people['approvers']) or 'the approvers of the policy'}"


def _parts(body: Mapping[str, Any], machine: str, starter: str, now: float) -> Iterator[tuple[str, str]]:
    yield "WHAT", f"{body['tool']}: {body['summary']}" if body["summary"] else body["tool"]
    titles = iter(["WITH"])
    for name, value in body["input"].items():
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        yield next(titles, ""), f"{name} = {plain(shown)}"
    yield "REACH", reach(body) + (f"; it touches {body['blast_radius']}" if body["blast_radius"] else "")
    says = body["agent_says"]
    yield "WHY", f"“{plain(says['reasoning'])}”" if says["reasoning"] else "the agent gives no reason"
    if says["expects"]:
        yield "EXPECTED", f"“{plain(says['expects'])}”"
    if says["reasoning"] or says["expects"]:
        yield "", "(the agent's own words; nobody has checked them)"
    yield "RESTS ON", _facts(body, starter, now)
    if body.get("only_while"):
        yield "ONLY WHILE", f"{body['only_while']} (asked again right before the call)"
    yield "IF YES", f"it is made once, with exactly this{_then(body['checked_by'])}"
    yield "IF NO", f"it is not made; with this input that is final{_then(body.get('denied_to', ()))}"
    yield "NO ANSWER", f"{_unanswered(body)} at {when(body['expires'])} ({left(body['expires'], now)})"
    yield "SO FAR", _so_far(body)
    held = f"; held by a freeze until {when(body['held'])}" if body.get("held", 0) > now else ""
    yield "WHO", f"{several(body)}; approved by {', '.join(body['granted']) or 'nobody yet'}{held}"
    titles = iter(["NOT TOLD"])
    yield from ((next(titles, ""), text) for text in untold(body.get("untold", ())))
    yield (
        "RUN",
        f"{body['run']} of {machine}, started by {starter or 'somebody'}; it waits in {body['state']}",
    )
    yield "INPUT", f"sha256 {body['digest']}"


def _then(states: Any) -> str:
    return f"; then {'; or '.join(states)}" if states else ""


def _facts(body: Mapping[str, Any], starter: str, now: float) -> str:
    found = [f"{f['field']}, {lasting(now - f['at'])} old" for f in body["facts"] if f["by"] != "operator"]
    given = [f["field"] for f in body["facts"] if f["by"] == "operator"]
    found += [f"given by {starter or 'the operator'}: {', '.join(given)}"] if given else []
    return "; ".join(found) or "nothing but the input"


def _so_far(body: Mapping[str, Any]) -> str:
    found = [f"{state} was entered {times} times" for state, times in body["attempts"].items() if times > 1]
    found += [f"{spent:g} {unit} spent" for unit, spent in body["cost"].items()]
    found.append(
        f"last failure: {plain(body['last_failure'])}" if body["last_failure"] else "nothing has failed"
    )
    return "; ".join(found)


def _unanswered(body: Mapping[str, Any]) -> str:
    if body["unanswered"] == "approve":
        return "the policy may approve it"
    following = body.get("next") or ()
    if body["unanswered"] == "escalate":
        return f"{several(following[0]) if following else 'others'} will be asked"
    return "it is denied"
