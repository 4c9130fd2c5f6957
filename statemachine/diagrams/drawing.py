"""What a picture of a machine shows, and the role of each thing in it; how it looks is decided elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from statemachine.machine.contract import Backoff, Tool
from statemachine.machine.duration import spell
from statemachine.machine.model import Approval, Declaration, Level, PythonGuard, State, Transition

NodeRole = Literal["call", "write", "irreversible", "wait", "choice", "event", "succeeded", "failed"]
"""What a state does, and how it touches the world when it does."""

ArrowRole = Literal["step", "failure", "timeout", "exhausted"]
"""Why a transition is taken: an ordinary event, a failed call or limit, time, or too many entries."""

Tone = Literal["plain", "pale", "taken", "failed", "added", "removed", "changed"]
"""What a picture of a run or of a difference says of a thing: ``pale`` where that is nothing."""


class Note(NamedTuple):
    """A line of text that a run or a difference adds.

    Attributes:
        text: The line.
        tone: What it is about.
    """

    text: str
    tone: Tone


@dataclass(frozen=True, slots=True)
class Node:
    """One state.

    Attributes:
        name: Its declared name.
        role: What it does.
        facts: What it calls, waits for and is limited by, a line each.
        attempts: How often it may be entered, if that is limited.
        tone: What a run or a difference says of it.
        badge: What stands before its name: ``+``, ``-`` or ``~`` in a difference.
        notes: Further lines.
        share: Which part of a run's time went here, from 0 to 1; None where no run is drawn.
    """

    name: str
    role: NodeRole
    facts: tuple[str, ...]
    attempts: int | None = None
    tone: Tone = "plain"
    badge: str = ""
    notes: tuple[Note, ...] = ()
    share: float | None = None

    @property
    def label(self) -> str:
        """The name as a title: ``find_cause`` becomes ``Find cause``."""
        return self.name.replace("_", " ").capitalize()


@dataclass(frozen=True, slots=True)
class Arrow:
    """One transition; source, role, event and index together tell it from every other one.

    Attributes:
        source: The state that it leaves; None for a transition of the machine, from every state that is
            not final.
        target: The state that it enters.
        role: Why it is taken.
        event: Its event; None when it is taken at once or because attempts are exhausted.
        index: Its place among the transitions of its event, from 0.
        label: The event as people read it, with the time or the count that leads to it.
        guard: Its guard, ``else`` when it is what earlier guards leave over, or None.
        order: Its place in the order in which guards are tried, from 1; 0 where that is plain.
        resets: The states whose attempts it sets to zero.
        loop: Whether it lies on a cycle.
        main: Whether it lies on the walk once round a loop.
        tone: What a run or a difference says of it.
        badge: Its turns in a run's path; ``+``, ``-`` or ``~`` in a difference.
        notes: Further lines.
    """

    source: str | None
    target: str
    role: ArrowRole
    event: str | None
    index: int
    label: str
    guard: str | None = None
    order: int = 0
    resets: tuple[str, ...] = ()
    loop: bool = False
    main: bool = False
    tone: Tone = "plain"
    badge: str = ""
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The whole transition in one line, without its ends and its badge."""
        parts = [f"{self.order}." if self.order else "", self.label, f"[{self.guard}]" if self.guard else ""]
        parts.append(f"resets {', '.join(self.resets)}" if self.resets else "")
        parts.append(f"({'; '.join(self.notes)})" if self.notes else "")
        return " ".join(p for p in parts if p)

    @property
    def told(self) -> str:
        """The same after its badge: ``+ done``, ``2, 7: done``."""
        between = " " if self.tone in ("added", "removed", "changed") else ": "
        return f"{self.badge}{between}{self.text}" if self.badge else self.text


