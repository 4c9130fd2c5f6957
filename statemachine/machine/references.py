"""References to Python objects: ``tools.py:check`` beside the machine, or ``package.module:check``."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import importlib
import inspect
import re
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from statemachine.errors import InvalidMachine, InvalidReference

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
            except Exception:  # a module's own __getattr__ may raise anything
                hint = suggest(part, [n for n in dir(found) if not n.startswith("_")])
                raise InvalidReference(f"`{where}` has no `{part}`{hint}") from None
        return found

    def module(self, file: str) -> ModuleType:
        """Load ``file``, relative to the folder, once, and return its module.

        Raises:
            InvalidReference: There is no such file, it lies outside, or it fails to load.
            InvalidMachine: It declares a machine, wrongly.
        """
        path = (self.path / file).resolve()
        if not path.is_relative_to(self.path.resolve()):
            raise InvalidReference(f"`{file}` lies outside the machine's folder")
        if not path.is_file():
            hint = suggest(file, [p.name for p in self.path.glob("*.py")])
            raise InvalidReference(f"there is no `{file}` beside the machine{hint}")
        if self.package not in sys.modules:
            package = ModuleType(self.package)
            package.__path__ = [str(self.path.resolve())]
            sys.modules[self.package] = package
        return _execute(self._module_name(path), file)

    def _module_name(self, path: Path) -> str:
        return ".".join((self.package, *path.relative_to(self.path.resolve()).with_suffix("").parts))

    def spell(self, thing: Any) -> str:
        """Return the reference that names a function or class; its module is known by it from now on.

        Raises:
            InvalidReference: It is local to a function, a lambda, or has no module.
        """
        qualified = getattr(thing, "__qualname__", "")
        module = sys.modules.get(getattr(thing, "__module__", None) or "")
        if not qualified or "<" in qualified or module is None:
            raise InvalidReference(f"{thing!r} cannot be named; define it at the top level of a module")
        file = getattr(module, "__file__", None)
        if file and Path(file).resolve().is_relative_to(self.path.resolve()):
            path = Path(file).resolve()
            # A file that runs as a program, or was imported in another way, is not executed a second time.
            sys.modules.setdefault(self._module_name(path), module)
            return f"{path.relative_to(self.path.resolve()).as_posix()}:{qualified}"
        return f"{module.__name__}:{qualified}"


def _installed(module: str) -> ModuleType:
    try:
        return _execute(module, module)
    except InvalidReference as error:
        missing = getattr(error.__cause__, "name", None)
        if isinstance(error.__cause__, ModuleNotFoundError) and f"{module}.".startswith(f"{missing}."):
            raise InvalidReference(
                f"there is no module `{module}` to import; "
                f"for a file beside the machine write `{module.replace('.', '/')}.py:…`"
            ) from None
        raise


def _execute(name: str, shown: str) -> ModuleType:
    """Import ``name``; whatever its code raises, ``sys.exit`` included, becomes an InvalidReference."""
    try:
        # What a module prints while it loads must not mix with a command's own output.
        with contextlib.redirect_stdout(sys.stderr):
            return importlib.import_module(name)
    except InvalidMachine:
        raise
    except (Exception, SystemExit) as error:
        raise InvalidReference(f"`{shown}` fails to load: {_summary(error)}") from error


def _summary(error: BaseException) -> str:
    # A circular import's message names the package that stands for the folder; people know the file.
    message = re.sub(rf"{_PREFIX}_\w+\.|\s*\((?:most likely.*|/.*)\)$", "", str(error))
    text = f"{type(error).__name__}: {message}".rstrip(": ").splitlines()[0]
    if isinstance(error, SyntaxError):
        return f"SyntaxError: {error.msg} ({Path(error.filename or '').name}:{error.lineno})"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<")]
    frames = [f for f in frames if f.filename != __file__ and "importlib" not in f.filename]
    return f"{text} ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else text


def parameters_of(reference: str, function: Any) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a function, each with a name to be given by and a type.

    Raises:
        InvalidReference: It is not a function, or a parameter has no name or type of its own.
    """
    if not inspect.isroutine(function):
        raise InvalidReference(f"`{reference}` is not a function")
    try:
        parameters = inspect.signature(function, eval_str=True).parameters
    except Exception as error:  # annotations are code: reading them may raise anything
        raise InvalidReference(
            f"`{reference}`: its annotations cannot be read ({error}); import its types at run time"
        ) from None
    for name, parameter in parameters.items():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise InvalidReference(
                f"`{reference}`: `{name}` has no name to be given by; write a plain parameter"
            )
        if parameter.annotation is parameter.empty:
            raise InvalidReference(f"`{reference}`: annotate the parameter `{name}` with its type")
    return parameters
