"""A card put in is read through the true USB driver, whoever does GET RESPONSE; so is the next, and the next."""

import time

import pytest

from appliance.cards.thai_id import Field
from appliance.errors import CardRemoved, NotAThaiIdCard
from appliance.simulate.card import ATR_THAI, BankCard, ThaiCard, is_fetch
from appliance.simulate.persons import person
from appliance.simulate.quirks import ApduLevel, PulledAt
from tests.image.conftest import Measure
from tests.image.station import GuestStation
from tests.image.usb import UsbReader

FIELDS = [Field.CITIZEN_ID, Field.EXPIRY_DATE]
PATIENCE_S = 10.0
HAND_S = 0.5  # between one card and the next


@pytest.mark.parametrize("is_at_apdu_level", [False, True], ids=["61xx-to-us", "61xx-in-the-reader"])
def test_a_card_put_in_is_read(
    station: GuestStation, reader: UsbReader, is_at_apdu_level: bool, measure: Measure
) -> None:
    card = ThaiCard(person(1))
    reader.insert(ApduLevel(card) if is_at_apdu_level else card)
    insertion = station.wait_through(PATIENCE_S)
    assert insertion["atr"] == ATR_THAI.hex()
    assert insertion["reader"].startswith("Gemalto")
    assert station.read(FIELDS)["citizen_id"] == person(1).citizen_id
    measure("one read of two fields", station.took_s)
    assert any(is_fetch(command) for command in card.log)
    assert station.wait_removed(0.2) is False
    reader.remove()
    assert station.wait_removed(PATIENCE_S)


@pytest.mark.parametrize("is_at_apdu_level", [False, True], ids=["61xx-to-us", "61xx-in-the-reader"])
def test_a_photo_is_read(station: GuestStation, reader: UsbReader, is_at_apdu_level: bool, measure: Measure) -> None:
    card = ThaiCard(person(1))
    reader.insert(ApduLevel(card) if is_at_apdu_level else card)
    station.wait_through(PATIENCE_S)
    assert station.read([*FIELDS, Field.PHOTO])["photo_bytes"] > 1000
    measure("one read with the photo", station.took_s)


def test_cards_come_and_go_between_reads(station: GuestStation, reader: UsbReader, measure: Measure) -> None:
    numbers = []
    for serial in range(10):
        reader.insert(ThaiCard(person(serial)))
        measure("insertion to read", station.seconds_to_read(person(serial).citizen_id, PATIENCE_S))
        assert station.wait_card(0.0) is None, "one insertion is one insertion"
        numbers.append(station.insertion["number"])
        reader.remove()
        assert station.wait_removed(PATIENCE_S)
    assert numbers == list(range(numbers[0], numbers[0] + 10))


def swap_while_nobody_looks(station: GuestStation, reader: UsbReader) -> None:
    """Read one card, change it for another while the station asks nothing, and read that."""
    station.seconds_to_read(person(1).citizen_id, PATIENCE_S)
    reader.remove()
    time.sleep(HAND_S)
    reader.insert(ThaiCard(person(2)))
    time.sleep(HAND_S)
    assert station.wait_removed(PATIENCE_S), "the first card"
    station.seconds_to_read(person(2).citizen_id, PATIENCE_S)


def test_a_card_changed_while_nobody_looked_is_a_new_insertion(station: GuestStation, reader: UsbReader) -> None:
    station.wait_for_empty_slot(PATIENCE_S)
    reader.insert(ThaiCard(person(1)))
    swap_while_nobody_looks(station, reader)


def test_a_card_that_came_with_the_reader_and_was_changed_is_a_new_insertion(
    station: GuestStation, readers: list[UsbReader]
) -> None:
    readers[0].plug(1)
    readers[0].insert(ThaiCard(person(1)))  # before pcscd looks at the slot for the first time
    swap_while_nobody_looks(station, readers[0])


@pytest.mark.parametrize("at", [1, 2, 4])
def test_a_card_pulled_in_the_middle_of_a_read_is_removed(station: GuestStation, reader: UsbReader, at: int) -> None:
    reader.insert(PulledAt(ThaiCard(person(1)), at))
    station.wait_through(PATIENCE_S)
    with pytest.raises(CardRemoved):
        station.read(FIELDS)
    assert station.wait_removed(PATIENCE_S)
    reader.insert(ThaiCard(person(2)))
    station.seconds_to_read(person(2).citizen_id, PATIENCE_S)


def test_a_card_of_another_kind_is_said_to_be_one(station: GuestStation, reader: UsbReader) -> None:
    reader.insert(BankCard())
    station.wait_through(PATIENCE_S)
    with pytest.raises(NotAThaiIdCard):
        station.read(FIELDS)
