"""The deck: every card can be had by its name, is fresh, and does what its line says."""

import pytest

from appliance.errors import WrongUse
from appliance.simulate.card import ATR_THAI, MuteCard, Pulled, ThaiCard, VirtualCard, chip_record
from appliance.simulate.deck import deck, names, samples
from appliance.simulate.persons import file_image, person
from appliance.simulate.quirks import Late
from tests.unit.simulate.apdus import (
    READ_CHIP,
    READ_LASER,
    READ_NUMBER,
    SELECT,
    SELECT_ADMINISTRATION,
    SELECT_HEALTH,
    SELECT_MANAGER,
    fetch,
    file_of,
    window,
)

OK = b"\x90\x00"
OLD = [f"nid{generation}" for generation in range(11)]
NEW = [f"nid{generation}" for generation in range(11, 19)]
#: Cards that are Thai and in order, whatever their ATR says.
GOOD = ["person-1", *OLD, *NEW, "nid15-ff", "t1", "atr-1-byte", "atr-40-bytes", "no-nhso", "no-laser", "no-chip-number"]
FOREIGN = ["bank", "dumb", "memory", "eid", "sim"]


def selected(name: str) -> VirtualCard:
    card = deck(name)
    card.answer(SELECT)
    return card


@pytest.mark.parametrize("name", samples())
def test_every_card_can_be_had_and_is_fresh(name: str) -> None:
    first, second = deck(name), deck(name)
    assert first is not second
    assert first.log == second.log == []
    assert first.atr == second.atr


@pytest.mark.parametrize("name", [name for name in samples() if "slow" not in name])
def test_every_card_answers_a_select_with_bytes_or_with_nothing(name: str) -> None:
    card = deck(name)
    answer = card.answer(SELECT)
    assert answer is None or len(answer) >= 2
    card.reset()
    assert card.log == [SELECT]


def test_every_line_of_the_list_has_a_sample_and_says_something_of_its_own() -> None:
    assert len(names()) == len(samples()) == len(set(samples())) == len(set(names().values()))
    assert all(about and "\n" not in about and len(about) < 80 for about in names().values())
    families = [name for name in names() if name.endswith(("-N", "-XXXX"))]
    assert [name for name in names() if name not in samples()] == families


def test_the_names_that_others_use_stay() -> None:
    assert {"person-N", "expired", "bank", "mute", "bad-number"} <= set(names())


@pytest.mark.parametrize("serial", [0, 1, 9, 9_999_999])
def test_the_deck_has_every_person(serial: int) -> None:
    assert file_of(deck(f"person-{serial}")) == file_image(person(serial))


@pytest.mark.parametrize("name", GOOD)
def test_a_good_card_is_person_1(name: str) -> None:
    assert file_of(deck(name)) == file_image(person(1))


@pytest.mark.parametrize(
    ("name", "atr"),
    [
        ("person-1", "3B799600005448204E4944203137"),
        ("nid0", "3B781800 0054 48204E49442030"),
        ("nid6", "3B680000 54 48204E49442036"),
        ("nid7", "3B781800 0054 48204E49442037"),
        ("nid8", "3B781800 0054 48204E49442038"),
        ("nid9", "3B781800 0054 48204E49442039"),
        ("nid10", "3B791800 0054 48204E4944203130"),
        ("nid11", "3B799600 0054 48204E4944203131"),
        ("nid15", "3B799600 0054 48204E4944203135"),
        ("nid15-ff", "3B799600 FF54 48204E4944203135"),
        ("nid17", "3B799600 0054 48204E4944203137"),
        ("nid18", "3B799600 0054 48204E4944203138"),
        ("bank", "3B6500002063CB6800"),
        ("t1", "3B800181"),
        ("atr-1-byte", "3B"),
        ("atr-40-bytes", "00" * 40),
        ("mute-atr", ""),
    ],
)
def test_the_atr_is_that_of_the_chip(name: str, atr: str) -> None:
    assert deck(name).atr == bytes.fromhex(atr)


def interface_bytes(atr: bytes) -> tuple[int, int, bool]:
    """Return how many interface bytes and historical bytes an ATR promises, and whether a check byte must follow."""
    at, level, is_checked = 1, atr[1] >> 4, False
    while True:
        at += (level & 7).bit_count()
        if not level & 8:
            return at, atr[1] & 15, is_checked
        at += 1
        is_checked = is_checked or atr[at] & 15 != 0
        level = atr[at] >> 4


