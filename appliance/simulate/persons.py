"""Invented people, and the files that their cards hold. None can exist: digits 2 to 5 of their numbers are 0000, and
no registry office has that number.

These are the only 13-digit numbers with a right check digit that may stand in this repository, and they are made,
not written down.

A ``Person`` is what the card says, also where that is wrong: every text may hold anything. A byte that TIS-620 does
not define is written as the surrogate escape of it, ``"\\udcdb"`` for 0xDB.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from appliance.cards.citizen_id import check_digit
from appliance.simulate.portrait import USUAL_BYTES, portrait

FILE_BYTES = 5950
PHOTO_LENGTH_AT = 0x0179
PHOTO_AT = 0x017B
PHOTO_AREA_BYTES = 5118
OLD_PHOTO_AT = 0x0179
HEALTH_FILE_BYTES = 350

#: Member of ``Person`` -> where it stands in the file, and its size in bytes.
PLACES: Mapping[str, tuple[int, int]] = {
    "version": (0x0000, 4),
    "citizen_id": (0x0004, 13),
    "name_th": (0x0011, 100),
    "name_en": (0x0075, 100),
    "birth": (0x00D9, 8),
    "sex": (0x00E1, 1),
    "request_number": (0x00E2, 20),
    "issuer": (0x00F6, 100),
    "issuer_code": (0x015A, 13),
    "issued": (0x0167, 8),
    "expiry": (0x016F, 8),
    "card_type": (0x0177, 2),
    "address": (0x1579, 160),
    "photo_number": (0x1619, 14),
}
#: Member of ``HealthRight`` -> the same for the file of the health insurance.
HEALTH_PLACES: Mapping[str, tuple[int, int]] = {
    "main_right": (0x0004, 60),
    "sub_right": (0x0040, 100),
    "main_hospital": (0x00A4, 80),
    "sub_hospital": (0x00F4, 80),
    "paid_type": (0x0144, 1),
    "issued": (0x0145, 8),
    "expiry": (0x014D, 8),
    "updated": (0x0155, 8),
    "hospital_changes": (0x015D, 1),
}

_FIRST_TH = ("สมชาย", "มาลี", "วิชัย", "กานดา", "ประเสริฐ", "น้ำฝน", "ธีรเดช", "ฐิติมา")
_FIRST_EN = ("Somchai", "Malee", "Wichai", "Kanda", "Prasoet", "Namfon", "Thiradet", "Thitima")
_LAST_TH = ("ทดสอบดี", "ตัวอย่างงาม", "สมมุติวงศ์", "จำลองสุข", "ไม่มีตัวตน", "ในนิทาน", "ลองระบบ")
_LAST_EN = ("Thotsopdi", "Tuayangngam", "Sommutwong", "Chamlongsuk", "Maimituaton", "Nainithan", "Longrabop")


def synthetic_number(serial: int, first_digit: int = 1) -> str:
    """Return the citizen number of invented person ``serial`` (0 to 9,999,999), 13 digits."""
    twelve = f"{first_digit}0000{serial:07d}"
    return twelve + check_digit(twelve)


@dataclass(frozen=True)
class HealthRight:
    """What the applet of the health insurance holds; dates are eight digits of the Buddhist era."""

    main_right: str = "สิทธิหลักประกันสุขภาพแห่งชาติ"
    sub_right: str = "ประชาชนสมมุติ"
    main_hospital: str = "โรงพยาบาลตัวอย่าง"
    sub_hospital: str = "สถานีอนามัยจำลอง"
    paid_type: str = "1"
    issued: str = "25660401"
    expiry: str = "25751230"
    updated: str = "25670115"
    hospital_changes: str = "0"


@dataclass(frozen=True)
class Person:
    """An invented person as a card holds one; dates are eight digits of the Buddhist era.

    Args:
        citizen_id: 13 digits, synthetic.
        name_th: ``title#first#middle#last``.
        name_en: the same in English.
        birth: the day of birth.
        sex: ``1`` or ``2``.
        expiry: the last day of the card.
        version: ``0003``, or ``0002`` for the first cards, which keep the person in another block.
        request_number: of the request for the card.
        issuer: where the card was issued.
        issuer_code: 13 digits.
        issued: the day of issue.
        card_type: ``01`` on all cards seen.
        address: eight parts by ``#``: house, moo, trok, soi, road, tambon, amphoe, province.
        photo_number: 14 digits, printed under the photo.
        photo_bytes: size of the photo; 0 for none.
        face: which face is drawn.
        laser: the number on the card's back, two letters and ten digits.
        chip_number: eight bytes of the chip's own record.
        health: what the health insurance wrote.
    """

    citizen_id: str
    name_th: str
    name_en: str
    birth: str
    sex: str
    expiry: str
    version: str = "0003"
    request_number: str = "1001-03-05151130/001"
    issuer: str = "ท้องถิ่นจำลอง/จังหวัดสมมุติ"
    issuer_code: str = "0000000000017"
    issued: str = "25650101"
    card_type: str = "01"
    address: str = "99/9#หมู่ที่ 4####ตำบลตัวอย่าง#อำเภอทดสอบ#จังหวัดสมมุติ"
    photo_number: str = "00000100000000"
    photo_bytes: int = USUAL_BYTES
    face: int = 0
    laser: str = "ZZ0000000000"
    chip_number: bytes = bytes(8)
    health: HealthRight = field(default_factory=HealthRight)

    @property
    def full_name_th(self) -> str:
        """Return the Thai name as one string."""
        title, *rest = self.name_th.split("#")
        return title + " ".join(part for part in rest if part)


def person(serial: int, expiry: str = "25751230") -> Person:
    """Return invented person ``serial``; the same serial is always the same person."""
    is_woman = bool(serial % 2)
    first, last = serial % len(_FIRST_TH), serial % len(_LAST_TH)
    return Person(
        citizen_id=synthetic_number(serial),
        name_th=f"{'นางสาว' if is_woman else 'นาย'}#{_FIRST_TH[first]}##{_LAST_TH[last]}",
        name_en=f"{'Miss' if is_woman else 'Mr.'}#{_FIRST_EN[first]}##{_LAST_EN[last]}",
        birth=f"{2535 + serial % 30}{1 + serial % 12:02d}{1 + serial % 28:02d}",
        sex="2" if is_woman else "1",
        expiry=expiry,
        photo_number=f"000001{serial:08d}",
        face=serial,
        laser=f"ZZ{serial:010d}",
        chip_number=serial.to_bytes(8, "big"),
    )


@lru_cache(maxsize=64)
def file_image(who: Person, padding: bytes = b" ") -> bytes:
    """Return the applet's file for an invented person, 5,950 bytes, each text padded with ``padding``."""
    image = _filled(FILE_BYTES, who, PLACES, padding)
    return with_photo(image, portrait(who.face, who.photo_bytes) if who.photo_bytes else b"")


