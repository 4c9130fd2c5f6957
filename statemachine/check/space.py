"""The abstract machine that is proved: states, counters of attempts, and every move that any event can cause.

What guards decide is left open, unless they are constant; what tools answer and what comes from outside is
left open too. So every run of the kernel is a walk here, limits aside. The rules are those of
``kernel/enter.py``, ``route.py``, ``calls.py``, ``amending.py``, ``rollback.py`` and ``due.py``.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from statemachine.check.ages import perishing
from statemachine.machine.contract import FAILURE_CLASSES, Tool
from statemachine.machine.definition import (
    AMENDED,
    DENIED,
    EXPIRED,
    REFUSED,
    STALE,
    STALE_FAILURE,
    STUCK,
    UNDO,
    Definition,
    Edge,
)
from statemachine.machine.model import State

Stay = Literal["whole", "cut", "none"]
"""How much of a state is used before it is left: all; all but the last call; nothing, because its call is
never made or its round is stuck."""

Counts = tuple[int, ...]
"""The attempts used, in the order of :attr:`Space.most`."""

_STAYS: tuple[Stay, ...] = ("none", "cut", "whole")
_CONSTANT = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Arc:
    """One move out of a state, and all events that cause it.

    Attributes:
        source: The state that is left.
        target: Where it leads, unless that state is exhausted.
        resets: States whose attempts fall to zero.
        events: The events, the one that uses most of the state first.
        stay: How much of the state that one uses.
        outside: Whether they come from outside: from a person or a program, never by themselves.
        declared: Whether a transition says so; else it is what happens when none takes the event.
    """

    source: str
    target: str
    resets: tuple[str, ...]
    events: tuple[str, ...]
    stay: Stay
    outside: bool
    declared: bool


@dataclass(frozen=True, slots=True)
class Space:
    """A machine's abstract machine.

    Attributes:
        definition: The machine.
        states: Every state by name.
        most: How often each state that counts attempts may be entered, in the order of ``counted``.
        arcs: For each state, its moves.
    """

    definition: Definition
    states: Mapping[str, State]
    most: Mapping[str, int]
    arcs: Mapping[str, tuple[Arc, ...]]

    @property
    def counted(self) -> tuple[str, ...]:
        """The states whose attempts are followed."""
        return tuple(self.most)

    @property
    def initial(self) -> str:
        """The state that a run starts in."""
        return self.definition.declaration.initial

    def begin(self) -> tuple[str, Counts]:
        """Return where a run starts, and its counters then."""
        return self.initial, tuple(int(name == self.initial) for name in self.most)

    def follow(self, counts: Counts, arc: Arc) -> tuple[str, Counts]:
        """Return where a move arrives with these counters, and the counters then."""
        target = arc.target
        if not arc.resets and target not in self.most:
            return target, counts
        used = dict(zip(self.most, counts, strict=True))
        for name in arc.resets:
            if name in used:
                used[name] = 0
        while (most := self.most.get(target)) is not None:
            if used[target] < most:
                used[target] += 1
                break
            target = self.states[target].exhausted or ""
        return target, tuple(used.values())

    def tool(self, state: str) -> Tool:
        """Return the tool that a state calls."""
        return self.definition.declaration.tools[self.states[state].do or ""]

    def only(self, *counted: str) -> Space:
        """Return the machine with these counters alone: whether another state is exhausted is left open."""
        most = {name: self.most[name] for name in counted}
        arcs = {name: tuple(self._either(arcs, most)) for name, arcs in self.arcs.items()}
        return Space(self.definition, self.states, most, arcs)

    def _either(self, arcs: Iterable[Arc], kept: Mapping[str, int]) -> Iterator[Arc]:
        for arc in arcs:
            target: str | None = arc.target
            while target is not None:
                yield replace(arc, target=target)
                left_open = target not in kept and target not in arc.resets
                target = self.states[target].exhausted if left_open else None


def space_of(definition: Definition) -> Space:
    """Return the abstract machine of a machine."""
    states = dict(definition.declaration.states)
    most = {name: state.attempts for name, state in states.items() if state.attempts is not None}
    otherwise = definition.declaration.otherwise
    return Space(definition, states, most, {name: _arcs(definition, name, otherwise) for name in states})


def _arcs(definition: Definition, name: str, otherwise: str) -> tuple[Arc, ...]:
    found: dict[tuple[str, frozenset[str], bool], dict[str, tuple[Stay, bool]]] = {}
    for event, stay, outside in occurring(definition, name):
        for edge in _ways(definition, name, event, outside):
            target = otherwise if edge is None else edge.target
            resets = frozenset(() if edge is None else edge.resets)
            events = found.setdefault((target, resets, outside), {})
            before = events.get(event, ("none", False))
            events[event] = (max(stay, before[0], key=_STAYS.index), before[1] or edge is not None)
    arcs = []
    for (target, resets, outside), events in found.items():
        # A failure stands for what is caught with it better than half a success does.
        ordered = sorted(
            events, key=lambda e: (not events[e][1], -_STAYS.index(events[e][0]), e == "partial")
        )
        stay = max((stay for stay, _ in events.values()), key=_STAYS.index)
        declared = any(own for _, own in events.values())
        arcs.append(Arc(name, target, tuple(sorted(resets)), tuple(ordered), stay, outside, declared))
    return tuple(arcs)


Occurring = tuple[str, Stay, bool]
"""An event that can happen in a state, how much of the state it uses, and whether it is from outside."""


def occurring(definition: Definition, name: str) -> Iterator[Occurring]:
    """Yield what can happen in a state."""
    raised = list(_raised(definition, name))
    yield from raised
    stale = list(_stale(definition, name, raised))
    if not stale:
        return
    stay, outside = max((s for s, _ in stale), key=_STAYS.index), all(o for _, o in stale)
    edges = definition.candidates(name, STALE)
    if edges:
        yield STALE, stay, outside
    # What does not answer `stale` gets this; as the failure of a call it is there anyway.
    if all(edge.guard is not None for edge in edges) and not any(e == STALE_FAILURE for e, _, _ in raised):
        yield STALE_FAILURE, stay, outside


def can_be_stale(definition: Definition, name: str) -> bool:
    """Return whether a value can be too old for what a state decides or calls."""
    return any(True for _ in _stale(definition, name, _raised(definition, name)))


def _stale(definition: Definition, name: str, raised: Iterable[Occurring]) -> Iterator[tuple[Stay, bool]]:
    """Yield how much of a state is used, and whether by an event from outside, when a value is too old there."""
    if not definition.perishable:
        return
    action = definition.actions.get(name)
    if action is not None:
        if perishing(definition, *action.arguments.values(), action.condition):
            yield _before_call(definition, name), False
        if perishing(definition, action.sufficient):
            yield "whole", False
    for event, stay, outside in raised:
        if event not in ("cancelled", UNDO) and perishing(
            definition, *(edge.guard for edge in definition.candidates(name, event))
        ):
            yield stay, outside


def _before_call(definition: Definition, name: str) -> Stay:
    """Return how much of a state is used at most when its call turns out not to be made, or not once more."""
    return "cut" if definition.declaration.tools[definition.actions[name].tool].retry else "none"


def stays(definition: Definition, name: str, event: str, outside: bool) -> bool:
    """Return whether a run stays as it is when no transition takes an event: one from outside is refused.

    But an amendment during a write is taken at once, and asked for its route when the write has ended.
    """
    state = definition.declaration.states[name]
    waits = state.do is not None and definition.declaration.tools[state.do].effect == "write"
    return outside and not (event == AMENDED and waits)


def _raised(definition: Definition, name: str) -> Iterator[Occurring]:
    """Yield what can happen in a state while all values are young enough."""
    declared = definition.declaration
    state, limits = declared.states[name], declared.limits
    if state.kind == "final":
        return
    interrupted: list[Stay] = ["whole"]
    if state.kind == "call":
        tool, action = declared.tools[state.do or ""], definition.actions[name]
        yield "done", "whole", False
        yield "partial", "whole", False
        for failure in FAILURE_CLASSES:
            # What may have happened and must not be repeated is resolved first, and fails as something else,
            # unless a person has it undone.
            if failure != "in_doubt" or tool.repeatable or tool.undo is not None:
                yield f"failed.{failure}", "whole", False
        interrupted = _interruptions(tool)
        if action.asking is not None:
            # People are asked before the call, and again after data were read anew.
            asked: Stay = "cut" if "stale_data" in tool.retry else "none"
            for event in (DENIED, EXPIRED, *((REFUSED,) if action.asking.guard else ())):
                yield event, asked, False
            interrupted.append(asked)
        if any(argument.computed for argument in action.arguments.values()):
            yield REFUSED, "cut" if "stale_data" in tool.retry else "none", False
            interrupted.append("none")
        if perishing(definition, *action.arguments.values()):
            interrupted.append(_before_call(definition, name))
        if limits.stuck_after is not None:
            yield STUCK, "none", False
            interrupted.append("none")
    elif state.kind == "wait":
        yield "elapsed", "whole", False
    elif state.kind == "choice":
        yield "always", "whole", False
    elif state.kind == "undo":
        interrupted = []  # a roll back is not left half-way
        yield "done", "whole", False
        yield "partial", "whole", False
        for failure in FAILURE_CLASSES if definition.undoes else ():
            yield f"failed.{failure}", "whole", False
    if state.attempts is not None and limits.stuck_after is not None and limits.watch:
        yield STUCK, "none", False
        interrupted.append("none")
    if state.kind != "undo" and definition.candidates(name, AMENDED):
        yield AMENDED, "whole", True  # it waits for a write to end
    if not interrupted:
        return
    stay = max(interrupted, key=_STAYS.index)
    if state.timeout is not None and stay != "none":
        yield "timeout", stay, False
    for event in (*definition.payloads, "cancelled", UNDO):
        if definition.candidates(name, event):
            yield event, stay, True


def _interruptions(tool: Tool) -> list[Stay]:
    """Return when a state that calls the tool can be left without the call's outcome: never in a write."""
    if tool.effect == "read":
        return ["whole"]
    return ["cut"] if tool.retry else []


def _ways(definition: Definition, name: str, event: str, outside: bool) -> Iterator[Edge | None]:
    """Yield each transition that an event can take from a state; None for the way to ``otherwise``."""
    closed, unsure = yield from _chosen(definition.candidates(name, event))
    if unsure and event not in (REFUSED, STALE, "cancelled", UNDO):
        # A guard that fails to evaluate raises an event of its own, also in the course of one from outside.
        answered, _ = yield from _chosen(definition.candidates(name, REFUSED))
        closed = closed and answered
    elif unsure and event == REFUSED:
        closed = False
    if not closed and event != STALE and not stays(definition, name, event, outside):
        yield None


def _chosen(edges: tuple[Edge, ...]) -> Generator[Edge, None, tuple[bool, bool]]:
    """Yield the transitions that may be chosen; return if one is for sure, and if a guard may fail before."""
    unsure = False
    for edge in edges:
        verdict = True if edge.guard is None else _CONSTANT.get(edge.guard.text.strip())
        if verdict is not False:
            yield edge
        if verdict is True:
            return True, unsure
        unsure = unsure or verdict is None
    return False, unsure
