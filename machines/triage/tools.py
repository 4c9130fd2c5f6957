"""What triage does with the errors of a log: assess them, and append a ticket to a file."""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from statemachine import Call

_LINE = re.compile(r"(\d{4}-\d\d-\d\dT[\d:.]+Z) (\S+) (ERROR|FATAL) (.+)")


@dataclass(frozen=True, slots=True)
class Report:
    """What the error lines of a log say.

    Attributes:
        errors: How many there are, fatal ones included.
        fatal: How many are fatal.
        understood: Share of the lines that have the expected form.
        services: The services that they come from.
        commonest: The commonest message, with its numbers as ``#``.
        first: Time of the first line.
        last: Time of the last line.
    """

    errors: int
    fatal: int
    understood: float
    services: list[str]
    commonest: str
    first: str
    last: str


@dataclass(frozen=True, slots=True)
class Ticket:
    """A line in the file of tickets.

    Attributes:
        id: Its name, by its number in the file.
        priority: ``high`` or ``normal``.
    """

    id: str
    priority: str


def assess(lines: str) -> Report:
    """Return what the error lines say; lines of another form count as not understood."""
    every = lines.split("\n") if lines else []
    known = [match.groups() for line in every if (match := _LINE.fullmatch(line.rstrip()))]
    messages = Counter(re.sub(r"\d+", "#", message) for *_, message in known)
    times = sorted(at for at, *_ in known)
    return Report(
        errors=len(every),
        fatal=sum(level == "FATAL" for _, _, level, _ in known),
        understood=len(known) / len(every) if every else 1.0,
        services=sorted({service for _, service, *_ in known}),
        commonest=messages.most_common(1)[0][0] if messages else "",
        first=times[0] if times else "",
        last=times[-1] if times else "",
    )


def append_ticket(
    tickets: Path, log: Path, priority: Literal["high", "normal"], call: Call, report: Report | None = None
) -> Ticket:
    """Append a ticket as one line of JSON, unless the file has one with this call's key already.

    The call may be made again after a crash or a time-out, with the same key: then the ticket that is
    there is the answer. A lock keeps two runs from taking the same number.
    """
    with tickets.open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read()
        written = [ticket for line in text.split("\n") if (ticket := _parse(line))]
        for ticket in written:
            if ticket["key"] == call.key:
                return Ticket(ticket["id"], ticket["priority"])
        made = Ticket(f"T-{len(written) + 1}", priority)
        line: dict[str, Any] = {"id": made.id, "priority": priority, "key": call.key, "log": str(log)}
        if report is not None:
            line |= {"errors": report.errors, "fatal": report.fatal, "commonest": report.commonest}
        # A crash may have left half a line: it stays alone in its line.
        torn = bool(text) and not text.endswith("\n")
        file.write(("\n" if torn else "") + json.dumps(line) + "\n")
        file.flush()
        os.fsync(file.fileno())
    return made


def _parse(line: str) -> dict[str, Any] | None:
    """Return a ticket's line; None for what is none, such as a line that was not written to its end."""
    try:
        ticket = json.loads(line)
    except ValueError:
        return None
    return ticket if isinstance(ticket, dict) and {"id", "key", "priority"} <= ticket.keys() else None
