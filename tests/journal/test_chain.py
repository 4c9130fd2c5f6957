"""Records are sealed into a chain that shows every change made to them afterwards."""

from __future__ import annotations

from hashlib import sha256

import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from statemachine.journal import Record, canonical, genesis, seal, verify

MACHINE = "ab" * 32
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
TIMES = st.floats(0, 4e9)
CHAINS = st.lists(st.tuples(TIMES, TEXT, TEXT), min_size=2, max_size=8)


def chain(entries: list[tuple[float, str, str]], run: str = "r1") -> list[Record]:
    records: list[Record] = []
    head, seq = genesis(run, MACHINE), 0
    for at, kind, note in entries:
        sealed, _ = seal(run, head, seq, at, [(kind, {"note": note})])
        records.extend(sealed)
        head, seq = records[-1].hash, records[-1].seq
    return records


@given(
    TEXT,
    st.integers(0, 2**53 - 1),
    st.floats(allow_nan=False, allow_infinity=False)
    | TIMES.map(lambda t: round(t, 6))
    | st.integers(0, 9).map(float),
    TEXT,
    TEXT,
)
def test_canonical_form_is_rfc_8785(run: str, seq: int, at: float, kind: str, body: str) -> None:
    """What is written by hand for speed is what the library of the standard writes."""
    fields = {"run": run, "seq": seq, "at": at, "kind": kind, "prev": "0f" * 32}
    fields["body"] = sha256(body.encode()).hexdigest()
    assert canonical(run, seq, at, kind, body, "0f" * 32) == rfc8785.dumps(fields)


@given(CHAINS)
def test_a_sealed_chain_verifies(entries: list[tuple[float, str, str]]) -> None:
    """Records count from 1 without gaps, follow one another, and verify for their machine only."""
    records = chain(entries)
    assert [record.seq for record in records] == list(range(1, len(entries) + 1))
    assert verify(iter(records), MACHINE) is None
    assert verify(records, "cd" * 32) is records[0]


@given(CHAINS, st.data())
def test_an_edit_is_found(entries: list[tuple[float, str, str]], data: st.DataObject) -> None:
    """A change of any field of any record is found at that record."""
    records = chain(entries)
    place = data.draw(st.integers(0, len(records) - 1))
    whole = records[place]
    records[place] = data.draw(
        st.sampled_from(
            [
                whole._replace(run=whole.run + "x"),
                whole._replace(seq=whole.seq + 1),
                whole._replace(at=whole.at + 1),
                whole._replace(kind=whole.kind + "x"),
                whole._replace(body=whole.body.replace(":", ": ")),
                whole._replace(prev=sha256(b"").hexdigest()),
                whole._replace(hash=sha256(b"").hexdigest()),
                whole._replace(salt=""),
                whole._replace(salt=whole.salt[::-1] + "0"),
                whole._replace(at=None),  # type: ignore[arg-type]  # a database column holds anything
                whole._replace(body=b"{}"),  # type: ignore[arg-type]
            ]
        )
    )
    assert verify(records, MACHINE) is records[place]


@given(CHAINS, st.data())
def test_a_drop_is_found(entries: list[tuple[float, str, str]], data: st.DataObject) -> None:
    """Where a record is missing, the one after it is named."""
    records = chain(entries)
    place = data.draw(st.integers(0, len(records) - 2))
    del records[place]
    assert verify(records, MACHINE) is records[place]


@given(CHAINS, st.data())
def test_a_swap_is_found(entries: list[tuple[float, str, str]], data: st.DataObject) -> None:
    """Where records changed places, the first that is out of place is named."""
    records = chain(entries)
    one, other = data.draw(st.lists(st.integers(0, len(records) - 1), min_size=2, max_size=2, unique=True))
    records[one], records[other] = records[other], records[one]
    assert verify(records, MACHINE) is records[min(one, other)]


@given(CHAINS, st.data())
def test_an_insert_is_found(entries: list[tuple[float, str, str]], data: st.DataObject) -> None:
    """A record put in is named: a copy, one of another run, or one sealed to fit where it is."""
    records = chain(entries)
    place = data.draw(st.integers(1, len(records) - 1))
    before = records[place - 1]
    forged, _ = seal("r1", before.hash, before.seq, 1.0, [("event", {"forged": True})])
    extra = data.draw(st.sampled_from([before, chain(entries, "r2")[place], forged[0]]))
    records.insert(place, extra)
    # A forged record fits what is before it; what comes after no longer fits.
    assert verify(records, MACHINE) is (records[place + 1] if extra is forged[0] else extra)


def test_what_a_body_was_cannot_be_tried_out_without_its_salt() -> None:
    """Equal bodies have other digests each time, and one from before there were salts verifies still."""
    (one,), _ = seal("r1", genesis("r1", MACHINE), 0, 1.0, [("event", {"sick": True})])
    (other,), _ = seal("r1", genesis("r1", MACHINE), 0, 1.0, [("event", {"sick": True})])
    assert (one.body, one.salt != other.salt, one.hash != other.hash) == (other.body, True, True)
    digest = sha256(canonical("r1", 1, 1.0, "event", one.body, one.prev)).hexdigest()
    assert verify([one._replace(salt="", hash=digest)], MACHINE) is None


def test_times_are_kept_to_the_microsecond() -> None:
    """What a time has beyond microseconds is gone before it is hashed, so that it reads back alike."""
    (record,), _ = seal("r1", genesis("r1", MACHINE), 0, 1700000000.12345678, [("event", {})])
    assert record.at == 1700000000.123457
