"""A card, or a reader, that says nothing: the person waits for one deadline, and then the next card is read.

Where the reader's firmware itself hangs, libccid waits for its answer (over 300 s by this card's ATR), and pcscd tells
nothing of that reader meanwhile; what helps is to plug it in anew, or to start pcscd anew.
"""

import pytest

from appliance.cards.thai_id import Field
from appliance.errors import CardDeadline, CardError
from appliance.run.reader import SILENCE_S
from appliance.simulate.card import MuteCard, ThaiCard
from appliance.simulate.persons import person
from appliance.simulate.quirks import MuteAt
from tests.image.conftest import Measure
from tests.image.station import GuestStation
from tests.image.usb import UsbReader

FIELDS = [Field.CITIZEN_ID, Field.EXPIRY_DATE]
PATIENCE_S = 10.0
RECOVERY_S = 5.0
FIRMWARE_S = 1.2  # a T=0 card's work waiting time
MARGIN_S = 1.5


@pytest.mark.parametrize("at", [1, 3])
def test_a_mute_card_in_a_good_reader_costs_little(
    station: GuestStation, reader: UsbReader, at: int, measure: Measure
) -> None:
    reader.gives_up_after_s = FIRMWARE_S
    reader.insert(MuteAt(ThaiCard(person(1)), at))
    station.wait_through(PATIENCE_S)
    with pytest.raises(CardError):
        station.read(FIELDS)
    measure("mute card in a good reader until the error", station.took_s)
    reader.remove()
    assert station.wait_removed(PATIENCE_S)
    reader.insert(ThaiCard(person(2)))
    took_s = station.seconds_to_read(person(2).citizen_id, PATIENCE_S)
    measure("next card after a mute one to read", took_s)
    assert took_s < RECOVERY_S


def test_a_reader_that_hangs_costs_one_deadline_and_one_replug(
    station: GuestStation, reader: UsbReader, measure: Measure
) -> None:
    reader.insert(MuteCard())
    station.wait_through(PATIENCE_S)
    first = station.held()["worker"].pid
    with pytest.raises(CardDeadline):
        station.read(FIELDS)
    measure("hanging reader until CardDeadline", station.took_s)
    assert SILENCE_S <= station.took_s < SILENCE_S + MARGIN_S
    assert station.wait_removed(0.5) is False
    assert station.held()["worker"].pid != first, "the worker that hung was killed"
    reader.unplug()
    reader.plug(2)
    reader.insert(ThaiCard(person(2)))
    took_s = station.seconds_to_read(person(2).citizen_id, PATIENCE_S)
    measure("hanging reader, replug to read", took_s)
    assert took_s < RECOVERY_S
