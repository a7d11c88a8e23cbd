"""Invented people cannot exist, and the files of their cards hold each field where a card holds it."""

import re
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.cards.citizen_id import check_digit, is_valid
from appliance.simulate.persons import (
    FILE_BYTES,
    HEALTH_PLACES,
    OLD_PHOTO_AT,
    PHOTO_AREA_BYTES,
    PHOTO_AT,
    PHOTO_LENGTH_AT,
    PLACES,
    HealthRight,
    Person,
    blocks,
    file_image,
    health_image,
    person,
    synthetic_number,
    with_photo,
)
from appliance.simulate.portrait import portrait

DOCUMENT = Path(__file__).parents[3] / "docs" / "card.md"
NOT_IN_THE_FILE = {"photo_bytes", "face", "laser", "chip_number", "health"}
ADDRESS = "99/9#หมู่ที่ 4####ตำบลตัวอย่าง#อำเภอทดสอบ#จังหวัดสมมุติ"

CONTENT = [
    (0x0000, 4, "0003"),
    (0x0004, 13, person(1).citizen_id),
    (0x0011, 100, "นางสาว#มาลี##ตัวอย่างงาม"),
    (0x0075, 100, "Miss#Malee##Tuayangngam"),
    (0x00D9, 8, "25360202"),
    (0x00E1, 1, "2"),
    (0x00E2, 20, "1001-03-05151130/001"),
    (0x00F6, 100, "ท้องถิ่นจำลอง/จังหวัดสมมุติ"),
    (0x015A, 13, "0000000000017"),
    (0x0167, 8, "25650101"),
    (0x016F, 8, "25751230"),
    (0x0177, 2, "01"),
    (0x1579, 160, ADDRESS),
    (0x1619, 14, "00000100000001"),
]
HEALTH_CONTENT = [
    (0x0004, 60, "สิทธิหลักประกันสุขภาพแห่งชาติ"),
    (0x0040, 100, "ประชาชนสมมุติ"),
    (0x00A4, 80, "โรงพยาบาลตัวอย่าง"),
    (0x00F4, 80, "สถานีอนามัยจำลอง"),
    (0x0144, 1, "1"),
    (0x0145, 8, "25660401"),
    (0x014D, 8, "25751230"),
    (0x0155, 8, "25670115"),
    (0x015D, 1, "0"),
]


def text(image: bytes, name: str) -> str:
    offset, size_bytes = PLACES[name]
    return image[offset : offset + size_bytes].decode("tis-620", "surrogateescape")


@pytest.mark.parametrize(("offset", "size_bytes", "content"), CONTENT)
def test_the_file_holds_each_field_at_its_place_padded_with_spaces(offset: int, size_bytes: int, content: str) -> None:
    image = file_image(person(1))
    assert len(image) == FILE_BYTES == 5950
    assert image[offset : offset + size_bytes] == content.encode("tis-620").ljust(size_bytes)


@pytest.mark.parametrize(("offset", "size_bytes", "content"), HEALTH_CONTENT)
def test_the_file_of_the_health_insurance_does_too(offset: int, size_bytes: int, content: str) -> None:
    image = health_image(person(1))
    assert len(image) == 350
    assert image[offset : offset + size_bytes] == content.encode("tis-620").ljust(size_bytes)


def test_the_places_are_those_that_are_tested_and_every_member_has_one() -> None:
    assert sorted(PLACES.values()) == [(offset, size_bytes) for offset, size_bytes, _ in CONTENT]
    assert sorted(HEALTH_PLACES.values()) == [(offset, size_bytes) for offset, size_bytes, _ in HEALTH_CONTENT]
    assert {member.name for member in fields(Person)} == {*PLACES} | NOT_IN_THE_FILE
    assert {member.name for member in fields(HealthRight)} == {*HEALTH_PLACES}


