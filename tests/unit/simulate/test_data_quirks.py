"""Each card with odd data is odd in what its line says, and in nothing else."""

import io
from dataclasses import fields, replace
from typing import Any

import pytest
from PIL import Image

from appliance.cards.citizen_id import check_digit, is_valid
from appliance.simulate.data_quirks import IMAGES, PEOPLE, SERIAL
from appliance.simulate.deck import deck
from appliance.simulate.persons import PHOTO_AT, PHOTO_LENGTH_AT, PLACES, Person, file_image, person
from tests.unit.simulate.apdus import file_of

WHITE = b" \t\r\n\x0b\x0c"

#: Name -> the members of the person that differ, all others being those of person 5.
CHANGED: dict[str, dict[str, Any]] = {
    "zero-number": {"citizen_id": "0" * 13},
    "empty-middle": {},
    "middle-name": {"name_th": "นาง#น้ำฝน#กลางวัน#นิทาน", "name_en": "Mrs.#Namfon#Klangwan#Nithan"},
    "no-english-name": {"name_en": ""},
    "undefined-bytes": {"name_th": "นาง#น้ำ\udcdbฝน\udc90##ใน\udcfcนิทาน"},
    "nbsp": {"name_th": "นาง#น้ำ\udca0ฝน##ลอง"},
    "birth-year-only": {"birth": "25350000"},
    "birth-month-only": {"birth": "25350600"},
    "birth-blank": {"birth": ""},
    "birth-month-13": {"birth": "25671331"},
    "birth-after-issue": {"birth": "25660101"},
    "leap-day": {"birth": "25310229"},
    "no-leap-day": {"birth": "25320229"},
    "zero-dates": {"birth": "00000000", "issued": "00000000", "expiry": "00000000"},
    "blank-dates": {"birth": "", "issued": "", "expiry": ""},
    "letters-in-dates": {"birth": "2535AB31", "issued": "2535AB31", "expiry": "2535AB31"},
    "lifetime": {"expiry": "99999999"},
    "expiry-blank": {"expiry": ""},
    "sex-3": {"sex": "3"},
    "address-blank": {"address": ""},
    "photo-5118": {"photo_bytes": 5118},
    "photo-2000": {"photo_bytes": 2000},
    "no-photo": {"photo_bytes": 0},
    "version-0002": {"version": "0002"},
    "version-0004": {"version": "0004"},
    "blank-laser": {"laser": " " * 16},
}

#: Name -> how often # stands in each of its names.
HASHES = {
    "empty-middle": 3,
    "middle-name": 3,
    "mononym": 3,
    "name-without-hash": 0,
    "name-3-parts": 2,
    "name-5-parts": 4,
    "long-name": 3,
    "controls": 3,
    "undefined-bytes": 3,
}
WRONG_NUMBERS = ("bad-number", "zero-number", "letters-in-number", "12-digit-number")


def differing(who: Person) -> dict[str, Any]:
    usual = vars(person(SERIAL))
    return {name: value for name, value in vars(who).items() if value != usual[name]}


def who(name: str) -> Person:
    return PEOPLE[name][1]()


def raw(image: bytes, name: str) -> bytes:
    offset, size_bytes = PLACES[name]
    return image[offset : offset + size_bytes]


def photo(image: bytes) -> bytes:
    """Return as much of the photo as the card says there is."""
    return image[PHOTO_AT:][: int.from_bytes(image[PHOTO_LENGTH_AT:PHOTO_AT], "big")]


def size_of(jpeg: bytes) -> tuple[int, int]:
    picture = Image.open(io.BytesIO(jpeg))
    picture.load()
    return picture.size


@pytest.mark.parametrize("name", CHANGED)
def test_the_person_differs_in_this_only(name: str) -> None:
    assert differing(who(name)) == CHANGED[name]


@pytest.mark.parametrize("name", [name for name in PEOPLE if name != "expired"])
def test_every_odd_person_is_person_5_in_all_but_few(name: str) -> None:
    assert len(differing(who(name))) <= 4
    assert who(name) == who(name)


@pytest.mark.parametrize("name", [name for name in PEOPLE if name != "version-0002"])
def test_the_card_holds_the_person(name: str) -> None:
    assert file_of(deck(name)) == file_image(who(name))


@pytest.mark.parametrize("name", IMAGES)
def test_the_card_holds_the_image(name: str) -> None:
    assert file_of(deck(name)) == IMAGES[name][1]()


@pytest.mark.parametrize("name", [name for name in PEOPLE if name not in WRONG_NUMBERS])
def test_the_check_digit_is_right_where_the_line_does_not_say_otherwise(name: str) -> None:
    number = who(name).citizen_id
    assert number[12] == check_digit(number[:12])


def test_the_expired_card_was_good_once() -> None:
    card = who("expired")
    assert card == replace(person(3), issued=card.issued, expiry="25630101")
    assert card.birth < card.issued < card.expiry


def test_the_bad_number_is_bad_in_its_check_digit_only() -> None:
    wrong, right = who("bad-number").citizen_id, person(SERIAL).citizen_id
    assert wrong[:12] == right[:12]
    assert not is_valid(wrong)
    assert differing(who("bad-number")) == {"citizen_id": wrong}


def test_numbers_with_letters_and_one_that_is_short() -> None:
    assert not raw(file_image(who("letters-in-number")), "citizen_id").isdigit()
    assert raw(file_image(who("12-digit-number")), "citizen_id") == person(SERIAL).citizen_id[:12].encode() + b" "


