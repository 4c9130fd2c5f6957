"""Tools of the wrong machines; the ones that cannot be tools are wrong on purpose."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


class Verdict(BaseModel):
    ok: bool
    confidence: float
    cause: str | None = None


LIMIT = 5


def check(vendor: str) -> Verdict:
    return Verdict(ok=bool(vendor), confidence=0.9)


def send(vendor: str, count: int = 1) -> None:
    return None


def happened(key: str) -> bool:
    return bool(key)


def count_words(vendor: str) -> int:
    return len(vendor)


def unannotated(vendor):  # type: ignore[no-untyped-def]
    return vendor


def no_result(vendor: str):  # type: ignore[no-untyped-def]
    return vendor


def star(*vendors: str) -> None:
    return None


def double_star(**vendors: str) -> None:
    return None


def positional(vendor: str, /) -> None:
    return None


def misspelt_type(vendor: Strin) -> None:  # type: ignore[name-defined]  # noqa: F821
    return None


def anything(vendor: Any) -> Any:
    return vendor


def happened_there(key: str, where: str, count: str) -> bool:
    return bool(key + where + count)
