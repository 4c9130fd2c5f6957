"""Rules on what cannot be undone: a machine says who approves every such call.

That somebody does is enforced anyway: without ``approval`` anyone whom the policy names is asked.
"""

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
    "irreversible call that names no approvers",
    "error",
    "The state of a call that nothing undoes (`reversibility: none`) says who approves it: `approval: {approvers: …}`.",
    "Such a call always waits for somebody's yes. Where the machine does not say whose, anyone's in the policy will do.",
)
RULES = (UNAPPROVED,)


def check(definition: Definition) -> Iterator[Finding]:
    """Yield the irreversible calls that anyone in the policy may approve, the first time or again."""
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