def with_photo(image: bytes, photo: bytes, length: int | None = None) -> bytes:
    """Return the file with another photo.

    Args:
        image: the file.
        photo: up to 5,118 bytes; what it leaves free of its area is spaces.
        length: what the card says of the photo's size, in bytes; None for the truth.
    """
    said = (len(photo) if length is None else length).to_bytes(2, "big")
    area = photo[:PHOTO_AREA_BYTES].ljust(PHOTO_AREA_BYTES)
    return image[:PHOTO_LENGTH_AT] + said + area + image[PHOTO_AT + PHOTO_AREA_BYTES :]


def blocks(image: bytes) -> dict[int, bytes]:
    """Return what a card's read command finds under each block id.

    A card of version 0002 keeps the person in block 1, with the photo two bytes earlier, and in block 0 the address
    alone, 150 bytes from offset 4. Three programs of others agree on that; nobody shows a capture.
    """
    version = image[:4]
    if version != b"0002":
        return {0: image}
    address_at, _ = PLACES["address"]
    photo = image[PHOTO_AT:][:PHOTO_AREA_BYTES]
    return {
        0: (version + image[address_at:][:150]).ljust(FILE_BYTES),
        1: (image[:OLD_PHOTO_AT] + photo).ljust(FILE_BYTES),
    }


def health_image(who: Person) -> bytes:
    """Return the file of the health insurance's applet, 350 bytes."""
    return _filled(HEALTH_FILE_BYTES, who.health, HEALTH_PLACES, b" ")


def _filled(size_bytes: int, source: object, places: Mapping[str, tuple[int, int]], padding: bytes) -> bytes:
    image = bytearray(b" " * size_bytes)
    for name, (offset, room_bytes) in places.items():
        text: str = getattr(source, name)
        image[offset : offset + room_bytes] = _encoded(text).ljust(room_bytes, padding)[:room_bytes]
    return bytes(image)


def _encoded(text: str) -> bytes:
    return text.encode("tis-620", "surrogateescape")
