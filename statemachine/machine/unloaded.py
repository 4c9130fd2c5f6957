"""A declaration resolved without its code: all that the kernel needs to move a run again, and nothing to call.

A class or function beside the machine is stood in for by what the declaration says of it: the parts of it that
expressions read, and the inputs that calls were made with. Values are taken as they are.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NotRequired, Optional, TypedDict

from pydantic_core import CoreSchema, core_schema

from statemachine.machine.definition import Definition
from statemachine.machine.language import paths_in
from statemachine.machine.model import Declaration, PythonGuard
from statemachine.machine.references import REFERENCE, Folder
from statemachine.machine.resolve import nowhere, resolve
from statemachine.machine.signature import PLACEHOLDER


class Anything:
    """The type of a value of which nothing is known."""

    @classmethod
    def __get_pydantic_core_schema__(cls, *_: Any) -> CoreSchema:
        return core_schema.any_schema()


@dataclass(slots=True)
class _Parts:
    """The parts of a value that expressions read, whether one reads it as a whole, or is it and nothing else."""

    inner: dict[str, _Parts] = field(default_factory=dict)
    whole: bool = False
    verdict: bool = False

    def add(self, path: Sequence[str], whole: bool, verdict: bool) -> None:
        node = self
        for name in path:
            node = node.inner.setdefault(name, _Parts())
        node.whole = node.whole or (whole and bool(path))
        node.verdict = node.verdict or verdict

    def type(self) -> Any:
        """Return a type with these parts; what an expression reads as a whole is a plain value, or a map."""
        if self.verdict:
            return bool  # it is all of a guard
        if self.whole or not self.inner:
            return Anything
        parts = {name: NotRequired[Optional[part.type()]] for name, part in self.inner.items()}  # noqa: UP045
        typed: Any = TypedDict
        made = typed("Unloaded", parts)
        made.__get_pydantic_core_schema__ = Anything.__get_pydantic_core_schema__
        return made


@dataclass(frozen=True, slots=True)
class _Unloaded(Folder):
    """A machine's folder of which nothing is loaded.

    Attributes:
        known: What stands for the classes in it, by reference.
    """

    known: Mapping[str, Any]

    def resolve(self, reference: str) -> Any:
        """Return what stands for a class."""
        return self.known.get(reference, Anything)


def resolve_unloaded(
    declaration: Declaration, folder: Folder, parameters: Iterable[tuple[str, str]]
) -> Definition:
    """Return the definition of a declaration; only its guards that are Python functions are loaded.

    Args:
        declaration: What to resolve: it was valid with its code.
        folder: What its references are relative to.
        parameters: Tools, each with the name of an input that it was called with.

    Raises:
        InvalidMachine: It cannot be typed without its code.
        InvalidReference: A guard's function cannot be loaded.
    """
    guards = {t.when.python for _, t in declaration.transitions() if isinstance(t.when, PythonGuard)}
    functions = {reference: folder.resolve(reference) for reference in guards}
    known = {reference: parts.type() for reference, parts in _parts(declaration).items()}
    functions |= _stubs(declaration, known, parameters)
    return resolve(
        declaration, _Unloaded(folder.path, known), nowhere(declaration.machine), functions=functions
    )


def _parts(declared: Declaration) -> dict[str, _Parts]:
    """Return by reference which parts of classes, and of functions' outputs, the machine's expressions read."""
    found: dict[str, _Parts] = {}
    fields = {name: part.type for name, part in declared.context.items()}
    for event, output, text, use in _texts(declared):
        bare = ["".join(text.split())] == [".".join(path) for path in paths_in(text)]
        types = fields | {f"event.{name}": of for name, of in declared.events.get(event, {}).items()}
        for path in paths_in(text):
            root, *rest = path[1:] if path[:1] in (["known"], ["fresh"]) else path or [""]
            if root == "event" and rest:
                root = f"event.{rest.pop(0)}"
            for reference in _references(output if root == "output" else types.get(root, "")):
                verdict = bare and use == "guard" and path[0] not in ("known", "fresh")
                found.setdefault(reference, _Parts()).add(rest, not bare and use != "save", verdict)
    return found


def _references(of: str) -> list[str]:
    """Return the class that a type is, if it is one, or one or None."""
    return [part for part in map(str.strip, of.split("|")) if REFERENCE.fullmatch(part)]


def _texts(declared: Declaration) -> Iterator[tuple[str, str, str, Literal["guard", "save", "value"]]]:
    """Yield the event and the output that each expression is about, its text and its use."""
    for path, transition in declared.transitions():
        if isinstance(transition.when, str):
            state = declared.states[str(path[1])] if path[0] == "states" else None
            yield str(path[-2]), _output(declared, state.do if state else None), transition.when, "guard"
    for state in declared.states.values():
        output = _output(declared, state.do)
        if state.sufficient is not None:
            yield "", output, state.sufficient, "guard"
        for text in state.save.values():
            for event in state.on if state.kind == "event" else [""]:
                yield event, output, text, "save"
        if state.approval is not None and state.approval.when is not None:
            yield "", "", state.approval.when, "guard"
        told = (text for text in (state.reason, state.reasoning, state.expects) if text is not None)
        for text in (*state.arguments.values(), *state.output.values(), *told):
            yield "", "", text, "value"


def _output(declared: Declaration, tool: str | None) -> str:
    """Return the type of a tool's output, or the function that stands for it."""
    called = declared.tools.get(tool or "")
    return "" if called is None else called.python or called.output or ""


def _stubs(
    declared: Declaration, known: Mapping[str, Any], parameters: Iterable[tuple[str, str]]
) -> dict[str, Callable[..., Any]]:
    """Return what stands for the functions of tools: their signatures, as far as the machine and its runs tell."""
    takes: dict[str, dict[str, Any]] = {tool: {} for tool in declared.tools}
    gives = {name: known.get(tool.python or "", Anything) for name, tool in declared.tools.items()}
    for called, name in parameters:
        takes.setdefault(called, {})[name] = Anything
    for state in declared.states.values():
        takes.setdefault(state.do or "", {}).update(dict.fromkeys(state.arguments, Anything))
    for name, tool in declared.tools.items():
        for text in (tool.says or "", *tool.reads, *tool.modifies):
            takes[name].update(dict.fromkeys(PLACEHOLDER.findall(text), Anything))
        takes[name].update(dict.fromkeys(tool.secrets, str))
    for probe in {tool.probe for tool in declared.tools.values() if tool.probe is not None}:
        takes[probe]["key"], gives[probe] = str, bool
    functions: dict[str, dict[str, Any]] = {}
    outputs: dict[str, Any] = {}
    for name, tool in declared.tools.items():
        if tool.python is not None:
            functions.setdefault(tool.python, {}).update(takes[name])
            outputs[tool.python] = gives[name]
    return {
        reference: _stub(reference, inputs, outputs[reference]) for reference, inputs in functions.items()
    }


def _stub(reference: str, takes: Mapping[str, Any], gives: Any) -> Callable[..., Any]:
    def stub(**_: Any) -> Any:
        raise RuntimeError(f"{reference} is not loaded: nothing is called when a journal is replayed")

    keyword = inspect.Parameter.KEYWORD_ONLY
    inputs = [inspect.Parameter(name, keyword, default=None, annotation=of) for name, of in takes.items()]
    vars(stub)["__signature__"] = inspect.Signature(inputs, return_annotation=gives)
    return stub
