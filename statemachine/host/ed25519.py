"""Ed25519, verification only, by the formulas of RFC 8032, section 5.1; nothing but Python is needed.

`statemachine audit verifier` prints it as a part of the program for auditors. The runtime itself signs and verifies with
the package `cryptography`: this takes about two milliseconds a signature, and signs nothing.
"""

from __future__ import annotations

from hashlib import sha512

# Verifying Ed25519 signatures: RFC 8032, section 5.1. A point (X, Y, Z, T) has x = X/Z, y = Y/Z and x*y = T/Z.

Point = tuple[int, int, int, int]
P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
NEUTRAL = (0, 1, 1, 0)


def add(one: Point, other: Point) -> Point:
    """Return the sum of two points (section 5.1.4)."""
    (x1, y1, z1, t1), (x2, y2, z2, t2) = one, other
    a, b = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    c, d = 2 * t1 * t2 * D % P, 2 * z1 * z2 % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def point_of(data: bytes) -> Point:
    """Return the point that 32 bytes encode (section 5.1.3); raise ValueError when they encode none."""
    y, sign = int.from_bytes(data, "little") & (1 << 255) - 1, data[31] >> 7
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if (v * x * x + u) % P == 0:
        x = x * pow(2, (P - 1) // 4, P) % P
    if y >= P or (v * x * x - u) % P or (x == 0 and sign):
        raise ValueError("these bytes are no point of the curve")
    x = P - x if x % 2 != sign else x
    return x, y, 1, x * y % P


BASE = point_of(bytes([0x58]) + bytes([0x66]) * 31)


def verifies(public: bytes, signature: bytes, message: bytes) -> bool:
    """Return whether a signature is that of a message (section 5.1.7, without the factor 8, which is stricter)."""
    if (len(public), len(signature)) != (32, 64):
        return False
    s = int.from_bytes(signature[32:], "little")
    try:
        x, y, z, t = point_of(public)
    except ValueError:
        return False
    twice = add((x, y, z, t), (x, y, z, t))
    four = add(twice, twice)
    if s >= ORDER or add(four, four)[0] == 0:  # a point of small order would sign anything
        return False
    k = int.from_bytes(sha512(signature[:32] + public + message).digest(), "little") % ORDER
    minus = (P - x, y, z, P - t)
    chosen, found = (NEUTRAL, BASE, minus, add(BASE, minus)), NEUTRAL
    for bit in range(
        252, -1, -1
    ):  # s times the base minus k times the key, which must be what is signed with
        found = add(add(found, found), chosen[(s >> bit & 1) + 2 * (k >> bit & 1)])
    inverse = pow(found[2], -1, P)
    x, y = found[0] * inverse % P, found[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little") == signature[:32]
