"""Invented people. None can exist: digits 2 to 5 of their numbers are 0000, and no registry office has that number.

These are the only 13-digit numbers with a right check digit that may stand in this repository, and they are made,
not written down.
"""

from dataclasses import dataclass

from appliance.cards.citizen_id import check_digit

_FILE_BYTES = 5950

_FIRST_TH = ("สมชาย", "มาลี", "วิชัย", "กานดา", "ประเสริฐ", "น้ำฝน", "ธีรเดช", "ฐิติมา")
_FIRST_EN = ("Somchai", "Malee", "Wichai", "Kanda", "Prasoet", "Namfon", "Thiradet", "Thitima")
_LAST_TH = ("ทดสอบดี", "ตัวอย่างงาม", "สมมุติวงศ์", "จำลองสุข", "ไม่มีตัวตน", "ในนิทาน", "ลองระบบ")
_LAST_EN = ("Thotsopdi", "Tuayangngam", "Sommutwong", "Chamlongsuk", "Maimituaton", "Nainithan", "Longrabop")


def synthetic_number(serial: int, first_digit: int = 1) -> str:
    """Return the citizen number of invented person ``serial`` (0 to 9,999,999), 13 digits."""
    twelve = f"{first_digit}0000{serial:07d}"
    return twelve + check_digit(twelve)


@dataclass(frozen=True)
class Person:
    """An invented person as a card holds one.

    Args:
        citizen_id: 13 digits, synthetic.
        name_th: ``title#first#middle#last``.
        name_en: the same in English.
        birth: eight digits of the Buddhist era.
        sex: ``1`` or ``2``.
        expiry: eight digits of the Buddhist era.
    """

    citizen_id: str
    name_th: str
    name_en: str
    birth: str
    sex: str
    expiry: str

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
    )


def file_image(who: Person) -> bytes:
    """Return the applet's file for an invented person, 5,950 bytes."""
    image = bytearray(b" " * _FILE_BYTES)

    def put(offset: int, size_bytes: int, text: str) -> None:
        image[offset : offset + size_bytes] = text.encode("tis-620").ljust(size_bytes)[:size_bytes]

    put(0x0000, 4, "0003")
    put(0x0004, 13, who.citizen_id)
    put(0x0011, 100, who.name_th)
    put(0x0075, 100, who.name_en)
    put(0x00D9, 8, who.birth)
    put(0x00E1, 1, who.sex)
    put(0x00F6, 100, "ท้องถิ่นจำลอง/จังหวัดสมมุติ")
    put(0x0167, 8, "25650101")
    put(0x016F, 8, who.expiry)
    put(0x0177, 2, "01")
    put(0x1579, 160, "99/9#หมู่ที่ 4####ตำบลตัวอย่าง#อำเภอทดสอบ#จังหวัดสมมุติ")
    return bytes(image)
