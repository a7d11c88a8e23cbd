"""Writes one event: seal, place in the chain, check against the schema, sign."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from appliance.events.chain import Position
from appliance.events.cloud_event import Origin, envelope, seal_context
from appliance.events.seal import seal
from appliance.events.sign import EVENT_TYPE, Jwk, Signer


@dataclass(frozen=True)
class EventWriter:
    """Everything that an event needs beside its facts.

    Args:
        origin: the station.
        signer: its event key.
        recipients: public sealing keys of the agency, duty and escrow.
    """

    origin: Origin
    signer: Signer
    recipients: Sequence[Jwk]

    def visit(
        self,
        position: Position,
        event_type: str,
        time: datetime,
        data: dict[str, Any],
        secret: dict[str, Any] | None,
    ) -> str:
        """Return the signed event of a visit; ``secret`` is what only the agency may read, None for nothing.

        Raises:
            SigningError: it cannot be sealed or signed.
            VerificationError: the facts do not fit the schema.
        """
        context = seal_context(self.origin.source, position)
        sealed = seal(secret, self.recipients, context) if secret else None
        return self._signed(position, event_type, time, {**data, "sealed": sealed})

    def station(self, position: Position, event_type: str, time: datetime, data: dict[str, Any]) -> str:
        """Return a signed event of the station itself, such as ``station.enrolled.v1``. Raises as ``visit``."""
        return self._signed(position, event_type, time, data)

    def _signed(self, position: Position, event_type: str, time: datetime, data: dict[str, Any]) -> str:
        return self.signer.sign(envelope(self.origin, position, event_type, time, data), EVENT_TYPE)
