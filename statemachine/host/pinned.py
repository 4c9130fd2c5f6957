"""The machine that a run is pinned to: the whole declaration is stored with it."""

from __future__ import annotations

import json
import logging
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from statemachine.errors import InvalidReference, NotReplayable
from statemachine.journal import decode
from statemachine.kernel import Snapshot
from statemachine.machine.definition import Definition
from statemachine.machine.model import Declaration
from statemachine.machine.references import Folder
from statemachine.machine.resolve import nowhere, resolve
from statemachine.machine.unloaded import resolve_unloaded
from statemachine.store import Store, StoredMachine

VERSION_OF = {"run_started": "digest", "migrated": "to"}
"""The kinds of records that tell which version of the machine the next ones are of, and where in their body."""


@cache
def package_version() -> str:
    """Return the version of this package, which a run is begun and judged by; empty where it is not installed."""
    try:
        return version("agent-statemachine")
    except PackageNotFoundError:
        return ""


@lru_cache(maxsize=256)
def pin(definition: Definition) -> StoredMachine:
    """Return a machine as it is stored with its runs, made once."""
    declared = definition.declaration
    # In declared order, which pictures and listings follow; the digest does not depend on it.
    text = json.dumps(declared.as_data(), separators=(",", ":"), ensure_ascii=False)
    return StoredMachine(
        definition.digest, declared.machine, declared.version, text, str(definition.folder.path)
    )


def pinned(store: Store, digest: str) -> Definition:
    """Return the machine with a digest, as it was when its first run started; its tools are today's.

    Raises:
        InvalidMachine: Its tools can no longer be loaded.
    """
    stored = store.machine(digest)
    assert stored is not None  # a run's machine is stored with it, in one transaction
    return _define(stored)


def first_digest(store: Store, run: str) -> str:
    """Return the digest of the machine that a run was started with, which its chain of hashes begins with.

    Where the first record does not tell, because a hand has been at it, that is the machine of the run as it is now.
    """
    record, now = next(store.records(run, until=1), None), store.load(run).machine
    try:
        body = None if record is None else decode(record.body, store.blob)
    except (TypeError, ValueError):
        return now
    digest = body.get("digest") if isinstance(body, dict) else None
    return digest if isinstance(digest, str) and store.machine(digest) is not None else now


def unloaded(store: Store, digest: str, parameters: frozenset[tuple[str, str]]) -> Definition:
    """Return the machine with a digest for replay alone: no tool of it is loaded, nor can be called.

    Args:
        store: Where it is kept.
        digest: Its digest.
        parameters: Tools, each with the name of an input that it was called with.

    Raises:
        NotReplayable: It decides by Python functions that can no longer be loaded.
        InvalidMachine: It cannot be typed without its tools.
    """
    stored = store.machine(digest)
    assert stored is not None
    try:
        return _define_unloaded(stored, parameters)
    except InvalidReference as error:
        raise NotReplayable(
            f"{stored.name} {stored.version} has guards that are Python functions, and they decide anew when a "
            f"journal is replayed: {error}; put the file back into {stored.source}"
        ) from None


def declared(store: Store, digest: str) -> Declaration:
    """Return the declaration with a digest; nothing of its tools is loaded."""
    stored = store.machine(digest)
    assert stored is not None
    return Declaration.model_validate_json(stored.declaration)


def warn_of_other_code(definition: Definition, snapshot: Snapshot) -> None:
    """Warn in the log, once in a process, that runs go on with other code of their tools than they began with."""
    if snapshot.code and definition.code != snapshot.code:
        _warn(definition.declaration.machine, definition.declaration.version, snapshot.code, definition.code)


@lru_cache(maxsize=64)
def _warn(machine: str, version: str, was: str, now: str) -> None:
    logging.getLogger("statemachine").warning(
        "the code of the tools of %s %s has changed since the run began (fingerprint %s, now %s): its machine is "
        "pinned to it, their code is not",
        *(machine, version, was, now),
    )


@lru_cache(maxsize=64)
def _define(stored: StoredMachine) -> Definition:
    return resolve(
        Declaration.model_validate_json(stored.declaration),
        Folder(Path(stored.source)),
        nowhere(f"{stored.source} ({stored.name} {stored.version})"),
    )


@lru_cache(maxsize=64)
def _define_unloaded(stored: StoredMachine, parameters: frozenset[tuple[str, str]]) -> Definition:
    declaration = Declaration.model_validate_json(stored.declaration)
    return resolve_unloaded(declaration, Folder(Path(stored.source)), sorted(parameters))
