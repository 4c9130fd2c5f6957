"""What can be written next at the prompt."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from statemachine.errors import InvalidInput
from statemachine.kernel.inputs import own_fields
from statemachine.machine.contract import FAILURE_CLASSES
from statemachine.machine.definition import event_names
from statemachine.repl.expressions import scope_of
from statemachine.repl.session import Session

_RUNS = 200
"""Runs that are looked at for an id, the newest first."""


def candidates(session: Session, before: str) -> list[str]:
    """Return the words that may stand at the end of what was written so far, that begin as its last one does."""
    line = before.lstrip()
    word = line.rsplit(maxsplit=1)[-1] if line and not line[-1].isspace() else ""
    given = line[: len(line) - len(word)].split()
    if not given:
        return [verb.name for verb in session.verbs if verb.name.startswith(word)]
    try:
        takes = session.verb(given[0]).takes
    except InvalidInput:
        return []
    found = _after(session, takes, given[1:], word)
    return sorted({text for text in found if text.startswith(word)})


def _after(session: Session, takes: Iterable[str], given: list[str], word: str) -> Iterator[str]:
    definition = session.debugger.definition
    declared = definition.declaration
    if "break" in takes and given:
        if given[-1] == "on":
            takes = ("event",)
        elif given[-1] == "call":
            takes = ("tool",)
        else:
            takes = ("field",) if "if" in given else ("if",)
    elif "sent" in takes and given:
        yield from (f"{name}=" for name in definition.payloads.get(given[0], ()))
        return
    elif given and given != ["not"] and not {"field", "file", "owned"} & {*takes}:
        return
    words = {
        "break": ("on", "call", "if"),
        "if": ("if",),
        "not": ("not",) if not given else (),
        "end": ("end",),
        "info": ("states", "breaks", "limits", "tools", "fields", "runs"),
        "resolve": ("happened", "not-happened", "undo"),
        "failure": FAILURE_CLASSES,
        "state": declared.states,
        "tool": declared.tools,
        "context": declared.context,
        "sent": (*definition.payloads, "cancelled"),
        "verb": (verb.name for verb in session.verbs),
    }
    for kind in takes:
        if kind == "event":
            yield from {name for full in definition.events() for name in event_names(full)} - {"*"}
        elif kind == "field":
            yield from scope_of(definition).variables
        elif kind == "owned":
            yield from (f"{name}=" for name in own_fields(definition))
        elif kind == "point":
            yield from (str(point.number) for point in session.debugger.breakpoints.all)
        elif kind == "run":
            yield from (row.id for row in session.debugger.store.runs(limit=_RUNS))
        elif kind == "file":
            yield from _files(word)
        else:
            yield from words[kind]


def _files(word: str) -> Iterator[str]:
    folder, _, _ = word.rpartition("/")
    try:
        entries = list(os.scandir(Path(folder or ("/" if word.startswith("/") else ".")).expanduser()))
    except OSError:  # nothing can be completed below what cannot be read
        return
    for entry in entries:
        yield f"{folder}/{entry.name}" if "/" in word else entry.name


class Words(Completer):
    """Completion by Tab, for prompt_toolkit."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """Yield what may stand at the cursor."""
        before = document.text_before_cursor
        word = "" if not before or before[-1].isspace() else before.split()[-1]
        for text in candidates(self.session, before):
            yield Completion(text, start_position=-len(word))
