"""Verbs that ask about the run: where it is, why, what can happen next; nothing moves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict

from statemachine.errors import InvalidInput
from statemachine.host.wording import effect_of
from statemachine.journal import tell
from statemachine.repl import render
from statemachine.repl.moving import number, standing, wanted
from statemachine.repl.session import Answer, Session


async def where(session: Session, rest: str) -> Answer:
    """Tell the path."""
    debugger = session.debugger
    snapshot = debugger.snapshot
    stretches = debugger.where()
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
    here = debugger.snapshot.state
    if state == here:
        return Answer(f"the run is in {state}", {"state": state, "tried": [], "ways": []})
    tried, ways = debugger.why_not(wanted(state, "why not STATE"))
    lines = [render.verdict(candidate) for candidate in tried]
    if not tried:
        lines.append(f"no transition leads from {here} to {state}")
    lines.append("it is reached " + ("; ".join(f"from {s} on {e}" for s, e in ways) or "from nowhere"))
    data = {"state": state, "tried": [c.as_data() for c in tried], "ways": [list(way) for way in ways]}
    return Answer("\n".join(lines), data)


async def guards(session: Session, rest: str) -> Answer:
    """Tell what all guards of the state give now."""
    found = session.debugger.guards()
    text = "\n".join(map(render.verdict, found))
    return Answer(
        text or f"nothing leads away from {session.debugger.snapshot.state}", [c.as_data() for c in found]
    )


async def events(session: Session, rest: str) -> Answer:
    """Tell what can be sent, and what each would do."""
    found, lines = session.debugger.events(), []
    for offer in found:
        carried = "".join(f" {name}={of}" for name, of in offer.carries.items())
        lines.append(f"{offer.event}{carried}" + (f"  → {offer.would}" if offer.would else ""))
        lines += [f"  {render.verdict(c)}" for c in offer.candidates if c.guard is not None]
    text = "\n".join(lines) or f"{session.debugger.snapshot.state} takes no event from outside"
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
    return Answer(render.known(value), value)


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
    changed = debugger.diff(*seqs)
    before, after = (debugger.history.at(seq).snapshot for seq in seqs)
    lines = [f"{before.state} (record {before.seq}) → {after.state} (record {after.seq})"]
    for name, (old, new) in changed.items():
        lines += [f"- {name} = {render.shown(old)}"] if name in before.context else []
        lines += [f"+ {name} = {render.shown(new)}"] if name in after.context else []
    return Answer("\n".join(lines) if changed else f"{lines[0]}: the context is the same", changed)


async def journal(session: Session, rest: str) -> Answer:
    """Tell the last records up to where the debugger is."""
    debugger = session.debugger
    started, found = debugger.snapshot.started, debugger.journal(number(rest, 20))
    lines = [f"{seq:>5}  {at - started:>7.1f}s  {tell(kind, body)}" for seq, at, kind, body in found]
    data = [{"seq": seq, "at": at, "kind": kind, "body": body} for seq, at, kind, body in found]
    return Answer("\n".join(lines), data)


async def calls(session: Session, rest: str) -> Answer:
    """Tell the calls that were made up to where the debugger is."""
    made, tools = session.debugger.calls(), session.debugger.definition.declaration.tools
    lines = [
        # A tool of an older version of the machine may be gone.
        f"{c.seq:>5}  {c.tool}  {effect_of(tools[c.tool]) if c.tool in tools else c.effect}  {c.ended or 'open'}"
        + (f", {c.attempts} tries" if c.attempts > 1 else "")
        for c in made[-number(rest, 30) :]
    ]
    return Answer("\n".join(lines) or "no call was made", [asdict(c) for c in made])


async def explain(session: Session, rest: str) -> Answer:
    """Tell what the run did, and what to do now."""
    told = session.debugger.explain()
    writes = [f"{c.tool} ({c.key})" for c in told.calls if c.effect == "write" and c.completed]
    lines = [
        f"{told.status} in {told.state}",
        f"wrote: {', '.join(writes[-10:]) or 'nothing'}" + (", and more before" if writes[10:] else ""),
    ]
    if told.off_course is not None:
        lines.append(f"off course at record {told.off_course.seq}: {told.off_course.what}")
    lines.append(f"{told.advice}: {told.why}")
    return Answer("\n".join(lines), told.as_data())
