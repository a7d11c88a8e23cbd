"""A row that a report may rest on: its signature holds, and its columns say what was signed."""

from typing import Any

from agency.ingest.bundle import KeyRing
from agency.ingest.rows import told_columns
from agency.ingest.shape import is_event
from agency.store.chains import Event
from appliance.errors import VerificationError


def genuine(event: Event, ring: KeyRing) -> dict[str, Any]:
    """Return what the station signed.

    Raises:
        VerificationError: the signature does not hold, or somebody wrote into the row.
    """
    key, payload = ring.open(event.jws)
    if not is_event(payload):
        raise VerificationError("the event has not the shape of one")
    told = {"station": key.station, "kid": key.kid, "chain": payload["chain"], "sequence": int(payload["sequence"])}
    try:
        told.update(told_columns(payload))
    except (ValueError, OverflowError):
        raise VerificationError("the event's time is none") from None
    if any(getattr(event, name) != value for name, value in told.items()):
        raise VerificationError("the row differs from what was signed")
    return payload