def test_the_places_are_those_of_the_document() -> None:
    sizes = {**dict(PLACES.values()), PHOTO_LENGTH_AT: 2, PHOTO_AT: PHOTO_AREA_BYTES}
    rows = re.findall(r"^\|.*\| 0x([0-9A-F]{4}) \| (\d+) \|", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    assert {int(offset, 16): int(size_bytes) for offset, size_bytes in rows} == sizes


def test_the_fields_lie_side_by_side_from_the_first_byte_to_the_photo_number() -> None:
    stretches = sorted([*PLACES.values(), (PHOTO_LENGTH_AT, 2), (PHOTO_AT, PHOTO_AREA_BYTES)])
    ends = [offset + size_bytes for offset, size_bytes in stretches]
    assert [offset for offset, _ in stretches] == [0, *ends[:-1]]
    assert ends[-1] == 0x1627


@pytest.mark.parametrize("name", PLACES)
def test_a_text_that_is_too_long_does_not_run_into_the_next_field(name: str) -> None:
    usual, long = file_image(person(1)), file_image(Person(**{**vars(person(1)), name: "7" * 300}))
    offset, size_bytes = PLACES[name]
    assert long[offset : offset + size_bytes] == b"7" * size_bytes
    assert long[:offset] == usual[:offset]
    assert long[offset + size_bytes :] == usual[offset + size_bytes :]


@given(st.binary(max_size=100))
def test_a_text_may_hold_any_byte(raw: bytes) -> None:
    who = replace(person(1), name_th=raw.decode("tis-620", "surrogateescape"), photo_bytes=0)
    assert file_image(who)[0x0011:0x0075] == raw.ljust(100)


def test_padding_can_be_another_byte_and_fills_texts_only() -> None:
    image = file_image(person(1), b"\x00")
    assert text(image, "name_en") == "Miss#Malee##Tuayangngam".ljust(100, "\0")
    assert image[5700:] == b" " * 250


@given(st.integers(0, 9_999_999))
def test_no_invented_number_can_be_a_person_s(serial: int) -> None:
    number = synthetic_number(serial)
    assert len(number) == 13
    assert number[1:5] == "0000"
    assert is_valid(number)
    assert person(serial) == person(serial)
    assert file_image(person(serial))[4:17] == number.encode()


@given(st.integers(0, 9_999_999))
def test_an_invented_person_is_whole_and_odd_in_nothing(serial: int) -> None:
    who = person(serial)
    assert (who.name_th.count("#"), who.name_en.count("#"), who.address.count("#")) == (3, 3, 7)
    assert who.birth < who.issued < who.expiry
    assert re.fullmatch(r"ZZ\d{10}", who.laser)
    assert re.fullmatch(r"\d{14}", who.photo_number)
    assert not is_valid(who.issuer_code)


@pytest.mark.parametrize("first_digit", range(10))
def test_a_number_may_be_of_any_kind(first_digit: int) -> None:
    number = synthetic_number(5, first_digit)
    assert number.startswith(f"{first_digit}0000")
    assert number[12] == check_digit(number[:12])


def test_two_people_differ_in_all_that_tells_people_apart() -> None:
    first, second = vars(person(1)), vars(person(2))
    differing = {name for name in first if first[name] != second[name]}
    assert differing >= {"citizen_id", "name_th", "birth", "photo_number", "face", "laser", "chip_number"}


def test_the_photo_stands_behind_its_length() -> None:
    image = file_image(person(1))
    assert int.from_bytes(image[PHOTO_LENGTH_AT:PHOTO_AT], "big") == 4290
    assert image[PHOTO_AT : PHOTO_AT + PHOTO_AREA_BYTES] == portrait(1).ljust(PHOTO_AREA_BYTES)


@pytest.mark.parametrize(
    ("size_bytes", "length"), [(0, None), (7, None), (5118, None), (5119, None), (7, 0), (7, 6000)]
)
def test_another_photo_and_another_length_change_nothing_else(size_bytes: int, length: int | None) -> None:
    image = file_image(person(1))
    changed = with_photo(image, b"\xff" * size_bytes, length)
    assert len(changed) == FILE_BYTES
    assert int.from_bytes(changed[PHOTO_LENGTH_AT:PHOTO_AT], "big") == (size_bytes if length is None else length)
    assert changed[PHOTO_AT:].startswith((b"\xff" * min(size_bytes, 5118)).ljust(5118))
    assert (changed[:PHOTO_LENGTH_AT], changed[0x1579:]) == (image[:PHOTO_LENGTH_AT], image[0x1579:])


def test_the_usual_card_has_one_block() -> None:
    assert blocks(file_image(person(1))) == {0: file_image(person(1))}


def test_the_oldest_card_has_two_blocks() -> None:
    both = blocks(file_image(replace(person(1), version="0002")))
    assert sorted(both) == [0, 1]
    assert both[0] == (b"0002" + ADDRESS.encode("tis-620")).ljust(FILE_BYTES)
    assert both[1][: PLACES["card_type"][0]] == file_image(replace(person(1), version="0002"))[:0x0177]
    assert both[1][OLD_PHOTO_AT:].startswith(portrait(1))
    assert {len(block) for block in both.values()} == {FILE_BYTES}


def test_a_name_reads_as_one() -> None:
    assert person(1).full_name_th == "นางสาวมาลี ตัวอย่างงาม"
