"""What a declaration's names say without its types: targets, owners, events and limits that lead somewhere."""

from __future__ import annotations

from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter

from statemachine.machine.contract import FAILURE_CLASSES
from statemachine.machine.definition import AMENDED, REFUSED, STALE
from statemachine.machine.model import OPERATOR, Declaration, State, Transition
from statemachine.machine.references import suggest
from statemachine.machine.report import Keys, Report

_FAILED = ("failed", REFUSED, *(f"failed.{c}" for c in FAILURE_CLASSES))
_RAISED = (
    *("done", "partial", "failed", "elapsed", "timeout", "cancelled", "undo", "denied", "expired"),
    *("limit", "always", "stuck", STALE, AMENDED),
)
"""First words of the events that the runtime raises."""

_OWN = {"call": ("done", "partial"), "undo": ("done", "partial"), "wait": ("elapsed",)}
"""Events that only some kinds of state get."""

_WHY = {
    "done": "only a state that calls a tool (do:) or rolls back (undo:) gets `done`",
    "partial": "only a state that calls a tool (do:) or rolls back (undo:) gets `partial`",
    "elapsed": "only a state that waits for time (wait:) gets `elapsed`",
    "timeout": "declare `timeout:` on the state to get `timeout`",
    "denied": "only a call that needs approval gets `denied`: declare `approval:` on the state",
    "expired": "only a call that needs approval gets `expired`: declare `approval:` on the state",
}


def check_structure(declared: Declaration, report: Report) -> None:
    """Report every name that leads nowhere, and every state that cannot be left as it must be."""
    _Structure(declared, report).check()


