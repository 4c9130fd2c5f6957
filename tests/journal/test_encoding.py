"""Values become JSON text and come back as they were; large parts are kept apart."""

from __future__ import annotations

import json
import subprocess
import sys
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statemachine.errors import InvalidValue
from statemachine.journal import BLOB_LIMIT, decode, encode, genesis, seal

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
KEYS = TEXT | st.sampled_from(["$blob", "$$blob", "$$$blob", "x$blob", "$blobs"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)


@given(VALUES, st.integers(1, 200))
def test_what_goes_in_comes_out(value: object, limit: int) -> None:
    """Any JSON value returns exactly, whatever was kept apart, even with keys like references."""
    text, blobs = encode(value, limit)
    assert json.dumps(decode(text, blobs.__getitem__), sort_keys=True) == json.dumps(value, sort_keys=True)
    plain = json.loads(text, parse_float=str)  # 1e16 and 1e+16 are the same number
    assert text.replace('"', "") == json.dumps(
        plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).replace('"', "")


@given(VALUES, st.integers(1, 200))
def test_nothing_large_stays(value: object, limit: int) -> None:
    """Text is within the limit, or one reference; a blob is above the limit and named by its digest."""
    text, blobs = encode(value, limit)
    assert len(text.encode()) <= limit or list(json.loads(text)) == ["$blob"]
    assert all(len(data) > limit and sha256(data).hexdigest() == digest for digest, data in blobs.items())


def test_only_the_large_part_is_kept_apart() -> None:
    """A long text deep in a value leaves the rest of it readable, and the same text is kept once."""
    long = "ä" * BLOB_LIMIT
    text, blobs = encode({"a": {"b": [1, long]}, "c": long})
    (digest,) = blobs
    assert json.loads(text) == {"a": {"b": [1, {"$blob": digest}]}, "c": {"$blob": digest}}
    assert blobs[digest] == f'"{long}"'.encode()


def test_a_record_with_a_large_body_brings_its_blob() -> None:
    """Sealing returns what bodies point to, to be stored along with them."""
    (record,), blobs = seal(
        "r1", genesis("r1", "m"), 0, 1.0, [("call_finished", {"output": "x" * BLOB_LIMIT})]
    )
    assert len(record.body) < 100
    assert decode(record.body, blobs.__getitem__) == {"output": "x" * BLOB_LIMIT}


def test_a_missing_blob_is_the_callers_to_report() -> None:
    """What the fetching function raises is passed on."""
    text, _ = encode("x" * BLOB_LIMIT)
    with pytest.raises(KeyError):
        decode(text, {}.__getitem__)


DEEP: list[object] = []
for _ in range(100_000):
    DEEP = [DEEP]
CYCLE: list[object] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, b"x", object(), "\ud800", CYCLE, DEEP])
def test_what_is_no_json_is_refused(value: object) -> None:
    """A value that could not be read back is refused by name of the fault, never stored in part."""
    with pytest.raises(InvalidValue, match=r"cannot be recorded as JSON: ."):
        encode({"value": value})


def test_the_journal_needs_no_database() -> None:
    """Sealing and verifying import neither SQLAlchemy nor anything else that is slow."""
    code = "import sys, statemachine.journal; sys.exit('sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
