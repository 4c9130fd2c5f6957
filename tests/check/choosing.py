"""Machines in Python with guards that are functions: the first says why that is right, the second does not."""

from __future__ import annotations

from pydantic import BaseModel

from statemachine import Final, Machine, To


class Context(BaseModel):
    words: list[str]


def long(words: list[str]) -> bool:
    """Whether a word is long."""
    return any(len(word) > 9 for word in words)


allowed = Machine("allowed", version="1", context=Context)
# statemachine: allow SM306 because the function is tested by itself
allowed.add("judge", initial=True, always=[To("one", when=long), To("two")])
allowed.add("one", Final.succeeded)
allowed.add("two", Final.failed)

silent = Machine("silent", version="1", context=Context)
silent.add(
    "judge",
    initial=True,
    always=[To("one", when=long), To("two")],
)
silent.add("one", Final.succeeded)
silent.add("two", Final.failed)
