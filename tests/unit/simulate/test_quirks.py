"""Each quirk changes one thing, passes everything else on, and can be put around another."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from appliance.simulate.card import ATR_THAI, MuteCard, Pulled, ThaiCard, VirtualCard, is_read, is_select
from appliance.simulate.persons import person
from appliance.simulate.quirks import (
    ApduLevel,
    Endless,
    Late,
    MuteAt,
    OtherAtr,
    PlainSelect,
    PulledAt,
    Quirk,
    ResetAt,
    Resized,
    Says,
    SwappedAt,
    WrongLength,
)
from tests.unit.simulate.apdus import READ_LASER, READ_NUMBER, SELECT, SELECT_ADMINISTRATION, fetch, file_of, window

NUMBER = person(1).citizen_id.encode()
OK = b"\x90\x00"
SCRIPT = (SELECT, READ_NUMBER, fetch(13), READ_NUMBER, fetch(13))
USUAL: tuple[bytes | None, ...] = (b"\x61\x0a", b"\x61\x0d", NUMBER + OK, b"\x61\x0d", NUMBER + OK)


def thai(serial: int = 1) -> ThaiCard:
    return ThaiCard(person(serial))


def answers(card: VirtualCard) -> tuple[bytes | None, ...]:
    return tuple(card.answer(command) for command in SCRIPT)


QUIET: list[Callable[[VirtualCard], VirtualCard]] = [
    Quirk,
    lambda card: OtherAtr(card, b"\x3b\x00"),
    lambda card: Says(card, lambda command: False, b""),
    lambda card: MuteAt(card, 99),
    lambda card: ResetAt(card, 99),
    lambda card: PulledAt(card, 99),
    lambda card: SwappedAt(card, thai(2), 99),
    lambda card: Late(card, 5.0, lambda _: None),
    lambda card: Resized(card, 0),
]


@pytest.mark.parametrize("quirk", QUIET)
def test_a_quirk_that_has_nothing_to_do_changes_nothing(quirk: Callable[[VirtualCard], VirtualCard]) -> None:
    inside = thai()
    card = quirk(inside)
    assert answers(card) == USUAL
    assert card.log == inside.log == list(SCRIPT)
    card.reset()
    assert card.answer(READ_NUMBER) == b"\x69\x85", "a reset goes through"


def test_a_quirk_has_the_atr_of_the_card_inside() -> None:
    card = thai()
    card.atr = b"\x3b\x00"
    assert Quirk(card).atr == b"\x3b\x00"
    assert OtherAtr(card, b"").atr == b""
    assert Quirk(thai()).atr == ATR_THAI


@pytest.mark.parametrize("at", range(1, 6))
def test_a_card_falls_silent_for_good(at: int) -> None:
    card = MuteAt(thai(), at)
    assert answers(card) == USUAL[: at - 1] + (None,) * (6 - at)
    card.reset()
    assert card.answer(SELECT) is None


@pytest.mark.parametrize("at", range(2, 6))
def test_a_card_that_lost_its_applet_says_so_until_it_is_selected_again(at: int) -> None:
    card = ResetAt(thai(), at)
    assert answers(card) == USUAL[: at - 1] + (b"\x69\x85",) * (6 - at)
    assert answers(card) == USUAL


def test_losing_the_applet_at_select_is_not_noticed() -> None:
    assert answers(ResetAt(thai(), 1)) == USUAL


@pytest.mark.parametrize("at", range(1, 6))
def test_a_card_leaves_at_its_command_and_at_no_other(at: int) -> None:
    card = PulledAt(thai(), at)
    for command in SCRIPT[: at - 1]:
        card.answer(command)
    with pytest.raises(Pulled):
        card.answer(SCRIPT[at - 1])
    assert len(card.log) == at
    assert card.answer(SELECT) == b"\x61\x0a"


@pytest.mark.parametrize("at", range(1, 6))
def test_a_swap_shows_the_second_person_s_data_in_the_first_person_s_read(at: int) -> None:
    card = SwappedAt(thai(1), thai(2), at)
    other = person(2).citizen_id.encode() + OK
    said = answers(card)
    assert said[2] == (other if at <= 3 else NUMBER + OK)
    assert said[4] == other
    assert [said[n] for n in (0, 1, 3)] == [USUAL[n] for n in (0, 1, 3)]


def test_what_a_card_always_says_is_said_to_those_commands_only() -> None:
    inside = thai()
    card = Says(inside, is_read, b"\x69\x82")
    assert answers(card) == (b"\x61\x0a", b"\x69\x82", b"\x6c\x0a", b"\x69\x82", b"\x6c\x0a")
    assert READ_NUMBER not in inside.log
    assert Says(thai(), is_select, None).answer(SELECT) is None


def test_a_late_card_waits_before_each_answer() -> None:
    waits: list[float] = []
    assert answers(Late(thai(), 0.2, waits.append)) == USUAL
    assert waits == [0.2] * 5


@pytest.mark.parametrize("data", [bytes(255), b""])
def test_an_endless_card_never_comes_to_an_end(data: bytes) -> None:
    card = Endless(thai(), data)
    assert card.answer(SELECT) == b"\x61\x0a"
    assert card.answer(READ_NUMBER) == b"\x61\xff"
    assert {card.answer(fetch(255)) for _ in range(300)} == {data + b"\x61\xff"}


def test_a_card_never_agrees_on_a_length() -> None:
    card = WrongLength(thai())
    assert card.answer(SELECT) == b"\x61\x0a"
    said = [card.answer(READ_NUMBER) for _ in range(600)]
    assert all(answer is not None and answer[0] == 0x6C and answer[1] > 0 for answer in said)
    assert all(one != next_one for one, next_one in pairwise(said))


@pytest.mark.parametrize(("by", "data"), [(-3, NUMBER[:-3]), (3, NUMBER + b"   "), (-13, b""), (-99, b"")])
def test_data_comes_in_another_size_and_status_words_as_they_are(by: int, data: bytes) -> None:
    assert answers(Resized(thai(), by)) == (USUAL[0], USUAL[1], data + OK, USUAL[3], data + OK)
    assert Resized(MuteCard(), by).answer(SELECT) is None


def test_behind_a_reader_that_fetches_by_itself_nothing_is_announced() -> None:
    card = ApduLevel(thai())
    assert card.answer(SELECT) == bytes(10) + OK
    assert card.answer(READ_NUMBER) == NUMBER + OK
    assert card.answer(window(0xFFFF, 1)) == b"\x6b\x00"
    assert card.answer(SELECT_ADMINISTRATION) == bytes(10) + OK
    whole = card.answer(READ_LASER)
    assert card.answer(bytes.fromhex("8000000007")) == whole, "the parts are put together"
    assert card.log[:2] == [SELECT, READ_NUMBER], "what it fetches by itself nobody sent"
    assert ApduLevel(MuteCard()).answer(SELECT) is None


def test_a_plain_select_announces_nothing_and_reads_are_as_usual() -> None:
    card = PlainSelect(thai())
    assert answers(card) == (OK, *USUAL[1:])
    assert card.answer(bytes.fromhex("00A4040008A000000054480011")) == b"\x6a\x82", "a refusal stays one"
    assert PlainSelect(MuteCard()).answer(SELECT) is None


def test_quirks_go_around_each_other() -> None:
    waits: list[float] = []
    card = Late(MuteAt(SwappedAt(thai(1), thai(2), 3), 5), 0.1, waits.append)
    assert answers(card) == (*USUAL[:2], person(2).citizen_id.encode() + OK, USUAL[3], None)
    assert len(waits) == 5


def test_a_quirk_does_not_change_the_file() -> None:
    assert file_of(Quirk(thai(3))) == file_of(thai(3))
