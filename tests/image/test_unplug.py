"""A reader is pulled out of its USB port at the worst moments and put back, also into another port.

The station's error is of the family that says "no reader", and the next good card is read soon after the reader is
back, by the same worker process.
"""

import time

import pytest

from appliance.cards.thai_id import Field
from appliance.errors import CardRemoved, NoReader
from appliance.simulate.card import ThaiCard
from appliance.simulate.persons import person
from tests.image.conftest import Measure
from tests.image.station import GuestStation
from tests.image.usb import Interrupted, UsbReader

FIELDS = [Field.CITIZEN_ID, Field.EXPIRY_DATE]
PATIENCE_S = 10.0
RECOVERY_S = 5.0
PORTS = pytest.mark.parametrize("port", [1, 3], ids=["same-port", "other-port"])
REPLUGS = 20


def first_read(station: GuestStation, reader: UsbReader) -> str:
    """Have one good card read; return the reader's name."""
    reader.insert(ThaiCard(person(1)))
    station.seconds_to_read(person(1).citizen_id, PATIENCE_S)
    name: str = station.insertion["reader"]
    return name


def seconds_until_gone(station: GuestStation) -> float:
    """Return how long the station takes to say that there is no reader."""
    before_s = time.monotonic()
    while time.monotonic() - before_s < PATIENCE_S:
        try:
            station.wait_card(0.5)
        except NoReader:
            return time.monotonic() - before_s
    raise AssertionError(f"nobody missed the reader within {PATIENCE_S} s")


def seconds_from_replug(station: GuestStation, reader: UsbReader, port: int, serial: int) -> float:
    """Put the reader back with another person's card in it; return how long it takes until that is read."""
    before_s = time.monotonic()
    reader.plug(port)
    reader.insert(ThaiCard(person(serial)))
    station.seconds_to_read(person(serial).citizen_id, PATIENCE_S)
    return time.monotonic() - before_s


@PORTS
def test_pulled_while_no_card_is_in(station: GuestStation, reader: UsbReader, port: int, measure: Measure) -> None:
    name = first_read(station, reader)
    reader.remove()
    assert station.wait_removed(PATIENCE_S)
    worker = station.held()["worker"].pid
    reader.unplug()
    measure("idle reader pulled until NoReader", seconds_until_gone(station))
    took_s = seconds_from_replug(station, reader, port, 2)
    measure("replug to read, pulled while idle", took_s)
    assert took_s < RECOVERY_S
    assert (station.insertion["reader"] == name) == (port == 1), "the name is of the port"
    assert station.held()["worker"].pid == worker


@PORTS
def test_pulled_while_a_card_is_in(station: GuestStation, reader: UsbReader, port: int, measure: Measure) -> None:
    first_read(station, reader)
    worker = station.held()["worker"].pid
    reader.unplug()
    with pytest.raises(NoReader):
        station.read(FIELDS)
    measure("reader with a card pulled until NoReader", seconds_until_gone(station))
    took_s = seconds_from_replug(station, reader, port, 2)
    measure("replug to read, pulled with a card in", took_s)
    assert took_s < RECOVERY_S
    assert station.held()["worker"].pid == worker


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_pulled_in_the_middle_of_a_read(station: GuestStation, reader: UsbReader, at: int, measure: Measure) -> None:
    first_read(station, reader)
    reader.remove()
    assert station.wait_removed(PATIENCE_S)
    worker = station.held()["worker"].pid
    reader.insert(Interrupted(ThaiCard(person(1)), at, reader.unplug))
    station.wait_through(PATIENCE_S)
    with pytest.raises((NoReader, CardRemoved)):  # QEMU may end the command with no bytes before the device goes
        station.read(FIELDS)
    measure("reader pulled in the middle of a read until the error", station.took_s)
    measure("reader pulled in the middle of a read until NoReader", station.took_s + seconds_until_gone(station))
    took_s = seconds_from_replug(station, reader, 3, 2)
    measure("replug to read, pulled in the middle of a read", took_s)
    assert took_s < RECOVERY_S
    assert station.held()["worker"].pid == worker


def test_the_same_card_in_the_replugged_reader_is_a_new_insertion(station: GuestStation, reader: UsbReader) -> None:
    first_read(station, reader)
    reader.unplug()
    seconds_until_gone(station)
    assert seconds_from_replug(station, reader, 1, 1) < RECOVERY_S


def test_a_reader_that_comes_after_the_station_is_found(
    station: GuestStation, readers: list[UsbReader], measure: Measure
) -> None:
    for _ in range(3):
        with pytest.raises(NoReader):
            station.wait_card(0.5)
    took_s = seconds_from_replug(station, readers[0], 2, 1)
    measure("first plug to read", took_s)
    assert took_s < RECOVERY_S


def test_twenty_replugs_leak_nothing(station: GuestStation, reader: UsbReader, measure: Measure) -> None:
    first_read(station, reader)
    held = []
    for time_number in range(REPLUGS):
        reader.unplug()
        seconds_until_gone(station)
        took_s = seconds_from_replug(station, reader, 1 + time_number % 4, time_number)
        measure(f"replug to read, the longest of {REPLUGS}", took_s)
        assert took_s < RECOVERY_S
        held.append(station.held())
    assert held[-1] == held[0], [{name: (each.files, each.threads) for name, each in row.items()} for row in held]
