"""What recorded runs would do on another machine, as Markdown for whoever reviews the change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from statemachine.legible import counted
from statemachine.machine.duration import spell

if TYPE_CHECKING:
    from statemachine.host.whatif import Compared
    from statemachine.journal.whatif import Difference
    from statemachine.machine.definition import Definition

_MOST = 20
"""Kinds of differences that the summary shows."""

Key = tuple[str, str, str, str, str]


class Review:
    """Counts what differs, in which way; holds an example of each way and not the runs.

    Attributes:
        runs: How many runs were compared.
        different: How many of them decide something otherwise.
    """

    def __init__(self, new: Definition, other_code: Iterable[str]) -> None:
        self._new, self._other_code = new, sorted(set(other_code))
        self.runs = self.different = 0
        self._ways: Counter[Key] = Counter()
        self._examples: dict[Key, tuple[str, int, str]] = {}
        self._waits: Counter[tuple[str, float, float]] = Counter()
        self._other_waits = 0
        self._broken: list[str] = []

    def add(self, found: Compared) -> None:
        """Count a run."""
        self.runs += 1
        self._waits.update((wait.state, wait.was, wait.now) for wait in found.waits)
        self._other_waits += bool(found.waits and found.same)
        if found.deviation is not None:
            self.impossible(
                found.run, f"it is no path of its own machine from record {found.deviation.seq} on"
            )
        elif (difference := found.difference) is not None:
            self.different += 1
            key = _key(difference)
            self._ways[key] += 1
            self._examples.setdefault(key, (found.run, difference.seq, difference.why))

    def impossible(self, run: str, why: str) -> None:
        """Note a run that cannot be compared."""
        self._broken.append(f"`{run}`: {why}")

    @property
    def exit_code(self) -> int:
        """1 when something differs or could not be compared, else 0."""
        return 1 if self.different or self._broken else 0

    def as_data(self) -> dict[str, Any]:
        """Return the counts as plain data."""
        names = ("state", "event", "cause", "was", "now")
        ways = [
            {
                **dict(zip(names, key, strict=True)),
                "runs": count,
                "example": dict(zip(("run", "seq", "why"), self._examples[key], strict=True)),
            }
            for key, count in self._ways.most_common()
        ]
        waits = [
            {"state": s, "was": was, "now": now, "times": n} for (s, was, now), n in self._waits.most_common()
        ]
        declared = self._new.declaration
        return {
            "machine": declared.machine,
            "version": declared.version,
            "digest": self._new.digest,
            "runs": self.runs,
            "different": self.different,
            "not_compared": self._broken,
            "differences": ways,
            "waits": waits,
            "other_code": self._other_code,
        }

    def markdown(self) -> str:
        """Return the summary."""
        declared = self._new.declaration
        title = f"{_count(self.different, self.runs)} would decide otherwise"
        lines = [
            f"### {title} on `{declared.machine}` {declared.version} (sha256:{self._new.digest[:12]})",
            "",
        ]
        if self._ways:
            lines += ["| where | runs | was | would be | why | for example |", "|---|---:|---|---|---|---|"]
            for key, count in self._ways.most_common(_MOST):
                run, seq, why = self._examples[key]
                state, event, cause, was, now = key
                where = f"`{state}` on `{event}`" if event else f"`{state}` at the start"
                cells = (where, str(count), was, now, f"{cause}: {why}", f"`{run}` record {seq}")
                lines.append(f"| {' | '.join(map(_cell, cells))} |")
            more = len(self._ways) - _MOST
            lines += [f"\n… and {more} more ways"] if more > 0 else []
            lines.append("")
        same = self.runs - self.different - len(self._broken)
        others = f", {self._other_waits} of them with other waits" if self._other_waits else ""
        lines.append(f"{counted(same, 'run')} would take the same path{others}.")
        for (state, before, after), times in self._waits.most_common(_MOST):
            lines.append(f"- `{state}` waits {spell(after)} instead of {spell(before)} ({_times(times)})")
        if self._other_code:
            names = ", ".join(f"`{name}`" for name in self._other_code)
            lines.append(
                f"\nOther code answers for {names}: the recorded answers were taken, and theirs may differ."
            )
        if self._broken:
            lines.append(f"\nNot compared: {counted(len(self._broken), 'run')}.")
            lines += [f"- {told}" for told in self._broken[:_MOST]]
        return "\n".join(lines)


def _key(found: Difference) -> Key:
    return found.state, found.event, found.cause, _told(found.was), _told(found.now)


def _told(entry: tuple[str, Any] | None) -> str:
    """Return a decision in a few words, the same for the same kind of decision."""
    match entry:
        case None:
            return "nothing"
        case "transition", body:
            instead = f" ({body['instead']})" if body.get("instead") else ""
            return f"to {body['to']}{instead}"
        case "call_intended", body:
            return f"call {body['tool']}"
        case "timer_set", body:
            return "call again later" if "key" in body else "wait"
        case "call_in_doubt", body:
            return f"in doubt, ask {body['asks']}"
        case "run_finished", body:
            return f"{body['status']} in {body['state']}"
        case kind, _:
            return kind.replace("_", " ")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _count(some: int, of: int) -> str:
    return f"{some} of {of} recorded runs" if of != 1 else f"{'The' if some else 'No'} recorded run"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
