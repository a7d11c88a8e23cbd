"""The check digit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.cards.citizen_id import check_digit, is_valid
from appliance.simulate.persons import person, synthetic_number

digits12 = st.text("0123456789", min_size=11, max_size=11).map(lambda tail: "1" + tail)


def test_the_documented_example() -> None:
    assert synthetic_number(20_345)[:12] == "100000020345"
    assert is_valid("1000000203457")


@given(digits12)
def test_exactly_one_digit_fits(first_twelve: str) -> None:
    fitting = [digit for digit in "0123456789" if is_valid(first_twelve + digit)]
    assert fitting == [check_digit(first_twelve)]


@given(digits12, st.integers(0, 11).filter(lambda at: at != 2), st.integers(1, 9))
def test_a_slip_of_one_digit_hardly_passes(first_twelve: str, at: int, by: int) -> None:
    """Remainders 0 and 10 share check digit 1, so a slip passes only between those; the third digit weighs 11 = 0."""
    other = first_twelve[:at] + str((int(first_twelve[at]) + by) % 10) + first_twelve[at + 1 :]
    if check_digit(first_twelve) == check_digit(other):
        assert check_digit(other) == "1"


@pytest.mark.parametrize(
    "number", ["", "1" * 12, "1" * 14, "๑" * 13, "1" * 12 + "x", " " + synthetic_number(1)[1:], "0" * 13]
)
def test_what_is_no_number(number: str) -> None:
    assert not is_valid(number)


@given(st.integers(0, 9_999_999))
def test_invented_people_are_valid_and_marked(serial: int) -> None:
    number = person(serial).citizen_id
    assert is_valid(number)
    assert number[1:5] == "0000"
