"""The National Health Security Office's file: health insurance as of the day when it was last written to the card.

Source: docs/card.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Self

from appliance.cards import dates, text
from appliance.cards.dates import CardDate
from appliance.cards.text import Unreadable
from appliance.cards.thai_id import Field

_START = 0x0004
#: Name, offset and size in bytes of each field, in the order of the file.
_LAYOUT = (
    ("main_right", 0x0004, 60),
    ("sub_right", 0x0040, 100),
    ("main_hospital", 0x00A4, 80),
    ("sub_hospital", 0x00F4, 80),
    ("paid_type", 0x0144, 1),
    ("issue_date", 0x0145, 8),
    ("expiry_date", 0x014D, 8),
    ("update_date", 0x0155, 8),
    ("hospital_changes", 0x015D, 1),
)


@dataclass(frozen=True)
class Health:
    """Health insurance as the card tells it; None where a field is blank or unreadable.

    Args:
        main_right: the right itself.
        sub_right: its kind.
        main_hospital: the hospital that is responsible.
        sub_hospital: the one below it.
        paid_type: one character.
        issue_date: from when.
        expiry_date: until when.
        update_date: when it was written.
        hospital_changes: how often the hospital was changed this year, one character.
    """

    main_right: str | None
    sub_right: str | None
    main_hospital: str | None
    sub_hospital: str | None
    paid_type: str | None
    issue_date: CardDate
    expiry_date: CardDate
    update_date: CardDate
    hospital_changes: str | None

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read the 346 bytes of the file. Raises Unreadable: ``length``, another number of bytes."""
        if len(raw) != Field.HEALTH.size_bytes:
            raise Unreadable("length")
        return cls(**{name: _read(name, part)[0] for name, part in _parts(raw)})

    @staticmethod
    def problems(raw: bytes) -> Iterator[tuple[str, str, bytes]]:
        """Return field, code and bytes of everything that is unreadable in the file."""
        for name, part in _parts(raw):
            yield from ((name, code, part) for code in _read(name, part)[1])

    def as_data(self) -> dict[str, Any]:
        """Return it as a record shows it."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: value.as_data() if isinstance(value, CardDate) else value for name, value in values.items()}

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Self:
        """Return what ``as_data`` showed. Raises KeyError, TypeError, ValueError, AttributeError."""
        return cls(**{one.name: _restored(one.name, data[one.name]) for one in fields(cls)})


def _parts(raw: bytes) -> list[tuple[str, bytes]]:
    return [(name, raw[at - _START : at - _START + size]) for name, at, size in _LAYOUT]


def _read(name: str, raw: bytes) -> tuple[Any, tuple[str, ...]]:
    if name.endswith("_date"):
        date = dates.parse(raw)
        return date, ("not_a_date",) if date.is_no_date else ()
    try:
        return text.decode(raw) or None, ()
    except Unreadable as error:
        return None, error.codes


def _restored(name: str, value: Any) -> Any:
    if name.endswith("_date"):
        return CardDate.from_data(value)
    return None if value is None else text.read_back(value)
