"""A card that is pulled, falls silent or is swapped at any command of a full read, against a real pcscd.

Everything that the card holds is asked for, so that every command of the product is once the last one.
"""

import time
from collections import Counter
from collections.abc import Iterator

import pytest

from appliance.cards import reading
from appliance.cards.record import Record
from appliance.cards.thai_id import ALL
from appliance.errors import CardDeadline, CardGarbled, CardRemoved
from appliance.hardware.pcsc import PcscSlot
from appliance.run.reader import WorkerReader
from appliance.run.slot_reader import SlotReader
from appliance.simulate.card import ThaiCard, VirtualCard
from appliance.simulate.deck import deck
from appliance.simulate.pcscd import PORT, PrivatePcscd
from appliance.simulate.persons import person
from appliance.simulate.vpcd import VpcdCard

PATIENCE_S = 5.0
FULL_READ_APDUS = 54
SOME = (1, 2, 3, 9, 30, 42, FULL_READ_APDUS)


@pytest.fixture(scope="module")
def pcscd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivatePcscd]:
    with PrivatePcscd(tmp_path_factory.mktemp("pcscd")) as daemon:
        yield daemon


@pytest.fixture
def reader(pcscd: PrivatePcscd) -> Iterator[SlotReader]:
    slot = PcscSlot()
    yield SlotReader(slot, ALL)
    slot.close()


class Slots:
    """Takes the two virtual slots in turn, so that nobody waits until pcscd has seen a removal."""

    def __init__(self) -> None:
        self._turn = 0

    def insert(self, card: VirtualCard) -> VpcdCard:
        self._turn += 1
        held = VpcdCard(card, PORT + self._turn % 2)
        held.insert()
        return held


def read(reader: SlotReader | WorkerReader, card: VirtualCard, slots: Slots, told: list[Record]) -> Record:
    """Put a card in, read everything, take it out."""
    held = slots.insert(card)
    try:
        assert reader.wait_card(PATIENCE_S)
        return reader.read(ALL, lambda so_far: told.append(so_far) if so_far is not None else None)
    finally:
        held.remove()
        assert reader.wait_removed(PATIENCE_S)


@pytest.mark.slow
def test_a_full_read_pulled_at_every_command_is_removed_and_the_next_card_is_good(reader: SlotReader) -> None:
    slots, outcomes = Slots(), Counter[str]()
    for at in range(1, FULL_READ_APDUS + 1):
        told: list[Record] = []
        with pytest.raises(CardRemoved) as caught:
            read(reader, deck(f"pulled-at-{at}"), slots, told)
        assert all(record.citizen_id == person(1).citizen_id and not record.problems for record in told)
        good = read(reader, ThaiCard(person(at + 1)), slots, [])
        assert good.citizen_id == person(at + 1).citizen_id
        assert set(good.values) == set(ALL)
        outcomes[caught.value.code] += 1
    print(f"\nfull read pulled at each of {FULL_READ_APDUS} commands: errors {outcomes}, each next card good")
    assert outcomes == {"C01": FULL_READ_APDUS}


def test_a_card_pulled_after_the_last_command_was_read_whole(reader: SlotReader) -> None:
    record = read(reader, deck(f"pulled-at-{FULL_READ_APDUS + 1}"), Slots(), [])
    assert record.apdus == FULL_READ_APDUS
    assert record.citizen_id == person(1).citizen_id


@pytest.mark.slow
@pytest.mark.parametrize("at", range(4, FULL_READ_APDUS + 1))
def test_a_card_that_becomes_another_one_in_the_middle_gives_no_record(at: int) -> None:
    """Whatever the swap escapes, it cannot escape the second look at the number."""
    card = deck(f"swapped-at-{at}")
    told: list[Record] = []

    def transmit(command: bytes) -> bytes:
        return card.answer(command) or b""

    with pytest.raises(CardGarbled):
        reading.read(transmit, ALL, told.append)


@pytest.mark.slow
@pytest.mark.parametrize("at", SOME)
def test_a_card_that_falls_silent_costs_one_deadline(pcscd: PrivatePcscd, at: int) -> None:
    worker, slots = WorkerReader("Virtual PCD", may_read=ALL, silence_s=1.0), Slots()
    before_s = time.monotonic()
    with pytest.raises(CardDeadline):
        read(worker, deck(f"mute-at-{at}"), slots, [])
    assert time.monotonic() - before_s < PATIENCE_S
    assert read(worker, ThaiCard(person(2)), slots, []).citizen_id == person(2).citizen_id
    worker.close()
