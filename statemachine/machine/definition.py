"""A declaration with everything it names resolved and typed: what the kernel moves."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from statemachine.machine.allowances import Allowance
from statemachine.machine.contract import FAILURE_CLASSES
from statemachine.machine.expressions import Expression, Guard
from statemachine.machine.model import Declaration, Level, State
from statemachine.machine.references import Folder
from statemachine.machine.report import Locate
from statemachine.machine.signature import Signature

STUCK = "stuck"
"""The event that a run raises which repeats itself."""

STALE = "stale"
"""The event that a guard or a call raises which reads a value that is older than it may be."""

STALE_FAILURE = "failed.stale_data"
"""What is raised where nothing takes `stale`."""

AMENDED = "amended"
"""The event of a run whose operator changed what it was given."""

UNDO = "undo"
"""The event with which a person asks for a roll back."""

DENIED = "denied"
"""The event that a call raises which is not approved."""

EXPIRED = "expired"
"""The event that a call raises which nobody approved in time."""

REFUSED = "failed.guard"
"""The event that a guard or an expression that fails to evaluate raises."""

STALE_PAYLOAD: Mapping[str, Any] = {"fields": list[str]}
"""What the event STALE carries: the names of the fields."""


Save = tuple[str, tuple[str, ...], bool]
"""A field to write, the path to its value, and whether that must be checked against the field's type."""


@dataclass(frozen=True, slots=True)
class Edge:
    """One candidate transition.

    Attributes:
        target: The state it leads to.
        guard: Its condition, None when it always holds.
        event: The event name that it is declared under.
        resets: States whose attempts fall to zero.
    """

    target: str
    guard: Guard | None
    event: str
    resets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Asking:
    """What a call needs before it is made.

    Attributes:
        levels: Who is asked, one after another.
        guard: What must hold when they are asked and when the call is made.
        by_time: Whether no answer approves, as far as the policy allows it.
    """

    levels: tuple[Level, ...]
    guard: Guard | None
    by_time: bool


@dataclass(frozen=True, slots=True)
class Action:
    """What a state that calls a tool does.

    Attributes:
        tool: The tool's name.
        arguments: Its inputs as expressions.
        saves: The fields that take a part of the output.
        sufficient: Whether a valid answer is enough.
        asking: Who must approve it; None when nobody must.
        reasoning: Why it is to be made, in the agent's words.
        expects: What it is expected to lead to.
    """

    tool: str
    arguments: Mapping[str, Expression]
    saves: tuple[Save, ...]
    sufficient: Guard | None
    asking: Asking | None = None
    reasoning: Expression | None = None
    expects: Expression | None = None

    @property
    def condition(self) -> Guard | None:
        """What must hold when people are asked for it, and when it is made."""
        return self.asking.guard if self.asking is not None else None


