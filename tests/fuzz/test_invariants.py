"""Every assertion of the fuzzers is shown to be able to fail."""

from collections.abc import Mapping
from typing import Any

import pytest

from appliance.cards.dates import CardDate, Precision
from appliance.cards.person import Address, Name
from appliance.cards.photo import Photo
from appliance.cards.record import Problem, Record
from appliance.cards.thai_id import CID, TEXT, Applet, Field, read_file, select
from tests.fuzz.invariants import AllowList, check_decoding, check_record, check_value, is_blank
from tests.fuzz.session import Script, Step, chosen, may_read

NAME = Name("Mr.", "A", "", "B", "Mr. A B")
BLANK = CardDate(Precision.UNKNOWN, raw="20", is_blank=True)


def record(values: Mapping[Field, Any], *problems: Problem) -> Record:
    return Record(values, problems, 3)


@pytest.mark.parametrize(
    "broken",
    [
        record({Field.ISSUER: "a\x1b[31m"}),
        record({Field.ISSUER: "a\u200f"}),
        record({Field.ISSUER: "a\u2028"}),
        record({Field.NAME_EN: Name("Mr.", "A", "", "\x07", "Mr. A")}),
        record({Field.ISSUER: "half"}, Problem("issuer", "control", "1b")),
        record({Field.ISSUER: None}, Problem("issuer", "some_code", "1b")),
        record({Field.ISSUER: None}, Problem("issuer.part", "control", "1b")),
        record({Field.ISSUER: None}, Problem("issuer", "control", "1B")),
        record({Field.ISSUER: None}, *[Problem("issuer", "control", "1b")] * 2),
        record({Field.BIRTH_DATE: CardDate(Precision.LIFETIME)}, Problem("birth_date", "not_a_date", "20")),
        record({Field.BIRTH_DATE: CardDate(Precision.UNKNOWN, raw="20")}),
        record({Field.CITIZEN_ID: "\x00"}),
    ],
)
def test_a_record_that_is_not_as_it_must_be(broken: Record) -> None:
    with pytest.raises((AssertionError, ValueError)):
        check_record(broken)


@pytest.mark.parametrize("broken", [Problem("nothing", "control", "1b"), Problem("issuer", "control", "xy")])
def test_a_problem_that_is_none(broken: Problem) -> None:
    with pytest.raises((KeyError, ValueError)):
        check_record(record({Field.ISSUER: None}, broken))


@pytest.mark.parametrize(
    ("field", "value", "raw"),
    [
        (Field.ISSUER, "AB", b"ABC"),
        (Field.ISSUER, "A?C", b"A\xdbC"),
        (Field.SEX, "male", b"2"),
        (Field.CHIP_NUMBER, "00", b"\x01"),
        (Field.NAME_EN, NAME, b"Mr.#A#B#"),
        (Field.NAME_EN, NAME, b"Mr.#A##B#C"),
        (Field.NAME_EN, Name("Mr.", "A", "", "B", "Mr. A C"), b"Mr.#A##B"),
        (Field.ADDRESS, Address("1", "", "", "", "", "", "", "", "1 2"), b"1#######"),
        (Field.ADDRESS, Address("1", "", "", "", "", "", "", "", "1"), b"1######2#"),
        (Field.PHOTO, Photo(b"\xff\xd8\xff\xd9"), b"\x00\x05\xff\xd8\xff\xd9\x00"),
        (Field.PHOTO, Photo(b"GIF89a"), b"\x00\x06GIF89a"),
        (Field.BIRTH_DATE, CardDate(Precision.DAY, "1994-12-31"), b"25371230"),
        (Field.BIRTH_DATE, CardDate(Precision.DAY, "1994-12"), b"25371200"),
        (Field.BIRTH_DATE, CardDate(Precision.LIFETIME), b"99999998"),
        (Field.BIRTH_DATE, CardDate(Precision.UNKNOWN, raw="30"), b"1"),
        (Field.BIRTH_DATE, BLANK, b"1"),
        (Field.ISSUER, 7, b"7"),
    ],
)
def test_a_value_that_is_not_what_the_bytes_say(field: Field, value: object, raw: bytes) -> None:
    with pytest.raises(AssertionError):
        check_value(field, value, raw)


def test_only_blank_fields_may_be_none_without_a_problem() -> None:
    assert is_blank(Field.ISSUER, b" \0")
    assert not is_blank(Field.ISSUER, b"#")
    assert is_blank(Field.ADDRESS, b"#######")
    assert is_blank(Field.PHOTO, b"\0\0\xff")
    assert not is_blank(Field.PHOTO, b"\0\1")
    assert check_decoding({Field.ISSUER: b" "}).values == {Field.ISSUER: None}


@pytest.mark.parametrize(
    "command",
    [
        bytes(select(Applet.NHSO)),
        bytes(select(Applet.MOI)) + b"\0\0",
        bytes(read_file(range(4, 18))),
        bytes(read_file(range(3, 17))),
        bytes.fromhex("80B00004020000"),
        bytes.fromhex("80B0000402010D"),
        bytes.fromhex("00C0000200"),
        bytes.fromhex("00C00100"),
        bytes.fromhex("8000000017"),
        b"",
    ],
    ids=bytes.hex,
)
def test_a_command_that_may_not_be_sent(command: bytes) -> None:
    judge = AllowList(CID)
    judge.check(bytes(select(Applet.MOI)), b"\x61\x0a")
    judge.check(bytes(read_file(range(4, 17))), b"\x61\x0d")
    with pytest.raises(AssertionError):
        judge.check(command, b"")


def test_no_file_is_read_where_no_applet_is_selected() -> None:
    judge = AllowList(TEXT)
    with pytest.raises(AssertionError):
        judge.check(bytes(read_file(range(4, 17))), b"")
    judge.check(bytes(select(Applet.MOI)), b"\x6a\x82")
    with pytest.raises(AssertionError):
        judge.check(bytes(read_file(range(4, 17))), b"")


def test_a_read_without_end_is_noticed() -> None:
    card = Script(bytes([Step.FOR_EVER, 2, 0x61, 0xFF]), at_most=2)
    assert card.transmit(b"\x00\xc0\x00\x00\x00") == card.transmit(b"\x00\xc0\x00\x00\x00") == b"\x61\xff"
    with pytest.raises(AssertionError):
        card.transmit(b"\x00\xc0\x00\x00\x00")


def test_the_masks_of_an_input_name_fields() -> None:
    assert chosen(b"\0\0\2") == [Field.CITIZEN_ID]
    assert chosen(b"\xff\xff\xff") == list(Field)
    assert may_read(CID, set(TEXT))
    assert not may_read(TEXT, set(CID))
    assert may_read([Field.HEALTH], {Field.HEALTH})
    assert not may_read([], set())
