"""Texts as they are shown to people: what may be anybody's, and how many of something."""

from __future__ import annotations

import re

# Controls but for tab and end of line, and the marks that turn the direction of a text (UAX 9).
_MOVES = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def legible(text: str) -> str:
    """Return a text in which what would move the cursor, or turn the text round, is spelled out as JSON has it."""
    return _MOVES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def counted(number: int, one: str, many: str = "") -> str:
    """Return so many of something in words: ``1 run``, ``2 runs``; ``many`` where the plural takes more than an s."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"