@pytest.mark.parametrize("digit", "0678")
def test_numbers_of_other_kinds_begin_with_their_digit(digit: str) -> None:
    number = who(f"first-digit-{digit}").citizen_id
    assert (number[0], number[1:12]) == (digit, person(SERIAL).citizen_id[1:12])


@pytest.mark.parametrize(("name", "hashes"), HASHES.items())
def test_names_have_as_many_parts_as_their_line_says(name: str, hashes: int) -> None:
    assert (who(name).name_th.count("#"), who(name).name_en.count("#")) == (hashes, hashes)


def test_a_mononym_has_an_empty_last_name() -> None:
    assert who("mononym").name_th.split("#")[2:] == ["", ""]
    assert who("mononym").name_en.split("#")[2:] == ["", ""]


def test_long_names_leave_no_padding() -> None:
    image = file_image(who("long-name"))
    for name in ("name_th", "name_en"):
        assert len(raw(image, name)) == 100
        assert raw(image, name).rstrip() == raw(image, name)
    assert raw(image, "name_en").endswith(b"B" * 47)


def test_bytes_that_no_table_defines_are_on_the_card() -> None:
    name = raw(file_image(who("undefined-bytes")), "name_th")
    assert {0xDB, 0xFC, 0x90} <= set(name)
    assert 0xA0 in raw(file_image(who("nbsp")), "name_th")


def test_controls_are_on_the_card() -> None:
    image = file_image(who("controls"))
    assert b"\x1b[31m" in raw(image, "name_th")
    assert b"\x1b]0;x\x07" in raw(image, "name_en")
    assert b"\x1b[2J" in raw(image, "address")
    assert b"\x0c" in raw(image, "issuer")


def test_texts_are_padded_with_nul() -> None:
    image = IMAGES["nul-padded"][1]()
    for name in ("name_th", "name_en", "issuer", "address"):
        usual = raw(file_image(person(SERIAL)), name)
        assert raw(image, name) == usual.rstrip(b" ").ljust(len(usual), b"\x00")


@pytest.mark.parametrize(("name", "size_bytes"), [("address-long", 130), ("address-160", 160)])
def test_long_addresses_have_eight_parts_and_their_size(name: str, size_bytes: int) -> None:
    address = raw(file_image(who(name)), "address").rstrip(b" ")
    assert (len(address), address.count(b"#")) == (size_bytes, 7)
    assert address.decode("tis-620").endswith("#จังหวัดสมมุติ"), "the province is the last to be cut"


@pytest.mark.parametrize(("name", "parts"), [("address-7-parts", 7), ("address-9-parts", 9), ("address-bangkok", 8)])
def test_addresses_have_as_many_parts_as_their_line_says(name: str, parts: int) -> None:
    assert len(who(name).address.split("#")) == parts


def test_bangkok_is_a_province_without_a_label() -> None:
    assert who("address-bangkok").address.endswith("#แขวงตัวอย่าง#เขตทดสอบ#กรุงเทพมหานคร")


@pytest.mark.parametrize("name", ["photo-5118", "photo-2000", "address-160", "version-0004"])
def test_photos_of_any_size_are_pictures(name: str) -> None:
    image = file_image(who(name))
    assert len(photo(image)) == who(name).photo_bytes
    assert size_of(photo(image)) == (148, 178)


def test_no_photo_is_length_0_and_spaces() -> None:
    image = file_image(who("no-photo"))
    assert photo(image) == b""
    assert image[PHOTO_AT:][:5118] == b" " * 5118


@pytest.mark.parametrize(("name", "length"), [("photo-length-0", 0), ("photo-length-6000", 6000)])
def test_a_length_that_is_not_the_photo_s(name: str, length: int) -> None:
    image, usual = IMAGES[name][1](), file_image(person(SERIAL))
    assert int.from_bytes(image[PHOTO_LENGTH_AT:PHOTO_AT], "big") == length
    assert image[PHOTO_AT:] == usual[PHOTO_AT:]


def test_a_photo_without_its_start_or_its_end() -> None:
    usual = photo(file_image(person(SERIAL)))
    assert photo(IMAGES["photo-without-start"][1]()) == b"\0\0" + usual[2:]
    assert photo(IMAGES["photo-without-end"][1]()) == usual[:-2] + b"\0\0"


def test_white_space_all_through_a_photo_lies_on_every_seam_of_windows() -> None:
    jpeg = photo(IMAGES["photo-white-space"][1]())
    assert len(jpeg) == 5118
    assert size_of(jpeg) == (148, 178)
    assert sum(jpeg[seam - 1 : seam] in WHITE or jpeg[seam : seam + 1] in WHITE for seam in range(255, 5118, 255)) >= 2
    assert jpeg.split(b"\xff\xd9")[-1] == b"", "its end is clean"


def test_white_space_after_a_photo_counts_as_photo() -> None:
    jpeg = photo(IMAGES["photo-white-end"][1]())
    assert jpeg == photo(file_image(person(SERIAL))) + WHITE
    assert size_of(jpeg) == (148, 178)


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_is_odd_in_its_photo_or_its_padding_only(name: str) -> None:
    image, usual = IMAGES[name][1](), file_image(person(SERIAL))
    assert len(image) == len(usual)
    for member in fields(Person):
        if member.name in PLACES:
            assert raw(image, member.name).rstrip(b" \0") == raw(usual, member.name).rstrip(b" ")
