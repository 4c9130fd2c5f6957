"""What happened: records, their canonical form and their hash chain."""

from __future__ import annotations

from statemachine.journal.encoding import BLOB_LIMIT, decode, encode
from statemachine.journal.record import ERASURE, Chain, Record, canonical, genesis, seal, verify
from statemachine.journal.story import tell

__all__ = [
    "BLOB_LIMIT",
    "ERASURE",
    "Chain",
    "Record",
    "canonical",
    "decode",
    "encode",
    "genesis",
    "seal",
    "tell",
    "verify",
]
