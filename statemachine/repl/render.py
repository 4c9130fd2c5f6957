"""Answers as text: what a person sees at the prompt."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from statemachine.errors import InvalidExpression
from statemachine.host.wording import effect_of
from statemachine.kernel import (
    Candidate,
    Immediate,
    PendingApproval,
    PendingCall,
    Receipt,
    Snapshot,
    Step,
    waiting_for,
)
from statemachine.machine.definition import Definition
from statemachine.repl.debugger import Debugger
from statemachine.repl.inspected import Stop
from statemachine.repl.path import Stretch

_WIDTH = 100


def shown(value: Any, most: int = _WIDTH) -> str:
    """Return a value as JSON on one line, cut off where it is long."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def known(value: Any) -> str:
    """Return the value of an expression; what nobody knows yet is said so."""
    return "not known" if value is None else shown(value)


def greeting(debugger: Debugger) -> str:
    """Return which run was opened, how it stands, and what it is about to do."""
    declared, snapshot = debugger.definition.declaration, debugger.snapshot
    lines = [f"run {debugger.run}: {declared.machine} {declared.version}; `help` lists the verbs"]
    if debugger.driven_by:
        lines.append(f"driven by {debugger.driven_by}: it can only be looked at, or forked")
    if snapshot.parent:
        lines.append(f"forked off {snapshot.parent}")
    if snapshot.finished:
        lines.append(ended(snapshot))
    lines.append(coming(debugger))
    return "\n".join(line for line in lines if line)


def ended(snapshot: Snapshot) -> str:
    """Return how a run ended, and why if that is known."""
    return f"{snapshot.status} in {snapshot.state}" + (f": {snapshot.because}" if snapshot.because else "")


def prompt(debugger: Debugger) -> str:
    """Return machine, run, state, attempts and what is pending."""
    snapshot, declared = debugger.snapshot, debugger.definition.declaration
    most = declared.states[snapshot.state].attempts
    parts = [declared.machine, debugger.run[:4]]
    if debugger.past:
        parts.append(f"past {snapshot.seq}")
    elif debugger.driven_by:
        parts.append("read-only")
    parts.append(snapshot.state + (f" {snapshot.attempts.get(snapshot.state, 0)}/{most}" if most else ""))
    parts += _pending(debugger)
    if snapshot.edited:
        parts.append("edited")
    return f"({' '.join(parts)}) "


def _pending(debugger: Debugger) -> list[str]:
    snapshot, about = debugger.snapshot, debugger.about
    if snapshot.finished:
        return [snapshot.status]
    if about is not None:
        return [f"→ {about.tool}"]
    pending = snapshot.pending
    if isinstance(pending, PendingApproval):
        return [f"{pending.tool} waits for approval"]
    if isinstance(pending, PendingCall):
        phase = {"sent": "under way", "probe": "in doubt", "doubt": "in doubt"}.get(
            pending.phase, pending.phase
        )
        return [f"{pending.tool} {phase}"]
    waits = waiting_for(debugger.definition, snapshot)
    return [f"waits for {waits}"] if waits and not isinstance(pending, Immediate) else []


def coming(debugger: Debugger) -> str:
    """Return what the next step is about to do; empty when that is not known yet."""
    call = debugger.about
    if call is not None:
        return about(debugger.definition, call.tool, call.input, "call", call.attempt)
    made = debugger.coming
    if made is not None and isinstance(made.snapshot.pending, PendingApproval) and made.entries:
        asked = made.snapshot.pending
        return about(debugger.definition, asked.tool, asked.input, "ask for approval to call")
    if made is not None and made.receipt.target is not None:
        return f"next: {made.receipt.event} leads to {made.receipt.target}"
    return ""


def about(definition: Definition, tool: str, given: Mapping[str, Any], what: str, attempt: int = 1) -> str:
    """Return a call that is about to be made, or asked for: its effect and its input."""
    again = f", try {attempt}" if attempt > 1 else ""
    head = f"about to {what} {tool}{again} ({effect_of(definition.declaration.tools[tool])})"
    return "\n".join([head, *(f"    {line}" for line in pairs(given).splitlines())])


