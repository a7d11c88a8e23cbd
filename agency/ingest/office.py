"""The agency as an ingest worker must know it, read anew whenever a key was rotated."""

from collections.abc import Callable
from dataclasses import dataclass

from agency.home import Home
from agency.ingest.verification import Rules
from appliance.events.sign import KeySet, Signer


@dataclass(frozen=True)
class Office:
    """What a worker must know of its agency.

    Args:
        agency: agency id.
        rules: what it asks of every event.
        signer: the receipt key in use.
        keys: the agency's public keys, to know its own receipts again.
    """

    agency: str
    rules: Rules
    signer: Signer
    keys: KeySet


def office_of(home: Home, agency: str) -> Callable[[], Office]:
    """Return a function that returns the office as it is now; it reads the files only where one was replaced.

    The function raises ConfigError where a file cannot be used.
    """
    files = (home.public / "agency.jwks", home.keys / "receipt.jwk")
    known: tuple[list[tuple[int, int]], Office] | None = None

    def now() -> Office:
        nonlocal known
        seen = [(stat.st_ino, stat.st_mtime_ns) for stat in (file.stat() for file in files if file.exists())]
        if known is None or known[0] != seen:
            public = home.public_keys()
            known = seen, Office(agency, Rules.of(agency, public), Signer(home.key("receipt")), KeySet(public))
        return known[1]

    return now
