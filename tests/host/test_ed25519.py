"""Ed25519 in plain Python: RFC 8032's own examples, and whatever it accepts the package `cryptography` accepts too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from statemachine.approvals.policy import read_policy
from statemachine.host.ed25519 import ORDER, P, add, point_of, verifies
from statemachine.host.verifier import main, read_keys

# Section 7.1: public key, message, signature.
EXAMPLES = {
    "TEST 1": (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    "TEST 2": (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    "TEST 3": (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
    "TEST SHA(abc)": (
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
    ),
}
SMALL = [
    bytes.fromhex(text)
    for text in (
        "01" + "00" * 31,  # of order 1
        "ec" + "ff" * 30 + "7f",  # 2
        "00" * 32,  # 4
        "00" * 31 + "80",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",  # 8
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "ed" + "ff" * 30 + "7f",  # the same, with y of P and above
        "ed" + "ff" * 31,
        "ee" + "ff" * 30 + "7f",
        "ee" + "ff" * 31,
        "01" + "00" * 30 + "80",  # x = 0 with the sign set
        "ec" + "ff" * 31,
    )
]


def by_cryptography(public: bytes, signature: bytes, message: bytes) -> bool:
    """Return what the package says."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_the_standard_verify(name: str) -> None:
    """And no other message does, nor half of the signature."""
    public, message, signature = (bytes.fromhex(text) for text in EXAMPLES[name])
    assert verifies(public, signature, message)
    assert not verifies(public, signature, message + b"x")
    assert not verifies(public, signature[:63], message)
    assert not verifies(public[:31], signature, message)


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200), st.data())
@settings(max_examples=60, deadline=None)
def test_it_agrees_with_cryptography(seed: bytes, message: bytes, data: st.DataObject) -> None:
    """On what was signed, and on any bit of it that is another, in key, signature or message."""
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public, signature = private.public_key().public_bytes_raw(), private.sign(message)
    assert verifies(public, signature, message)
    parts = [bytearray(public), bytearray(signature), bytearray(message)]
    part = data.draw(st.sampled_from([p for p in parts if p]))
    bit = data.draw(st.integers(0, len(part) * 8 - 1))
    part[bit // 8] ^= 1 << bit % 8
    changed = [bytes(part) for part in parts]
    assert verifies(*changed) == by_cryptography(*changed) is False


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=40), st.integers(1, 15))
@settings(max_examples=20, deadline=None)
def test_s_has_one_form(seed: bytes, message: bytes, more: int) -> None:
    """With the order added to it, which the equation would not notice, it is refused (section 5.1.7, step 1)."""
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public, signature = private.public_key().public_bytes_raw(), private.sign(message)
    s = int.from_bytes(signature[32:], "little") + more * ORDER
    if s < 1 << 256:
        other = signature[:32] + s.to_bytes(32, "little")
        assert verifies(public, other, message) == by_cryptography(public, other, message) is False


@pytest.mark.parametrize("key", SMALL)
def test_a_key_of_small_order_signs_nothing(key: bytes) -> None:
    """Of the package's checks some accept any message for one: this is stricter, and never laxer."""
    accepted = 0
    for point in SMALL:
        for n in range(4):
            signature, message = point + bytes(32), f"message {n}".encode()
            accepted += by_cryptography(key, signature, message)
            assert not verifies(key, signature, message)
    assert key != SMALL[0] or accepted


@given(
    st.binary(min_size=32, max_size=32),
    st.sampled_from(SMALL[:8]),
    st.sampled_from(SMALL),
    st.binary(max_size=20),
)
@settings(max_examples=40, deadline=None)
def test_points_that_are_mixed_with_small_ones_are_judged_alike(
    seed: bytes, small: bytes, other: bytes, message: bytes
) -> None:
    """In the key and in what is signed with."""
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public, signature = private.public_key().public_bytes_raw(), private.sign(message)

    def mixed(point: bytes) -> bytes:
        x, y, z, _ = add(point_of(point), point_of(small))
        inverse = pow(z, -1, P)
        return (y * inverse % P | (x * inverse % P & 1) << 255).to_bytes(32, "little")

    for case in (
        (mixed(public), signature, message),
        (public, mixed(signature[:32]) + signature[32:], message),
        (mixed(public), mixed(signature[:32]) + signature[32:], message),
        (public, other + signature[32:], message),
    ):
        assert verifies(*case) == by_cryptography(*case)


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=64, max_size=64), st.binary(max_size=9))
@settings(max_examples=60, deadline=None)
def test_any_bytes_get_an_answer(public: bytes, signature: bytes, message: bytes) -> None:
    """Most are no point at all; none is a signature."""
    assert not verifies(public, signature, message)


KEY = "ed25519:" + "A" * 43 + "="
POLICIES = {
    "in lines": "approvers:\n  ann:\n    key: KEY\n    roles: [legal]\n  bob:\n    roles:\n      - board\n    key: 'KEY'\nsigners:\n  worker: {key: KEY}\n",
    "in braces": "approvers: {ann: {key: 'KEY', roles: [legal]}, bob: {roles: [legal, board], until: 2026-01-01, key: \"KEY\"}}\nsigners: {worker: {key: 'KEY'}}\n",
    "with comments": "# ann: {key: KEY}\nbreak_glass: [ann]\nsigners:\n  worker: {key: KEY} # KEY\napprovers: # who\n  ann: {key: KEY}\n\n  bob: # left\n    key: KEY\nfreeze: [{from: fri 16:00, until: mon 08:00}]\n",
}  # fmt: skip


@pytest.mark.parametrize("how", POLICIES)
def test_keys_are_read_as_the_policy_has_them(how: str, tmp_path: Path) -> None:
    """However it is written; the same as the program itself reads."""
    text = POLICIES[how].replace("KEY", KEY)
    (tmp_path / "policy.yaml").write_text(text.replace("until: 2026-01-01", "until: '2026-01-01'"))
    policy = read_policy(tmp_path / "policy.yaml")
    assert read_keys(text) == {
        "approvers": {name: person.key for name, person in policy.approvers.items()},
        "signers": {name: signer.key for name, signer in policy.signers.items()},
    }


def test_a_policy_of_which_a_key_would_be_missed_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Never is one silently left out; keys can be given one by one instead."""
    (tmp_path / "policy.yaml").write_text(f"{{approvers: {{ann: {{key: '{KEY}'}}}}}}")
    assert main(["nowhere.db", "--policy", str(tmp_path / "policy.yaml")]) == 2
    assert "--key NAME=ed25519:" in capsys.readouterr().err


def test_it_needs_nothing_but_python(tmp_path: Path) -> None:
    """The program that is printed is of one piece, and says so of a file that is none of ours."""
    words = [sys.executable, "-m", "statemachine", "audit", "verifier"]
    text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert "import statemachine" not in text
    assert "from statemachine" not in text
    (tmp_path / "verify.py").write_text(text)
    (tmp_path / "records.jsonl").write_text("")
    words = [sys.executable, "-I", "-S", "verify.py", "records.jsonl", "--key", f"ann={KEY}"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "0 runs, 0 records, 0 signatures: all as written\n"