@dataclass(frozen=True, eq=False)
class Definition:
    """A declaration, resolved.

    Attributes:
        declaration: The data.
        digest: Its digest.
        folder: What its references are relative to.
        types: Type of each context field.
        signatures: Signature of each tool.
        undoes: For each tool that can be undone, what the tool that undoes it takes.
        actions: For each state that calls a tool, what it does.
        receives: For each state that waits for events, the fields that take a part of what they carry.
        edges: For each state, its own transitions by declared event name.
        everywhere: Transitions from every state that is not final.
        outputs: For each final state, its output expressions.
        reasons: For each final state that has one, its reason.
        payloads: For each external event, the types of its payload.
        locate: Where a part of the declaration is written.
        allowances: The comments in its source that silence a rule of the checker.
    """

    declaration: Declaration
    digest: str
    folder: Folder
    types: Mapping[str, Any]
    signatures: Mapping[str, Signature]
    undoes: Mapping[str, tuple[str, ...]]
    actions: Mapping[str, Action]
    receives: Mapping[str, tuple[Save, ...]]
    edges: Mapping[str, Mapping[str, tuple[Edge, ...]]]
    everywhere: Mapping[str, tuple[Edge, ...]]
    outputs: Mapping[str, Mapping[str, Expression]]
    reasons: Mapping[str, Expression]
    payloads: Mapping[str, Mapping[str, Any]]
    locate: Locate
    allowances: tuple[Allowance, ...] = ()
    _candidates: dict[tuple[str, str], tuple[Edge, ...]] = field(
        default_factory=dict, repr=False, compare=False
    )

    def candidates(self, state: str, event: str) -> tuple[Edge, ...]:
        """Return the transitions that ``event`` may take from ``state``, in the order they are tried.

        The state's own come before the machine's; within each, the most specific event name first.
        """
        found = self._candidates.get((state, event))
        if found is None:
            names = event_names(event)
            own, common = self.edges.get(state, {}), self.everywhere
            if self.declaration.states[state].kind == "final":
                common = {}
            found = tuple(e for table in (own, common) for name in names for e in table.get(name, ()))
            self._candidates[state, event] = found
        return found

    def events(self) -> frozenset[str]:
        """Return the full names of all events that can be raised or sent."""
        declared = self.declaration
        limits = [
            f"limit.{n}" for n in ("steps", "calls", "elapsed") if getattr(declared.limits, n) is not None
        ]
        return frozenset(
            [
                "always",
                "done",
                "partial",
                "elapsed",
                "timeout",
                "cancelled",
                UNDO,
                DENIED,
                EXPIRED,
                REFUSED,
                STUCK,
                STALE,
                AMENDED,
            ]
            + [f"failed.{c}" for c in FAILURE_CLASSES]
            + limits
            + [f"limit.cost.{unit}" for unit in declared.limits.cost]
            + list(declared.events)
        )

    @cached_property
    def code(self) -> str:
        """A fingerprint of the code of its tools: of the files that their functions are in, as they are now.

        It is empty when no tool is a function. What those files import is not looked at.
        """
        modules = {s.function.__module__ for s in self.signatures.values() if s.function is not None}
        files = {Path(getattr(sys.modules.get(name), "__file__", None) or "") for name in modules}
        read = sorted(hashlib.sha256(file.read_bytes()).digest() for file in files if file.is_file())
        return hashlib.sha256(b"".join(read)).hexdigest()[:16] if read else ""

    @cached_property
    def perishable(self) -> Mapping[str, float]:
        """For each field whose values grow stale, after how many seconds they do."""
        fields = self.declaration.context.items()
        return {name: field.fresh_for for name, field in fields if field.fresh_for is not None}

    @cached_property
    def counted(self) -> frozenset[str]:
        """What is counted of the calls of its runs, such as `failed.crm.update`: what its expressions read of `history`."""
        edges = [e for table in (*self.edges.values(), self.everywhere) for es in table.values() for e in es]
        read: list[Guard | Expression | None] = [edge.guard for edge in edges]
        for action in self.actions.values():
            read += [*action.arguments.values(), action.sufficient, action.condition]
            read += [action.reasoning, action.expects]
        read += [text for texts in self.outputs.values() for text in texts.values()]
        read += self.reasons.values()
        reads = (one for each in read if each is not None for one in each.reads)
        return frozenset(path[0] for _, root, path in reads if root == "history")

    def derived(self, changed: Iterable[str]) -> list[str]:
        """Return the fields that rest on those that ``changed``, through others too, in the order declared."""
        fields, found = self.declaration.context, set(changed)
        given = frozenset(found)
        while more := {
            n for n, f in fields.items() if n not in found and not found.isdisjoint(f.derived_from)
        }:
            found |= more
        return [name for name in fields if name in found - given]

    def final_states(self) -> Iterator[tuple[str, State]]:
        """Yield the final states."""
        return ((n, s) for n, s in self.declaration.states.items() if s.kind == "final")


def event_names(event: str) -> tuple[str, ...]:
    """Return the names under which an event may be declared, from the most specific to the least.

    ``failed.transient`` is matched by itself, ``failed`` and ``*``; ``partial`` also by ``failed``, ``expired`` by
    ``denied``. A limit, a cancellation, an amendment and a demanded roll back are not matched by ``*``: they are
    answers to a demand, not results. Nor is ``stale``: what does not answer it gets ``failed.stale_data``.
    """
    parts = event.split(".")
    names = tuple(".".join(parts[:n]) for n in range(len(parts), 0, -1))
    if parts[0] in ("limit", "cancelled", UNDO, "always", STALE, AMENDED):
        return names
    if event == "partial":
        return (*names, "failed", "*")
    if event == EXPIRED:  # no answer denies
        return (event, DENIED, "*")
    if parts[0] in ("failed",):
        return (*names, "*")
    return (event, "*")
