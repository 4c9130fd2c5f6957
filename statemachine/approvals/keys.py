"""Ed25519 keys: the private one stays with its person, the public one goes into the policy."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from statemachine.errors import InvalidKey, MissingExtra
from statemachine.machine.names import Name

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEYS = "STATEMACHINE_KEYS"
"""The environment variable that names the folder of private keys."""


def default_folder() -> Path:
    """Return where a person's private keys lie: ``STATEMACHINE_KEYS``, else in the folder for configuration."""
    if os.environ.get(KEYS):
        return Path(os.environ[KEYS])
    home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(home).expanduser() / "statemachine" / "keys"


def make_key(name: str, folder: Path | None = None) -> tuple[Path, str]:
    """Make a person's pair of keys; return the private key's file, readable by its owner only, and the public key.

    Raises:
        InvalidKey: No policy could have that name, there is a key of it, or it cannot be written.
        MissingExtra: The package ``cryptography`` is missing.
    """
    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError as error:
        raise InvalidKey(f"`{name}` cannot name a person: {error.errors()[0]['ctx']['error']}") from None
    private = _library()[0].generate()
    folder = folder or default_folder()
    path = folder / f"{name}.key"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Never readable by others, not even for a moment, and never in place of a key that is there.
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise InvalidKey(f"{path} is there already; remove it first, or choose another name") from None
    except OSError as error:
        raise InvalidKey(f"{path} cannot be written: {error.strerror}") from None
    with os.fdopen(file, "wb") as out:
        out.write(base64.b64encode(private.private_bytes_raw()) + b"\n")
    return path, public_text(private)


def load_key(path: Path) -> Ed25519PrivateKey:
    """Return a private key.

    Raises:
        InvalidKey: It is not there, is no key, or others may read it.
        MissingExtra: The package ``cryptography`` is missing.
    """
    private = _library()[0]
    try:
        if path.stat().st_mode & 0o077:
            raise InvalidKey(f"others may read {path}; make it yours alone: chmod 600 {path}")
        return private.from_private_bytes(base64.b64decode(path.read_bytes().strip(), validate=True))
    except OSError as error:
        raise InvalidKey(
            f"{path} cannot be read: {error.strerror}; make a key: statemachine key new NAME"
        ) from None
    except ValueError:
        raise InvalidKey(f"{path} holds no private key as `statemachine key new` writes it") from None


def public_text(private: Ed25519PrivateKey) -> str:
    """Return the public key of a private one as text for the policy."""
    return "ed25519:" + base64.b64encode(private.public_key().public_bytes_raw()).decode()


def is_public(text: str) -> bool:
    """Return whether a text is a public key as :func:`public_text` writes it."""
    try:
        return text.startswith("ed25519:") and len(base64.b64decode(text[8:], validate=True)) == 32
    except ValueError:
        return False


def verifies(public: str, signature: str, message: bytes) -> bool:
    """Return whether a signature, in base64, is that of a message by the holder of a public key."""
    _, load_public, invalid = _library()
    try:
        load_public(base64.b64decode(public[8:])).verify(base64.b64decode(signature, validate=True), message)
    except (invalid, ValueError):
        return False
    return True


def _library() -> tuple[type[Ed25519PrivateKey], Callable[[bytes], _Public], type[Exception]]:
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    except ImportError:
        raise MissingExtra(
            "approvals need the extra `sign`: pip install 'agent-statemachine[sign]'"
        ) from None
    return Ed25519PrivateKey, Ed25519PublicKey.from_public_bytes, InvalidSignature


if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey as _Public
