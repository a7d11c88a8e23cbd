"""One stored event, as the commands and the check of the chain see it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One stored event.

    Args:
        sequence: 1 or more.
        chain: ULID.
        type: CloudEvents type.
        time: of the event, RFC 3339.
        hash: of the JWS.
        jws: the event; empty, as are type and time, where its content was erased after a receipt.
        covered: a receipt of the agency covers it.
        is_salvaged: it is of an earlier chain, out of a damaged file, and still goes to the agency.
    """

    sequence: int
    chain: str
    type: str
    time: str
    hash: str
    jws: str
    covered: bool
    is_salvaged: bool = False

    @property
    def is_erased(self) -> bool:
        """Say whether only sequence number and hash are left."""
        return not self.jws
