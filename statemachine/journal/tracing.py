"""The ids that a run and its records have in traces: always the same, whoever tells of them, and after a crash too.

A trace is a run. A span is known by the record with which it begins; the run's own span, by 0.
Widths are those of https://www.w3.org/TR/trace-context/.
"""

from __future__ import annotations

from hashlib import sha256


def trace_id(run: str) -> int:
    """Return the id of a run's trace: 128 bits, never 0."""
    return int.from_bytes(sha256(f"run {run}".encode()).digest()[:16], "big") or 1


def span_id(run: str, seq: int) -> int:
    """Return the id of the span that begins with a record of a run: 64 bits, never 0."""
    return int.from_bytes(sha256(f"record {run}:{seq}".encode()).digest()[:8], "big") or 1
