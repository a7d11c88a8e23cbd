"""Whatever bytes a card holds, a record tells the truth of them: the assertions of tests/fuzz, on hypothesis' bytes."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.cards.decode import decode
from appliance.cards.health import Health
from appliance.cards.record import Record
from appliance.cards.thai_id import Applet, Field
from tests.fuzz import record as target
from tests.fuzz.invariants import check_decoding, check_record

PATIENT = settings(deadline=None)  # the machine may have much else to do
LETTERS = [*range(0x20, 0x7F), *range(0xA1, 0xDB), *range(0xDF, 0xFC)]
THAI = bytes(byte for byte in LETTERS if byte > 0x7F)
TEXTS = [Field.VERSION, Field.REQUEST_NUMBER, Field.ISSUER, Field.CARD_TYPE]
DATES = [Field.BIRTH_DATE, Field.ISSUE_DATE, Field.EXPIRY_DATE]
IN_PARTS = {Field.NAME_TH: 4, Field.NAME_EN: 4, Field.ADDRESS: 8}

any_bytes = st.binary(max_size=200)
letters = st.lists(st.sampled_from(LETTERS), max_size=40).map(bytes)
digits = st.text("0123456789", max_size=14).map(str.encode)
parts = st.lists(letters.map(lambda text: text.replace(b"#", b"")), min_size=3, max_size=9).map(b"#".join)
almost = st.one_of(any_bytes, letters, digits, parts).flatmap(
    lambda body: st.sampled_from([body, body.ljust(100), body.ljust(100, b"\0"), b" " + body + b" \0 \0"])
)
photos = st.builds(
    lambda body, head, tail: len(head + body + tail).to_bytes(2, "big") + head + body + tail,
    st.binary(max_size=300),
    st.sampled_from([b"\xff\xd8\xff", b"\xff\xd8", b""]),
    st.sampled_from([b"\xff\xd9", b"\xff\xd9  \0", b"\xff\xd9\x0a", b""]),
)
held = {
    field: st.one_of(almost, photos) if field is Field.PHOTO else almost
    for field in Field
    if field.applet is Applet.MOI
} | {field: st.none() | almost for field in Field if field.applet is not Applet.MOI}
cards = st.fixed_dictionaries({}, optional=held)
whole_cards = st.fixed_dictionaries(
    {
        field: st.binary(min_size=field.size_bytes, max_size=field.size_bytes)
        for field in Field
        if field.size_bytes < 400
    }
)


@PATIENT
@given(cards)
def test_any_bytes_of_any_length_are_told_as_they_are(raw: dict[Field, bytes | None]) -> None:
    check_decoding(raw)


@PATIENT
@given(whole_cards)
def test_any_bytes_of_the_right_length_are_told_as_they_are(raw: dict[Field, bytes]) -> None:
    check_decoding(dict(raw))


@PATIENT
@given(cards, st.integers(0, 1000))
def test_a_record_comes_back_out_of_json(raw: dict[Field, bytes | None], apdus: int) -> None:
    record = decode(raw, apdus)
    assert Record.from_data(json.loads(json.dumps(record.as_data()))) == record


@PATIENT
@given(st.binary(max_size=1400))
def test_any_input_of_the_fuzzer_is_told_as_it_is(data: bytes) -> None:
    target.run(data)


@pytest.mark.parametrize("field", Field, ids=lambda field: field.symbol)
def test_each_byte_alone_throughout_and_before_and_behind_a_part(field: Field) -> None:
    divided = b"#".join([b"A"] * IN_PARTS.get(field, 1))
    for one in (bytes([byte]) for byte in range(256)):
        for raw in (
            one,
            one * min(field.size_bytes, 400),
            divided + one,
            one + divided,
            divided.replace(b"#", b"#" + one),
        ):
            check_decoding({field: raw})


@pytest.mark.parametrize("field", [*TEXTS, *IN_PARTS], ids=lambda field: field.symbol)
def test_every_letter_of_tis_620_is_read_and_nothing_else(field: Field) -> None:
    for byte in range(256):
        raw = b"#".join([b"A" + bytes([byte]) + b"B"] * IN_PARTS.get(field, 1))
        is_read = byte in LETTERS and not (byte == ord("#") and field in IN_PARTS)
        assert (decode({field: raw}, 0).values[field] is not None) == is_read


@pytest.mark.parametrize("field", Field, ids=lambda field: field.symbol)
@pytest.mark.parametrize("fill", [b"", b" ", b"\0", b"#", b"0", b"9", b"\xff", b"\xa0", b"\xdb", "ก".encode("tis-620")])
def test_a_field_of_one_byte_throughout_at_every_length(field: Field, fill: bytes) -> None:
    for size_bytes in range(0, 400, 7):
        check_decoding({field: fill * size_bytes})


@PATIENT
@given(st.sampled_from([*TEXTS, *IN_PARTS, *DATES, Field.HEALTH]), any_bytes)
def test_a_problem_names_the_bytes_that_make_it(field: Field, raw: bytes) -> None:
    for problem in decode({field: raw}, 0).problems:
        if field is not Field.HEALTH:
            assert decode({field: bytes.fromhex(problem.raw)}, 0).problems.count(problem) == 1


@PATIENT
@given(st.binary(min_size=346, max_size=346))
def test_the_parts_of_the_health_file_stand_for_themselves(raw: bytes) -> None:
    whole = decode({Field.HEALTH: raw}, 0)
    spoilt = decode({Field.HEALTH: b"\x1b" * 60 + raw[60:]}, 0)
    before, after = whole.values[Field.HEALTH], spoilt.values[Field.HEALTH]
    assert isinstance(before, Health)
    assert isinstance(after, Health)
    assert {**vars(before), "main_right": None} == vars(after)


@PATIENT
@given(st.permutations([*Field]))
def test_the_order_of_the_fields_changes_nothing_but_the_order(order: list[Field]) -> None:
    raw = target.fields_of(dict(target.seeds())["controls"])
    record = decode({field: raw[field] for field in order}, 1)
    check_record(record)
    assert record.as_data() | {"problems": 0} == decode(raw, 1).as_data() | {"problems": 0}


@pytest.mark.parametrize("raw", [b"1", b"123456789012", b"12345678901234"])
def test_a_number_that_has_not_thirteen_digits_is_not_shown(raw: bytes) -> None:
    assert decode({Field.CITIZEN_ID: raw}, 0).citizen_id is None


@pytest.mark.parametrize("length", [1, 3, 5, 5118])
def test_a_photo_of_another_length_than_the_card_says_is_not_shown(length: int) -> None:
    assert decode({Field.PHOTO: length.to_bytes(2, "big") + b"\xff\xd8\xff\xd9"}, 0).photo is None


def test_a_version_that_the_card_does_not_hold_is_no_problem() -> None:
    assert decode({Field.VERSION: None}, 0).problems == ()


@pytest.mark.parametrize("size_bytes", [0, 1, 60, 345])
def test_a_health_file_that_is_cut_is_not_shown(size_bytes: int) -> None:
    assert decode({Field.HEALTH: b"A" * size_bytes}, 0).values[Field.HEALTH] is None


def test_what_a_record_shows_is_a_copy() -> None:
    record = decode({Field.NAME_EN: b"Mr.#A##B"}, 0)
    record.as_data()["name_en"]["first"] = "C"
    assert record.values[Field.NAME_EN].first == "A"
