"""References to Python objects: ``tools.py:check`` beside the machine, or ``package.module:check``."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import inspect
import re
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from statemachine.errors import InvalidReference

REFERENCE = re.compile(r"(?:[\w\-/]+\.py|[A-Za-z_][\w.]*):[A-Za-z_][\w.]*")
_PREFIX = "statemachine_machines"


def suggest(name: str, known: object) -> str:
    """Return ``; did you mean `x`?`` for the closest of the ``known`` names, or an empty string."""
    close = difflib.get_close_matches(name, [str(k) for k in known], n=1)  # type: ignore[attr-defined]
    return f"; did you mean `{close[0]}`?" if close else ""


@dataclass(frozen=True, slots=True)
class Folder:
    """The folder that a machine's references are relative to.

    Its modules are loaded as one package of their own, so that they may import each other relatively
    (``from .parts import x``) and two machines with a ``tools.py`` each do not meet; ``sys.path`` is
    left alone.
    """

    path: Path

    @property
    def package(self) -> str:
        """The name of the package that stands for this folder."""
        digest = hashlib.sha256(str(self.path.resolve()).encode()).hexdigest()[:12]
        return f"{_PREFIX}_{digest}"

    def resolve(self, reference: str) -> Any:
        """Return the object that ``reference`` names.

        Raises:
            InvalidReference: The spelling is wrong, or the file, module or name cannot be loaded.
        """
        if not REFERENCE.fullmatch(reference):
            raise InvalidReference(
                f"`{reference}` is not a reference; write `file.py:name` (beside the machine) "
                "or `package.module:name`"
            )
        where, _, dotted = reference.partition(":")
        found: Any = self.module(where) if where.endswith(".py") else _installed(where)
        for part in dotted.split("."):
            try:
                found = getattr(found, part)
            except AttributeError:
                hint = suggest(part, [n for n in dir(found) if not n.startswith("_")])
                raise InvalidReference(f"`{where}` has no `{part}`{hint}") from None
        return found

    def module(self, file: str) -> ModuleType:
        """Load ``file``, relative to the folder, once, and return its module.

        Raises:
            InvalidReference: There is no such file, it lies outside, or it fails to load.
        """
        path = (self.path / file).resolve()
        if not path.is_relative_to(self.path.resolve()):
            raise InvalidReference(f"`{file}` lies outside the machine's folder")
        if not path.is_file():
            hint = suggest(file, [p.name for p in self.path.glob("*.py")])
            raise InvalidReference(f"there is no `{file}` beside the machine{hint}")
        self._ensure_package()
        parts = path.relative_to(self.path.resolve()).with_suffix("").parts
        name = ".".join((self.package, *parts))
        return _execute(name, file)

    def _ensure_package(self) -> None:
        if self.package not in sys.modules:
            package = ModuleType(self.package)
            package.__path__ = [str(self.path.resolve())]
            sys.modules[self.package] = package

    def spell(self, thing: Any) -> str:
        """Return the reference that names a function or class.

        Raises:
            InvalidReference: It is local to a function, a lambda, or has no module.
        """
        qualified = getattr(thing, "__qualname__", "")
        module = sys.modules.get(getattr(thing, "__module__", ""))
        if not qualified or "<" in qualified or module is None:
            raise InvalidReference(f"{thing!r} cannot be named; define it at the top level of a module")
        file = getattr(module, "__file__", None)
        if file and Path(file).resolve().is_relative_to(self.path.resolve()):
            return f"{Path(file).resolve().relative_to(self.path.resolve()).as_posix()}:{qualified}"
        return f"{module.__name__}:{qualified}"


def _installed(module: str) -> ModuleType:
    try:
        known = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        known = None
    if known is None:
        raise InvalidReference(
            f"there is no module `{module}` to import; for a file beside the machine write `{module}.py:…`"
        )
    return _execute(module, module)


def _execute(name: str, shown: str) -> ModuleType:
    """Import ``name``; whatever its code raises, ``sys.exit`` included, becomes an InvalidReference."""
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        sys.modules.pop(name, None)
        raise InvalidReference(f"`{shown}` fails to load: {_summary(error)}") from error


def _summary(error: BaseException) -> str:
    text = f"{type(error).__name__}: {error}".rstrip(": ").splitlines()[0]
    if isinstance(error, SyntaxError):
        return f"{text} ({Path(error.filename or '').name}:{error.lineno})"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<")]
    frames = [f for f in frames if f.filename != __file__ and "importlib" not in f.filename]
    return f"{text} ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else text


def is_function(thing: Any) -> bool:
    """Return whether ``thing`` can be a tool or a guard: a function, sync or async."""
    return inspect.isfunction(thing) or inspect.isbuiltin(thing) or inspect.ismethod(thing)
