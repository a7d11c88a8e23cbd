"""Dates of the Buddhist era with their precision."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.cards.dates import Precision, parse
from appliance.cards.decode import decode
from appliance.cards.thai_id import Field


@pytest.mark.parametrize(
    ("raw", "precision", "value"),
    [
        (b"25371231", Precision.DAY, "1994-12-31"),
        (b"25310229", Precision.DAY, "1988-02-29"),  # a leap year of the Common Era, not of the Buddhist one
        (b"25371200", Precision.MONTH, "1994-12"),
        (b"25370000", Precision.YEAR, "1994"),
        (b"99999999", Precision.LIFETIME, None),
        (b"        ", Precision.UNKNOWN, None),
        (b"\0" * 8, Precision.UNKNOWN, None),
        (b"00000000", Precision.UNKNOWN, None),
        (b"25320229", Precision.UNKNOWN, None),
        (b"25671331", Precision.UNKNOWN, None),
        (b"25670031", Precision.UNKNOWN, None),
        (b"20261123", Precision.UNKNOWN, None),  # Common Era where the Buddhist one belongs
        (b"2537123x", Precision.UNKNOWN, None),
        (b"2537123", Precision.UNKNOWN, None),
        (b"", Precision.UNKNOWN, None),
        (b"\xff" * 8, Precision.UNKNOWN, None),
    ],
)
def test_dates(raw: bytes, precision: Precision, value: str | None) -> None:
    parsed = parse(raw)
    assert (parsed.precision, parsed.value) == (precision, value)


@pytest.mark.parametrize(("raw", "is_blank"), [(b"        ", True), (b"00000000", True), (b"25671331", False)])
def test_a_blank_is_told_from_garbage(raw: bytes, is_blank: bool) -> None:
    assert parse(raw).is_blank is is_blank


@pytest.mark.parametrize(
    ("raw", "last"),
    [
        (b"25371231", date(1994, 12, 31)),
        (b"25310200", date(1988, 2, 29)),
        (b"25370000", date(1994, 12, 31)),
        (b"99999999", None),
        (b"        ", None),
    ],
)
def test_the_last_day_that_a_date_can_mean(raw: bytes, last: date | None) -> None:
    assert parse(raw).last_day() == last


@given(st.binary(max_size=12))
def test_no_bytes_raise_and_garbage_keeps_its_bytes(raw: bytes) -> None:
    parsed = parse(raw)
    if parsed.precision is Precision.UNKNOWN:
        assert parsed.raw == raw.hex()
    parsed.last_day()


@given(st.dates(date(1900, 1, 1), date(2100, 1, 1)))
def test_every_day_comes_back(day: date) -> None:
    assert parse(f"{day.year + 543}{day:%m%d}".encode()).last_day() == day


@pytest.mark.parametrize("field", [Field.BIRTH_DATE, Field.ISSUE_DATE])
def test_nobody_is_born_for_life(field: Field) -> None:
    record = decode({field: b"99999999"}, 3)
    assert record.values[field].precision is Precision.UNKNOWN
    assert [(problem.field, problem.code) for problem in record.problems] == [(field.symbol, "not_a_date")]
    assert decode({Field.EXPIRY_DATE: b"99999999"}, 3).values[Field.EXPIRY_DATE].precision is Precision.LIFETIME
