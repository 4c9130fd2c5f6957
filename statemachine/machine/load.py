"""Load a machine from a file, whichever language it is written in."""

from __future__ import annotations

from pathlib import Path

from statemachine.errors import Finding, InvalidMachine, InvalidReference, Place
from statemachine.machine.definition import Definition
from statemachine.machine.references import Folder


def load(file: str | Path) -> Definition:
    """Return the machine that a file declares.

    Args:
        file: A YAML file, a Python file with one machine, or ``file.py:name`` for one of several.

    Raises:
        InvalidMachine: With everything that is wrong.
    """
    shown, _, name = str(file).partition(".py:")
    path = Path(f"{shown}.py" if name else shown)
    if path.suffix == ".py":
        return _python(path, name)
    # ruamel alone takes as long to import as pydantic: a machine in Python does without.
    from statemachine.machine import yaml
    from statemachine.machine.source import read_source

    return yaml.define(read_source(path, shown), Folder(path.resolve().parent))


def _python(path: Path, name: str) -> Definition:
    from statemachine.machine.python import MachineBuilder

    def refuse(message: str) -> InvalidMachine:
        return InvalidMachine([Finding("SM100", message, Place(str(path)))])

    if not path.is_file():
        raise refuse("there is no such file")
    try:
        module = Folder(path.resolve().parent).module(path.name)
    except InvalidReference as error:
        raise refuse(str(error)) from None
    machines = {n: m for n, m in vars(module).items() if isinstance(m, MachineBuilder)}
    if name and name not in machines:
        raise refuse(f"it declares no machine `{name}`; it has: {', '.join(machines) or 'none'}")
    if not name and len(machines) != 1:
        if not machines:
            raise refuse("it declares no machine; write `name = Machine('name', version='1', …)`")
        raise refuse(f"it declares several machines; write {path}:NAME with one of {', '.join(machines)}")
    return machines[name or next(iter(machines))].definition