@dataclass(frozen=True, slots=True)
class Loop:
    """A group of states each of which leads back to all others.

    Attributes:
        states: Their names in declared order.
        walk: The states passed in going round once, from where the loop is entered; the last one is that
            where the walk meets itself.
    """

    states: tuple[str, ...]
    walk: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A machine as it is drawn.

    Attributes:
        name: The machine's name.
        version: Its version, with a ``v`` before a number.
        size: Digest and counts.
        limits: What ends any run, and where unanswered events lead.
        initial: The state that a run starts in.
        nodes: The states in declared order.
        arrows: The transitions in declared order, those of the machine last.
        loops: The groups of states that lie on common cycles, in declared order.
        here: The state that a run is in, or ended in.
        begun: Whether a run is drawn that began at the start, and not where another one was.
        notes: Lines below the title: how the run stands, or what differs in no state or transition.
    """

    name: str
    version: str
    size: str
    limits: str
    initial: str
    nodes: tuple[Node, ...]
    arrows: tuple[Arrow, ...]
    loops: tuple[Loop, ...]
    here: str | None = None
    begun: bool = False
    notes: tuple[Note, ...] = ()


def draw(declaration: Declaration) -> Drawing:
    """Return the drawing of a declaration whose targets all exist."""
    states = declaration.states
    arrows = [arrow for name, state in states.items() for arrow in _leaving(name, state)]
    arrows, loops = _looped(arrows, declaration)
    for event, transitions in declaration.on.items():
        arrows += _arrows(None, event, transitions, _role(event), event)
    version = printable(declaration.version)
    return Drawing(
        name=declaration.machine,
        version=f"v{version}" if version[:1].isdigit() else version,
        size=f"sha256:{declaration.digest[:8]} · {_count(len(states), 'state')}"
        f" · {_count(len(arrows), 'transition')}",
        limits=_limits(declaration),
        initial=declaration.initial,
        nodes=tuple(_node(name, state, declaration) for name, state in states.items()),
        arrows=tuple(arrows),
        loops=loops,
    )


def _node(name: str, state: State, declaration: Declaration) -> Node:
    tool = declaration.tools.get(state.do) if state.do else None
    facts = tuple(_facts(state, tool, declaration.approval(state)))
    return Node(name, _node_role(state, tool), facts, state.attempts)


def _node_role(state: State, tool: Tool | None) -> NodeRole:
    if state.final is not None:
        return state.final
    if tool is not None and tool.effect == "write":
        return "irreversible" if tool.irreversible else "write"
    kind = state.kind
    assert kind != "final"  # for the type checker: final is answered above
    return "write" if kind == "undo" else kind


def _facts(state: State, tool: Tool | None, approval: Approval | None) -> Iterator[str]:
    if state.do is not None:
        yield f"calls {state.do}"
    if tool is not None:
        yield f"{_effect(tool)} · {spell(tool.timeout)}"
        if approval is not None:
            yield f"asks {', then '.join(_asks(level) for level in approval.levels)}"
        if tool.retry:
            yield "retries " + ", ".join(f"{failure} ×{retry.max}" for failure, retry in tool.retry.items())
        if tool.undo:
            yield f"undone by {tool.undo}"
    if state.sufficient is not None:
        yield f"enough if {printable(state.sufficient)}"
    if state.undo is not None:
        yield "undoes what was written, the newest first"
    if state.wait is not None:
        yield f"waits {_backoff(state.wait)}"
    if state.kind == "event":
        yield f"waits for {', '.join(e for e in state.on if e != 'timeout') or 'its timeout'}"
    limits = [f"attempts ≤ {state.attempts}"] if state.attempts else []
    limits += [f"timeout {spell(state.timeout)}"] if state.timeout else []
    if limits:
        yield " · ".join(limits)


def _effect(tool: Tool) -> str:
    if tool.effect == "read":
        return "read"
    return {"none": "write ! irreversible", "partial": "write, partly reversible"}.get(
        tool.reversibility or "", "write"
    )


def _asks(level: Level) -> str:
    who = " or ".join(level.approvers) or "an approver"
    return f"{f'{level.needed} of ' if level.needed > 1 else ''}{who} · {spell(level.expires)}"


def _backoff(wait: Backoff) -> str:
    if wait.factor == 1 or wait.cap == wait.initial:
        return spell(wait.initial)
    return f"{spell(wait.initial)} ×{wait.factor:g} ≤ {spell(wait.cap)}"


def _leaving(name: str, state: State) -> Iterator[Arrow]:
    if state.always is not None:
        yield from _arrows(name, None, state.always, "step", "at once")
    for event, transitions in state.on.items():
        label = f"timeout {spell(state.timeout)}" if event == "timeout" and state.timeout else event
        yield from _arrows(name, event, transitions, _role(event), label)
    if state.exhausted is not None:
        label = f"exhausted after {state.attempts}"
        yield Arrow(name, state.exhausted, "exhausted", None, 0, label)


def _arrows(
    source: str | None, event: str | None, transitions: tuple[Transition, ...], role: ArrowRole, label: str
) -> Iterator[Arrow]:
    label = "any other event" if event == "*" else label
    guarded = sum(t.when is not None for t in transitions)
    for index, transition in enumerate(transitions):
        guard = _guard(transition) or ("else" if index else None)
        # With one guard and an else the order is plain; with two guards it decides.
        order = index + 1 if guarded > 1 else 0
        resets = transition.resets
        yield Arrow(source, transition.to, role, event, index, label, guard, order, resets)


def _role(event: str) -> ArrowRole:
    if event == "timeout":
        return "timeout"
    return "failure" if event.partition(".")[0] in ("failed", "partial", "limit") else "step"


def _guard(transition: Transition) -> str | None:
    when = transition.when
    return f"{printable(when.python)}()" if isinstance(when, PythonGuard) else when and printable(when)


def printable(text: str) -> str:
    """Return free text in one line, with what does not print (controls, direction marks) as escapes."""
    line = " ".join(text.split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def _limits(declaration: Declaration) -> str:
    limits = declaration.limits
    parts = [_count(limits.steps, "step")]
    parts += [_count(limits.calls, "call")] if limits.calls else []
    parts += [spell(limits.elapsed)] if limits.elapsed else []
    parts += [f"{most:g} {unit}" for unit, most in limits.cost.items()]
    return f"at most {', '.join(parts)}; past that, or unanswered: {declaration.otherwise}"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _looped(arrows: list[Arrow], declaration: Declaration) -> tuple[list[Arrow], tuple[Loop, ...]]:
    import networkx as nx

    place = {name: i for i, name in enumerate(declaration.states)}
    graph: nx.DiGraph[str] = nx.DiGraph((a.source, a.target) for a in arrows)
    groups = [sorted(g, key=place.__getitem__) for g in nx.strongly_connected_components(graph) if len(g) > 1]
    groups.sort(key=lambda names: place[names[0]])
    loops, main = [], set()
    for names in groups:
        start = declaration.initial if declaration.initial in names else names[0]
        walk = list(_round(start, [a for a in arrows if a.source in names and a.target in names], place))
        loops.append(Loop(tuple(names), (start, *(a.target for a in walk))))
        main |= {id(a) for a in walk}
    group = {name: n for n, names in enumerate(groups) for name in names}
    marked = [
        replace(
            a,
            loop=a.source == a.target or (a.source in group and group[a.source] == group.get(a.target)),
            main=id(a) in main,
        )
        for a in arrows
    ]
    return marked, tuple(loops)


def _round(state: str, inside: list[Arrow], place: dict[str, int]) -> Iterator[Arrow]:
    """Walk once round a loop: on to new states while there are any, by ordinary events if it can be, and to
    those declared first, so that a way that skips work is not taken for the usual one."""
    seen = {state}
    while True:
        ways = [a for a in inside if a.source == state and a.target != state]
        new = [a for a in ways if a.target not in seen]
        # min keeps the first of equals: back into the walk, the transition declared first.
        way = min(
            new or ways,
            key=lambda a: (a.role == "exhausted", a.role != "step", place[a.target] if new else 0),
        )
        yield way
        if way.target in seen:
            return
        seen.add(way.target)
        state = way.target
