"""Tools for machines that are moved in tests; nobody calls them, only their types count."""

from __future__ import annotations

from pydantic import BaseModel


class Answer(BaseModel):
    """What every tool here answers."""

    ok: bool
    score: float = 0.0
    size: int = 0


def look(n: int) -> Answer:
    """Read something."""
    return Answer(ok=n > 0)


def put(n: int) -> Answer:
    """Write something that may be written twice."""
    return Answer(ok=n > 0)


def post(n: int) -> Answer:
    """Write something that must not be written twice, but can be asked for."""
    return Answer(ok=n > 0)


def posted(key: str) -> bool:
    """Say whether a post happened."""
    return bool(key)


def mail(n: int) -> Answer:
    """Write something that must not be written twice and cannot be asked for."""
    return Answer(ok=n > 0)


def take(n: int, output: Answer) -> None:
    """Undo a put."""


def unpost(key: str, n: int = 0) -> None:
    """Undo a post."""


def lenient(answer: Answer | None) -> bool:
    """Say yes, whether there is an answer or not."""
    return True
