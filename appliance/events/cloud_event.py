"""The event itself: CloudEvents 1.0, structured JSON, as in contract 7.

``envelope`` wraps the facts and checks them against the published schema; ``writer.EventWriter`` seals and signs.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from appliance.events.chain import Position
from appliance.events.schema import EVENT
from appliance.events.ulid import new_ulid


@dataclass(frozen=True)
class Origin:
    """Which station speaks.

    Args:
        agency: agency id.
        station: station id.
        software: version of the appliance, such as ``0.1.0``.
        trust: ``soft`` where the event key lies in a file, ``hardware`` where it cannot leave a chip.
    """

    agency: str
    station: str
    software: str
    trust: str = "soft"

    @property
    def source(self) -> str:
        """Return the CloudEvents ``source``."""
        return f"urn:card-station:{self.agency}:{self.station}"


def seal_context(source: str, position: Position) -> str:
    """Return what binds a seal to one event: its source, chain and sequence."""
    return f"{source}|{position.chain}|{position.sequence}"


def envelope(
    origin: Origin, position: Position, event_type: str, time: datetime, data: dict[str, Any]
) -> dict[str, Any]:
    """Wrap ``data`` as a CloudEvent.

    Args:
        origin: the station.
        position: the event's place in the chain.
        event_type: such as ``school.attendance.v1``.
        time: aware; written with milliseconds and its offset.
        data: what the schema of the type asks for, without ``station``.

    Raises:
        VerificationError: the result does not fit the schema; nothing may be signed.
    """
    event = {
        "specversion": "1.0",
        "id": new_ulid(int(time.timestamp() * 1000)),
        "source": origin.source,
        "type": event_type,
        "time": time.isoformat(timespec="milliseconds"),
        "datacontenttype": "application/json",
        "dataschema": "urn:card-station:schema:event:1",
        "sequence": f"{position.sequence:010d}",
        "chain": position.chain,
        "previous": position.previous,
        "data": {**data, "station": {"software": origin.software, "trust": origin.trust}},
    }
    EVENT.check(event)
    return event
