"""Verbs about the machine: breakpoints, its parts, its picture and its source."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from statemachine.errors import InvalidInput, InvalidMachine
from statemachine.host.facts import facts
from statemachine.host.wording import effect_of
from statemachine.machine.definition import Definition
from statemachine.machine.duration import spell
from statemachine.machine.model import Declaration
from statemachine.machine.references import suggest
from statemachine.repl.debugger import Debugger
from statemachine.repl.moving import number, words
from statemachine.repl.session import Answer, Session

_AROUND = 6
"""Lines of source before and after the arrow."""


async def add_break(session: Session, rest: str) -> Answer:
    """Stop somewhere."""
    return _break(session, rest, once=False)


async def add_tbreak(session: Session, rest: str) -> Answer:
    """Stop somewhere once."""
    return _break(session, rest, once=True)


def _break(session: Session, rest: str, *, once: bool) -> Answer:
    debugger = session.debugger
    if not rest:
        return _breaks(session)
    made = debugger.breakpoints.add(debugger.definition, rest, once=once)
    return Answer(f"breakpoint {made.number}: {made}" + (", once" if once else ""), made.as_data())


async def delete(session: Session, rest: str) -> Answer:
    """Remove breakpoints."""
    gone = session.debugger.breakpoints.delete(number(rest, 0) if rest else None)
    text = "\n".join(f"deleted breakpoint {b.number}: {b}" for b in gone) or "there are no breakpoints"
    return Answer(text, [b.as_data() for b in gone])


def _breaks(session: Session) -> Answer:
    points = session.debugger.breakpoints.all
    lines = [f"{b.number}: {b}" + (", once" if b.once else "") for b in points]
    return Answer("\n".join(lines) or "there are no breakpoints", [b.as_data() for b in points])


async def info(session: Session, rest: str) -> Answer:
    """Tell of states, breakpoints, limits, tools, fields or runs."""
    if rest == "breaks":
        return _breaks(session)
    if rest not in _INFO:
        raise InvalidInput(f"write `info` and one of: {', '.join(['breaks', *_INFO])}")
    return _INFO[rest](session.debugger.definition.declaration, session.debugger)


def _states(declared: Declaration, debugger: Debugger) -> Answer:
    snapshot = debugger.snapshot
    lines, data = [], {}
    for name, state in declared.states.items():
        entered = snapshot.attempts.get(name, 0)
        data[name] = {"kind": state.kind, "entered": entered, "attempts": state.attempts}
        used = f"  {entered}/{state.attempts}" if state.attempts else ""
        lines.append(f"{'→' if name == snapshot.state else ' '} {name:<20} {state.kind}{used}")
    return Answer("\n".join(lines), data)


def _tools(declared: Declaration, debugger: Debugger) -> Answer:
    tools = {name: effect_of(tool) for name, tool in declared.tools.items()}
    return Answer("\n".join(f"{name:<20} {effect}" for name, effect in tools.items()), tools)


def _limits(declared: Declaration, debugger: Debugger) -> Answer:
    snapshot, limits = debugger.snapshot, declared.limits
    used: dict[str, tuple[float, float | None]] = {
        "steps": (snapshot.steps, limits.steps),
        "calls": (snapshot.calls, limits.calls),
        "seconds": (round(debugger.now - snapshot.started, 1), limits.elapsed),
        **{unit: (snapshot.cost.get(unit, 0), most) for unit, most in limits.cost.items()},
    }
    lines = [f"{name:<10} {n:g}" + (f" of {most:g}" if most else "") for name, (n, most) in used.items()]
    return Answer("\n".join(lines), used)


def _fields(declared: Declaration, debugger: Debugger) -> Answer:
    known = {fact.name: fact for fact in facts(declared.context, debugger.snapshot, debugger.now)}
    lines, data = [], {}
    for name, field in declared.context.items():
        fact = known.get(name)
        data[name] = {
            "type": field.type,
            "owner": list(field.owner),
            "by": fact and fact.by,
            "of": fact and fact.of,
            "age": fact and fact.age,
            "fresh": fact and fact.fresh,
        }
        written = f", by {fact.by} from {fact.of}, {fact.age:.0f} s old" if fact else ""
        stale = (
            f", STALE: fresh for {spell(field.fresh_for)}"
            if fact and field.fresh_for and not fact.fresh
            else ""
        )
        lines.append(f"{name:<20} {field.type}, owner {', '.join(field.owner)}{written}{stale}")
    return Answer("\n".join(lines), data)


def _runs(declared: Declaration, debugger: Debugger) -> Answer:
    found = debugger.store.runs(limit=20)
    lines = [
        f"{'→' if row.id == debugger.run else ' '} {row.id}  {row.name} {row.version}  {row.status} in {row.state}"
        for row in found
    ]
    return Answer("\n".join(lines), [asdict(row) for row in found])


_INFO = {"states": _states, "tools": _tools, "limits": _limits, "fields": _fields, "runs": _runs}


async def diagram(session: Session, rest: str) -> Answer:
    """Draw the run's way up to where the debugger is, or write a picture of it."""
    from statemachine.diagrams import FORMATS

    debugger = session.debugger
    path = Path(words(rest)[0]).expanduser() if rest else None
    if path is not None and path.suffix not in FORMATS.values():
        raise InvalidInput(f"write a file that ends in {', '.join(FORMATS.values())}")
    if path is not None:
        from statemachine.diagrams.committed import save as write

        write(path, debugger.draw(path.suffix[1:]))
        return Answer(f"wrote {path}", {"written": str(path)})
    text = debugger.draw("text").decode().rstrip()
    return Answer(text, {"text": text, "state": debugger.snapshot.state})


async def source(session: Session, rest: str) -> Answer:
    """Show the machine's source around the state that the run is in."""
    from statemachine.machine.source import parse_source

    debugger = session.debugger
    text, name = _source(debugger.definition, debugger.file)
    state = rest or debugger.snapshot.state
    if state not in debugger.definition.declaration.states:
        known = debugger.definition.declaration.states
        raise InvalidInput(f"the machine has no state `{state}`{suggest(state, known)}")
    at = parse_source(text, name).place(("states", state), True).line
    lines = text.splitlines()
    shown = range(max(1, at - _AROUND), min(len(lines), at + _AROUND) + 1)
    told = [f"{n:>5} {'→' if n == at else ' '} {lines[n - 1]}" for n in shown]
    return Answer("\n".join([name, *told]), {"file": name, "line": at, "state": state})


def _source(definition: Definition, file: Path | None) -> tuple[str, str]:
    """Return the text of a machine in YAML and its name: its file, or its declaration printed."""
    from statemachine.machine.yaml import to_yaml

    if file is not None and file.suffix in (".yaml", ".yml"):
        return file.read_text(encoding="utf-8"), str(file)
    declared = definition.declaration
    name = f"{declared.machine} {declared.version}"
    try:
        return to_yaml(declared), name
    except InvalidMachine:  # a guard that is a Python function has no YAML; JSON is read the same way
        return json.dumps(declared.as_data(), indent=2, ensure_ascii=False), name
