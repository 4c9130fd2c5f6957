"""Where runs lie unless it is said, and what they are called."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

DEFAULT_DB = ".statemachine/runs.db"

POLICY = "STATEMACHINE_POLICY"
"""The environment variable that names the policy."""


def new_run() -> str:
    """Return an id for a run."""
    return secrets.token_hex(6)


def default_db() -> str:
    """Return the store's place: ``STATEMACHINE_DB``, else ``.statemachine/runs.db`` in the working folder."""
    return os.environ.get("STATEMACHINE_DB") or DEFAULT_DB


def policy_file(store: str | Path) -> Path:
    """Return the policy that counts for a store, by its path or URL: ``STATEMACHINE_POLICY``, else beside it."""
    return Path(os.environ.get(POLICY) or _base(store).with_name("policy.yaml"))


def work_folder(store: str | Path) -> Path:
    """Return where the folders of a store's runs lie, by its path or URL."""
    base = _base(store)
    return base.with_name(f"{base.name}.work")


def _base(store: str | Path) -> Path:
    """Return beside what a store's own files lie; those of a database on a server lie in the working folder."""
    place, url, rest = str(store).partition(":///")
    if url and place.startswith("sqlite"):
        return Path(rest.partition("?")[0]).resolve()
    return Path(DEFAULT_DB if "://" in str(store) else store).resolve()
