"""A serial line takes the time that the standard gives each character, and nothing here waits for it."""

import pytest

from appliance.errors import WrongUse
from appliance.simulate.card import MuteCard, ThaiCard
from appliance.simulate.line import OnLine, SerialLine, characters
from appliance.simulate.persons import person
from tests.unit.simulate.apdus import READ_LASER, READ_NUMBER, SELECT, SELECT_MANAGER, fetch, file_of, window

NUMBER = [(SELECT, b"\x61\x0a"), (READ_NUMBER, b"\x61\x0d"), (fetch(13), bytes(15))]
#: Sizes of what is read: nine fields of text, one by one.
NINE_FIELDS = (13, 100, 100, 8, 1, 100, 8, 8, 100)
#: All text in three windows.
BULK = (255, 124, 174)
PHOTO_OF_5100 = (255,) * 20
PHOTO_OF_4290 = (255,) * 16 + (210,)


def of_reads(sizes: tuple[int, ...]) -> int:
    """Return the characters of reading and fetching that much, without SELECT."""
    return sum(characters(window(0, size), b"\x61\x00") + characters(fetch(size), bytes(size + 2)) for size in sizes)


@pytest.mark.parametrize(
    ("command", "answer", "count"),
    [
        (SELECT, b"\x61\x0a", 16),
        (READ_NUMBER, b"\x61\x0d", 10),
        (fetch(13), bytes(15), 21),
        (fetch(255), bytes(257), 263),
        (SELECT_MANAGER, bytes(20), 26),
        (READ_LASER, bytes(25), 31),
        (bytes.fromhex("00A40400"), b"\x6c\x12", 8),
        (bytes.fromhex("80B0000402000D00"), b"\x67\x00", 10),
        (SELECT, None, 14),
        (fetch(1), b"", 6),
    ],
)
def test_characters_are_counted(command: bytes, answer: bytes | None, count: int) -> None:
    assert characters(command, answer) == count


def test_the_number_takes_47_characters() -> None:
    assert sum(characters(*exchange) for exchange in NUMBER) == 47


@pytest.mark.parametrize("size_bytes", [1, 13, 100, 255])
def test_a_field_takes_18_characters_more_than_it_has_bytes(size_bytes: int) -> None:
    assert of_reads((size_bytes,)) == size_bytes + 18


@pytest.mark.parametrize(
    ("sizes", "count"), [(BULK, 607), (PHOTO_OF_5100, 5460), (PHOTO_OF_4290, 4596)], ids=["bulk", "5100", "4290"]
)
def test_what_is_read_in_windows_takes_what_was_computed(sizes: tuple[int, ...], count: int) -> None:
    assert of_reads(sizes) == count


def test_nine_fields_of_text_take_what_was_computed() -> None:
    assert 16 + of_reads(NINE_FIELDS) == 616


@pytest.mark.parametrize(
    ("line", "clock_hz", "number_ms", "photo_ms"),
    [
        ("372/1", 4_000_000, 52, 6093),
        ("372/1", 5_000_000, 42, 4875),
        ("372/12", 4_000_000, 4.4, 508),
        ("512/32", 4_000_000, 2.3, 262),
        ("512/32", 4_800_000, 1.9, 218),
        ("512/32", 5_000_000, 1.8, 210),
    ],
)
def test_the_times_are_those_that_were_computed(line: str, clock_hz: int, number_ms: float, photo_ms: float) -> None:
    serial = SerialLine.parse(line, clock_hz)
    number_s = sum(serial.duration_s(*exchange) for exchange in NUMBER)
    assert number_s * 1e3 == pytest.approx(number_ms, rel=0.03)
    assert of_reads(PHOTO_OF_5100) * serial.character_s * 1e3 == pytest.approx(photo_ms, abs=0.6)


def test_the_number_takes_two_and_a_quarter_milliseconds_on_today_s_cards() -> None:
    line = SerialLine.parse("512/32")
    assert line == SerialLine(512, 32, 4_000_000)
    assert sum(line.duration_s(*exchange) for exchange in NUMBER) == pytest.approx(47 * 12 * 512 / (32 * 4e6))


def test_a_faster_clock_and_a_faster_line_take_less() -> None:
    assert SerialLine(512, 32, 8_000_000).character_s == SerialLine(512, 64).character_s
    assert SerialLine(512, 32).character_s * 2 == SerialLine(512, 16).character_s


@pytest.mark.parametrize(
    "text",
    ["", "/", "512", "512/", "/32", "512/32/1", "0/1", "512/0", "513/32", "512/3", "-372/1", "372/1.0", "a/b", "٣٧٢/١"],
)
def test_what_is_no_line_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(WrongUse, match="372/12 or 512/32") as raised:
        SerialLine.parse(text)
    assert repr(text) in str(raised.value)


def test_a_card_on_a_line_answers_the_same_after_the_line_s_time() -> None:
    waits: list[float] = []
    line = SerialLine.parse("372/1")
    card = OnLine(ThaiCard(person(1)), line, waits.append)
    assert card.atr == ThaiCard(person(1)).atr
    for command in (SELECT, READ_NUMBER, fetch(13)):
        card.answer(command)
    assert sum(waits) == pytest.approx(47 * 12 * 372 / 4e6)
    assert card.log == [SELECT, READ_NUMBER, fetch(13)]


def test_a_mute_card_takes_the_time_of_the_command_alone() -> None:
    waits: list[float] = []
    line = SerialLine.parse("512/32")
    assert OnLine(MuteCard(), line, waits.append).answer(SELECT) is None
    assert waits == [14 * line.character_s]


def test_a_whole_file_on_a_line_is_the_same_file() -> None:
    card = OnLine(ThaiCard(person(2)), SerialLine.parse("512/32"), lambda _: None)
    assert file_of(card) == file_of(ThaiCard(person(2)))
