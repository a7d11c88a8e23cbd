"""The rows that a finding becomes."""

from datetime import datetime
from typing import Any

from agency.clock import now_text, thai_day
from agency.ingest.verification import Finding
from agency.store import chains
from appliance.events.chain import Position


def event_row(finding: Finding, position: Position, now: str) -> chains.Event:
    """Return the row of an event that counts. Raises ValueError, OverflowError where its time is none."""
    return chains.Event(
        chain=position.chain,
        kid=finding.kid,
        sequence=position.sequence,
        hash=finding.hash,
        previous=position.previous,
        station=finding.station,
        **told_columns(finding.event),
        received_at=now,
        jws=finding.jws,
    )


def told_columns(event: dict[str, Any]) -> dict[str, Any]:
    """Return the columns that say again what a signed event says. Raises ValueError, OverflowError likewise."""
    return {
        "type": event["type"],
        "time": event["time"],
        "day": thai_day(datetime.fromisoformat(event["time"])),
        "level": event["data"].get("level"),
        "verdict": event["data"].get("verdict"),
    }


def quarantined_row(finding: Finding, position: Position | None, code: str) -> chains.Quarantined:
    """Return the row of an event that must not count."""
    return chains.Quarantined(
        hash=finding.hash,
        station=finding.station,
        kid=finding.kid,
        chain=position.chain if position else None,
        sequence=position.sequence if position else None,
        previous=position.previous if position else None,
        code=code,
        received_at=now_text(),
        jws=finding.jws,
    )


def fork_row(finding: Finding, position: Position, reason: str) -> chains.Fork:
    """Return the row of an event that contradicts what is held."""
    return chains.Fork(
        hash=finding.hash,
        station=finding.station,
        kid=finding.kid,
        chain=position.chain,
        sequence=position.sequence,
        reason=reason,
        received_at=now_text(),
        jws=finding.jws,
    )
