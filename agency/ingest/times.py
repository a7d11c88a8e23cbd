"""How the times of a chain follow each other: none is earlier than the one before, but after a jump that was signed."""

from datetime import datetime
from typing import Any

CLOCK_JUMPED = "clock.jumped.v1"


def floor_after(event: dict[str, Any]) -> datetime:
    """Return the earliest time that the event after this one may bear; the event holds to its schema."""
    jump = event["data"].get("jump") if event["type"] == CLOCK_JUMPED else None
    return datetime.fromisoformat(jump["to"] if jump else event["time"])
