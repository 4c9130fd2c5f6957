"""From a declaration to a definition: resolve every name, type every expression, report every fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from statemachine.errors import InvalidReference
from statemachine.machine import types
from statemachine.machine.calls import Calls, assignable
from statemachine.machine.contract import Tool
from statemachine.machine.definition import STALE, STALE_PAYLOAD, Definition, Edge
from statemachine.machine.expressions import Expression
from statemachine.machine.language import RESERVED_WORDS
from statemachine.machine.model import Declaration, Transition
from statemachine.machine.references import Folder, suggest
from statemachine.machine.report import Keys, Locate, Report
from statemachine.machine.report import nowhere as nowhere
from statemachine.machine.scopes import LOST, Scopes
from statemachine.machine.signature import PLACEHOLDER, Signature, read_signature
from statemachine.machine.structure import check_structure

Functions = Mapping[str, Callable[..., Any]]

_RESERVED = {"event", "output", "failure", "known", "fresh"} | RESERVED_WORDS


def resolve(
    declaration: Declaration,
    folder: Folder,
    locate: Locate | None = None,
    *,
    functions: Functions | None = None,
) -> Definition:
    """Return the definition of a declaration.

    Args:
        declaration: What to resolve.
        folder: What its references are relative to.
        locate: Where its parts are, for findings.
        functions: Functions that are already at hand, by reference.

    Raises:
        InvalidMachine: With everything that is wrong.
    """
    return resolve_into(Report(locate or nowhere(declaration.machine)), declaration, folder, functions)


def resolve_into(
    report: Report, declared: Declaration, folder: Folder, functions: Functions | None = None
) -> Definition:
    """Return the definition of a declaration of which ``report`` already holds some faults.

    Raises:
        InvalidMachine: With everything that is wrong.
    """
    return _Resolver(report, declared, folder, functions or {}).run()


class _Resolver:
    def __init__(self, report: Report, declared: Declaration, folder: Folder, functions: Functions) -> None:
        self.report = report
        self.declared = declared
        self.folder = folder
        self.functions = functions

    def run(self) -> Definition:
        declared, report = self.declared, self.report
        check_structure(declared, report)
        self.types = self._context()
        self.payloads = {event: self._payload(event, parts) for event, parts in declared.events.items()}
        self.signatures = self._signatures()
        self._probes()
        self._said()
        undoes = {name: self._undo(name, tool) for name, tool in declared.tools.items() if tool.undo}
        self.scopes = Scopes(
            declared, self.types, report.lost("states"), report.lost("tools"), self.folder, self.functions
        )
        calls = Calls(declared, report, self.scopes)
        actions = {
            name: calls.action(name, state, self.signatures.get(state.do))
            for name, state in declared.states.items()
            if state.do is not None
        }
        receives = {
            name: calls.received(name, state, self.payloads)
            for name, state in declared.states.items()
            if state.kind == "event"
        }
        edges = {name: MappingProxyType(self._edges(name)) for name in declared.states}
        everywhere = {
            event: tuple(self._edge(("on", event, i), event, t, None) for i, t in enumerate(transitions))
            for event, transitions in declared.on.items()
        }
        outputs = {name: MappingProxyType(self._outputs(name)) for name in declared.states}
        reasons = {name: self._reason(name) for name in declared.states}
        report.refuse()
        return Definition(
            declared,
            declared.digest,
            self.folder,
            MappingProxyType(self.types),
            MappingProxyType(self.signatures),
            MappingProxyType(undoes),
            MappingProxyType({n: a for n, a in actions.items() if a is not None}),
            MappingProxyType(receives),
            MappingProxyType(edges),
            MappingProxyType(everywhere),
            MappingProxyType(outputs),
            MappingProxyType({n: r for n, r in reasons.items() if r is not None}),
            MappingProxyType(self.payloads),
            report.locate,
            report.allowances,
        )

    def _type(self, path: Keys, text: str) -> Any:
        try:
            return types.parse_type(text, self.folder)
        except InvalidReference as error:
            self.report.add("SM115", path, str(error))
            return LOST

    def _context(self) -> dict[str, Any]:
        found: dict[str, Any] = dict.fromkeys(self.report.lost("context"), LOST)
        for name, field in self.declared.context.items():
            path: Keys = ("context", name)
            found[name] = of = self._type((*path, "type"), field.type)
            if of is LOST:
                continue
            if name in _RESERVED:
                message = f"`{name}` has a meaning of its own in expressions; choose another name"
            elif name == "attempts" and types.members(types.required(of)[0]) is not None:
                message = "`attempts.…` counts attempts; choose another name"
            else:
                message = ""
            if message:
                found[name] = LOST
                self.report.add("SM124", path, message, key=True)
            if field.has_default and not (field.default is None and types.required(of)[1]):
                try:
                    types.adapter(of).validate_python(field.default)
                except ValidationError as error:
                    fault = error.errors(include_url=False)[0]
                    where = "".join(f"{part}: " for part in fault["loc"])
                    message = f"the default is no {field.type}: {where}{fault['msg']}"
                    self.report.add("SM123", (*path, "default"), message)
        return found

    def _payload(self, event: str, parts: Mapping[str, str]) -> dict[str, Any]:
        path: Keys = ("events", event)
        if "name" in parts:
            message = "`event.name` is the event's own name; choose another"
            self.report.add("SM124", (*path, "name"), message, key=True)
        found: dict[str, Any] = {n: self._type((*path, n), text) for n, text in parts.items() if n != "name"}
        return dict.fromkeys(self.report.lost("events", event), LOST) | found

    def _signatures(self) -> dict[str, Signature]:
        found = {}
        for name, tool in self.declared.tools.items():
            try:
                function = self.functions.get(tool.python) if tool.python else None
                found[name] = read_signature(tool, self.folder, function)
            except InvalidReference as error:
                # A command that uses an input whose type is wrong has no fault of its own.
                if not self.report.lost("tools", name, "input"):
                    kind = "python" if tool.python is not None else "shell"
                    self.report.add("SM116", ("tools", name, kind), str(error))
        return found

    def _probes(self) -> None:
        for name, tool in self.declared.tools.items():
            path: Keys = ("tools", name, "probe")
            probe, mine = self.declared.tools.get(tool.probe or ""), self.signatures.get(name)
            signature = self.signatures.get(tool.probe or "")
            if probe is None or signature is None or mine is None:
                continue
            if probe.effect != "read":
                self.report.add("SM117", path, f"`{tool.probe}` writes; a probe only reads")
            elif "key" not in signature.input or types.kind(signature.output) != "bool":
                message = f"a probe takes the call's `key: str` and returns bool; `{tool.probe}` does not"
                self.report.add("SM117", path, message)
            else:
                offered = {n: p.type for n, p in mine.input.items()} | {"key": str}
                self._taken_of_call(path, tool.probe or "", signature, offered, "probe")

    def _said(self) -> None:
        """Check that what auditors are told names inputs only."""
        for name, tool in self.declared.tools.items():
            takes = self.signatures[name].input if name in self.signatures else None
            said = {"says": (tool.says or "",), "reads": tool.reads, "modifies": tool.modifies}
            for part, texts in said.items():
                for word in (word for text in texts for word in PLACEHOLDER.findall(text)):
                    if takes is not None and word not in takes:
                        message = f"`{word}` is no input of `{name}`{suggest(word, takes)}"
                        self.report.add("SM117", ("tools", name, part), message)

    def _undo(self, name: str, tool: Tool) -> tuple[str, ...]:
        """Return what the tool that undoes another one takes of a call."""
        path: Keys = ("tools", name, "undo")
        undo, mine = self.declared.tools.get(tool.undo or ""), self.signatures.get(name)
        signature = self.signatures.get(tool.undo or "")
        if undo is None or signature is None or mine is None:
            return ()
        if undo.effect != "write":
            self.report.add("SM117", path, f"`{tool.undo}` only reads; what undoes a write is a write")
        if "stale_data" in undo.retry:
            message = f"`{tool.undo}` undoes a call with that call's own input, which nothing refreshes"
            self.report.add("SM117", path, message)
        offered = {n: p.type for n, p in mine.input.items()} | {"key": str, "output": mine.output}
        return self._taken_of_call(path, tool.undo or "", signature, offered, "undo")

    def _taken_of_call(
        self, path: Keys, tool: str, signature: Signature, offered: Mapping[str, Any], to: str
    ) -> tuple[str, ...]:
        """Return what a tool that probes or undoes a call takes of it; report what that call cannot give."""
        for parameter, wanted in signature.input.items():
            if parameter not in offered:
                if wanted.required:
                    known = ", ".join(f"`{n}`" for n in offered)
                    message = f"`{tool}` needs `{parameter}`; of a call to {to} it can take {known}"
                    self.report.add("SM117", path, message)
            elif not assignable(offered[parameter], wanted.type):
                given, takes = types.kind(offered[parameter]), types.kind(wanted.type)
                message = f"`{parameter}` of the call is {given}, but `{tool}` takes {takes}"
                self.report.add("SM119", path, message)
        return tuple(n for n in signature.input if n in offered)

    def _edges(self, name: str) -> dict[str, tuple[Edge, ...]]:
        path: Keys = ("states", name)
        state = self.declared.states[name]
        result = None
        if state.kind == "call":
            result = self.signatures[state.do].output if state.do in self.signatures else LOST
        table = {
            event: tuple(
                self._edge(
                    (*path, "on", event, i), event, t, result if event in ("done", "partial") else None
                )
                for i, t in enumerate(transitions)
            )
            for event, transitions in state.on.items()
        }
        if state.always is not None:
            table["always"] = tuple(
                self._edge((*path, "always", i), "always", t, None) for i, t in enumerate(state.always)
            )
        return table

    def _edge(self, path: Keys, event: str, transition: Transition, output: Any) -> Edge:
        payload = STALE_PAYLOAD if event == STALE else self.payloads.get(event)
        if payload is None and event in self.report.lost("events"):
            payload = LOST
        guard = self.scopes.guard(
            self.report, (*path, "when"), transition.when, payload=payload, output=output
        )
        return Edge(transition.to, guard, event, transition.resets)

    def _outputs(self, name: str) -> dict[str, Expression]:
        compiled = {
            n: self.scopes.expression(self.report, ("states", name, "output", n), text)
            for n, text in self.declared.states[name].output.items()
        }
        return {n: e for n, e in compiled.items() if e is not None}

    def _reason(self, name: str) -> Expression | None:
        path, text = ("states", name, "reason"), self.declared.states[name].reason
        reason = None if text is None else self.scopes.expression(self.report, path, text)
        if reason is not None and types.kind(reason.type) not in ("str", "any"):
            self.report.add("SM119", path, f"a reason is text; this is {types.kind(reason.type)}")
        return reason
