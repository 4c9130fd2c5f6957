"""The machine that `statemachine new` writes: seven states, their tools, and a comment on every key."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from importlib.resources import files
from pathlib import Path

from statemachine.errors import InvalidInput, OutputUnwritable

SCHEMA = "machine.schema.json"
"""The JSON Schema's file, beside the machine: editors find it there on any computer."""


def contents(name: str, schema: str = SCHEMA) -> dict[str, str]:
    """Return the text of each file of a new machine.

    Args:
        name: Name of the machine.
        schema: Where its file says that the JSON Schema is, relative to it.

    Raises:
        InvalidInput: The name is no machine name.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        near = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_0123456789")
        hint = f"; did you mean `{near}`?" if near else ""
        raise InvalidInput(
            f"`{name}` cannot name a machine: a name is lower case letters, digits and _, "
            f"and begins with a letter{hint}"
        )
    here = files(__name__)
    machine = here.joinpath("machine.yaml").read_text(encoding="utf-8")
    return {
        f"{name}.yaml": machine.replace("SCHEMA", schema, 1).replace("NAME", name),
        "tools.py": here.joinpath("tools.py").read_text(encoding="utf-8"),
    }


def write(name: str, folder: Path) -> list[Path]:
    """Write a new machine, its tools and the JSON Schema into the folder ``name`` below ``folder``.

    All of it appears at once: the folder is written under another name and then given its own.

    Returns:
        The files, the machine first.

    Raises:
        InvalidInput: The name is no machine name.
        OutputUnwritable: There is something of that name already, or the folder cannot be written.
    """
    texts = contents(name)
    texts[SCHEMA] = files("statemachine.machine").joinpath(SCHEMA).read_text(encoding="utf-8")
    target, draft = folder / name, folder / f".{name}.{secrets.token_hex(4)}"
    try:
        draft.mkdir(parents=True)
        for file, text in texts.items():
            (draft / file).write_text(text, encoding="utf-8")
        draft.rename(target)  # fails unless the target is absent or an empty folder
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY) or os.path.isfile(target):
            raise OutputUnwritable(
                f"`{target}` is there already and is left as it is; choose another name, or another place with --in"
            ) from None
        raise OutputUnwritable(
            f"`{target}` cannot be written: {error.strerror}; choose another place with --in"
        ) from None
    return [target / file for file in texts]
