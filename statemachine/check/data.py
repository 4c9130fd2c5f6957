"""Rules on the context: what is read before it is written, after it is stale, or never."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from statemachine.check import cel
from statemachine.check.ages import perishing
from statemachine.check.facts import Facts, Known, read_of
from statemachine.check.moves import Move, choices, edges, paths
from statemachine.check.paths import TooMany, shortest
from statemachine.check.rules import Rule
from statemachine.errors import Finding
from statemachine.machine import types
from statemachine.machine.definition import STALE as STALE_EVENT
from statemachine.machine.definition import STALE_FAILURE, Definition, Edge
from statemachine.machine.expressions import Expression, Guard
from statemachine.machine.model import State
from statemachine.machine.report import Keys

UNWRITTEN = Rule(
    "SM501",
    "field read before it is written",
    "error",
    "A field is written on every path to a place that reads it, or the place asks `known.field` first.",
    "An expression over what is not there fails: the guard takes no transition, the call is not made.",
)
STALE = Rule(
    "SM502",
    "field read when it may be stale",
    "warning",
    "Where the timeouts and waits since a field was written can add up to more than its `fresh_for`, `stale` is answered.",
    "The value is not given to whoever reads it, and the run ends as failed where nothing takes `stale`.",
)
UNREAD = Rule(
    "SM503",
    "field that nothing reads",
    "warning",
    "Every context field is read by a guard, a call, an output, a reason or `limits: watch`.",
    "It is what was left of a change, or the place that should read it reads another one.",
)
RULES = (UNWRITTEN, STALE, UNREAD)


@dataclass(frozen=True, slots=True)
class Place:
    """One expression that a run evaluates in a state.

    Attributes:
        state: The state.
        path: Where it is declared.
        expression: What is evaluated.
        event: The event whose guards are asked; empty when the state is entered.
        denied: The transitions before it, whose guards have said no.
        optional: Whether a plain path may lead to nothing.
    """

    state: str
    path: Keys
    expression: Guard | Expression
    event: str = ""
    denied: tuple[Edge, ...] = ()
    optional: bool = False

    @property
    def what(self) -> str:
        """What evaluates it, for people."""
        if self.path[-2:] == ("approval", "when"):
            return f"the approval of `{self.state}`"
        if self.path[-1] == "when":
            return f"the guard on `{self.event}` in `{self.state}`"
        return f"`sufficient` of `{self.state}`" if self.event else f"the call in `{self.state}`"


def check(definition: Definition) -> Iterator[Finding]:
    """Yield what is wrong with how a machine reads its context."""
    facts = Facts(definition)
    places = [place for state in facts.entering for place in places_in(definition, state)]
    yield from _unwritten(definition, facts, places)
    yield from _stale(definition, facts, places)
    yield from _unread(definition)


def places_in(definition: Definition, state: str) -> Iterator[Place]:
    """Yield the expressions that are evaluated in a state; outputs and reasons do without what is not there."""
    action = definition.actions.get(state)
    if action is not None:
        signature = definition.signatures[action.tool]
        for name, expression in action.arguments.items():
            given = name in definition.declaration.states[state].arguments
            path: Keys = ("states", state, "with", name) if given else ("states", state, "do")
            parameter = signature.input[name]
            optional = not parameter.required or types.required(parameter.type)[1]
            yield Place(state, path, expression, optional=optional)
        if action.condition is not None:
            yield Place(state, ("states", state, "approval", "when"), action.condition)
        if action.sufficient is not None:
            yield Place(state, ("states", state, "sufficient"), action.sufficient, "done")
    where = paths(definition)
    for events, candidates, _ in choices(definition, state):
        for index, edge in enumerate(candidates):
            if edge.guard is None:
                break
            yield Place(state, (*where[id(edge)], "when"), edge.guard, events[0], candidates[:index])


def _missing(facts: Facts, place: Place, known: Known) -> set[tuple[str, ...]]:
    """Return the paths that an expression reads though they may be unknown, given what is known on entry."""
    read = read_of(place.expression)
    if place.event and place.path[-1] == "when":
        known = facts.at_guards(place.state, place.event, known)
        for edge in place.denied:
            known |= facts.decided(edge, False)
    if read.tree is not None:
        return set(facts.missing(read.tree, read.names, known))
    if place.optional:
        return set()
    paths = (path for root, path in read.names.values() if root == "context")
    return {path for path in paths if not known.issuperset(facts.units(path))}


def _unwritten(definition: Definition, facts: Facts, places: list[Place]) -> Iterator[Finding]:
    told: set[tuple[Keys, str]] = set()
    for place in places:
        for path in sorted(_missing(facts, place, facts.entering[place.state])):
            if (place.path, path[0]) in told:
                continue
            told.add((place.path, path[0]))
            finding = _reaching(definition, facts, place, path)
            if finding is not None:
                yield finding


def _reaching(definition: Definition, facts: Facts, place: Place, path: tuple[str, ...]) -> Finding | None:
    """Return the finding that a run reads what is not there; None if no run does."""
    name = ".".join(path)
    units = frozenset(facts.units(path))

    def carry(state: str, move: Move, target: str, known: Known) -> Known:
        return facts.after(state, move, known) & units

    def goal(state: str, known: Known) -> bool:
        return state == place.state and path in _missing(facts, place, known)

    message = f"{place.what} reads `{name}`, which may not be there"
    # Known on entry, it is what the event took back: the whole field.
    unit = next((u for u in facts.units(path) if u not in facts.entering[place.state]), path[:1])
    advice = f"ask `known.{'.'.join(unit)}` first, write it on every path, or give it a default"
    if place.expression.checked is None and isinstance(place.expression, Guard):
        return UNWRITTEN.at(
            definition, place.path, f"{message}: its function may take that or not", "UNKNOWN", advice=advice
        )
    try:
        starts = [(definition.declaration.initial, facts.at_start & units)]
        run = shortest(definition, starts, carry, goal)
    except TooMany:
        return UNWRITTEN.at(
            definition, place.path, f"{message}: there are too many paths to tell", "UNKNOWN", advice=advice
        )
    if run is None:
        return None
    witness = (*run, f"{place.what} reads {name}, which nothing has written")
    return UNWRITTEN.at(definition, place.path, message, "REFUTED", offset=0, witness=witness, advice=advice)


def _stale(definition: Definition, facts: Facts, places: list[Place]) -> Iterator[Finding]:
    declared = definition.declaration
    elapsed = declared.limits.elapsed
    for name, field in declared.context.items():
        lasts = field.fresh_for
        if lasts is None or (elapsed is not None and elapsed <= lasts):
            continue
        for place in places:
            if name in perishing(definition, place.expression) and not _answered(definition, place):
                yield from _too_old(definition, facts, place, name, lasts)


def _answered(definition: Definition, place: Place) -> bool:
    """Return whether the machine says what happens when a value is too old for a place."""
    do = definition.declaration.states[place.state].do
    if (
        do is not None
        and place.path[2] in ("do", "with")
        and "stale_data" in definition.declaration.tools[do].retry
    ):
        return True
    failed = definition.candidates(place.state, STALE_FAILURE)
    return bool(definition.candidates(place.state, STALE_EVENT)) or any(
        edge.event == STALE_FAILURE for edge in failed
    )


def _too_old(
    definition: Definition, facts: Facts, place: Place, name: str, lasts: float
) -> Iterator[Finding]:
    """Yield the finding that a run reads a field that is too old, by the worst of its timeouts and waits."""
    states = definition.declaration.states
    old = lasts + 1

    def age_at(state: str, event: str, age: float) -> float:
        """Return the age when guards are asked; below zero while the field is not there."""
        if writes(definition, state, event, name):
            return 0.0
        return age if age < 0 else min(old, age + longest(definition, states[state]))

    def carry(state: str, move: Move, target: str, age: float) -> float:
        age = age_at(state, move.events[0], age)
        return min(age, lasts) if move.edge is not None and _asks_fresh(move.edge, name) else age

    def goal(state: str, age: float) -> bool:
        if state != place.state:
            return False
        if place.path[-1] == "sufficient":  # asked when the call has ended, before anything is saved
            return min(old, age + longest(definition, states[state])) > lasts and age >= 0
        return (age_at(state, place.event, age) if place.event else age) > lasts

    first = 0.0 if (name,) in facts.at_start else -1.0
    message = f"{place.what} reads `{name}`, which may be older than its `fresh_for` of {lasts:g} s by then"
    advice = f"read it anew before, ask `fresh.{name}`, or answer `stale` with a transition"
    try:
        witness = shortest(definition, [(definition.declaration.initial, first)], carry, goal)
    except TooMany:
        message += ": how old is too much to follow"
        yield STALE.at(definition, place.path, message, "UNKNOWN", offset=0, advice=advice)
        return
    if witness is not None:
        yield STALE.at(definition, place.path, message, "REFUTED", offset=0, witness=witness, advice=advice)


def longest(definition: Definition, state: State) -> float:
    """Return the seconds that a run may stay in a state, a person's decision on a call in doubt aside."""
    limit = float("inf") if state.timeout is None else state.timeout
    if state.wait is not None:
        return min(limit, state.wait.seconds(state.attempts or 1))
    if state.do is None:
        return 0.0 if state.always is not None else limit
    tool = definition.declaration.tools[state.do]
    seconds = tool.timeout
    for policy in tool.retry.values():
        seconds += policy.max * tool.timeout
        if policy.refresh is not None:
            seconds += policy.max * definition.declaration.tools[policy.refresh].timeout
        else:
            seconds += sum(policy.seconds(n) for n in range(1, policy.max + 1))
    return min(limit, seconds) if tool.effect == "read" else seconds


