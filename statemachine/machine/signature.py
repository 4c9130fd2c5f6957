"""A tool's typed inputs and output, read from its function or its declaration."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, get_args, get_origin

from pydantic import SecretStr

from statemachine.errors import InvalidReference
from statemachine.machine.call import Call, Reply
from statemachine.machine.contract import Tool
from statemachine.machine.references import Folder, parameters_of
from statemachine.machine.types import adapter, parse_type

PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)\}")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One input of a tool.

    Attributes:
        type: Its Python type.
        required: Whether it has no default.
    """

    type: Any
    required: bool


@dataclass(frozen=True, slots=True)
class Signature:
    """What a tool takes and gives.

    Attributes:
        input: Its inputs by name.
        output: Type of its output.
        function: The function of a Python tool.
        call_parameter: The parameter that receives the :class:`Call`, if there is one.
        command: The words of a shell tool, with ``{name}`` for inputs.
        secrets: Types of what it takes besides, by name: see :attr:`statemachine.machine.model.Tool.secrets`.
    """

    input: Mapping[str, Parameter]
    output: Any
    function: Callable[..., Any] | None = None
    call_parameter: str | None = None
    command: tuple[str, ...] = ()
    secrets: Mapping[str, Any] = field(default_factory=dict)


def read_signature(tool: Tool, folder: Folder, function: Callable[..., Any] | None = None) -> Signature:
    """Return the signature of a tool; ``function`` stands for its reference when it is at hand.

    Raises:
        InvalidReference: The function cannot be loaded, or a type is missing or wrong.
    """
    if tool.python is not None:
        return _of_function(tool.python, function or folder.resolve(tool.python), tool.secrets)
    return _of_command(tool, folder)


def _of_function(reference: str, function: Any, secrets: Mapping[str, str]) -> Signature:
    parameters: dict[str, Parameter] = {}
    taken: dict[str, Any] = {}
    call_parameter = None
    for name, parameter in parameters_of(reference, function).items():
        if parameter.annotation is Call:
            call_parameter = name
            continue
        if name in secrets:
            if parameter.annotation not in (str, SecretStr):
                raise InvalidReference(
                    f"`{reference}`: `{name}` is a secret; annotate it as str or SecretStr"
                )
            taken[name] = parameter.annotation
            continue
        adapter(parameter.annotation)
        parameters[name] = Parameter(parameter.annotation, parameter.default is parameter.empty)
    if unknown := [name for name in secrets if name not in taken]:
        raise InvalidReference(f"`{reference}` takes no `{unknown[0]}`, which `secrets:` would give it")
    output = inspect.signature(function, eval_str=True).return_annotation
    if output is inspect.Signature.empty:
        raise InvalidReference(f"`{reference}`: annotate what it returns (`-> None` if nothing)")
    if get_origin(output) is Reply:
        (output,) = get_args(output)
    adapter(output)
    return Signature(MappingProxyType(parameters), output, function, call_parameter, secrets=taken)


def _of_command(tool: Tool, folder: Folder) -> Signature:
    words = tool.shell or ()
    for word in words:
        for name in PLACEHOLDER.findall(word):
            if name in tool.secrets:
                raise InvalidReference(
                    f"the command uses `{{{name}}}`, and everybody on the machine can read its words; it finds the "
                    f"secret in its environment, as ${name}"
                )
            if name not in tool.input:
                raise InvalidReference(f"the command uses `{{{name}}}`; declare `{name}` under input:")
    types = {name: parse_type(text, folder) for name, text in tool.input.items()}
    return Signature(
        MappingProxyType({name: Parameter(of, True) for name, of in types.items()}),
        parse_type(tool.output or "str", folder),
        command=words,
        secrets=dict.fromkeys(tool.secrets, str),
    )
