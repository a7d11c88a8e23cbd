"""Every date that eight digits can be, against the calendar of the standard library."""

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.cards.dates import CardDate, Precision, parse
from appliance.cards.thai_id import Field
from tests.fuzz.invariants import check_decoding, check_value

PATIENT = settings(deadline=None)  # the machine may have much else to do
ERA = 543
YEARS = range(1850, 2150)  # of the Common Era: those that a card can mean


def calendar_day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def expected(year: int, month: int, day: int) -> tuple[Precision, date | None, date | None]:
    """Return precision, first and last day of a year, month and day that may be 0, without the product's help."""
    if day == 0 and month == 0:
        return Precision.YEAR, date(year, 1, 1), date(year, 12, 31)
    if day == 0 and month in range(1, 13):
        after = date(year + month // 12, month % 12 + 1, 1)
        return Precision.MONTH, date(year, month, 1), after - timedelta(days=1)
    found = calendar_day(year, month, day)
    return (Precision.UNKNOWN if found is None else Precision.DAY), found, found


@pytest.mark.parametrize("month", range(20))
def test_every_day_and_every_day_that_never_was_in_three_hundred_years(month: int) -> None:
    for year in YEARS:
        for day in range(40):
            raw = f"{year + ERA:04d}{month:02d}{day:02d}".encode()
            found = parse(raw)
            assert (found.precision, found.first_day(), found.last_day()) == expected(year, month, day), raw
            check_value(Field.BIRTH_DATE, found, raw)


def test_leap_days_are_those_of_the_common_era() -> None:
    leaps = [year for year in YEARS if parse(f"{year + ERA}0229".encode()).precision is Precision.DAY]
    assert leaps == [year for year in YEARS if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)]


def test_a_year_that_no_card_can_mean_is_no_date() -> None:
    for year in range(10_000):
        for rest in ("0000", "0100", "0101", "1231"):
            raw = f"{year:04d}{rest}"
            known = parse(raw.encode())
            assert (known.value is not None) == (year - ERA in YEARS)
            assert known.is_no_date == (year - ERA not in YEARS and raw != "00000000")


@PATIENT
@given(st.binary(max_size=12))
def test_any_bytes_are_a_date_or_stay_as_they_are(raw: bytes) -> None:
    check_decoding({Field.BIRTH_DATE: raw, Field.ISSUE_DATE: raw[::-1], Field.EXPIRY_DATE: raw[1:]})


@PATIENT
@given(st.text("0123456789 \0", min_size=8, max_size=8))
def test_digits_and_padding_are_a_date_or_stay_as_they_are(text: str) -> None:
    record = check_decoding({Field.EXPIRY_DATE: text.encode()})
    assert record.checks["dates"] in ("pass", "fail", "could_not_check")


@pytest.mark.parametrize("text", ["๒๕๓๗๑๒๓๑", "２５３７１２３１", "²⁵³⁷¹²³¹", "2537١٢31"])
def test_digits_of_other_scripts_are_no_date(text: str) -> None:
    assert parse(text.encode("tis-620", "ignore")).precision is Precision.UNKNOWN
    assert parse(text.encode()).precision is Precision.UNKNOWN


@PATIENT
@given(st.lists(st.text("0123456789", min_size=8, max_size=8), min_size=3, max_size=3))
def test_the_order_of_a_life_is_checked_by_what_the_dates_can_mean(texts: list[str]) -> None:
    fields = (Field.BIRTH_DATE, Field.ISSUE_DATE, Field.EXPIRY_DATE)
    record = check_decoding({field: text.encode() for field, text in zip(fields, texts, strict=True)})
    known: list[CardDate] = [record.values[field] for field in fields]
    spans = [(first, last) for one in known if (first := one.first_day()) and (last := one.last_day())]
    if len(spans) < 2:
        assert record.checks["consistency"] == "could_not_check"
    else:
        ordered = all(early[0] <= late[1] for at, early in enumerate(spans) for late in spans[at + 1 :])
        assert record.checks["consistency"] == ("pass" if ordered else "fail")
