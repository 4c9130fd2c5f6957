"""Where runs lie unless it is said, and what they are called."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

DEFAULT_DB = ".statemachine/runs.db"


def new_run() -> str:
    """Return an id for a run."""
    return secrets.token_hex(6)


def default_db() -> str:
    """Return the store's place: ``STATEMACHINE_DB``, else ``.statemachine/runs.db`` in the working folder."""
    return os.environ.get("STATEMACHINE_DB") or DEFAULT_DB


def work_folder(store: str | Path) -> Path:
    """Return where the folders of a store's runs lie, by its path."""
    base = Path(store).resolve()
    return base.with_name(f"{base.name}.work")
