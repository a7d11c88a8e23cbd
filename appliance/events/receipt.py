"""Receipts: the agency's signed word that its database holds every event up to a point (contract 6 and 7)."""

from dataclasses import asdict, dataclass, field
from typing import Any

from appliance.errors import VerificationError
from appliance.events.schema import RECEIPT
from appliance.events.sign import RECEIPT_TYPE, KeySet, Signer


@dataclass(frozen=True)
class Receipt:
    """What the agency holds of one chain.

    Args:
        station: station id.
        epoch: rises when the agency restores a backup.
        chain: ULID of the chain.
        through: every event up to this sequence number is committed; 0 for none.
        hash: ``jws_hash`` of event ``through``; the key's thumbprint when ``through`` is 0.
        committed_at: RFC 3339 time of the commit.
        window: how many events the station may send beyond ``through``.
        min_gap_ms: the least time between two bundles.
        missing: closed ranges of sequence numbers that the agency asks for.
        quarantined: events kept apart with the reason's code; covered all the same.
    """

    station: str
    epoch: int
    chain: str
    through: int
    hash: str
    committed_at: str
    window: int = 100
    min_gap_ms: int = 0
    missing: list[list[int]] = field(default_factory=list)
    quarantined: list[dict[str, Any]] = field(default_factory=list)

    def sign(self, signer: Signer) -> str:
        """Return the receipt as a compact JWS."""
        payload = asdict(self)
        RECEIPT.check(payload)
        return signer.sign(payload, RECEIPT_TYPE)

    @classmethod
    def open(cls, jws: str, keys: KeySet, station: str) -> "Receipt":
        """Read a receipt that a receipt key signed for ``station``.

        Raises:
            VerificationError: wrong signature, shape or station.
        """
        payload = keys.verify(jws, RECEIPT_TYPE, "receipt")
        RECEIPT.check(payload)
        if payload["station"] != station:
            raise VerificationError("the receipt is for another station")
        return cls(**payload)
