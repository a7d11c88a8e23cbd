"""Age, sex, kind of number, two persons, the card's own dates: each end of each range, and what stays open."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.checks import age, card_data, subject
from appliance.checks.result import PASS, Result
from appliance.checks.verdict import Level, Verdict, decide

TODAY = date(2026, 11, 23)
DAYS = st.dates(date(1900, 1, 1), date(2030, 12, 31))


@pytest.mark.parametrize(
    ("birth", "today", "years"),
    [
        (date(2011, 11, 23), TODAY, 15),
        (date(2011, 11, 24), TODAY, 14),
        (date(2012, 2, 29), date(2027, 2, 28), 14),
        (date(2012, 2, 29), date(2027, 3, 1), 15),
        (date(2012, 2, 29), date(2028, 2, 29), 16),
        (TODAY, TODAY, 0),
    ],
)
def test_an_age_is_complete_years(birth: date, today: date, years: int) -> None:
    assert age.years(birth, today) == years


@pytest.mark.parametrize(
    ("first", "last", "why"),
    [
        (date(2011, 11, 23), date(2011, 11, 23), None),
        (date(2011, 11, 24), date(2011, 11, 24), "too_young"),
        (date(1960, 11, 23), date(1960, 11, 23), "too_old"),
        (date(1960, 11, 24), date(1960, 11, 24), None),
        (date(2010, 1, 1), date(2010, 12, 31), None),
        (date(2011, 1, 1), date(2011, 12, 31), "birth_date_incomplete"),
        (date(2012, 1, 1), date(2012, 12, 31), "too_young"),
        (None, None, "not_implemented_by_card"),
    ],
)
def test_an_age_from_15_to_65(first: date | None, last: date | None, why: str | None) -> None:
    assert age.check(first, last, TODAY, True, range(15, 66)).why == why


@given(DAYS, st.integers(0, 400), DAYS, st.integers(0, 120), st.integers(0, 60))
def test_an_incomplete_date_never_says_more_than_each_of_its_days(
    first: date, days: int, today: date, low: int, width: int
) -> None:
    ages = range(low, low + width + 1)
    last = first + timedelta(days=days)
    whole = age.check(first, last, today, True, ages)
    single = {age.check(day, day, today, True, ages).result for day in (first, last)}
    if whole.result in (Result.PASS, Result.FAIL):
        assert single == {whole.result}
    assert age.check(first, last, today, False, ages).why == "clock_unsure"


def test_sex_number_and_two_persons() -> None:
    assert subject.check_sex("male", "male") == PASS
    assert subject.check_sex("female", "male").result is Result.FAIL
    assert subject.check_sex(None, "male").result is Result.COULD_NOT_CHECK
    assert [subject.check_number(digit + "0" * 12, "123458").result for digit in "18067"] == [
        Result.PASS, Result.PASS, Result.FAIL, Result.FAIL, Result.FAIL,
    ]  # fmt: skip
    assert subject.check_two("1", "2") == PASS
    assert subject.check_two("1", "1").why == "same_person"


@pytest.mark.parametrize(
    ("found", "why"),
    [("pass", None), ("fail", "bad_date"), ("could_not_check", "not_implemented_by_card"), ("not_asked", None)],
)
def test_what_a_record_says_of_its_dates(found: str, why: str | None) -> None:
    check = card_data.check(found, "bad_date")
    assert (check.result.value, check.why) == (found, why)


def test_levels_and_withdrawal() -> None:
    card = {"applet": PASS, "checksum": PASS}
    denied = subject.check_two("1", "1")
    assert decide(card, card).level is Level.L1
    assert decide(card, {**card, "roster": PASS}).level is Level.L2
    assert decide(card, {**card, "roster": PASS, "denylist": denied}).level is Level.L1
    assert decide(card, {**card, "online": PASS}).level is Level.L3
    assert decide(card, {"applet": PASS, "online": PASS}).level is Level.L0
    assert decide(card, card, is_cancelled=True).verdict is Verdict.CANCELLED
    assert decide(card, {"applet": denied}, is_cancelled=True).verdict is Verdict.CANCELLED
