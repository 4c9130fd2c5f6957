"""Rules on what cannot be undone: somebody says yes before every such call."""

from __future__ import annotations

from collections.abc import Iterator

from statemachine.check.paths import TooMany, visit
from statemachine.check.rules import Rule
from statemachine.errors import Finding
from statemachine.machine.definition import Definition
from statemachine.machine.model import State
from statemachine.machine.report import Keys

UNAPPROVED = Rule(
    "SM601",
    "irreversible call without an approval",
    "error",
    "A call that nothing undoes (`reversibility: none`) is made only behind an approval, each time anew.",
    "An agent that is wrong once has done what no one can take back, and no one was asked.",
)
RULES = (UNAPPROVED,)


def check(definition: Definition) -> Iterator[Finding]:
    """Yield the irreversible calls that a run can make unasked, the first time or again."""
    declared = definition.declaration
    for name, state in declared.states.items():
        if state.do is None or not declared.tools[state.do].irreversible or _approved(state):
            continue
        path: Keys = ("states", name, "do")
        advice = "let somebody approve it, or silence this with the reason why nobody has to"
        try:
            first = visit(definition, name)
            again = visit(definition, name, again=True) if first else None
        except TooMany:
            message = f"whether a run can make the irreversible call `{state.do}` is too much to follow"
            yield UNAPPROVED.at(definition, path, message, "UNKNOWN", advice=advice)
            continue
        if first is not None:
            more = ", and again after it" if again else ""
            message = f"`{state.do}` cannot be undone, and `{name}` calls it with no approval{more}"
            yield UNAPPROVED.at(definition, path, message, "REFUTED", witness=again or first, advice=advice)


def _approved(state: State) -> bool:
    """Return whether every call of a state waits for an approval of its own."""
    return getattr(state, "approval", None) is not None
