"""Rules on approvals: a machine says who approves what cannot be undone, and what they approve holds still.

That somebody does is enforced anyway: without ``approval`` anyone whom the policy names is asked. So is that a yes
counts only for the input that it was said to: any other is a new request.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

from statemachine.check.ages import perishing, reading
from statemachine.check.bounds import Prover, prover_of
from statemachine.check.data import writes
from statemachine.check.paths import TooMany, visit
from statemachine.check.product import Product
from statemachine.check.rules import Rule
from statemachine.check.space import Arc
from statemachine.check.witness import Way, told
from statemachine.errors import Finding
from statemachine.machine.definition import AMENDED, Action, Definition
from statemachine.machine.duration import spell
from statemachine.machine.expressions import Expression, Guard
from statemachine.machine.model import OPERATOR, State
from statemachine.machine.report import Keys

UNAPPROVED = Rule(
    "SM601",
    "irreversible call that names no approvers",
    "error",
    "The state of a call that nothing undoes (`reversibility: none`) says who approves it: `approval: {approvers: …}`.",
    "Such a call always waits for somebody's yes. Where the machine does not say whose, anyone's in the policy will do.",
)
UNSTEADY = Rule(
    "SM602",
    "approved input that does not hold still",
    "warning",
    "What a call that needs approval reads is fresh for as long as people may decide, and nothing takes the request back "
    "again and again.",
    "A yes counts only for the very input that was asked about. If that is stale, or written meanwhile, by the time of "
    "the call, it was said for nothing, and people are asked anew.",
)
RULES = (UNAPPROVED, UNSTEADY)


def check(definition: Definition) -> Iterator[Finding]:
    """Yield the irreversible calls that anyone may approve, and the requests that may not last until they are decided."""
    yield from _unapproved(definition)
    for name, action in definition.actions.items():
        if action.asking is not None:
            yield from _outlasting(definition, name, action)
            yield from _taken_back(definition, name, action, prover_of(definition))


def _unapproved(definition: Definition) -> Iterator[Finding]:
    declared = definition.declaration
    for name, state in declared.states.items():
        if state.do is None or not declared.tools[state.do].irreversible or _approved(state):
            continue
        path: Keys = ("states", name, "do")
        advice = "write `approval: {approvers: [ROLE], expires: 1d}`, or silence this with the reason why anyone may"
        try:
            first = visit(definition, name)
            again = visit(definition, name, again=True) if first else None
        except TooMany:
            message = f"whether a run can ask for the irreversible call `{state.do}` is too much to follow"
            yield UNAPPROVED.at(definition, path, message, "UNKNOWN", advice=advice)
            continue
        if first is not None:
            more = ", and again after it" if again else ""
            message = f"`{state.do}` cannot be undone, and `{name}` says nothing of who approves it{more}"
            yield UNAPPROVED.at(definition, path, message, "REFUTED", witness=again or first, advice=advice)


def _approved(state: State) -> bool:
    return state.approval is not None and bool(state.approval.approvers)


def _outlasting(definition: Definition, name: str, action: Action) -> Iterator[Finding]:
    """Yield the fields that a call reads and that are stale before the last moment at which a yes may come."""
    state, asking = definition.declaration.states[name], action.asking
    assert asking is not None
    asked: list[Guard | Expression] = [*action.arguments.values()]
    asked += [] if action.condition is None else [action.condition]
    lasts = min(sum(level.expires for level in asking.levels), state.timeout or float("inf"))
    # Asking `fresh.field` gives another input, or forbids the call, once it is not.
    tells = {path[0] for e in asked for _, root, path in e.reads if root == "fresh"}
    anew = _read_anew(definition, action) & perishing(definition, *action.arguments.values()) - tells
    for field, fresh in definition.perishable.items():
        if field in anew or fresh >= lasts or field not in perishing(definition, *asked) | tells:
            continue
        message = (
            f"people have {spell(lasts)} to approve `{action.tool}`, which reads `{field}`, fresh for {spell(fresh)}: "
            "a later yes counts for nothing"
        )
        advice = f"let the request expire within {spell(fresh)}, or `{field}` be fresh for longer, or be read anew (retry: stale_data)"
        yield from _reached(definition, name, message, advice, f"{field} is stale after {spell(fresh)}")


def _read_anew(definition: Definition, action: Action) -> frozenset[str]:
    """Return the fields that are read anew when an approved call would be made with what is too old: the yes stands."""
    declared = definition.declaration
    policy = declared.tools[action.tool].retry.get("stale_data")
    readers = (state for state in declared.states.values() if policy and state.do == policy.refresh)
    return frozenset(field for state in readers for field in state.save)


def _reached(definition: Definition, name: str, message: str, advice: str, line: str) -> Iterator[Finding]:
    try:
        way = visit(definition, name)
    except TooMany:
        message += "; whether a run comes there is too much to follow"
        yield UNSTEADY.at(definition, _place(definition, name), message, "UNKNOWN", advice=advice)
        return
    if way is not None:
        witness = (*way, f"{name} asks for approval", line)
        yield UNSTEADY.at(
            definition, _place(definition, name), message, "REFUTED", witness=witness, advice=advice
        )


def _place(definition: Definition, name: str) -> Keys:
    return ("states", name, "approval" if definition.declaration.states[name].approval else "do")


def _taken_back(definition: Definition, name: str, action: Action, prover: Prover) -> Iterator[Finding]:
    """Yield the finding that a request is taken back by what comes from outside, and made anew with another input."""
    fields = reading(*action.arguments.values())
    product = prover.product or prover.open
    way = _round(definition, product, name, fields)
    if not way:
        return
    event = way[0][1].events[0]
    message = (
        f"while people decide on `{action.tool}`, `{event}` takes the request back and leads to another with a new "
        "input: no counter says how often"
    )
    advice = "count the attempts of a state on the way back, or silence this with the reason why it may go on"
    if prover.product is None:
        message += "; there are too many counts to look at whether one does"
        yield UNSTEADY.at(definition, _place(definition, name), message, "UNKNOWN", advice=advice)
        return
    begin = way[0][0]
    lines = (
        *told(product, product.way(begin), begin),
        f"{name} asks for approval, and for ever:",
        *told(product, way, begin),
    )
    yield UNSTEADY.at(
        definition,
        _place(definition, name),
        message,
        "REFUTED",
        witness=lines,
        advice=advice,
        severity="info",
    )


def _round(definition: Definition, product: Product, name: str, fields: frozenset[str]) -> Way:
    """Return a shortest way out of a state by an event from outside, past a write to one of the fields, and back.

    It lies within one component of the product, so that it can be gone again and again.
    """
    context = definition.declaration.context
    given = [field for field in context if OPERATOR in context[field].owner]
    amendable = not fields.isdisjoint([*given, *definition.derived(given)])

    @cache
    def writing(arc: Arc) -> str:
        """Return the event of a move that writes one of the fields; empty if none does."""
        if amendable and AMENDED in arc.events:
            return AMENDED
        return next(
            (e for e in arc.events for field in fields if writes(definition, arc.source, e, field)), ""
        )

    for component in sorted(product.loops, key=min):
        inside = set(component)
        moves = {
            node: [(arc, to, writing(arc)) for arc, to in product.moves[node] if to in inside]
            for node in component
        }
        if not any(event for found in moves.values() for _, _, event in found):
            continue
        for begin in sorted(node for node in component if product.configs[node][0] == name):
            came: dict[tuple[int, bool], tuple[tuple[int, bool], Arc] | None] = {(begin, False): None}
            queue = deque(came)
            while queue:
                at = queue.popleft()
                for arc, to, event in moves[at[0]]:
                    if came[at] is None and not arc.outside:
                        continue
                    then = (to, at[1] or bool(event))
                    if then not in came:
                        came[then] = (at, replace(arc, events=(event,)) if event else arc)
                        queue.append(then)
            if (found := came.get((begin, True))) is not None:
                way = []
                while found is not None:
                    way.append((found[0][0], found[1]))
                    found = came[found[0]]
                return way[::-1]
    return ()
