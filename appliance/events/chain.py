"""The hash chain: every event names the hash of the one before it, so none can be dropped, moved or changed.

A chain belongs to one event key. Sequence numbers count from 1 without gaps, and the first event's ``previous`` is
the thumbprint of the key that signs the chain.
"""

import base64
import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Position:
    """Where the next event goes.

    Args:
        chain: ULID of the chain.
        sequence: 1 or more.
        previous: ``jws_hash`` of the event before, or the key's thumbprint for the first.
    """

    chain: str
    sequence: int
    previous: str

    def after(self, jws: str) -> "Position":
        """Return the position that follows the event ``jws``, which stands here."""
        return Position(self.chain, self.sequence + 1, jws_hash(jws))


def jws_hash(jws: str) -> str:
    """Return base64url (no padding) of the SHA-256 of a compact JWS, 43 characters."""
    return base64.urlsafe_b64encode(hashlib.sha256(jws.encode()).digest()).rstrip(b"=").decode()
