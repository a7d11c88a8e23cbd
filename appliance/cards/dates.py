"""Dates as the card holds them: eight digits of the Buddhist era, of which day, month or all may be unknown.

Nothing is guessed: a date keeps the precision that the card gives it, and what is no date stays ``unknown`` with
its raw bytes. Year 2569 of the Buddhist era is 2026 of the Common Era.
"""

import calendar
import re
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Self

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


_SPELLINGS = {
    Precision.DAY: "[0-9]{4}-[0-9]{2}-[0-9]{2}",
    Precision.MONTH: "[0-9]{4}-[0-9]{2}",
    Precision.YEAR: "[0-9]{4}",
}


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

    def first_day(self) -> date | None:
        """Return the first day that the date can mean; None where it has none."""
        if self.value is None:
            return None
        year, month, day = self._parts()
        return date(year, month or 1, day or 1)

    def last_day(self) -> date | None:
        """Return the last day that the date can mean; None where it has none."""
        if self.value is None:
            return None
        year, month, day = self._parts()
        month = month or 12
        return date(year, month, day or calendar.monthrange(year, month)[1])

    @property
    def is_no_date(self) -> bool:
        """Say whether the card's bytes are neither a date nor one of the ways to leave it open."""
        return self.precision is Precision.UNKNOWN and not self.is_blank

    def as_data(self) -> dict[str, str | None]:
        """Return the date as a record shows it."""
        shown = {"value": self.value, "precision": self.precision.value}
        return shown if self.raw is None else {**shown, "raw": self.raw}

    @classmethod
    def from_data(cls, data: dict[str, str | None]) -> Self:
        """Return what ``as_data`` showed. Raises KeyError, TypeError, ValueError."""
        value, precision, raw = data["value"], Precision(data["precision"]), data.get("raw")
        if not re.fullmatch(_SPELLINGS.get(precision, ""), value or ""):
            raise ValueError("no date")
        found = cls(precision, value, raw, is_blank=raw is not None and _is_blank(bytes.fromhex(raw)))
        found.first_day()  # raises where there is no such day
        return found

    def _parts(self) -> list[int]:
        known = [int(part) for part in (self.value or "").split("-")]
        return [*known, 0, 0][:3]


def parse(raw: bytes) -> CardDate:
    """Read the eight bytes of a date."""
    text = raw.decode("ascii", "replace")
    if _is_blank(raw):
        return CardDate(Precision.UNKNOWN, raw=raw.hex(), is_blank=True)
    if text == _LIFETIME:
        return CardDate(Precision.LIFETIME)
    if len(raw) == 8 and text.isascii() and text.isdigit():
        found = _known(int(text[:4]) - ERA_OFFSET, int(text[4:6]), int(text[6:]))
        if found is not None:
            return found
    return CardDate(Precision.UNKNOWN, raw=raw.hex())


def parse_day(raw: bytes) -> CardDate:
    """Read a date on which something happened: one that lasts for life is none."""
    found = parse(raw)
    return CardDate(Precision.UNKNOWN, raw=raw.hex()) if found.precision is Precision.LIFETIME else found


def _is_blank(raw: bytes) -> bool:
    return not raw.strip(b" \0") or raw == b"00000000"


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
