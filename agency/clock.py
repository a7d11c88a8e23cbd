"""Times as the agency writes them: UTC for what it does, the Thai calendar day for what people ask about."""

from datetime import UTC, datetime, timedelta, timezone

THAI_TIME = timezone(timedelta(hours=7))


def now_text() -> str:
    """Return this moment as RFC 3339 in UTC with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def thai_day(time: datetime) -> str:
    """Return the Thai calendar day (YYYY-MM-DD) of an aware time."""
    return time.astimezone(THAI_TIME).date().isoformat()


def today() -> str:
    """Return today's Thai calendar day, YYYY-MM-DD."""
    return thai_day(datetime.now(UTC))


def day_began() -> str:
    """Return when today's Thai calendar day began, as ``now_text`` writes it."""
    midnight = datetime.now(THAI_TIME).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight.astimezone(UTC).isoformat(timespec="milliseconds")
