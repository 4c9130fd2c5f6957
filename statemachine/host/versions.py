"""Which version of a machine is the newest."""

from __future__ import annotations

import re

from statemachine.store import Store


def newest(store: Store) -> dict[str, str]:
    """Return by name the digest of each machine's newest version: the highest, of equals the last that was started."""
    found: dict[str, tuple[list[tuple[int, str]], str]] = {}
    for digest, name, version in store.versions():
        # Digits count as numbers: 10 is newer than 9.
        rank = [(int(part), "") if part.isdigit() else (-1, part) for part in re.findall(r"\d+|\D+", version)]
        if name not in found or rank >= found[name][0]:
            found[name] = rank, digest
    return {name: digest for name, (_, digest) in found.items()}
