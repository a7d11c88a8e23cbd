"""Identifiers that sort by time (ULID): 48 bits of milliseconds, 80 random bits, 26 Crockford base-32 characters.

Source: the ULID specification, https://github.com/ulid/spec.
"""

import secrets

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_ulid(time_ms: int) -> str:
    """Return a fresh ULID, 26 characters, for the Unix time ``time_ms`` (0 to 2**48 - 1)."""
    number = (time_ms << 80) | secrets.randbits(80)
    return "".join(_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5))
