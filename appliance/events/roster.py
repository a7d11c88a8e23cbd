"""Rosters: who belongs, without saying who. Memory-hard digests of citizen numbers, a salt for each, no names.

Who steals a roster can test one guess in tens of milliseconds and 16 MiB of memory, and no faster; a hash without
that cost would give up every number within hours (there are only about 8e10 of them).

A roster travels as the body of a signed ``roster`` document. ``source`` names it in an event's check.
"""

import base64
import hashlib
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from appliance.errors import VerificationError
from appliance.events.document import Document
from appliance.events.schema import ROSTER

DIGEST_BYTES = 12
_MAX_MEMORY_BYTES = 64 << 20


@dataclass(frozen=True)
class Scrypt:
    """Cost and salt of the digest (RFC 7914).

    Args:
        salt: 16 bytes or more.
        n: CPU and memory cost, a power of two.
        r: block size.
        p: parallelism.
    """

    salt: bytes
    n: int = 1 << 14
    r: int = 8
    p: int = 1

    @classmethod
    def fresh(cls) -> "Scrypt":
        """Return the usual cost with a new random salt."""
        return cls(secrets.token_bytes(16))

    def digest(self, citizen_id: str) -> bytes:
        """Return the digest of a citizen number, ``DIGEST_BYTES`` long; 50 ms and 16 MiB on a server core."""
        return hashlib.scrypt(
            citizen_id.encode("ascii"),
            salt=self.salt,
            n=self.n,
            r=self.r,
            p=self.p,
            maxmem=_MAX_MEMORY_BYTES,
            dklen=DIGEST_BYTES,
        )


@dataclass(frozen=True)
class Roster:
    """A set of people, as digests.

    Args:
        set: id of the set, such as ``school-1``.
        version: of the document it came in.
        as_of: date of the agency's data, YYYY-MM-DD.
        kdf: how digests are made.
        digests: one for each member.
        officers: one for each officer; the first is ``o1`` in events, the next ``o2``.
        kind: of the document: ``roster``, or ``denylist`` for a set of people whom the agency stopped.
    """

    set: str
    version: int
    as_of: str
    kdf: Scrypt
    digests: frozenset[bytes]
    officers: tuple[bytes, ...] = ()
    kind: str = "roster"

    @property
    def source(self) -> str:
        """Return how an event names this list, such as ``roster:42``."""
        return f"{self.kind}:{self.version}"

    def contains(self, digest: bytes) -> bool:
        """Say whether the person with this digest is on the roster."""
        return digest in self.digests

    def officer(self, digest: bytes | None) -> str | None:
        """Return the handle of the officer with this digest; None where it is nobody's."""
        return f"o{self.officers.index(digest) + 1}" if digest in self.officers else None

    @classmethod
    def from_document(cls, document: Document) -> "Roster":
        """Read the roster in a verified document.

        Raises:
            VerificationError: the body is not a roster, or its cost is out of bounds.
        """
        body = document.body
        ROSTER.check(body)
        kdf = body["kdf"]
        if 128 * kdf["n"] * kdf["r"] * kdf["p"] > _MAX_MEMORY_BYTES // 2 or kdf["n"] & (kdf["n"] - 1):
            raise VerificationError("the roster's digest cost is out of bounds")
        digests = frozenset(_unpacked(body["entries"]))
        officers = tuple(_unpacked(body.get("officers", "")))
        scrypt = Scrypt(_unbase64(kdf["salt"]), kdf["n"], kdf["r"], kdf["p"])
        return cls(body["set"], document.version, body["as_of"], scrypt, digests, officers, document.kind)


def roster_body(
    set_id: str,
    as_of: str,
    citizen_ids: Iterable[str],
    progress: Callable[[int], None] = lambda done: None,
    officers: Sequence[str] = (),
) -> dict[str, Any]:
    """Make the body of a roster document. Takes about 50 ms a person and core.

    Args:
        set_id: id of the set.
        as_of: date of the data, YYYY-MM-DD.
        citizen_ids: 13 ASCII digits each.
        progress: called with the number of people done.
        officers: likewise, in the order of their handles.
    """
    from concurrent.futures import ThreadPoolExecutor

    kdf = Scrypt.fresh()
    digests = []
    people = list(citizen_ids)
    with ThreadPoolExecutor() as pool:  # hashlib.scrypt releases the GIL
        for done, digest in enumerate(pool.map(kdf.digest, [*people, *officers]), 1):
            digests.append(digest)
            progress(done)
    return {
        "set": set_id,
        "as_of": as_of,
        "kdf": {"name": "scrypt", "n": kdf.n, "r": kdf.r, "p": kdf.p, "salt": _base64(kdf.salt)},
        "entries": _base64(b"".join(sorted(set(digests[: len(people)])))),
        **({"officers": _base64(b"".join(digests[len(people) :]))} if officers else {}),
    }


def _unpacked(text: str) -> list[bytes]:
    packed = _unbase64(text)
    if len(packed) % DIGEST_BYTES:
        raise VerificationError("the roster's entries are cut short")
    return [packed[at : at + DIGEST_BYTES] for at in range(0, len(packed), DIGEST_BYTES)]


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unbase64(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise VerificationError("not base64url") from None


@dataclass(frozen=True)
class SignedRoster:
    """The roster in force, from when and until when.

    Args:
        roster: the members.
        issued_at: when it was signed.
        expires_at: from then on it is stale.
    """

    roster: Roster
    issued_at: datetime
    expires_at: datetime