@pytest.mark.parametrize("name", [*OLD, *NEW, "nid15-ff", "3b67", "3b67-6b00", *FOREIGN, "t1"])
def test_the_atr_is_as_long_as_it_says(name: str) -> None:
    atr = deck(name).atr
    at, history, is_checked = interface_bytes(atr)
    assert atr[0] == 0x3B
    assert len(atr) == 1 + at + history + is_checked


@pytest.mark.parametrize("name", OLD)
def test_an_old_chip_has_neither_laser_number_nor_chip_number(name: str) -> None:
    card = deck(name)
    assert card.answer(SELECT_ADMINISTRATION) == b"\x6a\x82"
    card.answer(SELECT_MANAGER)
    assert card.answer(READ_CHIP) == b"\x6a\x88"
    assert card.answer(SELECT_HEALTH) == b"\x61\x0a"


@pytest.mark.parametrize("name", [*NEW, "nid15-ff", "person-1"])
def test_a_new_chip_has_all(name: str) -> None:
    card = deck(name)
    card.answer(SELECT_ADMINISTRATION)
    assert card.answer(READ_LASER) == b"0100\0\0\0" + b"ZZ0000000001" + bytes(4) + OK
    card.answer(SELECT_MANAGER)
    assert card.answer(READ_CHIP) == chip_record(person(1)) + OK
    assert card.answer(SELECT_HEALTH) == b"\x61\x0a"


@pytest.mark.parametrize(("name", "refusal"), [("3b67", b"\x6a\x86"), ("3b67-6b00", b"\x6b\x00")])
def test_an_odd_chip_wants_p2_01(name: str, refusal: bytes) -> None:
    card = selected(name)
    assert card.atr[:2] == b"\x3b\x67"
    card.answer(READ_NUMBER)
    assert card.answer(fetch(13)) == refusal
    assert card.answer(fetch(13, p2=1)) == person(1).citizen_id.encode() + OK


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_card_refuses_our_applet_and_reads_nothing(name: str) -> None:
    card = deck(name)
    assert card.atr != ATR_THAI
    assert card.answer(SELECT) in (b"\x6a\x82", b"\x6d\x00", b"\x6e\x00")
    assert card.answer(READ_NUMBER) in (b"\x6d\x00", b"\x6e\x00")


def test_the_dumb_card_says_one_thing() -> None:
    assert {deck("dumb").answer(command) for command in (SELECT, READ_NUMBER, fetch(1))} == {b"\x6d\x00"}


def test_silence() -> None:
    assert isinstance(deck("mute"), MuteCard)
    assert deck("mute-atr").answer(SELECT) is None
    card = selected("mute-at-2")
    assert card.answer(READ_NUMBER) is None


@pytest.mark.parametrize(("name", "delay_s"), [("slow", 0.2), ("very-slow", 2.0)])
def test_slow_cards_are_late_by_what_their_line_says(name: str, delay_s: float) -> None:
    card = deck(name)
    assert isinstance(card, Late)
    assert card._delay_s == delay_s


@pytest.mark.parametrize(
    ("name", "answers"),
    [
        ("endless", [b"\x61\xff", bytes(255) + b"\x61\xff"]),
        ("endless-empty", [b"\x61\xff", b"\x61\xff"]),
        ("wrong-length", [b"\x6c\x03", b"\x6c\x04"]),
        ("short", [b"\x61\x0d", person(1).citizen_id[:-3].encode() + OK]),
        ("long", [b"\x61\x0d", person(1).citizen_id.encode() + b"   " + OK]),
        ("no-sw", [b"\x90"]),
        ("empty", [b""]),
        ("huge", [bytes(59_998) + OK]),
        ("apdu-level", [person(1).citizen_id.encode() + OK]),
        ("select-9000", [b"\x61\x0d", person(1).citizen_id.encode() + OK]),
        ("reset-at-2", [b"\x69\x85", b"\x69\x85"]),
        ("reset-at-3", [b"\x61\x0d", b"\x69\x85"]),
        ("swapped-at-3", [b"\x61\x0d", person(2).citizen_id.encode() + OK]),
        ("swapped-at-4", [b"\x61\x0d", person(1).citizen_id.encode() + OK]),
        ("read-sw-6982", [b"\x69\x82"]),
        ("read-sw-ffff", [b"\xff\xff"]),
        ("read-sw-9001", [b"\x90\x01"]),
    ],
)
def test_reading_the_number(name: str, answers: list[bytes]) -> None:
    card = selected(name)
    assert [card.answer(command) for command in (READ_NUMBER, fetch(13))[: len(answers)]] == answers


