"""Pictures read back into what they tell, by grammars of their own."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from dataclasses import dataclass
from typing import Any

from statemachine.diagrams.layout import program
from tests.diagrams.machines import Relation

_GUARD, _DIM = "#7c3aed", "#64748b"
# `1. done [guard] resets a, b (notes of a run or a difference)`; a guard may itself hold brackets.
_LABEL = re.compile(
    r"(?P<label>[^\[]+?)(?: \[(?P<guard>.*)\])?(?: resets (?P<resets>[a-z0-9_, ]+))?(?: \((?:from|was|now|order) .*\))?"
)


def _read(text: str, source: str, target: str) -> Relation:
    match = _LABEL.fullmatch(text)
    assert match is not None, text
    resets = tuple(match["resets"].split(", ")) if match["resets"] else ()
    return source, match["label"], match["guard"] or "", target, resets


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of a laid out picture, in points."""

    what: str
    left: float
    bottom: float
    right: float
    top: float

    def meets(self, other: Box) -> bool:
        """Whether both share more than an edge."""
        across = min(self.right, other.right) - max(self.left, other.left)
        return across > 0.5 and min(self.top, other.top) - max(self.bottom, other.bottom) > 0.5


class LaidOut:
    """A DOT text as the layout program understands it."""

    def __init__(self, dot: str) -> None:
        done = subprocess.run([program(), "-Tjson"], input=dot.encode(), capture_output=True, check=True)
        self.data: dict[str, Any] = json.loads(done.stdout)
        self.things: dict[int, dict[str, Any]] = {o["_gvid"]: o for o in self.data["objects"]}
        self.edges: list[dict[str, Any]] = self.data.get("edges", [])

    def states(self) -> list[str]:
        """The states that are drawn, leaving out what stands for a final state a second time."""
        return [o["name"] for o in self.things.values() if not o["name"].startswith(("__", "cluster"))]

    def node(self, name: str) -> dict[str, Any]:
        """The attributes of one node."""
        return next(o for o in self.things.values() if o["name"] == name)

    def between(self, tail: str, head: str) -> list[dict[str, Any]]:
        """The edges from one node to another."""
        return [e for e in self.edges if (self._name(e["tail"]), self._name(e["head"])) == (tail, head)]

    def relations(self) -> Counter[Relation]:
        """The transitions that the edges tell, as far as their labels were not cut."""
        found: Counter[Relation] = Counter()
        for edge in self.edges:
            source, target = self._name(edge["tail"]), self._name(edge["head"])
            if source == "__start":
                continue
            for text in _transitions([(o["text"], o["color"]) for o in texts(edge)]):
                found[_read(text, {"__any": "any state"}.get(source, source), target)] += 1
        return found

    def boxes(self) -> tuple[list[Box], list[Box]]:
        """The nodes, and the lines of text beside edges."""
        nodes = []
        for o in self.things.values():
            if "pos" in o:
                x, y = map(float, o["pos"].split(","))
                w, h = float(o["width"]) * 36, float(o["height"]) * 36
                nodes.append(Box(o["name"], x - w, y - h, x + w, y + h))
        labels = []
        for edge in self.edges:
            for o in texts(edge):
                (x, y), w = o["pt"], o["width"]
                left = x - {"l": 0, "c": w / 2, "r": w}[o["align"]]
                labels.append(Box(f"{edge['id']} {o['text']}", left, y - 2, left + w, y + o["size"] - 2))
        return nodes, labels

    def _name(self, number: int) -> str:
        name: str = self.things[number]["name"]
        again = re.fullmatch(r"__(.*)__\d+", name)
        return again[1] if again else name


def texts(thing: dict[str, Any]) -> list[dict[str, Any]]:
    """The pieces of text in a node's or an edge's label, with their colour and size."""
    found, color, size = [], "", 0.0
    for op in thing.get("_ldraw_", []):
        if op["op"] == "c":
            color = op["color"]
        elif op["op"] == "F":
            size = op["size"]
        elif op["op"] == "T":
            found.append({**op, "color": color, "size": size})
    return found


def _transitions(rows: list[tuple[str, str]]) -> list[str]:
    """Put the rows of an edge's label together to one text a transition; colour tells guards from events."""
    found: list[str] = []
    for text, color in rows:
        if found and (color in (_GUARD, _DIM) or found[-1].endswith(",")):
            found[-1] += f" {text}"
        else:
            found.append(text)
    bare = [("[" not in text and "resets" not in text, text) for text in found]
    return [part for alone, text in bare for part in (text.split(", ") if alone else [text])]


def mermaid(text: str) -> tuple[list[str], Counter[Relation]]:
    """The states and transitions of a Mermaid state diagram."""
    names: dict[str, str] = {}
    found: Counter[Relation] = Counter()
    for line in text.splitlines():
        if state := re.fullmatch(r'    state "([^"]*)" as (\w+)', line):
            names[state[2]] = _decoded(state[1])
        elif arrow := re.fullmatch(r"    (\w+) --> (\w+) : (.*)", line):
            # Mermaid's own grammar ends a label at either of these.
            assert not re.search(r"[:;]", re.sub(r"#\d+;", "", arrow[3]))
            found[_read(_decoded(arrow[3].removesuffix(" ↻")), names[arrow[1]], names[arrow[2]])] += 1
    return [name for key, name in names.items() if key != "any"], found


def _decoded(text: str) -> str:
    return re.sub(r"#(\d+);", lambda m: chr(int(m[1])), text)


def listing(text: str) -> tuple[list[str], Counter[Relation]]:
    """The states and transitions of a listing for the terminal."""
    states: list[str] = []
    found: Counter[Relation] = Counter()
    joined: list[str] = []
    for line in text.split("\n\n", 1)[1].splitlines():
        inner = line[2:]
        if not inner.strip():
            continue
        depth = len(inner) - len(inner.lstrip())
        if depth in (0, 2):
            joined.append(inner)
        else:
            joined[-1] += f" {inner.strip()}"
    for line in joined:
        if not line.startswith(" "):
            states.append(line.split("  ")[0])
            continue
        label, target = re.fullmatch(r"  (.*) [-=]> (\w+)", line).groups()  # type: ignore[union-attr]
        found[_read(label, states[-1], target)] += 1
    return [state for state in states if state != "any state"], found
