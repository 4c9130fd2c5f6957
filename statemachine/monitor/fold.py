"""Records counted as they come: a fold that is continued with those since the last look."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from statemachine.monitor.durations import bucket
from statemachine.store import News

KINDS = (
    "run_started",
    "run_finished",
    "call_intended",
    "call_finished",
    "call_in_doubt",
    "call_resolved",
    "timer_set",
    "approval_requested",
    "approval_decided",
    "amended",
    "context_changed",
    "event",
)
"""The kinds of records that are counted, besides the transitions of runs that are stuck."""

STUCK = "stuck"
_BY_HAND = ("cancelled", "undo")
"""Events with which a person intervenes; those that a machine declares are its own business."""

Key = tuple[Any, ...]
"""What is counted: a name, then labels: machine, tool, class, …"""


Took = Callable[[str, tuple[str, ...], float], None]
"""Is told of a duration: of what it is, its labels, and the seconds."""


class _Sent(NamedTuple):
    tool: str
    at: float


class Fold:
    """Counts what records say, by the slot of time they fall into.

    Args:
        slot: Seconds that a slot is long; infinite for one slot that never ends.
        earlier: Returns time and body of a record that came before the first that is counted, by ``run:seq``.
        took: Told of each duration that is counted: of what, the labels, and the seconds.
    """

    def __init__(
        self,
        slot: float,
        earlier: Callable[[str], tuple[float, Mapping[str, Any]]],
        took: Took | None = None,
    ) -> None:
        self.slots: dict[int, Counter[Key]] = {}
        self._slot = slot
        self._earlier = earlier
        self._took = took
        self._sent: dict[str, dict[str, _Sent]] = {}  # by run, then by the call's key
        self._asked: dict[str, dict[str, float]] = {}  # by run, then by request
        self._after: dict[str, str] = {}  # the failure class after which a call is made again, by key
        self._doubted: dict[str, set[str]] = {}
        self._intervened: dict[str, int] = {}  # the slot in which a person first did something to a run

    def slot_of(self, at: float) -> int:
        """Return the slot that a time falls into."""
        return int(at // self._slot)

    def forget(self, before: int) -> None:
        """Drop all slots before one."""
        for old in [slot for slot in self.slots if slot < before]:
            del self.slots[old]
        self._intervened = {run: slot for run, slot in self._intervened.items() if slot >= before}

    def total(self, first: int) -> Counter[Key]:
        """Return what was counted in a slot and all after it."""
        total: Counter[Key] = Counter()
        for slot, counted in self.slots.items():
            if slot >= first:
                total.update(counted)
        return total

    def add(self, news: News) -> None:
        """Count one record."""
        here = self.slots.setdefault(self.slot_of(news.at), Counter())
        body = json.loads(news.body)
        run, machine = news.run, news.machine
        match news.kind:
            case "run_started":
                here["started", machine] += 1
            case "run_finished":
                here["finished", machine, body["status"]] += 1
                for table in (self._sent, self._asked, self._doubted):
                    table.pop(run, None)
            case "transition" if body["event"] == STUCK:
                here["stuck", machine] += 1
            case "timer_set" if "key" in body:
                self._after[body["key"]] = body["after"]
            case "call_intended":
                self._sent.setdefault(run, {})[body["key"]] = _Sent(body["tool"], news.at)
                if body["attempt"] > 1:
                    here["retry", machine, body["tool"], self._after.pop(body["key"], "crash")] += 1
            case "call_finished":
                self._finished(news, body, here)
            case "call_in_doubt":
                if body["key"] not in self._doubted.setdefault(run, set()):
                    self._doubted[run].add(body["key"])
                    here["doubt", machine, self._sent_of(run, body["key"]).tool] += 1
            case "approval_requested":
                self._asked.setdefault(run, {})[body["request"]] = news.at
            case "approval_decided":
                self._decided(news, body, here)
        if self._by_hand(news.kind, body) and run not in self._intervened:
            self._intervened[run] = self.slot_of(news.at)
            here["intervened", machine] += 1

    def _sent_of(self, run: str, key: str) -> _Sent:
        found = self._sent.get(run, {}).get(key)
        if found is None:
            at, body = self._earlier(key)
            found = _Sent(body["tool"], at)
        return found

    def _finished(self, news: News, body: Mapping[str, Any], here: Counter[Key]) -> None:
        if "pretended" in body:
            return  # it was not made
        tool, at = self._sent_of(news.run, body["key"])
        labels = (news.machine, tool)
        here["call", *labels, body["class"] if body["kind"] == "failure" else body["kind"]] += 1
        self._note(here, "call", labels, news.at - at)

    def _decided(self, news: News, body: Mapping[str, Any], here: Counter[Key]) -> None:
        """Count an answer that ends a request; of several yeses that are needed only the last does."""
        request, result = body["request"], body["result"]
        verdict = "granted" if result == "held" else result
        if verdict not in ("granted", "denied", "expired"):
            return
        open_requests = self._asked.setdefault(news.run, {})
        asked = open_requests.pop(request, None)
        if asked is not None or request not in self._held(news.run):
            here["approval", news.machine, verdict] += 1
            if verdict != "expired" and not body["decision"].get("by_time"):
                asked = self._earlier(request)[0] if asked is None else asked
                self._note(here, "decision", (news.machine,), news.at - asked)
        if result == "held":
            open_requests[f"held {request}"] = news.at

    def _note(self, here: Counter[Key], name: str, labels: tuple[str, ...], seconds: float) -> None:
        seconds = max(seconds, 0.0)  # a clock may be set back
        here[f"{name} in", *labels, bucket(seconds)] += 1
        # In whole microseconds, as the journal keeps times: sums of floats would drift, and counters hold whole numbers.
        here[f"{name} took", *labels] += round(seconds * 1e6)
        if self._took is not None:
            self._took(name, labels, seconds)

    def _held(self, run: str) -> set[str]:
        """Return requests that were granted already, and whose calls were held for a while."""
        return {name.removeprefix("held ") for name in self._asked[run] if name.startswith("held ")}

    @staticmethod
    def _by_hand(kind: str, body: Mapping[str, Any]) -> bool:
        """Say whether a record tells that a person did something to a run."""
        match kind:
            case "amended" | "context_changed":
                return True
            case "approval_decided":
                told = body.get("decision")
                return told is not None and body["result"] != "void" and not told.get("by_time")
            case "call_resolved":
                return not str(body["by"]).startswith("probe ")
            case "call_finished":
                return "pretended" in body
        return kind == "event" and body["name"] in _BY_HAND
