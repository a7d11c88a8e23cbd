"""Two readers of one kind: a card in either is read, and either can go."""

from appliance.cards.thai_id import Field
from appliance.simulate.card import ThaiCard
from appliance.simulate.persons import person
from tests.image.station import GuestStation
from tests.image.usb import UsbReader

PATIENCE_S = 10.0


def test_a_card_in_the_second_reader_is_read(station: GuestStation, readers: list[UsbReader]) -> None:
    readers[0].plug(1)
    readers[1].plug(2)
    names = set()
    for serial, reader in enumerate((readers[0], readers[1], readers[0]), 1):
        reader.insert(ThaiCard(person(serial)))
        station.seconds_to_read(person(serial).citizen_id, PATIENCE_S)
        names.add(station.insertion["reader"])
        reader.remove()
        assert station.wait_removed(PATIENCE_S)
    assert len(names) == 2


def test_the_other_reader_serves_on_when_one_is_pulled(station: GuestStation, readers: list[UsbReader]) -> None:
    readers[0].plug(1)
    readers[1].plug(2)
    readers[0].insert(ThaiCard(person(1)))
    station.seconds_to_read(person(1).citizen_id, PATIENCE_S)
    readers[0].unplug()
    readers[1].insert(ThaiCard(person(2)))
    station.seconds_to_read(person(2).citizen_id, PATIENCE_S)
    readers[0].plug(3)
    readers[1].remove()
    assert station.wait_removed(PATIENCE_S)
    readers[0].insert(ThaiCard(person(3)))
    station.seconds_to_read(person(3).citizen_id, PATIENCE_S)
    assert station.read([Field.CITIZEN_ID])["citizen_id"] == person(3).citizen_id, "twice from one insertion"
