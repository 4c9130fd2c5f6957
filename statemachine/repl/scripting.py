"""Verbs about the session itself: help, files of lines, leaving."""

from __future__ import annotations

from pathlib import Path

from statemachine.errors import InvalidInput, OutputUnwritable
from statemachine.repl.moving import standing, wanted, words
from statemachine.repl.session import Answer, Session


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
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidInput(f"{path} is no text") from None
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
    forms = [f"`{form}`" for form in (verb.short, *verb.also) if form]
    short = f" (or {', '.join(forms)})" if forms else ""
    text = f"{verb.name} {verb.usage}".rstrip() + f"{short}\n  {verb.help}\n  Example: {verb.example}"
    return Answer(text, {"verb": verb.name, "usage": verb.usage, "help": verb.help, "example": verb.example})


async def quit_(session: Session, rest: str) -> Answer:
    """Leave."""
    debugger = session.debugger
    left = debugger.live and not debugger.driven_by
    text = f"go on with: statemachine repl {debugger.run}, or: statemachine resume {debugger.run}"
    return Answer(text if left else "", standing(debugger), leave=True)
