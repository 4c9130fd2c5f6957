"""What a machine's bounds take for granted, said with them."""

from __future__ import annotations

from collections.abc import Iterator

from statemachine.check.space import Space


def assumptions(space: Space) -> Iterator[str]:
    """Yield what must hold for the bounds of a machine to hold, as sentences."""
    tools = space.definition.declaration.tools
    called = {name: tools[name] for name in dict.fromkeys(s.do for s in space.states.values() if s.do)}
    if called:
        yield "A call ends, or the runtime ends it, within the time-out that its tool declares."
        yield "No process is stopped in the middle of a call: each time it is, one call more may be made."
    waiting = [n for n, t in called.items() if any(policy.refresh is None for policy in t.retry.values())]
    if waiting:
        yield f"Nothing asks {_listed(waiting)}, as with Retry-After, to wait longer than the back-off."
    doubtful = [n for n, t in called.items() if not t.repeatable]
    if doubtful:
        yield f"Nobody lets a call of {_listed(doubtful)} stay in doubt: how long a decision takes is not counted."
    if space.definition.undoes:
        yield "Nobody asks to undo anything: what the command `undo`, and `resolve --undo`, call is not counted."
    if any(arc.outside for arcs in space.arcs.values() for arc in arcs):
        yield "An event from outside can come at any time, and as often as a state takes it."
    yield "Time is what calls, back-offs and waits take; the runtime's own, and that of a stopped one, is not counted."


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
