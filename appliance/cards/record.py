"""The card record: what one card said, each field read for what it is, and whatever is wrong with it by name.

All or nothing twice over: a record exists only of a read that was whole, and a field that cannot be decoded is
None and named in ``problems``; no half of it is ever shown. A field that the card does not hold is None without a
problem. ``as_data`` is the JSON of ``card-station read``, and the form in which a record leaves the reader worker.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Self

from appliance.cards import citizen_id
from appliance.cards.dates import CardDate
from appliance.cards.health import Health
from appliance.cards.person import Address, Name
from appliance.cards.photo import Photo
from appliance.cards.text import read_back
from appliance.cards.thai_id import Field

PASS, FAIL, COULD_NOT_CHECK, NOT_ASKED = "pass", "fail", "could_not_check", "not_asked"

_MAX_APDUS = 10_000

_DATES = (Field.BIRTH_DATE, Field.ISSUE_DATE, Field.EXPIRY_DATE)  # in the order in which they come in a life


@dataclass(frozen=True)
class Problem:
    """Why a field cannot be used.

    Args:
        field: its symbolic name.
        code: one word, such as ``undefined_byte`` (docs/card.md).
        raw: its bytes as hex.
    """

    field: str
    code: str
    raw: str


@dataclass(frozen=True)
class Record:
    """What one card said.

    Args:
        values: of each field that was asked for: text, CardDate, Name, Address, Photo or Health; None where the card
            does not hold it or it is unreadable.
        problems: what is unreadable, and what is odd about fields that could be read.
        apdus: commands sent to the card.
    """

    values: Mapping[Field, Any]
    problems: tuple[Problem, ...]
    apdus: int

    @property
    def citizen_id(self) -> str | None:
        """Return 13 digits; None where it was not asked for or is no such number."""
        number: str | None = self.values.get(Field.CITIZEN_ID)
        return number

    @property
    def is_number_valid(self) -> bool:
        """Say whether the number was read and its check digit agrees."""
        return self.citizen_id is not None and citizen_id.is_valid(self.citizen_id)

    @property
    def expiry_date(self) -> CardDate | None:
        """Return it; None where it was not asked for."""
        expiry: CardDate | None = self.values.get(Field.EXPIRY_DATE)
        return expiry

    @property
    def photo(self) -> Photo | None:
        """Return it; None where it was not asked for, the card holds none, or it is unreadable."""
        photo: Photo | None = self.values.get(Field.PHOTO)
        return photo

    @property
    def checks(self) -> dict[str, str]:
        """Return what the fields say of each other: ``checksum``, ``dates``, ``consistency``."""
        asked = [value for value in map(self.values.get, _DATES) if isinstance(value, CardDate)]
        return {"checksum": self._checksum(), "dates": _check_dates(asked), "consistency": self._consistency()}

    def as_data(self) -> dict[str, Any]:
        """Return the record as JSON values, with the fields in the order of the contract."""
        shown: dict[str, Any] = {}
        for field in Field:
            if field in self.values:
                shown[field.symbol] = _plain(self.values[field])
            if field is Field.CITIZEN_ID:
                shown["checks"] = self.checks
        return {"apdus": self.apdus, **shown, "problems": [dict(vars(problem)) for problem in self.problems]}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Return what ``as_data`` showed. Raises KeyError, TypeError, ValueError, AttributeError."""
        values = {field: _restored(field, data[field.symbol]) for field in Field if field.symbol in data}
        return cls(values, tuple(map(_problem, data["problems"])), _count(data["apdus"]))

    def _checksum(self) -> str:
        if Field.CITIZEN_ID not in self.values:
            return NOT_ASKED
        return PASS if self.is_number_valid else FAIL

    def _consistency(self) -> str:
        """Say whether birth, issue and expiry can have come one after the other."""
        known = [value for value in map(self.values.get, _DATES) if isinstance(value, CardDate)]
        if len(known) < 2:
            return NOT_ASKED
        spans = [(one.first_day(), one.last_day()) for one in known]
        pairs = [
            (earlier, later)
            for at, (earlier, _) in enumerate(spans)
            for _, later in spans[at + 1 :]
            if earlier is not None and later is not None
        ]
        return _agreed(pairs)


def _agreed(pairs: Sequence[tuple[date, date]]) -> str:
    if not pairs:
        return COULD_NOT_CHECK
    return PASS if all(earlier <= later for earlier, later in pairs) else FAIL


def _check_dates(asked: Sequence[CardDate]) -> str:
    if not asked:
        return NOT_ASKED
    if any(one.is_no_date for one in asked):
        return FAIL
    return COULD_NOT_CHECK if all(one.is_blank for one in asked) else PASS


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    return dict(vars(value)) if isinstance(value, Name | Address) else value.as_data()


def _restored(field: Field, shown: Any) -> Any:  # noqa: PLR0911 - one line a kind
    """Return the value that ``_plain`` showed. Raises KeyError, TypeError, ValueError, AttributeError."""
    if shown is None:
        return None
    match field:
        case Field.NAME_TH | Field.NAME_EN:
            return Name(**{name: read_back(text) for name, text in shown.items()})
        case Field.ADDRESS:
            return Address(**{name: read_back(text) for name, text in shown.items()})
        case Field.BIRTH_DATE | Field.ISSUE_DATE | Field.EXPIRY_DATE:
            return CardDate.from_data(shown)
        case Field.PHOTO:
            return Photo.from_data(shown)
        case Field.HEALTH:
            return Health.from_data(shown)
    if field is Field.CITIZEN_ID and not re.fullmatch("[0-9]{13}", shown):
        raise ValueError("no citizen number")
    return read_back(shown)


def _problem(shown: Mapping[str, str]) -> Problem:
    found = Problem(**shown)
    is_sound = (
        re.fullmatch("[a-z_]{1,20}([.][a-z_]{1,20})?", found.field)
        and re.fullmatch("[a-z_]{1,30}", found.code)
        and re.fullmatch("([0-9a-f]{2})*", found.raw)
    )
    if not is_sound:
        raise ValueError("no problem of a field")
    return found


def _count(number: int) -> int:
    if not (type(number) is int and 0 <= number <= _MAX_APDUS):
        raise ValueError("no number of commands")
    return number
