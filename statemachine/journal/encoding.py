"""Plain data to JSON text and back, exactly; what is large moves out into content-addressed blobs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from hashlib import sha256

import orjson

from statemachine.errors import InvalidValue

#: Bytes of UTF-8 JSON above which a value is kept apart from the text that holds it.
BLOB_LIMIT = 64 * 1024

_text = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
# Ten times as fast, and all that it does not do alike is told by the text or raises: then the above decides.
_QUICK = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)
# A value kept apart is written {"$blob": SHA-256}. Data with such a key of its own gets one more "$" on it.
_REFERENCE = "$blob"
_REFERENCE_BYTES = f'{_REFERENCE}"'.encode()
_LOOKALIKE = re.compile(r"\$+blob")


def encode(value: object, limit: int = BLOB_LIMIT) -> tuple[str, dict[str, bytes]]:
    """Return compact JSON with sorted keys, and by their SHA-256 the parts of it that are kept apart.

    Args:
        value: Plain JSON data; tuples become lists.
        limit: Bytes of JSON above which a value, however deep, is kept apart.

    Raises:
        InvalidValue: It holds what JSON cannot: another type, NaN or infinity, half a surrogate
            pair, a cycle, or it is nested too deep.
    """
    quick = _quick(value, limit)
    if quick is not None:
        return quick, {}
    try:
        if isinstance(value, Mapping):
            value = dict(value)
        text = _text(value)
        if f'{_REFERENCE}"' in text:
            text = _text(json.loads(text, object_hook=_escaped))
        if len(text.encode()) <= limit:
            return text, {}
        blobs: dict[str, bytes] = {}
        return _fold(json.loads(text), limit, blobs), blobs
    except (TypeError, ValueError, RecursionError) as error:
        reason = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise InvalidValue(f"a value cannot be recorded as JSON: {reason}") from error


def _quick(value: object, limit: int) -> str | None:
    """Return the text of a value in which nothing is special; None when it must be looked at closely."""
    try:
        data = orjson.dumps(value, option=_QUICK)
    except TypeError:
        return None
    # NaN and infinity, which are no JSON, become null too.
    if len(data) > limit or b"null" in data or _REFERENCE_BYTES in data:
        return None
    return data.decode()


def decode(text: str, fetch: Callable[[str], bytes]) -> object:
    """Return the value that ``encode`` was given.

    Args:
        text: What ``encode`` returned.
        fetch: Returns a blob's bytes by its digest; what it raises is passed on.
    """
    if f'{_REFERENCE}"' not in text:
        return json.loads(text)

    def restored(found: dict[str, object]) -> object:
        digest = found.get(_REFERENCE)
        if isinstance(digest, str):
            return decode(fetch(digest).decode(), fetch)
        return {key[1:] if _LOOKALIKE.fullmatch(key) else key: value for key, value in found.items()}

    return json.loads(text, object_hook=restored)


def _escaped(found: dict[str, object]) -> dict[str, object]:
    return {f"${key}" if _LOOKALIKE.fullmatch(key) else key: value for key, value in found.items()}


def _fold(value: object, limit: int, blobs: dict[str, bytes]) -> str:
    """Return the value's text with its large parts moved into ``blobs``, the innermost first."""
    text = _text(value)
    if len(text.encode()) <= limit:
        return text
    if isinstance(value, dict):
        # What came from JSON text with sorted keys still has them in order.
        text = f"{{{','.join(f'{_text(key)}:{_fold(part, limit, blobs)}' for key, part in value.items())}}}"
    elif isinstance(value, list):
        text = f"[{','.join(_fold(part, limit, blobs) for part in value)}]"
    data = text.encode()
    if len(data) <= limit:
        return text
    digest = sha256(data).hexdigest()
    blobs[digest] = data
    return f'{{"{_REFERENCE}":"{digest}"}}'
