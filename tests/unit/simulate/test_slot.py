"""The slot inside this process: an open line belongs to one card put in once."""

import pytest

from appliance.errors import CardError, CardRemoved
from appliance.simulate.card import MuteCard, ThaiCard
from appliance.simulate.deck import deck
from appliance.simulate.persons import person
from appliance.simulate.quirks import PulledAt
from appliance.simulate.slot import InMemorySlot
from tests.unit.simulate.apdus import READ_NUMBER, SELECT


def test_a_line_to_a_card_that_was_swapped_is_dead_even_where_the_next_is_the_same_person() -> None:
    slot = InMemorySlot()
    slot.insert(deck("person-1"))
    with slot.open() as channel:
        assert channel.transmit(SELECT) == b"\x61\x0a"
        slot.insert(deck("person-1"))
        with pytest.raises(CardRemoved):
            channel.transmit(READ_NUMBER)
    slot.remove()
    with pytest.raises(CardRemoved), slot.open():
        pass


def test_a_card_that_leaves_at_a_command_is_out_of_the_slot() -> None:
    slot, card = InMemorySlot(), PulledAt(ThaiCard(person(1)), 2)
    slot.insert(card)
    assert slot.wait_card(0) is not None
    with slot.open() as channel:
        assert channel.transmit(SELECT) == b"\x61\x0a"
        with pytest.raises(CardRemoved):
            channel.transmit(READ_NUMBER)
        with pytest.raises(CardRemoved):
            channel.transmit(READ_NUMBER)
    assert slot.wait_removed(0)
    assert slot.card is None
    assert card.log == [SELECT, READ_NUMBER]


def test_a_card_that_left_can_be_put_in_again_and_stays() -> None:
    slot, card = InMemorySlot(), PulledAt(ThaiCard(person(1)), 1)
    slot.insert(card)
    with pytest.raises(CardRemoved), slot.open() as channel:
        channel.transmit(SELECT)
    slot.insert(card)
    with slot.open() as channel:
        assert channel.transmit(SELECT) == b"\x61\x0a"


def test_a_mute_card_stays_in_the_slot() -> None:
    slot = InMemorySlot()
    slot.insert(MuteCard())
    with pytest.raises(CardError), slot.open() as channel:
        channel.transmit(SELECT)
    assert slot.card is not None
