"""What a reader's successive states mean: insertions are neither missed nor counted twice."""

from hypothesis import given
from hypothesis import strategies as st

from appliance.hardware.presence import Presence

PRESENT, EMPTY, MUTE = 0x20, 0x10, 0x200
ATR = b"\x3b\x00"


def state(turns: int, is_in: bool) -> int:
    return turns << 16 | (PRESENT if is_in else EMPTY)


def told(presence: Presence) -> bool:
    """Say whether there is something new, and take note of it."""
    was, presence.is_new = presence.is_new, False
    return was


def test_a_card_that_is_in_at_the_first_look_is_new() -> None:
    presence = Presence()
    presence.take(state(0, True), ATR)
    assert told(presence)
    presence.take(state(0, True), ATR)
    assert not told(presence), "and only once"


def test_a_counter_of_zero_is_blind_while_a_card_is_in() -> None:
    presence = Presence()
    presence.take(state(0, True), ATR)
    assert presence.is_blind
    presence.take(state(2, True), ATR)
    assert not presence.is_blind
    assert presence.turn == 2


def test_a_mute_card_has_no_atr() -> None:
    presence = Presence()
    presence.take(state(0, True) | MUTE, ATR)
    assert presence.atr == b""


@given(st.integers(0, 0xFFFF), st.lists(st.integers(1, 40), max_size=30))
def test_every_look_with_a_new_card_in_is_one_insertion(start: int, looks: list[int]) -> None:
    """Between two looks any number of cards may come and go; the counter of PC/SC wraps at 16 bits."""
    presence, turns = Presence(), start
    presence.take(state(turns & 0xFFFF, False), b"")
    is_in = False
    for steps in looks:
        turns += steps
        was_in, is_in = is_in, is_in ^ bool(steps % 2)
        presence.take(state(turns & 0xFFFF, is_in), ATR)
        assert presence.is_in == is_in
        assert told(presence) == (is_in and (not was_in or steps >= 2))
