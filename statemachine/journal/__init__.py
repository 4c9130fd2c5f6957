"""What happened: records, their canonical form and their hash chain."""

from __future__ import annotations

from .encoding import BLOB_LIMIT, decode, encode
from .record import Record, canonical, genesis, seal, verify

__all__ = ["BLOB_LIMIT", "Record", "canonical", "decode", "encode", "genesis", "seal", "verify"]
