"""Earlier lines of the prompt, in a file that outlives sessions: which verbs, and no values."""

from __future__ import annotations

import re

from prompt_toolkit.history import FileHistory

from statemachine.repl.verbs import VERBS

_VALUES = ("set", "amend", "fire", "fail", "resolve", "approve", "deny")
"""Verbs that take data after their first word."""

_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"?|'(?:[^'\\]|\\.)*'?")


class Remembered(FileHistory):
    """Lines as they were typed, of which the file gets no values: what a run knows lies in its journal alone."""

    def store_string(self, string: str) -> None:
        """Write a line to the file, if something of it is left."""
        if left := without_values(string):
            super().store_string(left)


def without_values(line: str) -> str:
    """Return a line without the data in it; empty when it is none that the prompt knows."""
    word, _, rest = line.strip().partition(" ")
    known = [
        verb for verb in VERBS if word and (word in (verb.short, *verb.also) or verb.name.startswith(word))
    ]
    verbs = {verb.name for verb in known}
    if not verbs:
        return ""
    if verbs.isdisjoint(_VALUES):
        return _QUOTED.sub('"…"', line.strip())
    first = rest.split("=")[0].split(maxsplit=1)[:1]
    return " ".join([word, *first])
