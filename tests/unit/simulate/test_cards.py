"""Virtual cards answer as ``docs/card.md`` says a card does: applets, windows, parts, and what is refused."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import WrongUse
from appliance.simulate.card import (
    ATR_BANK,
    ATR_THAI,
    BankCard,
    Chip,
    MuteCard,
    RefusingCard,
    ThaiCard,
    VirtualCard,
    chip_record,
    is_fetch,
    is_read,
    is_select,
)
from appliance.simulate.persons import Person, file_image, health_image, person
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
    read,
    window,
)

DOCUMENT = Path(__file__).parents[3] / "docs" / "card.md"
FILE_BYTES = 5950
OK = b"\x90\x00"


@pytest.fixture
def selected() -> ThaiCard:
    card = ThaiCard(person(1))
    assert card.answer(SELECT) == b"\x61\x0a"
    return card


def test_the_commands_are_those_of_the_document() -> None:
    text = DOCUMENT.read_text("utf-8")
    assert "`00 A4 04 00 08 <AID>`" in text
    applets = set(map(bytes.fromhex, re.findall(r"`((?:[0-9A-F]{2} ){7}[0-9A-F]{2})`", text)))
    assert applets == {select[5:] for select in (SELECT, SELECT_HEALTH, SELECT_ADMINISTRATION)}
    assert "`00 A4 04 00 00`" in text, "the card manager, which answers 6C with the length it wants"
    assert SELECT_MANAGER[:4] == bytes.fromhex("00A40400")
    assert "`80 B0 <offset> 02 00 <n>`" in text
    assert "`00 C0 00 00 <n>`" in text


def test_what_is_selected_can_be_fetched(selected: ThaiCard) -> None:
    assert selected.answer(fetch(10)) == bytes(10) + b"\x90\x00"


def test_a_read_announces_and_the_fetch_gives(selected: ThaiCard) -> None:
    assert selected.answer(READ_NUMBER) == b"\x61\x0d"
    assert selected.answer(fetch(13)) == person(1).citizen_id.encode() + b"\x90\x00"
    assert selected.answer(fetch(13)) == b"\x6d\x00", "an answer is fetched once"


def test_a_second_read_takes_the_place_of_the_first(selected: ThaiCard) -> None:
    selected.answer(READ_NUMBER)
    selected.answer(window(0x00D9, 8))
    assert selected.answer(fetch(8)) == person(1).birth.encode() + b"\x90\x00"


def test_nothing_is_read_before_the_applet_is_selected() -> None:
    card = ThaiCard(person(1))
    assert card.answer(READ_NUMBER) == b"\x69\x85"
    assert card.answer(fetch(13)) == b"\x6d\x00"


def test_another_applet_is_not_there_and_unselects_the_first(selected: ThaiCard) -> None:
    assert selected.answer(bytes.fromhex("00A4040008A000000054480011")) == b"\x6a\x82"
    assert selected.answer(READ_NUMBER) == b"\x69\x85"
    assert selected.answer(SELECT) == b"\x61\x0a"
    assert selected.answer(READ_NUMBER) == b"\x61\x0d"


def test_a_refused_select_leaves_nothing_to_fetch() -> None:
    card = ThaiCard(person(1))
    assert card.answer(bytes.fromhex("00A4040008A000000054480011")) == b"\x6a\x82"
    assert card.answer(fetch(10)) == b"\x6d\x00"


@pytest.mark.parametrize("command", ["", "00", "80CA9F7F00", "00B0000004", "8000000017", "00C0000000FF"])
def test_what_the_applet_does_not_know_gives_a_status_word_and_no_data(selected: ThaiCard, command: str) -> None:
    answer = selected.answer(bytes.fromhex(command))
    assert answer in (b"\x6d\x00", b"\x69\x85")


@given(st.integers(0, 0xFFFF), st.integers(1, 255))
def test_every_window_gives_exactly_those_bytes_of_the_file(offset: int, size_bytes: int) -> None:
    card = ThaiCard(person(1))
    card.answer(SELECT)
    answer = card.answer(window(offset, size_bytes))
    if offset + size_bytes > FILE_BYTES:
        assert answer == b"\x6b\x00"
        return
    assert answer == bytes([0x61, size_bytes])
    assert card.answer(fetch(size_bytes)) == file_image(person(1))[offset : offset + size_bytes] + b"\x90\x00"


def test_it_keeps_every_command_in_order(selected: ThaiCard) -> None:
    selected.answer(READ_NUMBER)
    selected.answer(b"")
    assert selected.log == [SELECT, READ_NUMBER, b""]


def test_a_bank_card_knows_no_applet_and_no_command() -> None:
    card = BankCard()
    assert card.atr == ATR_BANK != ATR_THAI
    assert card.answer(SELECT) == b"\x6a\x82"
    assert card.answer(READ_NUMBER) == b"\x6d\x00"
    assert card.log == [SELECT, READ_NUMBER]


def test_a_mute_card_has_an_atr_and_no_answer() -> None:
    card = MuteCard()
    assert card.atr == ATR_THAI
    assert card.answer(SELECT) is None
    assert card.log == [SELECT]


def test_a_bank_card_shows_its_directory_of_payments() -> None:
    card = BankCard()
    select = bytes.fromhex("00A404000E") + b"1PAY.SYS.DDF01"
    announced = card.answer(select)
    assert announced is not None
    assert announced[:1] == b"\x61"
    shown = card.answer(fetch(announced[1]))
    assert shown is not None
    assert len(shown) == announced[1] + 2
    assert b"1PAY.SYS.DDF01" in shown
    assert card.answer(fetch(announced[1])) == b"\x6d\x00", "once"


def test_the_length_of_the_directory_of_payments_is_true() -> None:
    says = BankCard._SAYS
    assert len(says) == 2 + says[1]
    assert len(BankCard._DIRECTORY) == says[3]


@pytest.mark.parametrize("command", [SELECT, READ_NUMBER, fetch(1), b"", b"\x00"])
def test_a_card_of_another_kind_refuses_everything(command: bytes) -> None:
    card = RefusingCard(b"\x3b\x00", b"\x6a\x81", b"\x6e\x00")
    card.reset()
    assert card.answer(command) == (b"\x6a\x81" if command == SELECT else b"\x6e\x00")


def test_a_card_of_no_kind_knows_nothing() -> None:
    card = VirtualCard(b"\x3b\x00")
    assert (card.atr, card.answer(SELECT), card.log) == (b"\x3b\x00", b"\x6d\x00", [SELECT])


def test_the_whole_file_can_be_read_in_windows() -> None:
    assert file_of(ThaiCard(person(4))) == file_image(person(4))


@pytest.mark.parametrize("sizes", [[1] * 13, [5, 8], [12, 1], [13], [0]])
def test_an_answer_is_fetched_in_parts_and_the_rest_is_announced(selected: ThaiCard, sizes: list[int]) -> None:
    selected.answer(READ_NUMBER)
    data, rest = b"", 13
    for size in sizes:
        answer = selected.answer(fetch(size))
        rest -= size or rest
        assert answer is not None
        assert answer[-2:] == (bytes([0x61, rest]) if rest else OK)
        data += answer[:-2]
    assert data == person(1).citizen_id.encode()
    assert selected.answer(fetch(1)) == b"\x6d\x00"


def test_fetching_more_than_there_is_names_the_right_length_and_loses_nothing(selected: ThaiCard) -> None:
    selected.answer(READ_NUMBER)
    assert selected.answer(fetch(14)) == b"\x6c\x0d"
    assert selected.answer(fetch(5)) == person(1).citizen_id[:5].encode() + b"\x61\x08"
    assert selected.answer(fetch(9)) == b"\x6c\x08"
    assert selected.answer(fetch(8)) == person(1).citizen_id[5:].encode() + OK


def test_a_window_of_256_bytes_is_written_as_0(selected: ThaiCard) -> None:
    assert selected.answer(window(0, 0)) == b"\x61\x00"
    assert selected.answer(fetch(256)) == file_image(person(1))[:256] + OK


@pytest.mark.parametrize(
    "command", ["80B00004", "80B000040D", "80B0000401000D", "80B0000402000D00", "80B000040200", "80B00004030000D0"]
)
def test_a_read_of_the_wrong_form_has_the_wrong_length(selected: ThaiCard, command: str) -> None:
    assert selected.answer(bytes.fromhex(command)) == b"\x67\x00"


@pytest.mark.parametrize(("offset", "size_bytes"), [(5950, 1), (5949, 2), (5696, 255), (0xFFFF, 255), (5695, 0)])
def test_beyond_the_file_there_is_nothing(selected: ThaiCard, offset: int, size_bytes: int) -> None:
    assert selected.answer(window(offset, size_bytes)) == b"\x6b\x00"
    assert selected.answer(fetch(1)) == b"\x6d\x00"


@pytest.mark.parametrize("block", [1, 2, 0xFF])
def test_there_is_no_other_block(selected: ThaiCard, block: int) -> None:
    assert selected.answer(window(4, 13, block)) == b"\x6b\x00"


def test_a_reset_unselects_and_drops_what_was_not_fetched(selected: ThaiCard) -> None:
    selected.answer(READ_NUMBER)
    selected.reset()
    assert selected.answer(fetch(13)) == b"\x6d\x00"
    assert selected.answer(READ_NUMBER) == b"\x69\x85"
    assert selected.log == [SELECT, READ_NUMBER, fetch(13), READ_NUMBER], "a reset is no command, and forgets none"


def test_the_health_insurance_has_a_file_of_its_own(selected: ThaiCard) -> None:
    assert selected.answer(SELECT_HEALTH) == b"\x61\x0a"
    assert read(selected, 0, 350) == health_image(person(1))
    assert selected.answer(window(350, 1)) == b"\x6b\x00"
    selected.answer(SELECT)
    assert read(selected, 4, 13) == person(1).citizen_id.encode()


def test_the_laser_number_comes_at_once_where_its_length_is_known() -> None:
    card = ThaiCard(person(12))
    card.answer(SELECT_ADMINISTRATION)
    answer = card.answer(READ_LASER)
    assert answer is not None
    assert len(answer) == 7 + 16 + 2
    assert answer[7:] == b"ZZ0000000012" + bytes(4) + OK


def test_the_laser_number_is_fetched_where_only_its_head_was_wanted() -> None:
    card = ThaiCard(person(12))
    card.answer(SELECT_ADMINISTRATION)
    answer = card.answer(bytes.fromhex("8000000007"))
    assert answer is not None
    assert (len(answer), answer[-2:]) == (7 + 2, b"\x61\x10")
    assert card.answer(fetch(0x10)) == b"ZZ0000000012" + bytes(4) + OK


@pytest.mark.parametrize("command", ["8000000000", "80000000", "8000000018", "80000000FF", "800000001700"])
def test_a_wrong_length_of_the_laser_number_is_put_right(command: str) -> None:
    card = ThaiCard(person(12))
    card.answer(SELECT_ADMINISTRATION)
    assert card.answer(bytes.fromhex(command)) == b"\x6c\x17"
    assert card.answer(fetch(16)) == b"\x6d\x00"


def test_the_applet_of_the_laser_number_has_no_file() -> None:
    card = ThaiCard(person(12))
    card.answer(SELECT_ADMINISTRATION)
    assert card.answer(READ_NUMBER) == b"\x69\x85"


@pytest.mark.parametrize("command", ["00A40400", "00A4040000", "00A4040011", "00A40400FF"])
def test_the_card_manager_says_how_long_its_answer_is(command: str) -> None:
    card = ThaiCard(person(3))
    assert card.answer(bytes.fromhex(command)) == b"\x6c\x12"
    assert card.answer(READ_CHIP) == b"\x6d\x00", "it is not selected yet"
    answer = card.answer(SELECT_MANAGER)
    assert answer is not None
    assert (len(answer), answer[-2:]) == (0x12 + 2, OK)


def test_the_card_manager_gives_the_record_of_the_chip() -> None:
    card = ThaiCard(person(3))
    card.answer(SELECT_MANAGER)
    for wrong in ("80CA9F7F", "80CA9F7F00", "80CA9F7F2C", "80CA9F7F2E"):
        assert card.answer(bytes.fromhex(wrong)) == b"\x6c\x2d"
    answer = card.answer(READ_CHIP)
    assert answer == chip_record(person(3)) + OK
    assert answer[:3] == bytes.fromhex("9F7F2A")
    assert len(answer) == 45 + 2
    assert answer[13:21] == person(3).chip_number


def test_two_chips_have_two_numbers_of_eight_bytes() -> None:
    assert chip_record(person(3)) != chip_record(person(4))
    with pytest.raises(WrongUse, match="8 bytes"):
        chip_record(Person(**{**vars(person(3)), "chip_number": b"short"}))


@pytest.mark.parametrize("command", [READ_CHIP, READ_LASER])
@pytest.mark.parametrize("applet", [b"", SELECT, SELECT_HEALTH, SELECT_ADMINISTRATION, SELECT_MANAGER])
def test_a_command_is_known_to_its_own_applet_only(applet: bytes, command: bytes) -> None:
    card = ThaiCard(person(1))
    if applet:
        card.answer(applet)
    answer = card.answer(command)
    own = {READ_CHIP: SELECT_MANAGER, READ_LASER: SELECT_ADMINISTRATION}[command]
    assert answer is not None
    assert (answer == b"\x6d\x00") == (applet != own)


def test_a_chip_without_this_and_that_does_not_have_it() -> None:
    card = ThaiCard(person(1), Chip(has_health=False, has_laser=False, has_number=False))
    assert card.answer(SELECT_HEALTH) == b"\x6a\x82"
    assert card.answer(SELECT_ADMINISTRATION) == b"\x6a\x82"
    card.answer(SELECT_MANAGER)
    assert card.answer(READ_CHIP) == b"\x6a\x88"
    assert file_of(card) == file_image(person(1)), "the person is there all the same"


@pytest.mark.parametrize("refusal", [b"\x6a\x86", b"\x6b\x00"])
def test_a_chip_may_want_another_form_of_fetching_and_keeps_the_data_until_then(refusal: bytes) -> None:
    card = ThaiCard(person(1), Chip(fetch_p2=1, wrong_fetch=refusal))
    card.answer(SELECT)
    card.answer(READ_NUMBER)
    assert card.answer(fetch(13)) == refusal
    assert card.answer(fetch(13, p2=1)) == person(1).citizen_id.encode() + OK


def test_the_usual_chip_wants_the_usual_form_of_fetching(selected: ThaiCard) -> None:
    selected.answer(READ_NUMBER)
    assert selected.answer(fetch(13, p2=1)) == b"\x6a\x86"
    assert selected.answer(fetch(13)) == person(1).citizen_id.encode() + OK


def test_a_file_can_be_put_in_the_place_of_the_person_s() -> None:
    image = bytes(range(256)) * 23 + bytes(62)
    assert file_of(ThaiCard(person(1), image=image)) == image


def test_an_old_card_keeps_the_person_in_block_1() -> None:
    who = Person(**{**vars(person(1)), "version": "0002"})
    card = ThaiCard(who)
    card.answer(SELECT)
    assert read(card, 0, 4) == b"0002"
    assert read(card, 4, 150).decode("tis-620").rstrip() == who.address
    assert read(card, 4, 13, block=1) == who.citizen_id.encode()
    assert read(card, 0x0177, 4, block=1) == b"01\xff\xd8"


def test_the_kinds_of_commands_are_told_apart() -> None:
    commands = (SELECT, SELECT_MANAGER, READ_NUMBER, fetch(1), READ_LASER, READ_CHIP, b"")
    assert [command for command in commands if is_select(command)] == [SELECT, SELECT_MANAGER]
    assert [command for command in commands if is_read(command)] == [READ_NUMBER]
    assert [command for command in commands if is_fetch(command)] == [fetch(1)]
