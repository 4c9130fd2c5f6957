"""A YAML file as plain data in which every key and value knows its place.

The file is read as YAML 1.2 through ruamel's event stream, without recursion. Directives, tags, anchors,
aliases, merge keys and duplicate keys are refused: each of them is a way for a file to say something else
than it shows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml import events as ev
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import ScalarNode

from statemachine.errors import Finding, InvalidMachine, Place
from statemachine.machine.allowances import Allowance, in_yaml
from statemachine.machine.names import UNPRINTABLE
from statemachine.machine.references import suggest
from statemachine.machine.report import MOST, Keys

LARGEST = 256 << 10
"""Bytes that a machine file may have."""

LONGEST = 16_000
"""Keys and values that it may have: a thousand states of sixteen each, which takes half a second to read."""

DEEPEST = 32
"""Levels that it may nest."""

_LINE = re.compile(r"\r\n|\r|\n")
_UNREADABLE = object()
_BLOCK = ("|", ">")
_ESCAPED = {
    '"': re.compile(r"\\x..|\\u.{4}|\\U.{8}|\\.|."),
    "'": re.compile(r"''|."),
}
"""What stands for one character in a quoted scalar."""


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
        damaged: Paths whose data is not what the file shows, because of such a fault.
        allowances: The comments that silence a rule of the checker.
    """

    file: str
    data: Any = None
    lines: list[str] = field(default_factory=list)
    keys: dict[Keys, tuple[int, int]] = field(default_factory=dict)
    values: dict[Keys, tuple[int, int, str]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    damaged: set[Keys] = field(default_factory=set)
    allowances: tuple[Allowance, ...] = ()

    def place(self, path: Keys, key: bool = False, offset: int | None = None) -> Place:
        """Return where ``path``, or the nearest part above it that exists, is written.

        ``key`` asks for its key; ``offset`` counts characters into the text of its value.
        """
        here: Keys = ()
        for part in path:
            if (*here, part) in self.values:
                here = (*here, part)
            elif part != 0:  # a list of one may be written without the list
                key, offset = False, None
                break
        if key and here in self.keys:
            return self.at(*self.keys[here])
        line, column, style = self.values.get(here, (0, 0, ""))
        if offset is None and style not in _BLOCK:
            return self.at(line, column)
        return self.at(*self._into(line, column, style, offset or 0))

    def _into(self, line: int, column: int, style: str, offset: int) -> tuple[int, int]:
        """Return the line and column of a character of a scalar's text."""
        # The text of a block begins below its indicator.
        first = line + 1 if style in _BLOCK else line
        start = column + 1 if style in _ESCAPED else column
        for row in range(first, len(self.lines)):
            text = self.lines[row]
            if row > line and (row == first or style != "|"):
                start = len(text) - len(text.lstrip())
            parts = _ESCAPED[style].findall(text[start:]) if style in _ESCAPED else text[start:]
            if offset <= len(parts):
                return row, start + sum(map(len, parts[:offset]))
            offset -= len(parts) + 1  # a break of lines is one character of the text
        return line, column

    def at(self, line: int, column: int) -> Place:
        """Return the place of a line and column, both from 0."""
        return Place(self.file, line + 1, column + 1, self.lines[line] if line < len(self.lines) else "")

    def written(self, path: Keys) -> str:
        """Return a plain scalar as it stands in the file: YAML reads ``1.10`` as 1.1."""
        line, column, _ = self.values[path]
        found = re.match(r"[^\s,#\]}]+", self.lines[line][column:])
        return found[0] if found else ""

    def add(self, code: str, message: str, mark: Any) -> None:
        """Report something wrong at a mark.

        Raises:
            InvalidMachine: There are so many faults that reading on helps nobody.
        """
        self.findings.append(Finding(code, message, self.at(mark.line, mark.column)))
        if len(self.findings) >= MOST:
            raise InvalidMachine(self.findings)


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
    except (OSError, ValueError) as error:  # a name that no file can have is a ValueError
        reason = getattr(error, "strerror", None) or error
        raise _refuse(shown, f"the file cannot be read: {reason}") from None
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
    source = Source(shown, lines=_LINE.split(text))
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
    if not source.findings:
        source.allowances = in_yaml(text, shown, source.lines)
    return source


class _Builder:
    """Builds plain data from the parser's events."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.yaml = YAML(typ="safe", pure=True)
        self.stack: list[tuple[Any, Keys, list[str]]] = []

    def build(self, text: str) -> None:
        """Read all events, or those up to a fault after which the rest means nothing."""
        documents = 0
        for count, event in enumerate(self.yaml.parse(text)):
            fault = ""
            if count > LONGEST:
                fault = f"a machine has at most {LONGEST:,} keys and values"
            elif isinstance(event, ev.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._fault("SM101", "one file holds one machine; remove the second document", event)
                    return
                if event.version or event.tags:
                    fault = "a `%` directive changes how the file is read; remove it"
            elif isinstance(event, ev.MappingEndEvent | ev.SequenceEndEvent):
                self.stack.pop()
            elif isinstance(event, ev.AliasEvent):
                self._fault("SM103", f"alias `*{event.anchor}` is refused; write the value out", event)
                self._spoil(self._put(f"*{event.anchor}", event, ""))
            elif isinstance(event, ev.NodeEvent):
                fault = self._node(event)
            if fault:
                self._fault("SM101", fault, event)
                self.source.data = None
                return

    def _fault(self, code: str, message: str, event: Any) -> None:
        self.source.add(code, message, event.start_mark)

    def _spoil(self, path: Keys) -> None:
        self.source.damaged.add(path)

    def _node(self, event: Any) -> str:
        """Take a scalar or the start of a collection; return why the rest cannot be read, if so."""
        if event.anchor is not None:
            self._fault("SM103", f"anchor `&{event.anchor}` is refused; write the value out", event)
        tag = event.ctag
        if tag is not None:
            self._fault("SM103", f"tag `{tag}` is refused; write plain YAML", event)
        if isinstance(event, ev.ScalarEvent):
            value = self._scalar(event)
            path = self._put("" if value is _UNREADABLE else value, event, event.style or "")
            if tag is not None or value is _UNREADABLE:
                self._spoil(path)
            return ""
        if len(self.stack) >= DEEPEST:
            return f"nested deeper than {DEEPEST} levels"
        if self._at_key():
            return "a key is text, not a list or mapping"
        collection: Any = {} if isinstance(event, ev.MappingStartEvent) else []
        path = self._put(collection, event, "")
        if tag is not None:
            self._spoil(path)
        self.stack.append((collection, path, []))
        return ""

    def _at_key(self) -> bool:
        return bool(self.stack) and isinstance(self.stack[-1][0], dict) and not self.stack[-1][2]

    def _scalar(self, event: Any) -> Any:
        """Return a scalar's value; one that a machine may not hold is reported."""
        if UNPRINTABLE.search(event.value):
            self._fault("SM101", "the text holds a control character or half a character", event)
            return _UNREADABLE
        if event.style:
            return event.value
        tag = self.yaml.resolver.resolve(ScalarNode, event.value, (True, False))
        node = ScalarNode(tag, event.value, event.start_mark, event.end_mark)
        try:
            match str(tag).rpartition(":")[2]:
                case "null":
                    return None
                case "bool":
                    return event.value.lower() == "true"
                case "int":
                    return int(self.yaml.constructor.construct_yaml_int(node))
                case "float":
                    return float(self.yaml.constructor.construct_yaml_float(node))
        except ValueError:
            self._fault("SM101", "the number cannot be read; quote it if it is text", event)
            return _UNREADABLE
        return event.value

    def _put(self, value: Any, event: Any, style: str) -> Keys:
        """Put a value where it belongs and remember its place; return its path."""
        source, mark = self.source, event.start_mark
        if not self.stack:
            source.data = value
            source.values[()] = (mark.line, mark.column, style)
            return ()
        collection, path, pending = self.stack[-1]
        if self._at_key():
            return self._put_key(value, event, style)
        if isinstance(collection, list):
            here = (*path, len(collection))
            collection.append(value)
        else:
            here = (*path, pending.pop())
            collection[here[-1]] = value
            if value is None and not event.value:  # nothing is written: the key shows where
                source.values[here] = (*source.keys[here], "")
                return here
        source.values[here] = (mark.line, mark.column, style)
        return here

    def _put_key(self, key: Any, event: Any, style: str) -> Keys:
        source, mark = self.source, event.start_mark
        collection, path, pending = self.stack[-1]
        here = (*path, str(key))
        if not isinstance(key, str):
            self._fault("SM101", f"a key is text; `{event.value}` is not: quote it", event)
            self._spoil(here)
        elif key == "<<" and not style:
            self._fault("SM103", "merge key `<<` is refused; write the keys out", event)
            self._spoil(here)
        elif key in collection:
            line = source.keys[here][0] + 1
            self._fault("SM102", f"`{key}` is there already, in line {line}", event)
        pending.append(str(key))
        source.keys[here] = (mark.line, mark.column)
        return here
