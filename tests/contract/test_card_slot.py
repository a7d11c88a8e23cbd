"""One suite for ports.CardSlot: the slot in memory, and pcscd with a virtual reader, must behave alike."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from appliance.cards.thai_id import Field
from appliance.errors import CardError, CardRemoved, NotAThaiIdCard
from appliance.ports import CardSlot
from appliance.run.slot_reader import SlotReader
from appliance.simulate.card import ATR_BANK, ATR_THAI, BankCard, ThaiCard, VirtualCard
from appliance.simulate.deck import deck
from appliance.simulate.pcscd import PrivatePcscd
from appliance.simulate.persons import person
from appliance.simulate.slot import InMemorySlot
from appliance.simulate.vpcd import VpcdCard

PATIENCE_S = 5.0
ATTENDANCE = [Field.CITIZEN_ID]


class Hand(Protocol):
    """What a person does with cards."""

    @property
    def slot(self) -> CardSlot: ...

    def insert(self, card: VirtualCard) -> None: ...

    def remove(self) -> None: ...


class InMemoryHand:
    def __init__(self) -> None:
        self._memory = InMemorySlot()

    @property
    def slot(self) -> CardSlot:
        return self._memory

    def insert(self, card: VirtualCard) -> None:
        self._memory.insert(card)

    def remove(self) -> None:
        self._memory.remove()


class PcscHand:
    """pcscd looks at the virtual reader every 0.4 s, so a card stays in or out for longer than that."""

    def __init__(self) -> None:
        from appliance.hardware.pcsc import PcscSlot

        self._pcsc = PcscSlot("Virtual PCD")
        self._card: VpcdCard | None = None

    @property
    def slot(self) -> CardSlot:
        return self._pcsc

    def close(self) -> None:
        self.remove()
        self._pcsc.close()

    def insert(self, card: VirtualCard) -> None:
        self.remove()
        self._card = VpcdCard(card)
        self._card.insert()

    def remove(self) -> None:
        if self._card is not None:
            self._card.remove()
            self._card = None
            time.sleep(0.5)


@pytest.fixture(params=["in-memory", "pcscd"])
def hand(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Hand]:
    if request.param == "in-memory":
        yield InMemoryHand()
        return
    with PrivatePcscd(tmp_path):
        real = PcscHand()
        yield real
        real.close()


def test_an_empty_slot_gives_no_insertion(hand: Hand) -> None:
    assert hand.slot.wait_card(0.1) is None


def test_an_insertion_is_returned_once(hand: Hand) -> None:
    hand.insert(ThaiCard(person(1)))
    insertion = hand.slot.wait_card(PATIENCE_S)
    assert insertion is not None
    assert insertion.atr == ATR_THAI
    assert hand.slot.wait_card(0.2) is None


def test_it_is_noticed_at_the_time_of_insertion(hand: Hand) -> None:
    before_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    hand.insert(ThaiCard(person(1)))
    insertion = hand.slot.wait_card(PATIENCE_S)
    assert insertion is not None
    assert before_s <= insertion.at_monotonic_s <= time.clock_gettime(time.CLOCK_BOOTTIME)


def test_a_card_that_stays_is_not_removed(hand: Hand) -> None:
    hand.insert(ThaiCard(person(1)))
    assert hand.slot.wait_card(PATIENCE_S)
    assert hand.slot.wait_removed(0.2) is False


def test_removal_is_seen(hand: Hand) -> None:
    hand.insert(ThaiCard(person(1)))
    assert hand.slot.wait_card(PATIENCE_S)
    hand.remove()
    assert hand.slot.wait_removed(PATIENCE_S) is True


def test_the_next_card_is_another_insertion(hand: Hand) -> None:
    hand.insert(ThaiCard(person(1)))
    first = hand.slot.wait_card(PATIENCE_S)
    hand.insert(BankCard())
    assert hand.slot.wait_removed(PATIENCE_S) is True
    second = hand.slot.wait_card(PATIENCE_S)
    assert first is not None
    assert second is not None
    assert second.number > first.number
    assert second.atr == ATR_BANK


def test_attendance_reads_one_field_in_three_apdus(hand: Hand) -> None:
    card = ThaiCard(person(7))
    hand.insert(card)
    reader = SlotReader(hand.slot, list(Field))
    assert reader.wait_card(PATIENCE_S)
    reading = reader.read(ATTENDANCE)
    assert reading.citizen_id == person(7).citizen_id
    assert reading.is_number_valid
    assert reading.apdus == 3
    assert [command.hex() for command in card.log] == [
        "00a4040008a000000054480001",
        "80b0000402000d",
        "00c000000d",
    ]


def test_a_read_of_two_windows_reads_the_number_again(hand: Hand) -> None:
    hand.insert(deck("expired"))
    reader = SlotReader(hand.slot, list(Field))
    assert reader.wait_card(PATIENCE_S)
    reading = reader.read([Field.CITIZEN_ID, Field.EXPIRY_DATE])
    assert reading.expiry_date is not None
    assert reading.expiry_date.value == "2020-01-01"
    assert reading.apdus == 7


def test_a_bank_card_is_no_thai_id_card(hand: Hand) -> None:
    hand.insert(BankCard())
    reader = SlotReader(hand.slot, list(Field))
    assert reader.wait_card(PATIENCE_S)
    with pytest.raises(NotAThaiIdCard):
        reader.read(ATTENDANCE)


def test_a_card_pulled_in_the_middle_of_a_read(hand: Hand) -> None:
    class Pulled(ThaiCard):
        def answer(self, command: bytes) -> bytes | None:
            if command[:2] == b"\x80\xb0":
                threading.Thread(target=hand.remove).start()
                time.sleep(0.2)
            return super().answer(command)

    hand.insert(Pulled(person(1)))
    reader = SlotReader(hand.slot, list(Field))
    assert reader.wait_card(PATIENCE_S)
    with pytest.raises(CardRemoved):
        reader.read(ATTENDANCE)


def test_after_a_failed_read_the_next_card_is_read(hand: Hand) -> None:
    hand.insert(BankCard())
    reader = SlotReader(hand.slot, list(Field))
    assert reader.wait_card(PATIENCE_S)
    with pytest.raises(CardError):
        reader.read(ATTENDANCE)
    hand.remove()
    assert reader.wait_removed(PATIENCE_S)
    hand.insert(ThaiCard(person(2)))
    assert reader.wait_card(PATIENCE_S)
    assert reader.read(ATTENDANCE).citizen_id == person(2).citizen_id
