"""Names and addresses, with everything that is known to stand on cards."""

import pytest

from appliance.cards.person import Address, Name
from appliance.cards.text import Unreadable

SLOTS = ("house", "moo", "trok", "soi", "road", "subdistrict", "district", "province")


def thai(text: str) -> Name | None:
    return Name.parse(text.encode("tis-620").ljust(100), "")


def english(text: str) -> Name | None:
    return Name.parse(text.encode("ascii").ljust(100), " ")


def address(text: str, size_bytes: int = 160) -> Address | None:
    return Address.parse(text.encode("tis-620").ljust(size_bytes))


@pytest.mark.parametrize(
    ("raw", "parts", "full"),
    [
        ("นาย#สมชาย#กลาง#ใจดีมาก", ("นาย", "สมชาย", "กลาง", "ใจดีมาก"), "นายสมชาย กลาง ใจดีมาก"),
        ("น.ส.#มาลี##ใจงาม", ("น.ส.", "มาลี", "", "ใจงาม"), "น.ส.มาลี ใจงาม"),
        ("นาย#จันทร์##", ("นาย", "จันทร์", "", ""), "นายจันทร์"),
        ("#สมชาย##ใจดี", ("", "สมชาย", "", "ใจดี"), "สมชาย ใจดี"),
        ("พ.ต.ท. # สมชาย # # ใจดี ", ("พ.ต.ท.", "สมชาย", "", "ใจดี"), "พ.ต.ท.สมชาย ใจดี"),
    ],
)
def test_thai_names(raw: str, parts: tuple[str, ...], full: str) -> None:
    found = thai(raw)
    assert found is not None
    assert (found.title, found.first, found.middle, found.last) == parts
    assert found.full == full


def test_an_english_name_has_a_space_after_its_title() -> None:
    found = english("Mr.#Somchai#Klang#Jaideemak")
    assert found is not None
    assert found.full == "Mr. Somchai Klang Jaideemak"


@pytest.mark.parametrize("raw", ["", "###"])
def test_a_blank_name_is_none(raw: str) -> None:
    assert english(raw) is None


@pytest.mark.parametrize("raw", ["นายสมชาย ใจดี", "นาย#สมชาย", "นาย#สมชาย#ใจดี", "นาย#สมชาย##ใจดี#"])
def test_another_number_of_parts_is_not_guessed(raw: str) -> None:
    with pytest.raises(Unreadable, match="parts"):
        thai(raw)


def test_an_address_with_everything() -> None:
    found = address("99/9#หมู่ที่ 4#ตรอกจันทน์#ซอยสีลม 3#ถนนสีลม#ตำบลบางรัก#อำเภอบางรัก#จังหวัดกรุงเทพมหานคร")
    assert found is not None
    assert tuple(getattr(found, slot) for slot in SLOTS) == (
        "99/9", "หมู่ที่ 4", "ตรอกจันทน์", "ซอยสีลม 3", "ถนนสีลม", "ตำบลบางรัก", "อำเภอบางรัก", "จังหวัดกรุงเทพมหานคร",
    )  # fmt: skip
    assert found.full == "99/9 หมู่ที่ 4 ตรอกจันทน์ ซอยสีลม 3 ถนนสีลม ตำบลบางรัก อำเภอบางรัก จังหวัดกรุงเทพมหานคร"


def test_bangkok_has_other_labels_and_none_for_itself() -> None:
    found = address("99/9###ซอยสีลม 3#ถนนสีลม#แขวงสีลม#เขตบางรัก#กรุงเทพมหานคร")
    assert found is not None
    assert (found.subdistrict, found.district, found.province) == ("แขวงสีลม", "เขตบางรัก", "กรุงเทพมหานคร")
    assert (found.moo, found.trok, found.soi) == ("", "", "ซอยสีลม 3")


def test_a_label_says_more_than_the_place() -> None:
    found = address("1#หมู่ที่ 4#ซอยวัดใหม่###ตำบลบางรัก#อำเภอบางรัก#จังหวัดสมมุติ")
    assert found is not None
    assert (found.trok, found.soi) == ("", "ซอยวัดใหม่"), "a soi in the place of the trok is a soi"


def test_where_a_label_is_doubled_the_places_count() -> None:
    found = address("1##ซอย 1#ซอย 2##ตำบลบางรัก#อำเภอบางรัก#จังหวัดสมมุติ")
    assert found is not None
    assert (found.trok, found.soi) == ("ซอย 1", "ซอย 2")


def test_a_housing_estate_is_no_village_number() -> None:
    found = address("1###หมู่บ้านสุขใจ##ตำบลบางรัก#อำเภอบางรัก#จังหวัดสมมุติ")
    assert found is not None
    assert (found.moo, found.soi) == ("", "หมู่บ้านสุขใจ")


def test_an_address_of_160_bytes_is_whole() -> None:
    head, tail = "1/1#หมู่ที่ 12###", "#ตำบลตัวอย่าง#อำเภอทดสอบ#จังหวัดสมมุติ"
    road = "ถนน" + "ก" * (160 - len(head) - len(tail) - 3)
    found = address(head + road + tail)
    assert found is not None
    assert found.road == road
    assert found.province == "จังหวัดสมมุติ"


@pytest.mark.parametrize("raw", ["", "#######"])
def test_a_blank_address_is_none(raw: str) -> None:
    assert address(raw) is None


@pytest.mark.parametrize("raw", ["บ้าน", "1######", "1########"])
def test_an_address_of_other_parts_is_not_guessed(raw: str) -> None:
    with pytest.raises(Unreadable, match="parts"):
        address(raw)
