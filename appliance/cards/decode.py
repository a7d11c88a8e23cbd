"""From the bytes of each field to a record."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from appliance.cards import dates, text
from appliance.cards.health import Health
from appliance.cards.person import Address, Name
from appliance.cards.photo import Photo
from appliance.cards.record import Problem, Record
from appliance.cards.text import Unreadable
from appliance.cards.thai_id import Field

_VERSION = "0003"
_SEXES = {"1": "male", "2": "female"}
_LASER = re.compile("[A-Z]{2}[0-9]{10}")


def decode(raw: Mapping[Field, bytes | None], apdus: int) -> Record:
    """Return the record of the bytes of each field.

    Args:
        raw: the bytes; None for a field that the card does not hold.
        apdus: commands that it took.
    """
    values: dict[Field, Any] = {}
    problems: list[Problem] = []
    for field, found in raw.items():
        try:
            values[field] = None
            if found is not None:
                values[field] = _value(field, found)
                problems += _oddities(field, values[field], found)
        except Unreadable as error:
            problems += [Problem(field.symbol, code, (found or b"").hex()) for code in error.codes]
    return Record(values, tuple(problems), apdus)


def _value(field: Field, raw: bytes) -> Any:  # noqa: PLR0911, PLR0912 - one line a field
    """Return what ``raw`` says; None where it is blank. Raises Unreadable."""
    match field:
        case Field.CITIZEN_ID:
            return _number(raw)
        case Field.NAME_TH:
            return Name.parse(raw, after_title="")
        case Field.NAME_EN:
            return Name.parse(raw, after_title=" ")
        case Field.BIRTH_DATE | Field.ISSUE_DATE:
            return dates.parse_day(raw)
        case Field.EXPIRY_DATE:
            return dates.parse(raw)
        case Field.SEX:
            return _sex(text.decode(raw))
        case Field.ISSUER_CODE | Field.PHOTO_NUMBER:
            return text.decode_digits(raw) or None
        case Field.ADDRESS:
            return Address.parse(raw)
        case Field.PHOTO:
            return Photo.parse(raw)
        case Field.LASER_NUMBER:
            return _laser(text.decode(raw))
        case Field.CHIP_NUMBER:
            return raw.hex().upper()
        case Field.HEALTH:
            return Health.parse(raw)
        case _:
            return text.decode(raw) or None


def _oddities(field: Field, value: Any, raw: bytes) -> Iterator[Problem]:
    """Name what is odd about a field that could be read."""
    if field is Field.VERSION and value != _VERSION:
        yield Problem(field.symbol, "unknown_version", raw.hex())
    if isinstance(value, dates.CardDate) and value.is_no_date:
        yield Problem(field.symbol, "not_a_date", raw.hex())
    if isinstance(value, Health):
        yield from (Problem(f"{field.symbol}.{name}", code, part.hex()) for name, code, part in value.problems(raw))


def _number(raw: bytes) -> str:
    if not (raw.isdigit() and len(raw) == Field.CITIZEN_ID.size_bytes):
        raise Unreadable("not_digits")
    return raw.decode("ascii")


def _sex(found: str) -> str | None:
    if found and found not in _SEXES:
        raise Unreadable("unknown_value")
    return _SEXES.get(found)


def _laser(found: str) -> str | None:
    if found and not _LASER.fullmatch(found):
        raise Unreadable("not_a_laser_number")
    return found or None
