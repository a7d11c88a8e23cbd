"""Virtual cards answer as ``docs/card.md`` says a card does, and speak vpcd's frames over a real socket."""

import re
import socket
import struct
import threading
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.cards.citizen_id import is_valid
from appliance.cards.thai_id import Field
from appliance.commands import simulate as subject
from appliance.commands.call import Call
from appliance.errors import CardRemoved, CardServiceDown, WrongUse
from appliance.simulate.card import ATR_BANK, ATR_THAI, BankCard, MuteCard, ThaiCard
from appliance.simulate.deck import deck
from appliance.simulate.persons import Person, file_image, person, synthetic_number
from appliance.simulate.slot import InMemorySlot
from appliance.simulate.vpcd import VpcdCard

DOCUMENT = Path(__file__).parents[3] / "docs" / "card.md"
FILE_BYTES = 5950
SELECT = bytes.fromhex("00A4040008A000000054480001")
READ_NUMBER = bytes.fromhex("80B0000402000D")


def fetch(size_bytes: int) -> bytes:
    return bytes([0x00, 0xC0, 0x00, 0x00, size_bytes % 256])


def window(offset: int, size_bytes: int) -> bytes:
    return bytes([0x80, 0xB0, offset >> 8, offset & 0xFF, 0x02, 0x00, size_bytes])


@pytest.fixture
def selected() -> ThaiCard:
    card = ThaiCard(person(1))
    assert card.answer(SELECT) == b"\x61\x0a"
    return card


def test_the_commands_are_those_of_the_document() -> None:
    text = DOCUMENT.read_text("utf-8")
    (select,) = re.findall(r"`(00 A4 [0-9A-F ]+)`", text)
    assert bytes.fromhex(select) == SELECT
    assert "`80 B0 <offset> 02 00 <n>`" in text
    assert "`00 C0 00 00 <n>`" in text
    for field, name in ((Field.CITIZEN_ID, "citizen number"), (Field.BIRTH_DATE, "birth date")):
        assert f"| {name} | 0x{field.offset:04X} | {field.size_bytes} |" in text


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


@pytest.mark.parametrize(
    ("offset", "size_bytes", "content"),
    [
        (0x0000, 4, "0003"),
        (0x0004, 13, person(1).citizen_id),
        (0x0011, 100, person(1).name_th),
        (0x0075, 100, person(1).name_en),
        (0x00D9, 8, person(1).birth),
        (0x00E1, 1, person(1).sex),
        (0x0167, 8, "25650101"),
        (0x016F, 8, "25751230"),
        (0x0177, 2, "01"),
        (0x1579, 160, "99/9#หมู่ที่ 4####ตำบลตัวอย่าง#อำเภอทดสอบ#จังหวัดสมมุติ"),
        (0x1619, 14, "00000100000001"),
    ],
)
def test_the_file_holds_each_field_at_its_place_padded_with_spaces(offset: int, size_bytes: int, content: str) -> None:
    image = file_image(person(1))
    assert len(image) == FILE_BYTES
    assert image[offset : offset + size_bytes] == content.encode("tis-620").ljust(size_bytes)


def test_a_name_that_is_too_long_does_not_run_into_the_next_field() -> None:
    long = Person(**{**vars(person(1)), "name_th": "ก" * 200})
    image = file_image(long)
    assert image[0x0011:0x0075].decode("tis-620") == "ก" * 100
    assert image[0x0075:0x00D9].decode("ascii").rstrip() == person(1).name_en


@given(st.integers(0, 9_999_999))
def test_no_invented_number_can_be_a_person_s(serial: int) -> None:
    number = synthetic_number(serial)
    assert len(number) == 13
    assert number[1:5] == "0000"
    assert is_valid(number)
    assert person(serial) == person(serial)
    assert file_image(person(serial))[4:17] == number.encode()


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


@pytest.mark.parametrize("serial", [0, 1, 9, 9_999_999])
def test_the_deck_has_every_person(serial: int) -> None:
    card = deck(f"person-{serial}")
    card.answer(SELECT)
    card.answer(READ_NUMBER)
    assert card.answer(fetch(13)) == person(serial).citizen_id.encode() + b"\x90\x00"


def test_the_deck_gives_a_fresh_card_each_time() -> None:
    first, second = deck("person-1"), deck("person-1")
    first.answer(SELECT)
    assert second.log == []
    assert second.answer(READ_NUMBER) == b"\x69\x85"


def test_the_bad_number_is_bad_in_its_check_digit_only() -> None:
    number = file_image(person(5))[4:17].decode()
    card = deck("bad-number")
    card.answer(SELECT)
    card.answer(READ_NUMBER)
    answer = card.answer(fetch(13))
    assert answer is not None
    wrong = answer[:13].decode()
    assert wrong[:12] == number[:12]
    assert not is_valid(wrong)


def test_the_expired_card_expired() -> None:
    card = deck("expired")
    card.answer(SELECT)
    card.answer(window(Field.EXPIRY_DATE.offset, 8))
    assert card.answer(fetch(8)) == b"25630101\x90\x00"


