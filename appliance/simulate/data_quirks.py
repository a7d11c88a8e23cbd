"""Cards with odd data, by name: each is invented person 5, changed in one way.

``PEOPLE`` are changes of what the card says, ``IMAGES`` changes of its bytes. Nothing is made before it is asked for.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from appliance.simulate.persons import (
    PHOTO_AREA_BYTES,
    Person,
    file_image,
    person,
    synthetic_number,
    with_photo,
)
from appliance.simulate.portrait import portrait

SERIAL = 5

_WHITE = b" \t\r\n\x0b\x0c"
_LONG_ROAD = "ยาวมากแสนไกลสุดลูกหูลูกตา" * 6


def _but(**changes: Any) -> Person:
    return replace(person(SERIAL), **changes)


def _dates(text: str) -> Person:
    return _but(birth=text, issued=text, expiry=text)


def _wrong_sum() -> Person:
    number = person(SERIAL).citizen_id
    return _but(citizen_id=number[:12] + str((int(number[12]) + 1) % 10))


def _address(size_bytes: int) -> str:
    """Return an address of eight parts and exactly ``size_bytes`` bytes on the card."""
    head, tail = "99/9#หมู่ที่ 4#ตรอกลอง#ซอยทดสอบ 1#ถนน", "#ตำบลตัวอย่าง#อำเภอทดสอบ#จังหวัดสมมุติ"
    return head + _LONG_ROAD[: size_bytes - len(head) - len(tail)] + tail


def _photo(change: Callable[[bytes], bytes] = bytes, length: int | None = None) -> bytes:
    return with_photo(file_image(person(SERIAL)), change(portrait(SERIAL)), length)


#: Name -> what is odd, and the person.
PEOPLE: Mapping[str, tuple[str, Callable[[], Person]]] = {
    "expired": ("expired on 1 January 2563", lambda: replace(person(3, expiry="25630101"), issued="25541231")),
    "bad-number": ("the check digit of the number is wrong", _wrong_sum),
    "zero-number": ("the number is 13 zeros", lambda: _but(citizen_id="0" * 13)),
    "letters-in-number": ("the number holds letters", lambda: _but(citizen_id="1O00B000X0057")),
    "12-digit-number": ("the number is one digit short", lambda: _but(citizen_id=person(SERIAL).citizen_id[:12])),
    "first-digit-0": ("a number of the kind 0: no registration", lambda: _but(citizen_id=synthetic_number(SERIAL, 0))),
    "first-digit-6": ("a number of the kind 6: temporary stay", lambda: _but(citizen_id=synthetic_number(SERIAL, 6))),
    "first-digit-7": ("a number of the kind 7: child of kind 6", lambda: _but(citizen_id=synthetic_number(SERIAL, 7))),
    "first-digit-8": ("a number of the kind 8: naturalised", lambda: _but(citizen_id=synthetic_number(SERIAL, 8))),
    "empty-middle": ("no middle name, as usual: two # in a row", _but),
    "middle-name": (
        "a middle name in both languages",
        lambda: _but(name_th="นาง#น้ำฝน#กลางวัน#นิทาน", name_en="Mrs.#Namfon#Klangwan#Nithan"),
    ),
    "mononym": ("a first name only: the last is empty", lambda: _but(name_th="นาง#มาลี##", name_en="Mrs.#Malee##")),
    "name-without-hash": (
        "names in one piece, no #",
        lambda: _but(name_th="นางสาวน้ำฝน ในนิทาน", name_en="Miss Namfon Nainithan"),
    ),
    "name-3-parts": (
        "names of three parts",
        lambda: _but(name_th="นางสาว#น้ำฝน#ในนิทาน", name_en="Miss#Namfon#Nainithan"),
    ),
    "name-5-parts": (
        "names of five parts",
        lambda: _but(name_th="นางสาว#น้ำฝน#กลาง#ใน#นิทาน", name_en="Miss#Namfon#Klang#Nai#Nithan"),
    ),
    "long-name": (
        "names that fill their 100 bytes",
        lambda: _but(name_th=f"นาย#{'น้ำฝน' * 10}##{'นิทาน' * 9}"[:100], name_en=f"Mr.#{'A' * 47}##{'B' * 47}"),
    ),
    "no-english-name": ("the English name is blank", lambda: _but(name_en="")),
    "undefined-bytes": (
        "bytes DB, FC and 90 in the Thai name, which TIS-620 does not define",
        lambda: _but(name_th="นาง#น้ำ\udcdbฝน\udc90##ใน\udcfcนิทาน"),
    ),
    "nbsp": (
        "A0, a no-break space in some tables, in the Thai name",
        lambda: _but(name_th="นาง#น้ำ\udca0ฝน##ลอง"),
    ),
    "controls": (
        "ESC and other controls in names, address and issuer",
        lambda: _but(
            name_th="นาง#\x1b[31mน้ำฝน\x07##ใน\r\nนิทาน\x7f",
            name_en="Mrs.#\x1b]0;x\x07Namfon##Nai\tnithan\x00",
            address="99/9\x1b[2J#หมู่ที่ 4####ตำบล\nลอง#อำเภอ\x08ทดสอบ#จังหวัดสมมุติ",
            issuer="ท้องถิ่น\x0c/จำลอง",
        ),
    ),
    "birth-year-only": ("birth in 2535, month and day unknown", lambda: _but(birth="25350000")),
    "birth-month-only": ("birth in June 2535, day unknown", lambda: _but(birth="25350600")),
    "birth-blank": ("birth is blank", lambda: _but(birth="")),
    "birth-month-13": ("birth in month 13", lambda: _but(birth="25671331")),
    "birth-after-issue": ("birth a year after the card was issued", lambda: _but(birth="25660101")),
    "leap-day": ("birth on 29 February 2531, a day there was (1988)", lambda: _but(birth="25310229")),
    "no-leap-day": ("birth on 29 February 2532, a day there never was (1989)", lambda: _but(birth="25320229")),
    "zero-dates": ("all dates are zeros", lambda: _dates("00000000")),
    "blank-dates": ("all dates are blank", lambda: _dates("")),
    "letters-in-dates": ("all dates hold letters", lambda: _dates("2535AB31")),
    "lifetime": ("a card for life: expiry 99999999", lambda: _but(expiry="99999999")),
    "expiry-blank": ("expiry is blank", lambda: _but(expiry="")),
    "sex-3": ("sex is neither 1 nor 2", lambda: _but(sex="3")),
    "address-long": (
        "an address of 130 bytes, over the 100 many take",
        lambda: _but(address=_address(130)),
    ),
    "address-160": ("an address that fills its 160 bytes", lambda: _but(address=_address(160))),
    "address-bangkok": (
        "an address in Bangkok, whose province has no label",
        lambda: _but(address="99/9###ซอยทดสอบ 1#ถนนลอง#แขวงตัวอย่าง#เขตทดสอบ#กรุงเทพมหานคร"),
    ),
    "address-7-parts": (
        "an address of seven parts",
        lambda: _but(address="99/9#หมู่ที่ 4###ตำบลตัวอย่าง#อำเภอทดสอบ#จังหวัดสมมุติ"),
    ),
    "address-9-parts": (
        "an address of nine parts",
        lambda: _but(address="99/9#หมู่ที่ 4#####ตำบลตัวอย่าง#อำเภอทดสอบ#จังหวัดสมมุติ"),
    ),
    "address-blank": ("the address is blank", lambda: _but(address="")),
    "photo-5118": ("a photo that fills its 5,118 bytes", lambda: _but(photo_bytes=PHOTO_AREA_BYTES)),
    "photo-2000": ("a photo of 2,000 bytes", lambda: _but(photo_bytes=2000)),
    "no-photo": ("no photo: length 0, and spaces", lambda: _but(photo_bytes=0)),
    "version-0002": ("an old card: the person is in block 1", lambda: _but(version="0002")),
    "version-0004": ("a version that nobody has seen", lambda: _but(version="0004")),
    "blank-laser": ("the laser number is blank", lambda: _but(laser=" " * 16)),
}

#: Name -> what is odd, and the file.
IMAGES: Mapping[str, tuple[str, Callable[[], bytes]]] = {
    "nul-padded": ("texts are padded with NUL", lambda: file_image(person(SERIAL), b"\x00")),
    "photo-length-0": ("a photo is there, but its length says 0", lambda: _photo(length=0)),
    "photo-length-6000": ("the photo's length says 6,000, more than there is room for", lambda: _photo(length=6000)),
    "photo-without-start": ("the photo does not begin with FF D8", lambda: _photo(lambda jpeg: bytes(2) + jpeg[2:])),
    "photo-without-end": ("the photo does not end with FF D9", lambda: _photo(lambda jpeg: jpeg[:-2] + bytes(2))),
    "photo-white-space": (
        "white space all through the photo, whose cutting off would spoil it",
        lambda: with_photo(file_image(person(SERIAL)), portrait(SERIAL, PHOTO_AREA_BYTES, _WHITE)),
    ),
    "photo-white-end": (
        "white space after the photo's end, within its length",
        lambda: _photo(lambda jpeg: jpeg + _WHITE),
    ),
}