def stop(debugger: Debugger, stopped: Stop) -> str:
    """Return why a run stopped, and what it is about to do."""
    snapshot = debugger.snapshot
    told = {
        "breakpoint": f"breakpoint {stopped.what}",
        "ended": ended(snapshot),
        "waits": f"waits for {stopped.what or 'time'}{_hint(debugger)}",
        "interrupted": "stopped at a safe point",
        "present": "this is the present",
        "start": "there is nothing before this",
    }.get(stopped.why, "")
    lines = [told, coming(debugger)]
    for number, text in enumerate(debugger.displays, start=1):
        lines.append(f"{number}: {text} = {displayed(debugger, text)}")
    return "\n".join(line for line in lines if line)


def _hint(debugger: Debugger) -> str:
    """Return which verbs give a run what it waits for."""
    match debugger.snapshot.pending:
        case PendingApproval():
            return "; `approve NAME` or `deny NAME` decides"
        case PendingCall(phase="doubt"):
            return "; `resolve happened`, `resolve not-happened` or `resolve undo` decides"
        case None if debugger.about is None:
            return "; `events` tells what can be fired"
    return ""


def displayed(debugger: Debugger, text: str) -> str:
    """Return the value of an expression that is shown after each stop; what is not known yet is said so."""
    try:
        return known(debugger.value(text))
    except InvalidExpression:
        return "not known"


def verdict(candidate: Candidate) -> str:
    """Return a transition that was considered: where to, its guard, the values that it read."""
    said = {True: "yes", False: "no", None: "not known"}[candidate.verdict]
    line = f"{said:<9} {candidate.event} → {candidate.target}"
    if candidate.guard is None:
        return line
    line += f"  when {candidate.guard}"
    read = [f"{name} = {shown(value)}" for name, value in candidate.values.items()]
    read += [candidate.error] if candidate.error else []
    return "\n".join([line, *(f"              {text}" for text in read)])


def why(made: Step, at: float) -> str:
    """Return the account of a step."""
    receipt: Receipt = made.receipt
    led = f"{receipt.state} → {receipt.target}" if receipt.target else f"{receipt.state} stays"
    meaning = {
        "taken": "",
        "denied": ": every guard said no",
        "unknown": ": no transition takes it",
        "guard_error": ": a guard failed to evaluate",
        "retry": ": the call is made again",
        "noted": "",
    }[receipt.verdict]
    lines = [f"{receipt.event} in {led}{meaning} (record {made.snapshot.seq}, {clock(at)})"]
    lines += [f"  {verdict(candidate)}" for candidate in receipt.candidates]
    if receipt.instead:
        lines.append(f"  instead, because of {receipt.instead}")
    if made.snapshot.because and not made.receipt.candidates:
        lines.append(f"  {made.snapshot.because}")
    if receipt.attempts:
        lines.append("  attempts: " + ", ".join(f"{state} {n}" for state, n in receipt.attempts.items()))
    return "\n".join(lines)


def path(stretches: Iterable[Stretch], definition: Definition, started: float) -> str:
    """Return a path, a line for each state or loop: its order, since when, and attempts."""
    lines = []
    for stretch in stretches:
        first, last = stretch.first, stretch.last
        state = definition.declaration.states.get(last.state)  # none: it was one of an older version
        most = state.attempts if state is not None else None
        order = f"{first.order}" if first is last else f"{first.order}-{last.order}"
        text = " ".join(stretch.states) + (f" x {stretch.times}" if stretch.times > 1 else "")
        notes = [f"on {first.event}" if first.event and stretch.times == 1 else ""]
        notes += [
            f"{last.attempt}/{most}" if last.attempt and most else "",
            f"[{last.instead}]" if last.instead else "",
        ]
        since = f"{first.at - started:.1f}s" + ("" if first is last else f"-{last.at - started:.1f}s")
        lines.append(f"{order:>9}  {since:>14}  {text}  {' '.join(n for n in notes if n)}".rstrip())
    return "\n".join(lines)


def clock(at: float) -> str:
    """Return a time of day in the local zone."""
    return datetime.fromtimestamp(at).astimezone().strftime("%H:%M:%S")


def pairs(values: Mapping[str, Any]) -> str:
    """Return names and values, one a line."""
    width = max(map(len, values), default=0)
    return "\n".join(f"{name:<{width}} = {shown(value)}" for name, value in values.items())
