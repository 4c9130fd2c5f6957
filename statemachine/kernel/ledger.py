"""The writes of a run that stand: what its journal says was done to the world and not undone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from statemachine.kernel.events import UNDO_NEXT, Event
from statemachine.machine.definition import Definition


class Written(NamedTuple):
    """A write that finished.

    Attributes:
        key: The call's key.
        tool: Its tool.
        input: Its input as JSON data.
        output: Its output as JSON data.
    """

    key: str
    tool: str
    input: Mapping[str, Any]
    output: Any


class Ledger:
    """Reads a run's records, from the first, and knows at each point which of its writes stand.

    Attributes:
        standing: Writes that finished, wholly or in part, and were not undone; by key, the newest last.
        doubtful: Tools of writes that may stand, by key: they answered nonsense, or failed without a word on
            whether they happened. What they did is not known well enough to undo it.
        tools: The tools of the version of the machine that the next records are of.
    """

    KINDS = frozenset(("call_intended", "call_finished", "call_resolved"))
    """The kinds of records that matter."""

    def __init__(self, definition: Definition) -> None:
        self.standing: dict[str, Written] = {}
        self.doubtful: dict[str, str] = {}
        self.tools = definition.declaration.tools
        self._definition = definition
        self._open: dict[str, tuple[str, Mapping[str, Any], str]] = {}

    def add(self, kind: str, body: Mapping[str, Any]) -> None:
        """Read one record."""
        if kind == "call_intended":
            key = body["key"]
            self._open[key] = (body["tool"], body["input"], body.get("undoes", ""))
            self.doubtful.pop(key, None)
        elif kind == "call_finished" and body["key"] in self._open:
            key = body["key"]
            tool, given, undoes = self._open[key]
            if undoes:
                if body["kind"] == "success":
                    self.standing.pop(undoes, None)
            elif self.tools[tool].effect == "write":
                if body["kind"] != "failure":
                    self.doubtful.pop(key, None)
                    self.standing[key] = Written(key, tool, given, body["output"])
                elif body["class"] in ("contract", "timeout", "in_doubt"):
                    self.doubtful[key] = tool
        elif kind == "call_resolved" and body["happened"] is False:
            self.doubtful.pop(body["key"], None)

    def migrate(self, definition: Definition) -> None:
        """Go on with the records of another version of the machine."""
        self._definition, self.tools = definition, definition.declaration.tools

    def next(self) -> Event:
        """Return the event that offers a roll back the newest write that can be undone, and says what stands else."""
        undoes = self._definition.undoes
        write = next((w for w in reversed(self.standing.values()) if w.tool in undoes), None)
        payload = {"write": None if write is None else write._asdict(), "left": self.left()}
        return Event(UNDO_NEXT, payload)

    def left(self) -> dict[str, int]:
        """Return how many calls of each tool stand, or may."""
        return dict(Counter([*(w.tool for w in self.standing.values()), *self.doubtful.values()]))
