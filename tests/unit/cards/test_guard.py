"""The allow-list: what the service may read goes to the card, and not one command more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.cards import reading
from appliance.cards.guard import Guard
from appliance.cards.thai_id import ALL, CID, TEXT, WITH_PHOTO, Applet, Field, read_file, select
from appliance.errors import CommandForbidden
from appliance.simulate.card import ThaiCard
from appliance.simulate.persons import person

SELECT_MOI = bytes(select(Applet.MOI))
READ_NUMBER = bytes.fromhex("80B0000402000D")
FIELDS = st.sets(st.sampled_from(Field), min_size=1)


class Card:
    """Keeps what reaches it, and answers everything with success."""

    def __init__(self, sw: bytes = b"\x90\x00") -> None:
        self.log: list[bytes] = []
        self.sw = sw

    def transmit(self, command: bytes) -> bytes:
        self.log.append(command)
        return self.sw


def guard(card: Card, *fields: Field) -> Guard:
    return Guard(card.transmit, fields)


def test_attendance_may_select_read_the_number_and_fetch_it() -> None:
    card = Card()
    attendance = guard(card, *CID)
    sent = [SELECT_MOI, READ_NUMBER, bytes.fromhex("00C000000D"), bytes.fromhex("00C000010D"), READ_NUMBER + b"\x0d"]
    for command in sent:
        attendance.transmit(command)
    assert card.log == sent


@pytest.mark.parametrize(
    "command",
    [
        "80B0000402000E",  # one byte more
        "80B0000302000D",  # one byte before
        "80B0001102000D",  # elsewhere
        "80B0000402010D",  # another block
        "80B00004020000",  # no length, which a card could take for 256
        "80B0000402000D0D0D",  # something behind it
        "80B1000402000D",  # the other read command of old cards
        "80B0000403000D00",
        "00B000040D",  # READ BINARY
        "00A4040008A000000054480083",  # another applet
        "00A4040008A0000000544800",
        "00A4040000",  # the card manager
        "00A404000C315041592E5359532E4444463031",
        "8000000017",  # the laser number
        "80CA9F7F2D",  # the chip number
        "00C0000200",
        "00C00000",
        "0020008108FFFFFFFFFFFFFFFF",  # VERIFY
        "00D6000001FF",  # UPDATE BINARY
        "80",
        "",
    ],
)
def test_everything_else_is_refused_and_never_sent(command: str) -> None:
    card = Card()
    attendance = guard(card, *CID)
    attendance.transmit(SELECT_MOI)
    with pytest.raises(CommandForbidden):
        attendance.transmit(bytes.fromhex(command))
    assert card.log == [SELECT_MOI]


def test_nothing_is_read_before_an_applet_is_selected() -> None:
    card = Card()
    with pytest.raises(CommandForbidden):
        guard(card, *CID).transmit(READ_NUMBER)
    assert card.log == []


def test_the_health_offices_offsets_give_no_right_to_the_ministrys_file() -> None:
    card = Card()
    health = guard(card, Field.CITIZEN_ID, Field.HEALTH)
    names = bytes(read_file(Field.NAME_TH.stretch))
    health.transmit(SELECT_MOI)
    with pytest.raises(CommandForbidden):
        health.transmit(names)
    health.transmit(bytes(select(Applet.NHSO)))
    health.transmit(names)
    assert card.log[-1] == names


def test_a_refused_select_gives_no_right_to_the_applet_before_it() -> None:
    card = Card()
    both = guard(card, Field.CITIZEN_ID, Field.HEALTH)
    both.transmit(SELECT_MOI)
    both.transmit(bytes(read_file(Field.CITIZEN_ID.stretch)))
    card.sw = b"\x6a\x82"
    both.transmit(bytes(select(Applet.NHSO)))
    with pytest.raises(CommandForbidden):
        both.transmit(bytes(read_file(Field.CITIZEN_ID.stretch)))


def test_no_field_means_no_command() -> None:
    card = Card()
    with pytest.raises(CommandForbidden):
        guard(card).transmit(SELECT_MOI)


@pytest.mark.parametrize("fields", [CID, TEXT, WITH_PHOTO, ALL], ids=["cid", "text", "photo", "all"])
def test_a_whole_read_passes_its_own_list(fields: tuple[Field, ...]) -> None:
    card = ThaiCard(person(1))
    allowed = Guard(lambda command: card.answer(command) or b"", fields)
    record = reading.read(allowed.transmit, fields)
    assert record.citizen_id == person(1).citizen_id
    assert set(record.values) == set(fields)


@given(FIELDS, FIELDS)
def test_a_read_of_other_fields_than_allowed_never_gets_a_byte_of_them(asked: set[Field], allowed: set[Field]) -> None:
    card = ThaiCard(person(1))
    line = Guard(lambda command: card.answer(command) or b"", allowed)
    if asked <= allowed:
        reading.read(line.transmit, list(asked))
    else:
        with pytest.raises(CommandForbidden):
            reading.read(line.transmit, list(asked))
    may_be_read = {at for field in allowed if field.applet is Applet.MOI for at in field.stretch}
    if Field.PHOTO in allowed:
        may_be_read |= {0x0179, 0x017A}
    if not {field.applet for field in allowed} & {Applet.NHSO}:
        for command in card.log:
            if command[:2] == b"\x80\xb0":
                start = int.from_bytes(command[2:4], "big")
                assert set(range(start, start + command[6])) <= may_be_read


@given(st.binary(max_size=12))
def test_no_bytes_at_all_are_a_way_round(command: bytes) -> None:
    card = Card()
    attendance = guard(card, *CID)
    attendance.transmit(SELECT_MOI)
    try:
        attendance.transmit(command)
    except CommandForbidden:
        assert card.log == [SELECT_MOI]
        return
    assert (
        command == SELECT_MOI
        or command[:5] in (b"\x80\xb0\x00\x04\x02", b"\x80\xb0\x00\x05\x02")
        or command[1]
        in (
            0xB0,
            0xC0,
        )
    )
