"""Dates as the card holds them: eight digits of the Buddhist era, of which day, month or all may be unknown.

Nothing is guessed: a date keeps the precision that the card gives it, and what is no date stays ``unknown`` with
its raw bytes. Year 2569 of the Buddhist era is 2026 of the Common Era.
"""

import calendar
from dataclasses import dataclass
from datetime import date
from enum import Enum

ERA_OFFSET = 543
_LIFETIME = "99999999"
_PLAUSIBLE_YEARS = range(1850, 2150)


class Precision(Enum):
    """How much of a date is known."""

    DAY = "day"
    MONTH = "month"
    YEAR = "year"
    LIFETIME = "lifetime"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class CardDate:
    """A date on a card.

    Args:
        precision: how much is known.
        value: ``YYYY-MM-DD``, ``YYYY-MM`` or ``YYYY`` (Common Era); None for lifetime and unknown.
        raw: the card's bytes as hex, only where the date is unknown.
        is_blank: the card says nothing, as it may; False with UNKNOWN means that the bytes are no date.
    """

    precision: Precision
    value: str | None = None
    raw: str | None = None
    is_blank: bool = False

    def last_day(self) -> date | None:
        """Return the last day that the date can mean; None where it has none."""
        if self.value is None:
            return None
        year, month, day = ([int(part) for part in self.value.split("-")] + [0, 0])[:3]
        month = month or 12
        return date(year, month, day or calendar.monthrange(year, month)[1])


def parse(raw: bytes) -> CardDate:
    """Read the eight bytes of a date."""
    text = raw.decode("ascii", "replace")
    if not text.strip(" \0") or text == "00000000":
        return CardDate(Precision.UNKNOWN, raw=raw.hex(), is_blank=True)
    if text == _LIFETIME:
        return CardDate(Precision.LIFETIME)
    if len(raw) == 8 and text.isascii() and text.isdigit():
        found = _known(int(text[:4]) - ERA_OFFSET, int(text[4:6]), int(text[6:]))
        if found is not None:
            return found
    return CardDate(Precision.UNKNOWN, raw=raw.hex())


def _known(year: int, month: int, day: int) -> CardDate | None:
    if year not in _PLAUSIBLE_YEARS:
        return None
    if month == 0:
        return CardDate(Precision.YEAR, f"{year:04d}") if day == 0 else None
    if month > 12:
        return None
    if day == 0:
        return CardDate(Precision.MONTH, f"{year:04d}-{month:02d}")
    if day > calendar.monthrange(year, month)[1]:
        return None
    return CardDate(Precision.DAY, f"{year:04d}-{month:02d}-{day:02d}")
