"""Whole reads: what is fetched in which order, what is told on the way, and what older chips do not have."""

import json

import pytest

from appliance.cards import reading
from appliance.cards.record import Record
from appliance.cards.thai_id import ALL, ANSWERS, CID, TEXT, WITH_PHOTO, Applet, Field, select
from appliance.errors import CardGarbled, CardRefused, CardVersionUnsupported, NotAThaiIdCard
from appliance.simulate.card import ThaiCard, VirtualCard
from appliance.simulate.deck import deck
from appliance.simulate.persons import person

NHSO = bytes(select(Applet.NHSO))


def read(card: VirtualCard, fields: tuple[Field, ...], told: list[Record] | None = None) -> Record:
    heard = told if told is not None else []
    return reading.read(lambda command: card.answer(command) or b"", fields, heard.append)


class Refusing(ThaiCard):
    """Answers command number ``at`` with a status word."""

    def __init__(self, at: int, sw: int) -> None:
        super().__init__(person(1))
        self._at, self._sw = at, sw

    def answer(self, command: bytes) -> bytes | None:
        usual = super().answer(command)
        return self._sw.to_bytes(2, "big") if len(self.log) == self._at else usual


@pytest.mark.parametrize(("fields", "apdus"), [(CID, 3), (TEXT, 9), (WITH_PHOTO, 43), (ALL, 54)])
def test_it_takes_as_few_commands_as_can_be(fields: tuple[Field, ...], apdus: int) -> None:
    card = ThaiCard(person(1))
    assert read(card, fields).apdus == apdus == len(card.log)


def test_the_number_is_told_first_then_the_text_then_the_photo() -> None:
    told: list[Record] = []
    read(ThaiCard(person(1)), ALL, told)
    assert [(set(one.values), one.apdus) for one in told] == [
        (set(CID), 3),
        (set(TEXT), 7),
        (set(WITH_PHOTO), 41),
    ]
    assert all(one.citizen_id == person(1).citizen_id for one in told)


def test_where_the_number_is_all_nothing_is_told_before_the_end() -> None:
    told: list[Record] = []
    read(ThaiCard(person(1)), CID, told)
    assert told == []


def test_every_field_of_the_deck_s_person() -> None:
    who = person(3)
    data = read(ThaiCard(who), ALL).as_data()
    assert json.loads(json.dumps(data)) == data
    assert data["citizen_id"] == who.citizen_id
    assert data["checks"] == {"checksum": "pass", "dates": "pass", "consistency": "pass"}
    assert data["birth_date"] == {"value": "1995-04-04", "precision": "day"}
    assert data["photo"]["size_bytes"] == who.photo_bytes
    assert data["laser_number"] == who.laser
    assert data["problems"] == []
    assert not [name for name, value in data.items() if value is None]


def test_what_was_not_asked_for_is_not_there() -> None:
    data = read(ThaiCard(person(3)), (Field.EXPIRY_DATE,)).as_data()
    assert set(data) == {"apdus", "checks", "expiry_date", "problems"}
    assert data["checks"] == {"checksum": "not_asked", "dates": "pass", "consistency": "not_asked"}


@pytest.mark.parametrize("sw", [0x6A82, 0x6A81, 0x6D00, 0x6E00, 0x6982])
@pytest.mark.parametrize("field", [Field.LASER_NUMBER, Field.CHIP_NUMBER, Field.HEALTH])
def test_what_an_older_chip_does_not_have_is_null(field: Field, sw: int) -> None:
    for at in (4, 5):  # SELECT, and the first command after it
        record = read(Refusing(at, sw), (Field.CITIZEN_ID, field))
        assert record.values[field] is None
        assert record.problems == ()


@pytest.mark.parametrize("sw", [0x6F00, 0x6581, 0x6281, 0x9001, 0x0000, 0xFFFF])
@pytest.mark.parametrize("at", [4, 5])
def test_an_applet_that_fails_is_not_one_that_is_missing(at: int, sw: int) -> None:
    with pytest.raises(CardRefused):
        read(Refusing(at, sw), (Field.CITIZEN_ID, Field.HEALTH))


def test_a_health_file_that_breaks_off_is_no_missing_one() -> None:
    with pytest.raises(CardRefused):
        read(Refusing(7, 0x6A82), (Field.CITIZEN_ID, Field.HEALTH))


def test_an_answer_that_was_announced_and_then_refused_is_no_missing_one() -> None:
    with pytest.raises(CardRefused):
        read(Refusing(6, 0x6D00), (Field.CITIZEN_ID, Field.HEALTH))


@pytest.mark.parametrize("sw", ["6A82", "6982", "6D00", "6E00", "9001", "FFFF", "6283"])
def test_a_refused_select_is_no_thai_card(sw: str) -> None:
    with pytest.raises(NotAThaiIdCard):
        read(deck(f"sw-{sw}"), CID)


def test_an_old_card_is_known_by_its_first_window() -> None:
    card = deck("version-0002")
    with pytest.raises(CardVersionUnsupported):
        read(card, ALL)
    assert len(card.log) == 3


def test_two_cards_never_mix() -> None:
    for at in range(4, 44):
        with pytest.raises(CardGarbled):
            read(deck(f"swapped-at-{at}"), WITH_PHOTO)


def test_the_answers_of_other_applets_are_asked_for_whole() -> None:
    assert {applet: one.size_bytes for applet, one in ANSWERS.items()} == {Applet.ADM: 23, Applet.CARD_MANAGER: 45}