class _Structure:
    def __init__(self, declared: Declaration, report: Report) -> None:
        self.declared = declared
        self.report = report

    def check(self) -> None:
        declared = self.declared
        self._state(("initial",), declared.initial)
        for name, field in declared.context.items():
            for owner in field.owner:
                if owner != OPERATOR and self.report.missing("states", owner, declared.states):
                    hint = suggest(owner, [OPERATOR, *declared.states])
                    message = f"`{owner}` is neither a state nor `{OPERATOR}`{hint}"
                    self.report.add("SM113", ("context", name, "owner"), message)
        self._derivations()
        self._migrations()
        for name in declared.limits.watch:
            if self.report.missing("context", name, declared.context):
                message = f"there is no context field `{name}`{suggest(name, declared.context)}"
                self.report.add("SM113", ("limits", "watch"), message)
        for event in declared.events:
            if event.partition(".")[0] in _RAISED:
                message = f"`{event}` is raised by the runtime; choose another name"
                self.report.add("SM124", ("events", event), message, key=True)
        self._tools()
        self._otherwise()
        for event in declared.on:
            self._event(("on", event), event, None, damaged=bool(self.report.lost("states")))
        for name, state in declared.states.items():
            self._leaves(name, state)
            if state.exhausted is not None:
                self._state(("states", name, "exhausted"), state.exhausted)
        for path, transition in declared.transitions():
            self._transition(path, transition)
        self._exhausted_cycles()

    def _state(self, path: Keys, name: str) -> None:
        if path not in self.report.damaged and self.report.missing("states", name, self.declared.states):
            self.report.add("SM110", path, f"there is no state `{name}`{suggest(name, self.declared.states)}")

    def _derivations(self) -> None:
        """Report what a field cannot rest on: another that is not there, or in the end itself."""
        fields = self.declared.context
        for name, field in fields.items():
            path: Keys = ("context", name, "derived_from")
            for other in field.derived_from:
                if self.report.missing("context", other, fields):
                    self.report.add(
                        "SM113", path, f"there is no context field `{other}`{suggest(other, fields)}"
                    )
        rests = {n: [d for d in f.derived_from if d in fields] for n, f in fields.items()}
        try:
            TopologicalSorter(rests).prepare()
        except CycleError as error:
            circle = error.args[1][::-1]
            message = f"fields are derived from each other in a circle: {' → '.join(circle)}"
            self.report.add("SM127", ("context", circle[0], "derived_from"), message)

    def _migrations(self) -> None:
        """Report what runs of an older version would be moved to and is not there."""
        for version, moved in self.declared.migrations.items():
            path: Keys = ("migrations", version)
            for old, state in moved.states.items():
                self._state((*path, "states", old), state)
            named = [((*path, "fields", old), new) for old, new in moved.fields.items() if new is not None]
            named += [((*path, "set", new), new) for new in moved.set]
            for place, name in named:
                if self.report.missing("context", name, self.declared.context):
                    message = f"there is no context field `{name}`{suggest(name, self.declared.context)}"
                    self.report.add("SM113", place, message)

    def _tools(self) -> None:
        tools = self.declared.tools
        named: list[tuple[Keys, str]] = [
            (("states", n, "do"), s.do) for n, s in self.declared.states.items() if s.do is not None
        ]
        named += [
            (("tools", n, part), other)
            for n, tool in tools.items()
            for part in ("probe", "undo")
            if (other := getattr(tool, part)) is not None
        ]
        for tool_name, tool in tools.items():
            for failure, policy in tool.retry.items():
                if policy.refresh is not None:
                    path: Keys = ("tools", tool_name, "retry", failure, "refresh")
                    named.append((path, policy.refresh))
                    self._refresh(path, policy.refresh)
        for path, name in named:
            if self.report.missing("tools", name, tools):
                self.report.add("SM111", path, f"there is no tool `{name}`{suggest(name, tools)}")

    def _refresh(self, path: Keys, name: str) -> None:
        tool = self.declared.tools.get(name)
        callers = [n for n, s in self.declared.states.items() if s.do == name]
        if tool is not None and tool.effect != "read":
            self.report.add("SM117", path, f"`{name}` writes; what refreshes only reads")
        elif tool is not None and len(callers) != 1 and not self.report.lost("states"):
            many = f"{len(callers)} states call it" if callers else "no state calls it"
            message = f"`{name}` refreshes as the one state that calls it does, and {many}"
            self.report.add("SM117", path, message)

    def _otherwise(self) -> None:
        limits, states = self.declared.limits, self.declared.states
        path: Keys = ("limits", "otherwise")
        failed = [n for n, s in states.items() if s.final == "failed"]
        if limits.otherwise is not None:
            self._state(path, limits.otherwise)
            if limits.otherwise in states and states[limits.otherwise].final is None:
                self.report.add("SM120", path, f"`{limits.otherwise}` is not final; name a final state")
        elif len(failed) != 1 and not {p[0] for p in self.report.damaged} & {"limits", "states"}:
            many = f"there are {len(failed)} (`{'`, `'.join(failed)}`)" if failed else "there is none"
            self.report.add(
                "SM120",
                ("limits",) if limits.model_fields_set else ("states",),
                f"a limit that is hit needs one state with `final: failed` to end in; {many}: "
                "declare one, or name it in limits: otherwise:",
                key=True,
            )

    def _transition(self, path: Keys, transition: Transition) -> None:
        states, event = self.declared.states, str(path[-2])
        self._state((*path, "to"), transition.to)
        if event.startswith("limit") and transition.to in states and states[transition.to].final is None:
            message = f"`{event}` must lead to a final state; `{transition.to}` is not"
            self.report.add("SM122", (*path, "to"), message)
        for reset in transition.resets:
            counting = [n for n, s in states.items() if s.attempts]
            if self.report.missing("states", reset, counting):
                message = f"`{reset}` is no state that counts attempts{suggest(reset, counting)}"
                self.report.add("SM113", (*path, "resets"), message)

    def _leaves(self, name: str, state: State) -> None:
        """Check a state's events, and that it leaves on the one that it is there for."""
        path: Keys = ("states", name)
        damaged = bool(self.report.lost("states", name))
        known = [self._event((*path, "on", event), event, state, damaged=damaged) for event in state.on]
        needed = {"call": "done", "undo": "done", "wait": "elapsed"}.get(state.kind)
        leaves = {needed, "*"} & {*state.on, *self.declared.on, *self.report.lost("states", name, "on")}
        if needed and not leaves and all(known) and (*path, "on") not in self.report.damaged:
            message = f"the state never leaves on `{needed}`; add it under on:"
            self.report.add("SM126", path, message, key=True)

    def _event(self, path: Keys, event: str, state: State | None, *, damaged: bool) -> bool:
        """Report an event that does not exist, or that this state can never meet; return whether it can.

        Of a state whose declaration is wrong in another part it is not known what it can meet.
        """
        states = [state] if state is not None else self.declared.states.values()
        possible = self._possible(states)
        if event in possible:
            return True
        if event in _WHY:
            if not damaged:
                self.report.add("SM125", path, _WHY[event], key=True)
        elif event == "stuck":
            if not self.report.lost("limits") and ("limits",) not in self.report.damaged:
                message = "declare `stuck_after:` under limits: to get `stuck`"
                self.report.add("SM125", path, message, key=True)
        elif event == STALE:
            if not self.report.lost("context") and ("context",) not in self.report.damaged:
                message = "no value grows stale: declare `fresh_for:` on a context field to get `stale`"
                self.report.add("SM125", path, message, key=True)
        elif event in ("limit.calls", "limit.elapsed") or event.startswith("limit.cost."):
            if not self.report.lost("limits") and ("limits",) not in self.report.damaged:
                message = f"no such limit is declared; declare it under limits: to get `{event}`"
                self.report.add("SM125", path, message, key=True)
        elif self.report.missing("events", event, self.declared.events):
            hint = suggest(event, possible) or "; an event from outside is declared under events:"
            self.report.add("SM112", path, f"there is no event `{event}`{hint}", key=True)
        return False

    def _possible(self, states: Iterable[State]) -> list[str]:
        limits = self.declared.limits
        possible = ["*", "cancelled", AMENDED, "undo", "limit", "limit.cost", *_FAILED, *self.declared.events]
        possible += ["stuck"] if limits.stuck_after else []
        possible += [STALE] if any(f.fresh_for for f in self.declared.context.values()) else []
        possible += [f"limit.{n}" for n in ("steps", "calls", "elapsed") if getattr(limits, n)]
        possible += [f"limit.cost.{unit}" for unit in limits.cost]
        for state in states:
            possible += [*_OWN.get(state.kind, ()), *(["timeout"] if state.timeout else [])]
            possible += ["denied", "expired"] if self.declared.approval(state) is not None else []
        return possible

    def _exhausted_cycles(self) -> None:
        follow = {n: s.exhausted for n, s in self.declared.states.items() if s.exhausted is not None}
        reported: set[str] = set()
        for start in follow:
            seen, at = [start], follow[start]
            while at in follow and at not in seen:
                seen.append(at)
                at = follow[at]
            if at == start and start not in reported:
                reported.update(seen)
                message = f"exhausted states lead to each other in a circle: {' → '.join([*seen, start])}"
                self.report.add("SM121", ("states", start, "exhausted"), message)
