"""Read the transitions back out of DOT, Mermaid and text, by each language's own rules."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from xml.etree import ElementTree

from statemachine.diagrams.layout import program
from statemachine.diagrams.lines import ANY, START

Relations = Counter[tuple[str | None, str, str]]
"""Source (None: any state), target and text of each transition."""

ENTITY = re.compile(r"#(\d+);")
MERMAID = (
    ("state", re.compile(r'    state "([^"]*)" as (\w+)')),
    ("arrow", re.compile(r"    (\w+|\[\*\]) --> (\w+|\[\*\])(?: : ([^:;\n]+))?")),
    ("fact", re.compile(r"    (\w+) : ([^:;\n]+)")),
    ("class", re.compile(r"    class ([\w,]+) (\w+)")),
    ("other", re.compile(r"stateDiagram-v2|    direction TB|    %% .*|    classDef \w+ [\w:,#-]+")),
)


def mermaid(text: str) -> tuple[dict[str, str], Relations]:
    """Return the label of each id, and the transitions between ids; every line must be one that Mermaid knows."""
    names: dict[str, str] = {}
    relations: Relations = Counter()
    for line in text.splitlines():
        # Mermaid turns its entities into letters before it reads the lines.
        whole = ENTITY.sub(lambda m: f"\0{m[1]}\0", line)
        kind, match = next((k, m) for k, pattern in MERMAID if (m := pattern.fullmatch(whole)))
        parts = [_letters(part or "") for part in match.groups()]
        if kind == "state":
            names[parts[1]] = parts[0]
        elif kind == "arrow" and "[*]" not in parts[:2]:
            relations[parts[0], parts[1], parts[2].removesuffix(" ↻")] += 1
    return names, relations


def _letters(text: str) -> str:
    return re.sub(r"\0(\d+)\0", lambda m: chr(int(m[1])), text)


def text(listing: str) -> tuple[list[str], Relations]:
    """Return the states and the transitions of a text picture; their texts come without white space."""
    states: list[str] = []
    relations: Relations = Counter()
    source: str | None = None
    for indent, words in _unwrapped(listing):
        if indent == 2:
            source = None if words == "any state" else words.split()[0]
            states += [source] if source else []
        elif indent == 4:
            match = re.fullmatch(r"(.*)[=-]>([a-z][a-z0-9_]*)", squeezed(words))
            assert match, words
            relations[source, match[2], match[1]] += 1
    return states, relations


def _unwrapped(listing: str) -> Iterator[tuple[int, str]]:
    """Yield each line with its margin, put together with its continuation, which stands four further in."""
    lines = listing.splitlines()
    blank = next(n for n, line in enumerate(lines) if line in ("", "|"))
    whole: list[tuple[int, str]] = []
    for line in lines[blank:]:
        plain = line.replace("|", " ", 1) if line.startswith("|") else line
        margin = len(plain) - len(plain.lstrip())
        if margin > 4 and whole and margin == whole[-1][0] + 4:
            whole[-1] = (whole[-1][0], f"{whole[-1][1]} {plain.strip()}")
        elif plain.strip():
            whole.append((margin, plain.strip()))
    yield from whole


def squeezed(words: str) -> str:
    """Return words without white space: wrapping breaks where it must."""
    return "".join(words.split())


def dot(source: bytes) -> tuple[dict[str, str], dict[tuple[str | None, str], str]]:
    """Return, as the layout program reads them, the words of each state and of the lines between two states.

    The words come without white space; those of all lines between two states are put together in order.
    """
    done = subprocess.run([program(), "-Tjson0"], input=source, capture_output=True, check=True)
    graph = json.loads(done.stdout)
    names = {thing["_gvid"]: thing["name"] for thing in graph["objects"]}
    states = {
        n["name"]: _words(n["label"])
        for n in graph["objects"]
        if not n["name"].startswith(("__", "cluster_"))
    }
    found: dict[tuple[str | None, str], str] = {}
    for edge in graph["edges"]:
        tail, head = names[edge["tail"]], names[edge["head"]]
        if tail != START:
            # A crowded final state is drawn again as `__state.source`.
            ends = (None if tail == ANY else tail, head.removeprefix("__").split(".")[0])
            found[ends] = found.get(ends, "") + _words(edge["label"])
    return states, found


def _words(label: str) -> str:
    """Return what a label shows: two backslashes stand for one, or else a node's name would follow ``\\N``."""
    return squeezed("".join(ElementTree.fromstring(f"<x>{label}</x>").itertext()).replace(r"\\", "\\"))
