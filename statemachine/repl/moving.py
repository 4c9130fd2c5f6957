"""Verbs that move a run or change it."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict
from typing import Any, Literal

from statemachine.errors import InvalidInput, WritesRepeated
from statemachine.host.given import read_as
from statemachine.journal import tell
from statemachine.kernel import Step
from statemachine.repl import render
from statemachine.repl.debugger import Debugger
from statemachine.repl.inspected import Stop
from statemachine.repl.session import Answer, Session


def stopped(session: Session, stop: Stop) -> Answer:
    """Return where a run stopped and what it is about to do."""
    debugger = session.debugger
    return Answer(render.stop(debugger, stop), {"stop": asdict(stop), **standing(debugger)})


def standing(debugger: Debugger) -> dict[str, Any]:
    """Return where a run is, as plain data."""
    snapshot, call = debugger.snapshot, debugger.about
    tools = debugger.definition.declaration.tools
    return {
        "run": debugger.run,
        "state": snapshot.state,
        "status": snapshot.status,
        "seq": snapshot.seq,
        "past": debugger.past,
        "edited": list(snapshot.edited),
        "attempts": dict(snapshot.attempts),
        "about": None
        if call is None
        else {"tool": call.tool, "input": dict(call.input), "effect": tools[call.tool].effect},
    }


def taken(session: Session, made: Step, text: str) -> Answer:
    """Return what was done by hand."""
    debugger = session.debugger
    lines = [text, render.coming(debugger)]
    return Answer("\n".join(line for line in lines if line), standing(debugger))


async def step(session: Session, rest: str) -> Answer:
    """Take one transition, or several."""
    return stopped(session, await _often(session, rest, session.debugger.step))


async def go_next(session: Session, rest: str) -> Answer:
    """Go on to the next call."""
    return stopped(session, await _often(session, rest, session.debugger.next))


async def _often(session: Session, rest: str, move: Any) -> Stop:
    times = number(rest, 1)
    stop: Stop = await move()
    for _ in range(times - 1):
        if stop.why not in ("step", "call"):
            break
        stop = await move()
    return stop


async def proceed(session: Session, rest: str) -> Answer:
    """Go on."""
    return stopped(session, await session.debugger.proceed())


async def until(session: Session, rest: str) -> Answer:
    """Go on until a state or an event."""
    return stopped(session, await session.debugger.until(wanted(rest, "until STATE|EVENT")))


async def put(session: Session, rest: str) -> Answer:
    """Write a field."""
    name, _, text = wanted(rest, "set FIELD VALUE").partition(" ")
    text = text.strip().removeprefix("=").strip()
    debugger = session.debugger
    value = read_as(debugger.definition.types, {name: text})[name]
    kind = debugger.definition.declaration.context.get(name)
    if isinstance(value, str) and kind is not None and value[:1] in "\"'" and value[-1:] == value[:1] != "":
        value = value[1:-1]
    made = await debugger.set(**{name: value})
    written = made.entries[0][1]["values"][name]
    return taken(session, made, f"{name} = {render.shown(written)}, by hand; the run is marked as edited")


async def fire(session: Session, rest: str) -> Answer:
    """Raise an event."""
    event, *parts = words(wanted(rest, "fire EVENT [NAME=VALUE …]"))
    debugger = session.debugger
    declared = debugger.definition.payloads.get(event, {})
    return taken(session, await debugger.fire(event, read_as(declared, _named(parts))), "")


async def amend(session: Session, rest: str) -> Answer:
    """Change what the operator gave."""
    debugger = session.debugger
    given = _named(words(wanted(rest, "amend NAME=VALUE …")))
    made = await debugger.amend(**read_as(debugger.definition.types, given))
    return taken(session, made, tell(*made.entries[0]))


def _named(parts: list[str]) -> dict[str, str]:
    given = {}
    for part in parts:
        name, equals, value = part.partition("=")
        if not equals or not name:
            raise InvalidInput(f"`{part}` is not NAME=VALUE")
        given[name] = value
    return given


async def open_other(session: Session, rest: str) -> Answer:
    """Leave the run and open another one."""
    await session.debugger.open(wanted(rest, "open ID"))
    return Answer(render.greeting(session.debugger), standing(session.debugger))


async def fail(session: Session, rest: str) -> Answer:
    """Let the call that is about to be made fail."""
    failure, _, message = wanted(rest, "fail CLASS [MESSAGE]").partition(" ")
    return taken(
        session, await session.debugger.fail(failure, message.strip()), "pretended; no call was made"
    )


async def resolve(session: Session, rest: str) -> Answer:
    """Decide on a call in doubt."""
    verdict, _, output = rest.partition(" ")
    if verdict not in _VERDICTS:
        raise InvalidInput("write `resolve happened [OUTPUT]`, `resolve not-happened` or `resolve undo`")
    try:
        given = json.loads(output) if output.strip() else None
    except ValueError as error:
        raise InvalidInput(f"the output is not JSON: {error}") from None
    return stopped(session, await session.debugger.resolve(_VERDICTS[verdict], given))


async def approve(session: Session, rest: str) -> Answer:
    """Say yes to the request that the run waits for."""
    name, _, reason = wanted(rest, "approve NAME [REASON]").partition(" ")
    return stopped(session, await session.debugger.decide("approve", name, reason.strip()))


async def deny(session: Session, rest: str) -> Answer:
    """Say no to it."""
    name, _, reason = wanted(rest, "deny NAME [REASON]").partition(" ")
    return stopped(session, await session.debugger.decide("deny", name, reason.strip()))


async def undo(session: Session, rest: str) -> Answer:
    """Roll the run back."""
    return taken(session, await session.debugger.undo(), "rolling back, the newest write first")


_VERDICTS: dict[str, bool | Literal["undo"]] = {"happened": True, "not-happened": False, "undo": "undo"}


async def back(session: Session, rest: str) -> Answer:
    """Go back."""
    return _there(session, session.debugger.back(number(rest, 1)))


async def goto(session: Session, rest: str) -> Answer:
    """Go to a record."""
    seq = None if rest in ("end", "present") else number(wanted(rest, "goto SEQ | end"), 0)
    return _there(session, session.debugger.goto(seq))


def _there(session: Session, stop: Stop) -> Answer:
    answer = stopped(session, stop)
    made = session.debugger.last
    told = render.why(made, made.at).splitlines()[0] if made is not None and stop.why != "start" else ""
    return Answer("\n".join(t for t in (answer.text, told) if t), answer.data)


async def replay(session: Session, rest: str) -> Answer:
    """Play the recording on; from its start when the debugger is at the present."""
    debugger = session.debugger
    if not debugger.past:
        debugger.goto(1)
        if session.sees and debugger.last is not None:
            session.sees(render.why(debugger.last, debugger.last.at).splitlines()[0])
    until_seq = number(rest, 0)
    stop = await debugger.step() if debugger.past else debugger.goto()
    while debugger.past and (not until_seq or stop.seq < until_seq):
        stop = await debugger.step()
    return stopped(session, stop)


async def fork(session: Session, rest: str) -> Answer:
    """Go on from here, or from a record, as a new run."""
    given = words(rest)
    allowed = "--repeat-writes" in given
    seqs = [word for word in given if word != "--repeat-writes"]
    seq = number(seqs[0], 0) if seqs else None
    debugger, parent = session.debugger, session.debugger.run
    try:
        view = await debugger.fork(seq, repeat_writes=allowed)
    except WritesRepeated as error:
        if session.ask is None or not await session.ask(f"{error.question} Fork all the same?"):
            raise
        view = await debugger.fork(seq, repeat_writes=True)
    at = debugger.snapshot.parent.rpartition(":")[2]
    lines = [
        f"run {view.run} goes on from record {at} of {parent}, which stays as it is",
        render.coming(debugger),
    ]
    return Answer("\n".join(line for line in lines if line), standing(debugger))


def number(text: str, otherwise: int) -> int:
    """Return a whole number.

    Raises:
        InvalidInput: It is none, or below 1.
    """
    if not text:
        return otherwise
    if not text.isdigit() or int(text) < 1:
        raise InvalidInput(f"`{text}` is not a number from 1 on")
    return int(text)


def wanted(rest: str, usage: str) -> str:
    """Return what follows a verb that needs something; raise InvalidInput with the usage without it."""
    if not rest:
        raise InvalidInput(f"write `{usage}`")
    return rest


def words(text: str) -> list[str]:
    """Return the words of a line, quoted ones without their quotes; raise InvalidInput at a quote left open."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise InvalidInput(f"{error}; close the quote") from None
