"""A virtual card in a virtual reader speaks vpcd's frames over a real socket."""

import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from appliance.simulate.card import ATR_THAI, MuteCard, ThaiCard
from appliance.simulate.persons import person
from appliance.simulate.quirks import OtherAtr, PulledAt
from appliance.simulate.vpcd import VpcdCard
from tests.unit.simulate.apdus import READ_NUMBER, SELECT, fetch


class Vpcd:
    """The driver's end of the wire: listens, and sends frames to the card that dials in."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def accept(self) -> None:
        self.line, _ = self._listener.accept()
        self.line.settimeout(3)

    def send(self, payload: bytes) -> None:
        self.line.sendall(struct.pack(">H", len(payload)) + payload)

    def receive(self) -> bytes:
        (size_bytes,) = struct.unpack(">H", self._exactly(2))
        return self._exactly(size_bytes)

    def _exactly(self, size_bytes: int) -> bytes:
        data = b""
        while len(data) < size_bytes:
            part = self.line.recv(size_bytes - len(data))
            assert part, "the card hung up"
            data += part
        return data

    def close(self) -> None:
        self._listener.close()
        if hasattr(self, "line"):
            self.line.close()


@pytest.fixture
def vpcd() -> Iterator[Vpcd]:
    driver = Vpcd()
    yield driver
    driver.close()


@pytest.fixture
def inserted(vpcd: Vpcd) -> Iterator[VpcdCard]:
    card = VpcdCard(ThaiCard(person(1)), vpcd.port)
    card.insert()
    vpcd.accept()
    yield card
    card.remove()


def test_the_card_is_asked_for_its_atr_and_answers_nothing_else_of_control(inserted: VpcdCard, vpcd: Vpcd) -> None:
    for control in (b"\x00", b"\x01", b"\x02", b"\x04"):
        vpcd.send(control)
    assert vpcd.receive() == ATR_THAI
    vpcd.send(SELECT)
    assert vpcd.receive() == b"\x61\x0a", "power and reset were not answered"
    assert inserted.card.log == [SELECT], "control frames are not commands"


def test_frames_that_come_in_crumbs_or_all_at_once_are_the_same_frames(inserted: VpcdCard, vpcd: Vpcd) -> None:
    wire = b"".join(struct.pack(">H", len(command)) + command for command in (SELECT, READ_NUMBER, fetch(13)))
    answers = [b"\x61\x0a", b"\x61\x0d", person(1).citizen_id.encode() + b"\x90\x00"]
    for at in range(len(wire)):
        vpcd.line.sendall(wire[at : at + 1])
    assert [vpcd.receive() for _ in answers] == answers
    vpcd.line.sendall(wire)
    assert [vpcd.receive() for _ in answers] == answers


def test_a_command_longer_than_a_byte_counts_is_one_frame(inserted: VpcdCard, vpcd: Vpcd) -> None:
    vpcd.send(bytes(300))
    assert vpcd.receive() == b"\x6d\x00"
    assert inserted.card.log == [bytes(300)]


def test_pulling_hangs_up_and_putting_in_again_dials_anew(inserted: VpcdCard, vpcd: Vpcd) -> None:
    assert inserted.is_in()
    inserted.remove()
    assert vpcd.line.recv(1) == b""
    assert not inserted.is_in()
    inserted.remove()
    inserted.insert()
    vpcd.accept()
    vpcd.send(b"\x04")
    assert vpcd.receive() == ATR_THAI


def test_a_driver_that_goes_away_ends_the_card_quietly(inserted: VpcdCard, vpcd: Vpcd) -> None:
    vpcd.line.sendall(b"\x00")
    vpcd.line.close()
    assert inserted._thread is not None
    inserted._thread.join(3)
    assert not inserted.is_in()


def test_a_mute_card_sends_no_frame_at_all(vpcd: Vpcd) -> None:
    card = VpcdCard(MuteCard(), vpcd.port)
    card.insert()
    vpcd.accept()
    vpcd.send(SELECT)
    vpcd.send(b"\x04")
    assert vpcd.receive() == ATR_THAI, "the first frame that comes is the ATR"
    card.remove()


def test_a_reader_that_comes_late_is_waited_for(vpcd: Vpcd) -> None:
    port = vpcd.port
    vpcd.close()
    late: list[socket.socket] = []
    coming = threading.Timer(0.3, lambda: late.append(socket.create_server(("127.0.0.1", port))))
    coming.start()
    card = VpcdCard(ThaiCard(person(1)), port)
    card.insert(timeout_s=3)
    assert card.is_in()
    card.remove()
    coming.join()
    late[0].close()


def test_without_a_virtual_reader_there_is_nowhere_to_put_it(vpcd: Vpcd) -> None:
    vpcd.close()
    with pytest.raises(OSError, match="refused"):
        VpcdCard(ThaiCard(person(1)), vpcd.port).insert(timeout_s=0.1)


@pytest.mark.parametrize("control", [b"\x00", b"\x01", b"\x02"], ids=["off", "on", "reset"])
def test_power_and_reset_lose_the_applet_and_what_was_not_fetched(
    inserted: VpcdCard, vpcd: Vpcd, control: bytes
) -> None:
    for command, answer in ((SELECT, b"\x61\x0a"), (READ_NUMBER, b"\x61\x0d")):
        vpcd.send(command)
        assert vpcd.receive() == answer
    vpcd.send(control)
    vpcd.send(fetch(13))
    assert vpcd.receive() == b"\x6d\x00"
    vpcd.send(READ_NUMBER)
    assert vpcd.receive() == b"\x69\x85"


def test_asking_for_the_atr_or_what_nobody_knows_loses_nothing(inserted: VpcdCard, vpcd: Vpcd) -> None:
    vpcd.send(SELECT)
    assert vpcd.receive() == b"\x61\x0a"
    for control in (b"\x04", b"\x03", b"\xff"):
        vpcd.send(control)
    assert vpcd.receive() == ATR_THAI
    vpcd.send(READ_NUMBER)
    assert vpcd.receive() == b"\x61\x0d"


def test_a_card_that_leaves_at_a_command_hangs_up_without_an_answer(vpcd: Vpcd) -> None:
    card = VpcdCard(PulledAt(ThaiCard(person(1)), 2), vpcd.port)
    card.insert()
    vpcd.accept()
    vpcd.send(SELECT)
    assert vpcd.receive() == b"\x61\x0a"
    vpcd.send(READ_NUMBER)
    assert vpcd.line.recv(1) == b""
    assert card._thread is not None
    card._thread.join(3)
    assert not card.is_in()
    card.remove()


def test_a_card_without_an_atr_sends_no_frame_where_it_is_asked_for_one(vpcd: Vpcd) -> None:
    card = VpcdCard(OtherAtr(ThaiCard(person(1)), b""), vpcd.port)
    card.insert()
    vpcd.accept()
    vpcd.send(b"\x04")
    vpcd.send(SELECT)
    assert vpcd.receive() == b"\x61\x0a", "the first frame that comes"
    card.remove()


def test_an_empty_answer_is_a_frame_of_no_bytes(vpcd: Vpcd) -> None:
    class Empty(ThaiCard):
        def answer(self, command: bytes) -> bytes | None:
            return b""

    card = VpcdCard(Empty(person(1)), vpcd.port)
    card.insert()
    vpcd.accept()
    vpcd.send(SELECT)
    assert vpcd.receive() == b""
    card.remove()


def test_the_longest_answer_is_one_frame(vpcd: Vpcd) -> None:
    class Huge(ThaiCard):
        def answer(self, command: bytes) -> bytes | None:
            return bytes(60_000)

    card = VpcdCard(Huge(person(1)), vpcd.port)
    card.insert()
    vpcd.accept()
    vpcd.send(SELECT)
    assert vpcd.receive() == bytes(60_000)
    card.remove()