@pytest.mark.parametrize(
    "name",
    ["", "Bank", "person", "person-", "person--1", "person-1.0", "person-12345678", "person-๑", "person-1 ", "1", "x"],
)
def test_a_card_that_is_not_in_the_deck_is_named_with_the_way_to_those_that_are(name: str) -> None:
    with pytest.raises(WrongUse, match="`card-station simulate card --deck` lists them all") as raised:
        deck(name)
    assert repr(name) in str(raised.value)


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


class Vpcd:
    """The driver's end of the wire: listens, and sends frames to the card that dials in."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def accept(self) -> None:
        self.line, _ = self._listener.accept()
        self.line.settimeout(3)

    def send(self, payload: bytes) -> None:
        self.line.sendall(struct.pack(">H", len(payload)) + payload)

    def receive(self) -> bytes:
        (size_bytes,) = struct.unpack(">H", self._exactly(2))
        return self._exactly(size_bytes)

    def _exactly(self, size_bytes: int) -> bytes:
        data = b""
        while len(data) < size_bytes:
            part = self.line.recv(size_bytes - len(data))
            assert part, "the card hung up"
            data += part
        return data

    def close(self) -> None:
        self._listener.close()
        if hasattr(self, "line"):
            self.line.close()


@pytest.fixture
def vpcd() -> Iterator[Vpcd]:
    driver = Vpcd()
    yield driver
    driver.close()


@pytest.fixture
def inserted(vpcd: Vpcd) -> Iterator[VpcdCard]:
    card = VpcdCard(ThaiCard(person(1)), vpcd.port)
    card.insert()
    vpcd.accept()
    yield card
    card.remove()


def test_the_card_is_asked_for_its_atr_and_answers_nothing_else_of_control(inserted: VpcdCard, vpcd: Vpcd) -> None:
    for control in (b"\x00", b"\x01", b"\x02", b"\x04"):
        vpcd.send(control)
    assert vpcd.receive() == ATR_THAI
    vpcd.send(SELECT)
    assert vpcd.receive() == b"\x61\x0a", "power and reset were not answered"
    assert inserted.card.log == [SELECT], "control frames are not commands"


def test_frames_that_come_in_crumbs_or_all_at_once_are_the_same_frames(inserted: VpcdCard, vpcd: Vpcd) -> None:
    wire = b"".join(struct.pack(">H", len(command)) + command for command in (SELECT, READ_NUMBER, fetch(13)))
    answers = [b"\x61\x0a", b"\x61\x0d", person(1).citizen_id.encode() + b"\x90\x00"]
    for at in range(len(wire)):
        vpcd.line.sendall(wire[at : at + 1])
    assert [vpcd.receive() for _ in answers] == answers
    vpcd.line.sendall(wire)
    assert [vpcd.receive() for _ in answers] == answers


def test_a_command_longer_than_a_byte_counts_is_one_frame(inserted: VpcdCard, vpcd: Vpcd) -> None:
    vpcd.send(bytes(300))
    assert vpcd.receive() == b"\x6d\x00"
    assert inserted.card.log == [bytes(300)]


def test_pulling_hangs_up_and_putting_in_again_dials_anew(inserted: VpcdCard, vpcd: Vpcd) -> None:
    assert inserted.is_in()
    inserted.remove()
    assert vpcd.line.recv(1) == b""
    assert not inserted.is_in()
    inserted.remove()
    inserted.insert()
    vpcd.accept()
    vpcd.send(b"\x04")
    assert vpcd.receive() == ATR_THAI


def test_a_driver_that_goes_away_ends_the_card_quietly(inserted: VpcdCard, vpcd: Vpcd) -> None:
    vpcd.line.sendall(b"\x00")
    vpcd.line.close()
    assert inserted._thread is not None
    inserted._thread.join(3)
    assert not inserted.is_in()


def test_a_mute_card_sends_no_frame_at_all(vpcd: Vpcd) -> None:
    card = VpcdCard(MuteCard(), vpcd.port)
    card.insert()
    vpcd.accept()
    vpcd.send(SELECT)
    vpcd.send(b"\x04")
    assert vpcd.receive() == ATR_THAI, "the first frame that comes is the ATR"
    card.remove()


def test_a_reader_that_comes_late_is_waited_for(vpcd: Vpcd) -> None:
    port = vpcd.port
    vpcd.close()
    late: list[socket.socket] = []
    coming = threading.Timer(0.3, lambda: late.append(socket.create_server(("127.0.0.1", port))))
    coming.start()
    card = VpcdCard(ThaiCard(person(1)), port)
    card.insert(timeout_s=3)
    assert card.is_in()
    card.remove()
    coming.join()
    late[0].close()


def test_without_a_virtual_reader_the_words_say_what_to_do(vpcd: Vpcd, monkeypatch: pytest.MonkeyPatch) -> None:
    vpcd.close()
    with pytest.raises(OSError, match="refused"):
        VpcdCard(ThaiCard(person(1)), vpcd.port).insert(timeout_s=0.1)
    monkeypatch.setattr(VpcdCard.insert, "__defaults__", (0.1,))
    with pytest.raises(CardServiceDown, match=f"port {vpcd.port}.*scripts/private"):
        subject.card(Call(Namespace(name="person-1", deck=None, line=None, port=vpcd.port), {}))
