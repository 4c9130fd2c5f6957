"""Verbs that ask: where the run is, why, what can happen next; nothing moves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from statemachine.errors import InvalidInput, InvalidMachine, OutputUnwritable
from statemachine.host.wording import effect_of
from statemachine.journal import decode, tell
from statemachine.machine.definition import Definition
from statemachine.machine.references import suggest
from statemachine.repl import render
from statemachine.repl.looking import leaving, offers, why_not
from statemachine.repl.moving import number, standing, wanted, words
from statemachine.repl.path import folded, visits
from statemachine.repl.session import Answer, Session

_AROUND = 6
"""Lines of source before and after the arrow."""


async def where(session: Session, rest: str) -> Answer:
    """Tell the path."""
    debugger = session.debugger
    snapshot = debugger.snapshot
    stretches = list(folded(visits(debugger.runtime.store, debugger.run, snapshot.seq)))
    most = number(rest, 30)
    text = render.path(stretches[-most:], debugger.definition, snapshot.started)
    if snapshot.parent:
        text = f"forked off {snapshot.parent}\n{text}"
    if len(stretches) > most:
        text = f"… {len(stretches) - most} earlier; `where {len(stretches)}` tells all\n{text}"
    return Answer(text, {**standing(debugger), "path": [stretch.as_data() for stretch in stretches]})


async def why(session: Session, rest: str) -> Answer:
    """Tell why the run is where it is, or is not elsewhere."""
    debugger = session.debugger
    made = debugger.last
    if rest.startswith("not"):
        return _why_not(session, rest.removeprefix("not").strip())
    if rest:
        raise InvalidInput("write `why`, or `why not STATE`")
    if made is None:
        return Answer("the run has not moved yet", None)
    receipt = made.receipt
    data = {**receipt._asdict(), "candidates": [c.as_data() for c in receipt.candidates]}
    return Answer(render.why(made, made.at), {**data, "attempts": dict(receipt.attempts), "at": made.at})


def _why_not(session: Session, state: str) -> Answer:
    debugger = session.debugger
    definition, snapshot = debugger.definition, debugger.snapshot
    if state not in definition.declaration.states:
        known = definition.declaration.states
        raise InvalidInput(
            f"write `why not STATE`; the machine has no state `{state}`{suggest(state, known)}"
        )
    if state == snapshot.state:
        return Answer(f"the run is in {state}", {"state": state, "tried": [], "ways": []})
    assert debugger.last is not None
    tried, ways = why_not(definition, debugger.last.receipt, snapshot, debugger.now, state)
    lines = [render.verdict(candidate) for candidate in tried]
    if not tried:
        lines.append(f"no transition leads from {snapshot.state} to {state}")
    lines.append("it is reached " + ("; ".join(f"from {s} on {e}" for s, e in ways) or "from nowhere"))
    data = {"state": state, "tried": [c.as_data() for c in tried], "ways": [list(way) for way in ways]}
    return Answer("\n".join(lines), data)


async def guards(session: Session, rest: str) -> Answer:
    """Tell what all guards of the state give now."""
    debugger = session.debugger
    found = leaving(debugger.definition, debugger.snapshot, debugger.now)
    text = "\n".join(map(render.verdict, found)) or f"nothing leads away from {debugger.snapshot.state}"
    return Answer(text, [candidate.as_data() for candidate in found])


async def events(session: Session, rest: str) -> Answer:
    """Tell what can be sent, and what each would do."""
    debugger = session.debugger
    found = offers(debugger.definition, debugger.snapshot, debugger.now)
    lines = []
    for offer in found:
        carried = "".join(f" {name}={of}" for name, of in offer.carries.items())
        lines.append(f"{offer.event}{carried}" + (f"  → {offer.would}" if offer.would else ""))
        lines += [f"  {render.verdict(c)}" for c in offer.candidates if c.guard is not None]
    text = "\n".join(lines) or f"{debugger.snapshot.state} takes no event from outside"
    return Answer(text, [offer.as_data() for offer in found])


async def show(session: Session, rest: str) -> Answer:
    """Tell the value of an expression, or all fields."""
    debugger = session.debugger
    if not rest:
        context = dict(debugger.snapshot.context)
        return Answer(render.pairs(context) or "no field is known yet", context)
    value = debugger.value(rest)
    if isinstance(value, Mapping | list):
        return Answer(json.dumps(value, ensure_ascii=False, indent=2, default=dict), value)
    return Answer(render.shown(value), value)


async def display(session: Session, rest: str) -> Answer:
    """Show an expression after each stop."""
    debugger = session.debugger
    if rest:
        # What is not known yet may be later; what is misspelt never will.
        from statemachine.repl.expressions import checked

        checked(debugger.definition, rest)
        debugger.displays.append(rest)
    lines = [
        f"{n}: {text} = {render.displayed(debugger, text)}"
        for n, text in enumerate(debugger.displays, start=1)
    ]
    return Answer("\n".join(lines) or "nothing is displayed", list(debugger.displays))


async def undisplay(session: Session, rest: str) -> Answer:
    """Show an expression no longer."""
    shown = session.debugger.displays
    if not rest:
        shown.clear()
    elif number(rest, 0) > len(shown):
        raise InvalidInput(f"there is no display {rest}; `display` lists them")
    else:
        del shown[number(rest, 0) - 1]
    return Answer("", list(shown))


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
    """Tell of states, breakpoints, limits, tools or fields."""
    debugger = session.debugger
    declared, snapshot = debugger.definition.declaration, debugger.snapshot
    match rest:
        case "breaks":
            return _breaks(session)
        case "states":
            states = {
                name: {
                    "kind": state.kind,
                    "entered": snapshot.attempts.get(name),
                    "attempts": state.attempts,
                    "here": name == snapshot.state,
                }
                for name, state in declared.states.items()
            }
            lines = [
                f"{'→' if of['here'] else ' '} {name:<20} {of['kind']}"
                + (f"  {of['entered'] or 0}/{of['attempts']}" if of["attempts"] else "")
                for name, of in states.items()
            ]
            return Answer("\n".join(lines), states)
        case "tools":
            tools = {name: effect_of(tool) for name, tool in declared.tools.items()}
            return Answer("\n".join(f"{name:<20} {effect}" for name, effect in tools.items()), tools)
        case "limits":
            limits = declared.limits
            used = {
                "steps": [snapshot.steps, limits.steps],
                "calls": [snapshot.calls, limits.calls],
                "seconds": [round(debugger.now - snapshot.started, 1), limits.elapsed],
                **{unit: [snapshot.cost.get(unit, 0), most] for unit, most in limits.cost.items()},
            }
            lines = [
                f"{name:<10} {n:g}" + (f" of {most:g}" if most is not None else "")
                for name, (n, most) in used.items()
                if n is not None
            ]
            return Answer("\n".join(lines), used)
        case "fields":
            fields = {
                name: {
                    "type": field.type,
                    "owner": list(field.owner),
                    "by": snapshot.sources[name].by if name in snapshot.sources else None,
                }
                for name, field in declared.context.items()
            }
            lines = [
                f"{name:<20} {of['type']}, owner {', '.join(of['owner'])}"
                + (f", written by {of['by']}" if of["by"] else "")
                for name, of in fields.items()
            ]
            return Answer("\n".join(lines), fields)
    raise InvalidInput("write `info states`, `info breaks`, `info limits`, `info tools` or `info fields`")


async def diff(session: Session, rest: str) -> Answer:
    """Tell what changed in the context between two records."""
    debugger = session.debugger
    match rest.split():
        case [a]:
            seqs = (number(a, 0), debugger.snapshot.seq)
        case [a, b]:
            seqs = (number(a, 0), number(b, 0))
        case _:
            raise InvalidInput("write `diff A B`: two records, as `journal` numbers them")
    before, after = (debugger.history.at(seq).snapshot for seq in seqs)
    changed = {
        name: [before.context.get(name), after.context.get(name)]
        for name in {**before.context, **after.context}
        if before.context.get(name) != after.context.get(name)
    }
    lines = [f"{before.state} (record {before.seq}) → {after.state} (record {after.seq})"]
    for name, (old, new) in changed.items():
        lines += [f"- {name} = {render.shown(old)}"] if name in before.context else []
        lines += [f"+ {name} = {render.shown(new)}"] if name in after.context else []
    return Answer("\n".join(lines) if changed else f"{lines[0]}: the context is the same", changed)


async def journal(session: Session, rest: str) -> Answer:
    """Tell the last records up to where the debugger is."""
    debugger = session.debugger
    store, seq = debugger.runtime.store, debugger.snapshot.seq
    started, most = debugger.snapshot.started, number(rest, 20)
    lines, data = [], []
    for record in store.records(debugger.run, max(0, seq - most), seq):
        body: Any = decode(record.body, store.blob)
        lines.append(f"{record.seq:>5}  {record.at - started:>7.1f}s  {tell(record.kind, body)}")
        data.append({"seq": record.seq, "at": record.at, "kind": record.kind, "body": body})
    return Answer("\n".join(lines), data)


async def calls(session: Session, rest: str) -> Answer:
    """Tell the calls that were made up to where the debugger is."""
    from dataclasses import asdict

    from statemachine.host.explain import explain as account

    debugger = session.debugger
    made = [c for c in account(debugger.runtime.store, debugger.run).calls if c.seq <= debugger.snapshot.seq]
    tools = debugger.definition.declaration.tools
    lines = [
        f"{c.seq:>5}  {c.tool}  {effect_of(tools[c.tool])}  {c.ended or 'open'}"
        + (f", {c.attempts} tries" if c.attempts > 1 else "")
        for c in made[-number(rest, 30) :]
    ]
    return Answer("\n".join(lines) or "no call was made", [asdict(c) for c in made])


async def diagram(session: Session, rest: str) -> Answer:
    """Draw the machine with the state marked, or write a picture."""
    from statemachine.diagrams import FORMATS
    from statemachine.diagrams import render as draw

    debugger = session.debugger
    declared = debugger.definition.declaration
    if rest:
        path = Path(words(rest)[0]).expanduser()
        if path.suffix not in FORMATS.values():
            raise InvalidInput(f"write a file that ends in {', '.join(FORMATS.values())}")
        from statemachine.diagrams.committed import save as write

        write(path, draw(declared, path.suffix[1:]))
        return Answer(f"wrote {path}", {"written": str(path)})
    state, text = debugger.snapshot.state, draw(declared, "text").decode()
    lines = [
        f"{line[0]}>{line[2:]}" if line[2:].split("  ")[0] == state else line for line in text.splitlines()
    ]
    return Answer("\n".join(lines), {"text": text, "state": state})


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


async def explain(session: Session, rest: str) -> Answer:
    """Tell what the run did, and what to do now."""
    from statemachine.host.explain import explain as account

    debugger = session.debugger
    told = account(debugger.runtime.store, debugger.run)
    writes = [f"{c.tool} ({c.key})" for c in told.calls if c.effect == "write" and c.completed]
    lines = [
        f"{told.status} in {told.state}",
        f"wrote: {', '.join(writes[-10:]) or 'nothing'}" + (", and more before" if writes[10:] else ""),
    ]
    if told.off_course is not None:
        lines.append(f"off course at record {told.off_course.seq}: {told.off_course.what}")
    lines.append(f"{told.advice}: {told.why}")
    return Answer("\n".join(lines), told.as_data())


async def save(session: Session, rest: str) -> Answer:
    """Write the lines of this session to a file, for `source`."""
    path = Path(words(wanted(rest, "save FILE"))[0]).expanduser()
    try:
        path.write_text("".join(f"{line}\n" for line in session.said), encoding="utf-8")
    except OSError as error:
        raise OutputUnwritable(f"{path} cannot be written: {error.strerror}") from None
    return Answer(f"wrote {len(session.said)} lines to {path}", {"written": str(path), "lines": session.said})


async def run_file(session: Session, rest: str) -> Answer:
    """Do the lines of a file."""
    path = Path(words(wanted(rest, "source FILE"))[0]).expanduser()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}") from None
    texts, data = [], []
    for line in lines:
        if line.strip() and not line.startswith("#"):
            if line.split()[0] == "source":
                raise InvalidInput(f"{path}: a file that is sourced sources no other")
            verb, answer = await session.say(line)
            texts += [f"{line}", answer.text]
            data.append({"verb": verb, "result": answer.data})
            if answer.leave:
                return Answer("\n".join(filter(None, texts)), data, leave=True)
    return Answer("\n".join(filter(None, texts)), data)


async def help_(session: Session, rest: str) -> Answer:
    """Tell of all verbs, or of one."""
    if not rest:
        lines = [f"{v.short or '':>2} {v.name:<10} {v.help}" for v in session.verbs]
        lines.append("an empty line repeats; `help VERB` has an example; any name may be shortened")
        return Answer("\n".join(lines), {v.name: v.help for v in session.verbs})
    verb = session.verb(rest)
    short = f" (or `{verb.short}`)" if verb.short else ""
    text = f"{verb.name} {verb.usage}".rstrip() + f"{short}\n  {verb.help}\n  Example: {verb.example}"
    return Answer(text, {"verb": verb.name, "usage": verb.usage, "help": verb.help, "example": verb.example})


async def quit_(session: Session, rest: str) -> Answer:
    """Leave."""
    debugger = session.debugger
    left = debugger.live and not debugger.driven_by
    text = f"go on with: statemachine repl {debugger.run}, or: statemachine resume {debugger.run}"
    return Answer(text if left else "", standing(debugger), leave=True)