def writes(definition: Definition, state: str, event: str, name: str) -> bool:
    """Return whether a state writes a field when it is left by an event."""
    action = definition.actions.get(state)
    if action is not None:
        return event in ("done", "partial") and any(field == name for field, _, _ in action.saves)
    parts = definition.payloads.get(event, {})
    return any(field == name and path[0] in parts for field, path, _ in definition.receives.get(state, ()))


def _asks_fresh(edge: Edge, name: str) -> bool:
    """Return whether a transition is taken only while a field is fresh."""
    if edge.guard is None or edge.guard.opaque:
        return False
    read = read_of(edge.guard)
    pending = [read.tree]
    while pending:
        match pending.pop():
            case cel.Apply("_&&_", both):
                pending += both
            case cel.Name(asked) if read.names.get(asked) == ("fresh", (name,)):
                return True
    return False


def _unread(definition: Definition) -> Iterator[Finding]:
    declared = definition.declaration
    read = set(declared.limits.watch)
    expressions: list[Guard | Expression] = [*definition.reasons.values()]
    for action in definition.actions.values():
        asked = (action.condition, action.sufficient, action.reasoning, action.expects)
        expressions += [*action.arguments.values(), *(e for e in asked if e is not None)]
    for outputs in definition.outputs.values():
        expressions += outputs.values()
    expressions += [edge.guard for _, edge in edges(definition) if edge.guard is not None]
    for expression in expressions:
        read |= {path[0] for _, root, path in expression.reads if root in ("context", "known", "fresh")}
    saved = {field for state in declared.states.values() for field in state.save}
    for name in declared.context:
        if name not in read:
            what = "reads" if name in saved else "reads or writes"
            message = f"nothing {what} the field `{name}`"
            advice = "use it where it was meant to be, name it in an output, or remove it"
            yield UNREAD.at(definition, ("context", name), message, "PROVED", key=True, advice=advice)
