"""Windows, whole reads, and the citizen number that is read again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.cards import thai_id
from appliance.cards.thai_id import Field, Window
from appliance.errors import CardError, CardGarbled
from appliance.simulate.card import ThaiCard
from appliance.simulate.deck import deck
from appliance.simulate.persons import person


def test_attendance_is_one_window_of_thirteen_bytes() -> None:
    assert thai_id.plan([Field.CITIZEN_ID]) == [Window(4, 13)]


@given(st.sets(st.sampled_from(list(Field)), min_size=1))
def test_a_plan_covers_the_wanted_fields_and_no_other_byte(fields: set[Field]) -> None:
    wanted = {at for field in fields for at in range(field.offset, field.offset + field.size_bytes)}
    read = [
        at for window in thai_id.plan(list(fields)) for at in range(window.offset, window.offset + window.size_bytes)
    ]
    assert sorted(read) == sorted(wanted)
    assert all(window.size_bytes <= thai_id.MAX_WINDOW_BYTES for window in thai_id.plan(list(fields)))


def answering(card: ThaiCard) -> "Transmit":
    return Transmit(card)


class Transmit:
    def __init__(self, card: ThaiCard) -> None:
        self._card = card

    def __call__(self, command: bytes) -> bytes:
        answer = self._card.answer(command)
        assert answer is not None
        return answer


def test_all_fields() -> None:
    reading = thai_id.read(answering(ThaiCard(person(3))), list(Field))
    assert reading.citizen_id == person(3).citizen_id
    assert reading.birth_date is not None
    assert reading.birth_date.value == "1995-04-04"
    assert reading.expiry_date is not None
    assert reading.expiry_date.value == "2032-12-30"


def test_what_was_not_asked_for_is_not_there() -> None:
    reading = thai_id.read(answering(ThaiCard(person(3))), [Field.EXPIRY_DATE])
    assert reading.citizen_id is None
    assert not reading.is_number_valid
    assert reading.birth_date is None


def test_a_wrong_check_digit_is_read_and_said() -> None:
    card = deck("bad-number")
    assert isinstance(card, ThaiCard)
    reading = thai_id.read(answering(card), [Field.CITIZEN_ID])
    assert reading.citizen_id is not None
    assert not reading.is_number_valid


@pytest.mark.parametrize("raw", [b"12345678901 3", b"ABCDEFGHIJKLM", b"\x00" * 13, "１２３４".encode()[:13].ljust(13)])
def test_a_number_that_is_no_number(raw: bytes) -> None:
    def transmit(command: bytes) -> bytes:
        return b"\x90\x00" if command[1] == 0xA4 else raw + b"\x90\x00"

    reading = thai_id.read(transmit, [Field.CITIZEN_ID])
    assert reading.citizen_id is None
    assert not reading.is_number_valid


def test_a_card_swapped_between_two_windows_is_no_reading() -> None:
    cards = [ThaiCard(person(1)), ThaiCard(person(2))]
    seen = [0]

    def transmit(command: bytes) -> bytes:
        card = cards[0] if seen[0] < 3 else cards[1]
        if seen[0] == 3:
            card.answer(bytes.fromhex("00a4040008a000000054480001"))
        seen[0] += 1
        answer = card.answer(command)
        assert answer is not None
        return answer

    with pytest.raises(CardGarbled):
        thai_id.read(transmit, [Field.CITIZEN_ID, Field.EXPIRY_DATE])


@pytest.mark.parametrize("last", range(7))
def test_a_card_that_falls_silent_at_any_exchange_gives_nothing(last: int) -> None:
    card, count = ThaiCard(person(1)), [0]

    def transmit(command: bytes) -> bytes:
        count[0] += 1
        answer = card.answer(command)
        assert answer is not None
        return b"" if count[0] > last else answer

    with pytest.raises(CardError):
        thai_id.read(transmit, [Field.CITIZEN_ID, Field.EXPIRY_DATE])


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=12))
def test_no_answers_of_a_card_do_anything_but_a_reading_or_a_card_error(answers: list[bytes]) -> None:
    left = list(answers)

    def transmit(command: bytes) -> bytes:
        return left.pop(0) if left else b"\x90\x00"

    try:
        reading = thai_id.read(transmit, [Field.CITIZEN_ID])
    except CardError:
        return
    assert reading.citizen_id is None or len(reading.citizen_id) == 13
