"""Types and tools of the machines in this folder; none is ever called."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class Score(BaseModel):
    """A value with bounds."""

    value: float = Field(ge=0, le=1)
    votes: int = Field(gt=0)
    grade: Literal["low", "high"]


class Verdict(BaseModel):
    """A judgement whose cause need not be there."""

    ok: bool
    cause: str | None = None


def score() -> Score:
    """Give a score."""
    return Score(value=0.5, votes=1, grade="low")


def judge() -> Verdict:
    """Give a verdict."""
    return Verdict(ok=True)


def say(text: str, tone: str = "plain") -> None:
    """Say a text."""
