"""61xx, 6Cxx, errors, and cards that do not come to an end, against scripted answers."""

from collections.abc import Callable

import pytest

from appliance.cards.apdu import Command, Response
from appliance.cards.session import MAX_CORRECTIONS, MAX_GET_RESPONSE, Session
from appliance.errors import CardGarbled, CardRefused, CardReset

READ = Command(0x80, 0xB0, 0x00, 0x04, bytes([0x00, 13]))
SELECT = Command(0x00, 0xA4, 0x04, 0x00, bytes(8))
NUMBER = b"0123456789012"


def script(*answers: str | bytes) -> tuple[list[str], Callable[[bytes], bytes]]:
    """Return the log of commands and a card that gives ``answers`` in turn, the last one for ever."""
    log: list[str] = []
    left = [bytes.fromhex(answer) if isinstance(answer, str) else answer for answer in answers]

    def transmit(command: bytes) -> bytes:
        log.append(command.hex())
        return left.pop(0) if len(left) > 1 else left[0]

    return log, transmit


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (Command(0x00, 0xA4, 0x04, 0x00, bytes(8)), "00a4040008" + "00" * 8),
        (Command(0x00, 0xC0, 0x00, 0x00, le=13), "00c000000d"),
        (Command(0x00, 0xC0, 0x00, 0x00, le=256), "00c0000000"),
        (READ, "80b0000402000d"),
    ],
)
def test_commands_have_the_short_form(command: Command, expected: str) -> None:
    assert bytes(command).hex() == expected


@pytest.mark.parametrize("size", [0, 1, 259, 60_002])
def test_an_answer_of_impossible_length_is_garbled(size: int) -> None:
    with pytest.raises(CardGarbled):
        Response.parse(bytes(size))


def test_61xx_is_fetched() -> None:
    log, transmit = script("610d", NUMBER + b"\x90\x00")
    assert Session(transmit).ask(READ, 13) == NUMBER
    assert log == ["80b0000402000d", "00c000000d"]


def test_data_may_come_at_once() -> None:
    log, transmit = script(NUMBER + b"\x90\x00")
    assert Session(transmit).ask(READ, 13) == NUMBER
    assert len(log) == 1


def test_6cxx_asks_again_with_the_right_length() -> None:
    log, transmit = script("610d", "6c0c", NUMBER[:12] + b"\x61\x01", NUMBER[12:] + b"\x90\x00")
    assert Session(transmit).ask(READ, 13) == NUMBER
    assert log[1:] == ["00c000000d", "00c000000c", "00c0000001"]


def test_an_answer_in_parts_is_put_together() -> None:
    _, transmit = script("6108", NUMBER[:8] + b"\x61\x05", NUMBER[8:] + b"\x90\x00")
    assert Session(transmit).ask(READ, 13) == NUMBER


@pytest.mark.parametrize("answer", ["6a82", "6982", "6d00", "6e00", "6b00", "9001", "ffff", "6200"])
def test_an_error_is_refused_with_its_status_word(answer: str) -> None:
    _, transmit = script(answer)
    with pytest.raises(CardRefused) as caught:
        Session(transmit).ask(READ, 13)
    assert caught.value.sw == int(answer, 16)


@pytest.mark.parametrize("size", range(13))
def test_a_short_answer_is_garbled_at_every_length(size: int) -> None:
    _, transmit = script(NUMBER[:size] + b"\x90\x00")
    with pytest.raises(CardGarbled):
        Session(transmit).ask(READ, 13)


def test_a_long_answer_is_garbled() -> None:
    _, transmit = script(NUMBER + b"4\x90\x00")
    with pytest.raises(CardGarbled):
        Session(transmit).ask(READ, 13)


def test_more_than_was_asked_for_is_not_even_fetched() -> None:
    log, transmit = script("61ff")
    with pytest.raises(CardGarbled):
        Session(transmit).ask(READ, 13)
    assert len(log) == 1


def test_61xx_for_ever_ends() -> None:
    log, transmit = script("6101")
    with pytest.raises(CardGarbled):
        Session(transmit).ask(READ, 13)
    assert len(log) == 1 + MAX_GET_RESPONSE


def test_6cxx_for_ever_ends() -> None:
    log, transmit = script("6c01")
    with pytest.raises(CardGarbled):
        Session(transmit).ask(READ, 13)
    assert len(log) == 1 + MAX_CORRECTIONS


@pytest.mark.parametrize("answer", ["6985", "6986"])
def test_a_lost_applet_is_a_reset(answer: str) -> None:
    _, transmit = script("610d", answer)
    with pytest.raises(CardReset):
        Session(transmit).ask(READ, 13)


@pytest.mark.parametrize("refusal", ["6a86", "6b00"])
def test_get_response_is_tried_with_p2_01_where_00_is_refused_and_then_always(refusal: str) -> None:
    log, transmit = script("610d", refusal, NUMBER + b"\x90\x00", "610d", NUMBER + b"\x90\x00")
    session = Session(transmit)
    assert session.ask(READ, 13) == NUMBER
    assert session.ask(READ, 13) == NUMBER
    assert log[1:] == ["00c000000d", "00c000010d", "80b0000402000d", "00c000010d"]
    assert session.apdus == 5


@pytest.mark.parametrize("refusal", ["6a86", "6b00"])
def test_a_card_that_refuses_both_forms_of_get_response_is_refused(refusal: str) -> None:
    log, transmit = script("610d", refusal)
    with pytest.raises(CardRefused):
        Session(transmit).ask(READ, 13)
    assert len(log) == 3


def test_a_refused_read_is_not_tried_with_another_p2() -> None:
    log, transmit = script("6b00")
    with pytest.raises(CardRefused):
        Session(transmit).ask(READ, 13)
    assert len(log) == 1


@pytest.mark.parametrize("answer", ["9000", "610a"])
def test_select_accepts_both_answers_of_real_cards(answer: str) -> None:
    _, transmit = script(answer)
    Session(transmit).select(SELECT)


def test_select_of_the_card_manager_corrects_its_length() -> None:
    log, transmit = script("6c12", bytes(18) + b"\x90\x00")
    Session(transmit).select(Command(0x00, 0xA4, 0x04, 0x00, le=256))
    assert log == ["00a4040000", "00a4040012"]


@pytest.mark.parametrize("answer", ["6a82", "6d00", "6e00", "6999", "ffff"])
def test_a_select_that_is_refused_says_why(answer: str) -> None:
    _, transmit = script(answer)
    with pytest.raises(CardRefused, match=answer.upper()):
        Session(transmit).select(SELECT)
