"""A run, its steps and its calls as spans, folded from its journal.

A span is told when it has ended. Its ids come from the journal, so that it is the same after a crash, and whoever tells
of it. Names of what agents do follow https://github.com/open-telemetry/semantic-conventions-genai: ``invoke_agent``,
``execute_tool``, ``gen_ai.*``, ``error.type``. No span holds payload.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

RUN = 0
"""What stands for a record's number in the id of the span of a whole run."""

KINDS = (
    "run_started",
    "migrated",
    "transition",
    "call_intended",
    "call_finished",
    "call_in_doubt",
    "call_resolved",
    "call_held",
    "timer_set",
    "event",
    "approval_requested",
    "approval_decided",
    "approval_held",
    "amended",
    "context_changed",
    "rolled_back",
    "run_finished",
)
"""The kinds of records that spans are made of."""

_HAPPENED = {
    "event": "name",
    "timer_set": "after",
    "approval_requested": "tool",
    "approval_decided": "result",
    "call_in_doubt": "asks",
    "call_resolved": "",
    "call_held": "",
    "approval_held": "",
    "amended": "",
    "context_changed": "",
    "rolled_back": "",
}
"""Kinds that become events of a step's span, each with the one part of its body that is told, if any is."""


@dataclass(frozen=True, slots=True)
class Span:
    """Something that took time.

    Attributes:
        run: The run whose trace it is in.
        seq: The record with which it begins, which its id is made of; ``RUN`` for the whole run.
        parent: That of the span that it is part of; None for the whole run.
        name: Its name.
        start: When it began, in seconds since the epoch.
        attributes: What is known of it.
        end: When it ended.
        error: A word for what went wrong; empty when nothing did.
        happened: What happened meanwhile: when, what, and one word on it.
        forked: The run that this one was forked off; empty for any other.
    """

    run: str
    seq: int
    parent: int | None
    name: str
    start: float
    attributes: Mapping[str, str | int]
    end: float = 0.0
    error: str = ""
    happened: tuple[tuple[float, str, str], ...] = ()
    forked: str = ""


@dataclass(slots=True)
class Spans:
    """The spans of a run, from its records as they come, from the first."""

    run: str
    _root: Span | None = None
    _step: Span | None = None
    _calls: dict[str, Span] = field(default_factory=dict)
    _happened: list[tuple[float, str, str]] = field(default_factory=list)

    def add(self, seq: int, at: float, kind: str, body: Mapping[str, Any]) -> list[Span] | None:
        """Take the next record, and return the spans that it ends; None for none."""
        ended = list(self._add(seq, at, kind, body))
        return ended or None

    def _add(self, seq: int, at: float, kind: str, body: Mapping[str, Any]) -> Iterator[Span]:
        match kind:
            case "run_started":
                self._root = self._begun(at, body)
            case "migrated" if self._root is not None:
                about = {"gen_ai.agent.version": str(body["version"]), "gen_ai.agent.id": body["to"]}
                self._root = replace(self._root, attributes={**self._root.attributes, **about})
            case "transition":
                yield from self._left(at)
                name, about = str(body["to"]), {"statemachine.event": str(body["event"])}
                if "attempt" in body:
                    about["statemachine.attempt"] = body["attempt"]
                self._step = self._span(seq, RUN, name, at, {"statemachine.state": name, **about})
            case "call_intended":
                # A call that is made again without a word on how it ended was interrupted.
                yield from self._ended(body["key"], at, "interrupted")
                parent = RUN if self._step is None else self._step.seq
                about = {
                    "gen_ai.operation.name": "execute_tool",
                    "gen_ai.tool.name": body["tool"],
                    "gen_ai.tool.type": "function",
                    "gen_ai.tool.call.id": body["key"],
                    "statemachine.attempt": body["attempt"],
                }
                name = f"execute_tool {body['tool']}"
                self._calls[body["key"]] = self._span(seq, parent, name, at, about)
            case "call_finished":
                yield from self._ended(
                    body["key"], at, str(body["class"]) if body["kind"] == "failure" else ""
                )
            case "call_in_doubt":
                yield from self._ended(body["key"], at, "in_doubt")
            case "run_finished":
                yield from self._left(at)
                if self._root is not None:
                    status = str(body["status"])
                    about = {**self._root.attributes, "statemachine.outcome": status}
                    error = "" if status == "succeeded" else status
                    yield replace(self._root, end=at, attributes=about, error=error)
                    self._root = None  # undone later, its spans are told, but not itself once more
        if kind in _HAPPENED:
            self._happened.append((at, kind, str(body.get(_HAPPENED[kind], ""))))

    def _begun(self, at: float, body: Mapping[str, Any]) -> Span:
        about = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.provider.name": "statemachine",
            "gen_ai.agent.name": str(body["machine"]),
            "gen_ai.agent.version": str(body["version"]),
            "gen_ai.agent.id": str(body["digest"]),
        }
        span = self._span(RUN, None, f"invoke_agent {body['machine']}", at, about)
        return replace(span, forked=body.get("parent", {}).get("run", ""))

    def _span(
        self, seq: int, parent: int | None, name: str, at: float, about: Mapping[str, str | int]
    ) -> Span:
        return Span(self.run, seq, parent, name, at, {"gen_ai.conversation.id": self.run, **about})

    def _ended(self, key: str, at: float, error: str) -> Iterator[Span]:
        call = self._calls.pop(key, None)
        if call is not None:
            yield replace(call, end=at, error=error)

    def _left(self, at: float) -> Iterator[Span]:
        """Yield the step that ends here, and before it the calls that it does not wait for any more."""
        for key in list(self._calls):
            yield from self._ended(key, at, "dropped")
        if self._step is not None:
            yield replace(self._step, end=at, happened=tuple(self._happened))
        self._step, self._happened = None, []
