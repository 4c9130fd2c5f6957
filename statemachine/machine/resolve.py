"""From a declaration to a definition: resolve every name, type every expression, report every fault."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from statemachine.errors import Finding, InvalidExpression, InvalidMachine, InvalidReference, Place
from statemachine.machine import types
from statemachine.machine.definition import REFUSED, Action, Definition, Edge, Locate, Path
from statemachine.machine.expressions import Expression, Guard, Scope, function_guard
from statemachine.machine.model import FAILURE_CLASSES, OPERATOR, Declaration, PythonGuard, State, Transition
from statemachine.machine.references import Folder, suggest
from statemachine.machine.scopes import RESERVED, Scopes
from statemachine.machine.signature import Signature, read_signature

_FAILED = ("failed", REFUSED, *(f"failed.{c}" for c in FAILURE_CLASSES))


def nowhere(file: str) -> Locate:
    """Return a locator for a declaration that has no source text, only a name."""
    return lambda path, key, offset: Place(f"{file}: {'.'.join(map(str, path))}" if path else file)


def resolve(
    declaration: Declaration,
    folder: Folder,
    locate: Locate | None = None,
    *,
    functions: Mapping[str, Callable[..., Any]] | None = None,
    damaged: frozenset[Path] = frozenset(),
) -> Definition:
    """Return the definition of a declaration.

    Args:
        declaration: What to resolve.
        folder: What its references are relative to.
        locate: Where its parts are, for findings.
        functions: Functions that are already at hand, by reference.
        damaged: Paths that were taken out because they are wrong in themselves; what only follows from
            their absence is not reported again.

    Raises:
        InvalidMachine: With everything that is wrong.
    """
    resolver = _Resolver(
        declaration, folder, locate or nowhere(declaration.machine), functions or {}, damaged
    )
    definition = resolver.run()
    if resolver.findings:
        raise InvalidMachine(resolver.findings)
    return definition


class _Resolver:
    def __init__(
        self,
        declaration: Declaration,
        folder: Folder,
        locate: Locate,
        functions: Mapping[str, Callable[..., Any]],
        damaged: frozenset[Path],
    ) -> None:
        self.declared = declaration
        self.folder = folder
        self.locate = locate
        self.functions = functions
        self.damaged = damaged
        self.findings: list[Finding] = []
        # A name that is declared wrongly is still declared: using it is no second fault.
        self.states = {*declaration.states, *self._lost("states")}
        self.tools = {*declaration.tools, *self._lost("tools")}
        self.fields = {*declaration.context, *self._lost("context")}
        self.events = {*declaration.events, *self._lost("events")}
        self.types: dict[str, Any] = {}
        self.payloads: dict[str, dict[str, Any]] = {}
        self.signatures: dict[str, Signature] = {}

    def _lost(self, part: str) -> set[str]:
        return {str(p[1]) for p in self.damaged if len(p) > 1 and p[0] == part}

    def _lost_events(self, state: str) -> set[str]:
        """Return the events of a state whose transitions were taken out; ``*`` when all were."""
        return {str(p[3]) if len(p) > 3 else "*" for p in self.damaged if p[:3] == ("states", state, "on")}

    def add(self, code: str, path: Path, message: str, *, key: bool = False, offset: int = 0) -> None:
        self.findings.append(Finding(code, message, self.locate(path, key, offset), path))

    def run(self) -> Definition:
        self._context()
        self._payloads()
        self._tools()
        self._final_states()
        self.scopes = Scopes(self.declared, self.types)
        self._collisions()
        if self.declared.initial not in self.states:
            self._unknown_state(("initial",), self.declared.initial)
        actions = {n: self._action(n, s) for n, s in self.declared.states.items() if s.do is not None}
        edges = {
            name: MappingProxyType(self._state(name, state)) for name, state in self.declared.states.items()
        }
        everywhere = {
            event: self._edges(("on", event), event, transitions, None)
            for event, transitions in self.declared.on.items()
            if self._known_event(("on", event), event, None)
        }
        outputs, reasons = self._results()
        self._exhausted_cycles()
        return Definition(
            self.declared,
            self.declared.digest,
            self.folder,
            MappingProxyType(self.types),
            MappingProxyType(self.signatures),
            MappingProxyType({n: a for n, a in actions.items() if a is not None}),
            MappingProxyType(edges),
            MappingProxyType(everywhere),
            MappingProxyType(outputs),
            MappingProxyType(reasons),
            MappingProxyType(self.payloads),
            self.locate,
        )

    def _type(self, path: Path, text: str) -> Any:
        try:
            return types.parse_type(text, self.folder)
        except InvalidReference as error:
            self.add("SM115", path, str(error))
            return Any

    def _context(self) -> None:
        for name, field in self.declared.context.items():
            path: Path = ("context", name)
            if name in RESERVED:
                self.add(
                    "SM124",
                    path,
                    f"`{name}` has a meaning of its own in guards; choose another name",
                    key=True,
                )
            self.types[name] = of = self._type((*path, "type"), field.type)
            for owner in field.owner:
                if owner != OPERATOR and owner not in self.states:
                    hint = suggest(owner, [OPERATOR, *self.states])
                    self.add(
                        "SM113", (*path, "owner"), f"`{owner}` is neither a state nor `{OPERATOR}`{hint}"
                    )
            if field.has_default and not (field.default is None and types.required(of)[1]):
                try:
                    types.adapter(of).validate_python(field.default)
                except ValidationError as error:
                    self.add(
                        "SM123",
                        (*path, "default"),
                        f"the default is no {field.type}: {error.errors()[0]['msg']}",
                    )

    def _payloads(self) -> None:
        for event, payload in self.declared.events.items():
            path: Path = ("events", event)
            root = event.partition(".")[0]
            if root in ("done", "partial", "failed", "elapsed", "timeout", "cancelled", "limit", "always"):
                self.add("SM124", path, f"`{event}` is raised by the runtime; choose another name", key=True)
            self.payloads[event] = {n: self._type((*path, n), text) for n, text in payload.items()}
            if "name" in payload:
                self.add(
                    "SM124", (*path, "name"), "`event.name` is the event's own name; choose another", key=True
                )

    def _tools(self) -> None:
        for name, tool in self.declared.tools.items():
            path: Path = ("tools", name)
            kind = "python" if tool.python is not None else "shell"
            try:
                function = self.functions.get(tool.python) if tool.python else None
                self.signatures[name] = read_signature(tool, self.folder, function)
            except InvalidReference as error:
                self.add("SM116", (*path, kind), str(error))
            if tool.probe is not None:
                self._probe((*path, "probe"), tool.probe)

    def _probe(self, path: Path, probe: str) -> None:
        if probe not in self.tools:
            self.add("SM111", path, f"there is no tool `{probe}`{suggest(probe, self.tools)}")
        elif (tool := self.declared.tools.get(probe)) is not None:
            signature = self.signatures.get(probe)
            if tool.effect != "read":
                self.add("SM117", path, f"`{probe}` writes; a probe only reads")
            elif signature is not None and (
                "key" not in signature.input
                or types.kind(signature.output) != "bool"
                or any(p.required for n, p in signature.input.items() if n != "key")
            ):
                self.add(
                    "SM117", path, f"a probe takes the call's `key: str` and returns bool; `{probe}` does not"
                )

    def _final_states(self) -> None:
        named = self.declared.limits.otherwise
        failed = [n for n, s in self.declared.states.items() if s.final == "failed"]
        if named is not None:
            if named not in self.states:
                self._unknown_state(("limits", "otherwise"), named)
            elif named in self.declared.states and self.declared.states[named].final is None:
                self.add("SM120", ("limits", "otherwise"), f"`{named}` is not final; name a final state")
        elif len(failed) != 1 and not self.damaged:
            many = f"there are {len(failed)} (`{'`, `'.join(failed)}`)" if failed else "there is none"
            self.add(
                "SM120",
                ("limits",) if self.declared.limits.model_fields_set else ("states",),
                f"a limit that is hit needs one state with `final: failed` to end in; {many}: "
                "declare one, or name it in limits: otherwise:",
                key=True,
            )

    def _collisions(self) -> None:
        for name, of in self.types.items():
            if name == "attempts" and types.members(types.required(of)[0]) is not None:
                self.add(
                    "SM124", ("context", name), "`attempts.…` counts attempts; choose another name", key=True
                )

    def _unknown_state(self, path: Path, name: str) -> None:
        self.add("SM110", path, f"there is no state `{name}`{suggest(name, self.states)}")

    def _known_event(self, path: Path, event: str, state: State | None) -> bool:
        """Report an event that does not exist or that this state can never meet."""
        own = {"call": ("done", "partial"), "wait": ("elapsed",), "choice": (), "event": (), "final": ()}
        possible = ["*", "cancelled", "limit", "limit.cost", *_FAILED, *self.events]
        possible += [f"limit.{n}" for n in ("steps", "calls", "elapsed") if getattr(self.declared.limits, n)]
        possible += [f"limit.cost.{unit}" for unit in self.declared.limits.cost]
        states = self.declared.states.values() if state is None else [state]
        possible += [e for s in states for e in own[s.kind]] + ["timeout" for s in states if s.timeout]
        if event in possible:
            return True
        if event in ("done", "partial", "elapsed", "timeout"):
            why = {
                "done": "only a state that calls a tool (do:) gets `done`",
                "partial": "only a state that calls a tool (do:) gets `partial`",
                "elapsed": "only a state that waits for time (wait:) gets `elapsed`",
                "timeout": "declare `timeout:` on the state to get `timeout`",
            }[event]
            self.add("SM125", path, why, key=True)
        elif event in ("limit.calls", "limit.elapsed") or event.startswith("limit.cost."):
            self.add(
                "SM125",
                path,
                f"no such limit is declared; declare it under limits: to get `{event}`",
                key=True,
            )
        else:
            hint = suggest(event, possible) or "; an event from outside is declared under events:"
            self.add("SM112", path, f"there is no event `{event}`{hint}", key=True)
        return False

    def _state(self, name: str, state: State) -> dict[str, tuple[Edge, ...]]:
        path: Path = ("states", name)
        if state.exhausted is not None and state.exhausted not in self.states:
            self._unknown_state((*path, "exhausted"), state.exhausted)
        table = {}
        if state.always is not None:
            table["always"] = self._edges((*path, "always"), "always", state.always, None)
        output = self.signatures[state.do].output if state.do in self.signatures else None
        for event, transitions in state.on.items():
            if self._known_event((*path, "on", event), event, state):
                result = output if event in ("done", "partial") else None
                table[event] = self._edges((*path, "on", event), event, transitions, result)
        needed = {"call": "done", "wait": "elapsed"}.get(state.kind)
        leaves = {needed, "*"} & {*table, *self.declared.on, *self._lost_events(name)}
        if needed and not leaves:
            self.add("SM126", path, f"the state never leaves on `{needed}`; add it under on:", key=True)
        return table

    def _edges(
        self, path: Path, event: str, transitions: Iterable[Transition], output: Any
    ) -> tuple[Edge, ...]:
        scope = self.scopes.after(self.payloads.get(event), output)
        edges = []
        for index, transition in enumerate(transitions):
            place: Path = (*path, index)
            target = self.declared.states.get(transition.to)
            if transition.to not in self.states:
                self._unknown_state((*place, "to"), transition.to)
            elif event.startswith("limit") and target is not None and target.final is None:
                self.add(
                    "SM122", (*place, "to"), f"`{event}` must lead to a final state; `{transition.to}` is not"
                )
            for reset in transition.resets:
                if reset not in self.declared.states or self.declared.states[reset].attempts is None:
                    hint = suggest(reset, [n for n, s in self.declared.states.items() if s.attempts])
                    self.add("SM113", (*place, "resets"), f"`{reset}` is no state that counts attempts{hint}")
            guard = self._guard((*place, "when"), transition.when, scope)
            edges.append(Edge(transition.to, guard, event, transition.resets))
        return tuple(edges)

    def _guard(self, path: Path, when: str | PythonGuard | None, scope: Scope) -> Guard | None:
        try:
            if isinstance(when, PythonGuard):
                function = self.functions.get(when.python) or self.folder.resolve(when.python)
                return function_guard(when.python, function, self.scopes.base)
            return scope.guard(when) if when is not None else None
        except InvalidExpression as error:
            self.add("SM114", path, str(error), offset=error.column - 1)
        except InvalidReference as error:
            self.add("SM116", path, str(error))
        return None

    def _expression(self, path: Path, text: str) -> Expression | None:
        try:
            return self.scopes.plain().expression(text)
        except InvalidExpression as error:
            self.add("SM114", path, str(error), offset=error.column - 1)
            return None

    def _action(self, name: str, state: State) -> Action | None:
        path: Path = ("states", name)
        assert state.do is not None
        if state.do not in self.tools:
            self.add("SM111", (*path, "do"), f"there is no tool `{state.do}`{suggest(state.do, self.tools)}")
        signature = self.signatures.get(state.do)
        given = {n: self._expression((*path, "with", n), text) for n, text in state.arguments.items()}
        saves = [
            s for f, text in state.save.items() if (s := self._save(name, f, text, signature)) is not None
        ]
        if signature is None:
            return None
        for argument, expression in given.items():
            if argument not in signature.input:
                hint = suggest(argument, signature.input)
                self.add(
                    "SM117", (*path, "with", argument), f"`{state.do}` takes no `{argument}`{hint}", key=True
                )
            elif expression is not None:
                self._fits((*path, "with", argument), expression, signature.input[argument].type)
        for parameter, wanted in signature.input.items():
            if parameter in given:
                continue
            if parameter in self.types:
                given[parameter] = expression = self.scopes.plain().expression(parameter)
                self._fits((*path, "do"), expression, wanted.type)
            elif wanted.required and parameter not in self.fields:
                self.add(
                    "SM117",
                    (*path, "do"),
                    f"`{state.do}` needs `{parameter}`: give it under with:, or declare a context field of that name",
                )
        sufficient = None
        if state.sufficient is not None:
            sufficient = self._guard(
                (*path, "sufficient"), state.sufficient, self.scopes.after(None, signature.output)
            )
        arguments = {n: e for n, e in given.items() if e is not None}
        return Action(state.do, MappingProxyType(arguments), tuple(saves), sufficient)

    def _fits(self, path: Path, expression: Expression, wanted: Any) -> None:
        given, takes = types.kind(expression.type), types.kind(wanted)
        if "any" not in (given, takes) and given != takes and (given, takes) != ("int", "float"):
            self.add("SM119", path, f"`{expression.text}` is {given}, but the tool takes {takes}")

    def _save(
        self, state: str, field: str, text: str, signature: Signature | None
    ) -> tuple[str, tuple[str, ...], bool] | None:
        path: Path = ("states", state, "save", field)
        if field not in self.fields:
            hint = suggest(field, self.fields) or "; declare it under context:"
            self.add("SM113", path, f"there is no context field `{field}`{hint}", key=True)
        elif field in self.declared.context and state not in self.declared.context[field].owner:
            owners = ", ".join(self.declared.context[field].owner)
            self.add("SM118", path, f"`{state}` does not own `{field}`; its owner is {owners}", key=True)
        parts = tuple(text.split("."))
        if parts[0] != "output":
            self.add("SM119", path, "a save takes a path into the output: `output` or `output.part`")
            return None
        if signature is None or field not in self.types:
            return None
        try:
            given = types.member_type(signature.output, parts[1:])
        except KeyError as error:
            known = types.members(types.required(signature.output)[0]) or {}
            self.add("SM119", path, f"the output has no `{error.args[0]}`{suggest(error.args[0], known)}")
            return None
        wanted = self.types[field]
        kinds = types.kind(given), types.kind(wanted)
        if "any" not in kinds and kinds[0] != kinds[1] and kinds != ("int", "float"):
            self.add("SM119", path, f"`{text}` is {kinds[0]}, but `{field}` is {kinds[1]}")
        return field, parts[1:], given != wanted

    def _results(self) -> tuple[dict[str, Mapping[str, Expression]], dict[str, Expression]]:
        outputs: dict[str, Mapping[str, Expression]] = {}
        reasons = {}
        for name, state in self.declared.states.items():
            path: Path = ("states", name)
            compiled = {n: self._expression((*path, "output", n), text) for n, text in state.output.items()}
            outputs[name] = MappingProxyType({n: e for n, e in compiled.items() if e is not None})
            if state.reason is not None:
                reason = self._expression((*path, "reason"), state.reason)
                if reason is not None and types.kind(reason.type) not in ("str", "any"):
                    self.add(
                        "SM119", (*path, "reason"), f"a reason is text; this is {types.kind(reason.type)}"
                    )
                elif reason is not None:
                    reasons[name] = reason
        return outputs, reasons

    def _exhausted_cycles(self) -> None:
        follow = {n: s.exhausted for n, s in self.declared.states.items() if s.exhausted is not None}
        for start in follow:
            seen, at = {start}, follow[start]
            while at in follow and at not in seen:
                seen.add(at)
                at = follow[at]
            if at == start:
                self.add(
                    "SM121", ("states", start, "exhausted"), "exhausted states lead to each other in a circle"
                )
