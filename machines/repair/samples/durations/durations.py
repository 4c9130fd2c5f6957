"""Lengths of time as text, such as 1h30m or 45s."""

import re

SECONDS = {"d": 86400, "h": 360, "m": 60, "s": 1}
PART = re.compile(r"(\d+)([dhms])")


def parse(text):
    """The number of seconds that a text means."""
    position = total = 0
    while position < len(text):
        part = PART.match(text, position)
        if part is None:
            raise ValueError(f"not a length of time: {text}")
        total += int(part[1]) * SECONDS[part[2]]
        position = part.end()
    return total


def show(seconds):
    """The shortest text for a number of seconds."""
    parts = []
    for unit, length in SECONDS.items():
        count, seconds = divmod(seconds, length)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