@pytest.mark.parametrize("word", ["6A82", "6982", "6D00", "6E00", "9001", "FFFF", "6a82"])
def test_any_status_word_to_select(word: str) -> None:
    card = deck(f"sw-{word}")
    assert card.answer(SELECT) == bytes.fromhex(word)
    assert card.answer(READ_NUMBER) == b"\x69\x85"


def test_select_is_answered_at_once_where_the_line_says_so() -> None:
    assert deck("apdu-level").answer(SELECT) == bytes(10) + OK
    assert deck("select-9000").answer(SELECT) == OK


@pytest.mark.parametrize("at", [1, 2, 12, 9999])
def test_a_card_is_pulled_at_its_command(at: int) -> None:
    card = deck(f"pulled-at-{at}")
    for _ in range(min(at, 20) - 1):
        card.answer(SELECT)
    if at > 20:
        assert card.answer(SELECT) == b"\x61\x0a"
        return
    with pytest.raises(Pulled):
        card.answer(SELECT)


def test_a_photo_may_be_refused_and_the_text_around_it_not() -> None:
    card = selected("photo-refused")
    assert card.answer(window(0x0179, 2)) == b"\x61\x02"
    assert card.answer(window(0x0179, 3)) == b"\x69\x82"
    assert card.answer(window(0x017B, 255)) == b"\x69\x82"
    assert card.answer(window(0x1578, 1)) == b"\x69\x82"
    assert card.answer(window(0x1579, 174)) == b"\x61\xae"


def test_what_other_applets_hold_may_be_refused() -> None:
    laser, chip, manager = deck("laser-refused"), deck("chip-number-refused"), deck("manager-refused")
    assert (laser.answer(SELECT_ADMINISTRATION), laser.answer(READ_LASER)) == (b"\x61\x0a", b"\x6d\x00")
    chip.answer(SELECT_MANAGER)
    assert chip.answer(READ_CHIP) == b"\x69\x82"
    assert manager.answer(SELECT_MANAGER) == b"\x6a\x81"
    for card in (laser, chip, manager):
        assert file_of(card) == file_image(person(1))


def test_cards_that_lack_an_applet() -> None:
    assert deck("no-nhso").answer(SELECT_HEALTH) == b"\x6a\x82"
    assert deck("no-laser").answer(SELECT_ADMINISTRATION) == b"\x6a\x82"
    card = deck("no-chip-number")
    card.answer(SELECT_MANAGER)
    assert card.answer(READ_CHIP) == b"\x6a\x88"


def test_a_blank_laser_number_is_spaces() -> None:
    card = deck("blank-laser")
    card.answer(SELECT_ADMINISTRATION)
    answer = card.answer(READ_LASER)
    assert answer is not None
    assert answer[7:] == b" " * 16 + OK


def test_the_person_of_a_card_can_be_asked_for() -> None:
    card = deck("lifetime")
    assert isinstance(card, ThaiCard)
    assert card.who.expiry == "99999999"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Bank",
        "person",
        "person-",
        "person--1",
        "person-1.0",
        "person-12345678",
        "person-๑",
        "person-1 ",
        "1",
        "x",
        "mute-at-0",
        "mute-at-",
        "mute-at-N",
        "pulled-at-10000",
        "sw-",
        "sw-6A8",
        "sw-6A820",
        "sw-XXXX",
        "read-sw-é000",
    ],
)
def test_a_card_that_is_not_in_the_deck_is_named_with_the_way_to_those_that_are(name: str) -> None:
    with pytest.raises(WrongUse, match="`card-station simulate card --deck` lists them all") as raised:
        deck(name)
    assert repr(name) in str(raised.value)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("bnak", "bank"),
        ("prson-1", "person-N"),
        ("mute-at-0", "mute-at-N"),
        ("person-x", "N stands"),
        ("nid19", "nid1"),
    ],
)
def test_names_like_it_are_suggested(name: str, near: str) -> None:
    with pytest.raises(WrongUse, match=f"did you mean .*{near}"):
        deck(name)
