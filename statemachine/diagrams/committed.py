"""The pictures of a project's machines that are kept beside them, and whether they are current."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from statemachine.diagrams import FORMATS, render
from statemachine.errors import OutputUnwritable

if TYPE_CHECKING:
    from statemachine.machine.model import Declaration

KEPT = ("svg", "dot", "mermaid")
"""The formats that are kept: one to look at, two to compare."""


@dataclass(frozen=True, slots=True)
class Stale:
    """A kept picture that is not what its machine gives now.

    Attributes:
        path: Its file.
        why: ``missing``, ``out of date``, or ``left over`` where no machine has its name.
    """

    path: Path
    why: Literal["missing", "out of date", "left over"]


Bounds = Mapping[str, Mapping[str, str]]
"""For each file name without its suffix, what is proved of the machine, as :func:`render` takes it."""


def write(folder: Path, declarations: Mapping[str, Declaration], bounds: Bounds | None = None) -> list[Path]:
    """Draw every machine into ``folder`` and return the paths that changed; nothing is deleted.

    Args:
        folder: Made when it is missing.
        declarations: For each file name without its suffix, the machine.
        bounds: What is proved of them.

    Raises:
        OutputUnwritable: The folder or a file cannot be written.
        DiagramFailed: A picture cannot be laid out; nothing is written then.
    """
    wanted = _wanted(folder, declarations, bounds or {})
    changed = [found.path for found in _stale(folder, wanted) if found.path in wanted]
    for path in changed:
        save(path, wanted[path])
    return changed


def stale(folder: Path, declarations: Mapping[str, Declaration], bounds: Bounds | None = None) -> list[Stale]:
    """Return the pictures in ``folder`` that are missing, out of date or left over, sorted by path."""
    return _stale(folder, _wanted(folder, declarations, bounds or {}))


def save(path: Path, picture: bytes) -> None:
    """Write a picture whole or not at all, making its folder when it is missing.

    What is there and is no file, such as a pipe, is written to and stays what it is.

    Raises:
        OutputUnwritable: The path cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(picture)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(picture)
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        # A file where a folder should be is an error of two names.
        taken = isinstance(error, FileExistsError | NotADirectoryError)
        why = f"{path.parent} is not a folder" if taken else error.strerror or error
        raise OutputUnwritable(f"{path} cannot be written: {why}") from None


def _wanted(folder: Path, declarations: Mapping[str, Declaration], bounds: Bounds) -> dict[Path, bytes]:
    return {
        folder / f"{stem}{FORMATS[form]}": render(declaration, form, bounds.get(stem))
        for stem, declaration in declarations.items()
        for form in KEPT
    }


def _stale(folder: Path, wanted: Mapping[Path, bytes]) -> list[Stale]:
    suffixes = {FORMATS[form] for form in KEPT}
    there = {path for path in folder.glob("*") if path.suffix in suffixes and path.is_file()}
    found = [Stale(path, "left over") for path in there - wanted.keys()]
    for path, picture in wanted.items():
        if path not in there:
            found.append(Stale(path, "missing"))
        elif path.read_bytes() != picture:
            found.append(Stale(path, "out of date"))
    return sorted(found, key=lambda stale: stale.path)
