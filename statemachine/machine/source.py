"""A YAML file as plain data in which every key and value knows its place.

The file is read as YAML 1.2 through ruamel's event stream, without recursion. Tags, anchors, aliases and
duplicate keys are refused: each of them is a way for a file to say something else than it shows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml import events as ev
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import ScalarNode

from statemachine.errors import Finding, InvalidMachine, Place
from statemachine.machine.references import suggest

LARGEST = 1 << 20
"""Bytes that a machine file may have."""

DEEPEST = 32
"""Levels that it may nest."""

Key = tuple[str | int, ...]


@dataclass(slots=True)
class Source:
    """The data of a YAML file and where each part of it is.

    Attributes:
        file: The file's name, as the user gave it.
        data: The plain data.
        lines: The file's lines.
        keys: Line and column (from 0) of each key, by path.
        values: Line, column and style of each value, by path.
        findings: What is wrong with the file as YAML.
    """

    file: str
    data: Any = None
    lines: list[str] = field(default_factory=list)
    keys: dict[Key, tuple[int, int]] = field(default_factory=dict)
    values: dict[Key, tuple[int, int, str]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def place(self, path: Key, key: bool = False, offset: int = 0) -> Place:
        """Return where ``path``, or the nearest part above it that exists, is written."""
        path = tuple(path)
        while path and path not in self.values:
            path, offset = path[:-1], 0
        if key and path in self.keys:
            return self.at(*self.keys[path])
        line, column, style = self.values.get(path, (0, 0, ""))
        if style in ("|", ">"):
            # The text of a block begins below its indicator.
            line, offset = line + 1, 0
            text = self.lines[line] if line < len(self.lines) else ""
            column = len(text) - len(text.lstrip())
        elif offset and style in ("'", '"'):
            column += 1
        return self.at(line, column + offset)

    def at(self, line: int, column: int) -> Place:
        """Return the place of a line and column, both from 0."""
        return Place(self.file, line + 1, column + 1, self.lines[line] if line < len(self.lines) else "")

    def add(self, code: str, message: str, mark: Any) -> None:
        """Report something wrong at a mark."""
        self.findings.append(Finding(code, message, self.at(mark.line, mark.column)))


def _refuse(file: str, message: str) -> InvalidMachine:
    return InvalidMachine([Finding("SM100", message, Place(file))])


def read_source(path: Path, shown: str) -> Source:
    """Read a YAML file.

    Args:
        path: The file.
        shown: How to name it in messages.

    Raises:
        InvalidMachine: It cannot be read, or is not one plain YAML document.
    """
    try:
        if path.is_dir():
            raise _refuse(shown, "this is a folder; name a machine file in it")
        if path.stat().st_size > LARGEST:
            raise _refuse(
                shown, f"the file has {path.stat().st_size:,} bytes; a machine has at most {LARGEST:,}"
            )
        content = path.read_bytes()
    except FileNotFoundError:
        near = [p.name for p in path.parent.glob("*.*")] if path.parent.is_dir() else []
        raise _refuse(shown, f"there is no such file{suggest(path.name, near)}") from None
    except OSError as error:
        raise _refuse(shown, f"the file cannot be read: {error.strerror}") from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refuse(shown, f"the file is not UTF-8 text (byte {error.start})") from None
    if "\0" in text:
        raise _refuse(shown, "the file is binary, not text")
    return parse_source(text, shown)


def parse_source(text: str, shown: str) -> Source:
    """Return the data and places of a YAML text; faults of the YAML itself are in ``findings``.

    Raises:
        InvalidMachine: The text is empty or breaks off.
    """
    source = Source(shown, lines=text.splitlines())
    if not text.strip():
        raise _refuse(shown, "the file is empty; `statemachine new NAME` writes one to start from")
    try:
        _Builder(source).build(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = " ".join(str(p) for p in (error.context, error.problem) if p).splitlines()[0]
        place = source.at(mark.line, mark.column) if mark else Place(shown)
        raise InvalidMachine([*source.findings, Finding("SM101", f"not YAML: {message}", place)]) from None
    except YAMLError as error:
        raise _refuse(shown, f"not YAML: {str(error).splitlines()[0]}") from None
    if not source.findings and not isinstance(source.data, dict):
        message = "a machine is a mapping that begins with `machine: name`"
        raise InvalidMachine([Finding("SM106", message, source.place(()))])
    return source


class _Builder:
    """Builds plain data from the parser's events."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.yaml = YAML(typ="rt", pure=True)
        self.stack: list[tuple[Any, Key, list[str]]] = []

    def build(self, text: str) -> None:
        documents = 0
        for event in self.yaml.parse(text):
            if isinstance(event, ev.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self.source.add(
                        "SM101", "one file holds one machine; remove the second document", event.start_mark
                    )
                    return
            elif isinstance(event, ev.MappingEndEvent | ev.SequenceEndEvent):
                self.stack.pop()
            elif isinstance(event, ev.AliasEvent):
                self.source.add(
                    "SM103", f"alias `*{event.anchor}` is refused; write the value out", event.start_mark
                )
                self._place(None, event, "")
            elif isinstance(event, ev.NodeEvent) and not self._node(event):
                return

    def _node(self, event: Any) -> bool:
        """Take a scalar or the start of a collection; return whether to go on."""
        source = self.source
        if event.anchor is not None:
            source.add("SM103", f"anchor `&{event.anchor}` is refused; write the value out", event.start_mark)
        tag = (
            str(event.ctag)
            if getattr(event, "ctag", None) is not None and str(event.ctag) != "None"
            else None
        )
        if tag is not None and not (isinstance(event, ev.ScalarEvent) and event.implicit[1] and tag == "!"):
            source.add("SM103", f"tag `{tag}` is refused; write plain YAML", event.start_mark)
        if isinstance(event, ev.ScalarEvent):
            self._place(self._scalar(event), event, event.style or "")
            return True
        if len(self.stack) >= DEEPEST:
            source.add("SM101", f"nested deeper than {DEEPEST} levels", event.start_mark)
            return False
        if self.stack and isinstance(self.stack[-1][0], dict) and not self.stack[-1][2]:
            source.add("SM101", "a key is text, not a list or mapping", event.start_mark)
            return False
        collection: Any = {} if isinstance(event, ev.MappingStartEvent) else []
        path = self._place(collection, event, "")
        self.stack.append((collection, path, []))
        return True

    def _scalar(self, event: Any) -> Any:
        if event.style:
            return event.value
        tag = self.yaml.resolver.resolve(ScalarNode, event.value, (True, False))
        node = ScalarNode(tag, event.value, event.start_mark, event.end_mark)
        constructor = self.yaml.constructor
        match str(tag).rpartition(":")[2]:
            case "null":
                return None
            case "bool":
                return event.value.lower() == "true"
            case "int":
                return int(constructor.construct_yaml_int(node))
            case "float":
                return float(constructor.construct_yaml_float(node))
        return event.value

    def _place(self, value: Any, event: Any, style: str) -> Key:
        """Put a value where it belongs and remember its place; return its path."""
        source, mark = self.source, event.start_mark
        if not self.stack:
            source.data = value
            source.values[()] = (mark.line, mark.column, style)
            return ()
        collection, path, pending = self.stack[-1]
        if isinstance(collection, list):
            here = (*path, len(collection))
            collection.append(value)
        elif not pending:
            if not isinstance(value, str):
                source.add("SM101", f"a key is text; `{value}` is not: quote it", mark)
                value = str(value)
            if value in collection:
                first = source.keys[(*path, value)]
                source.add("SM102", f"`{value}` is there already, in line {first[0] + 1}", mark)
            pending.append(value)
            source.keys[(*path, value)] = (mark.line, mark.column)
            return (*path, value)
        else:
            here = (*path, pending.pop())
            collection[here[-1]] = value
        source.values[here] = (mark.line, mark.column, style)
        return here
