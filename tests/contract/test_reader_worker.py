"""The reader worker against a real pcscd: deadlines, a killed worker, a restarted pcscd, a late pcscd."""

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.cards.record import Record
from appliance.cards.thai_id import ALL, TEXT, Field
from appliance.errors import (
    CardDeadline,
    CardError,
    CardGarbled,
    CardServiceDown,
    CommandForbidden,
    NoReader,
    ReaderUnavailable,
)
from appliance.ports import Insertion
from appliance.run.reader import WorkerReader
from appliance.simulate.card import MuteCard, ThaiCard
from appliance.simulate.deck import deck
from appliance.simulate.line import OnLine, SerialLine
from appliance.simulate.pcscd import PORT, PrivatePcscd
from appliance.simulate.persons import person
from appliance.simulate.vpcd import VpcdCard

ATTENDANCE = [Field.CITIZEN_ID]


@pytest.fixture
def reader() -> Iterator[WorkerReader]:
    worker = WorkerReader("Virtual PCD", may_read=list(Field), silence_s=1.0)
    yield worker
    worker.close()


def wait_card(reader: WorkerReader, patience_s: float = 10.0) -> Insertion:
    """Wait for a card as the station does: through every outage."""
    end_s = time.monotonic() + patience_s
    while time.monotonic() < end_s:
        try:
            insertion = reader.wait_card(0.5)
        except ReaderUnavailable:
            time.sleep(0.1)
            continue
        if insertion is not None:
            return insertion
    raise AssertionError("no card was seen")


def is_outage_noticed(reader: WorkerReader) -> bool:
    for _ in range(20):
        try:
            reader.wait_card(0.1)
        except ReaderUnavailable:
            return True
    return False


def test_a_card_is_read_in_another_process(pcscd: PrivatePcscd, reader: WorkerReader) -> None:
    card = VpcdCard(ThaiCard(person(4)))
    card.insert()
    wait_card(reader)
    assert reader.read(ATTENDANCE).citizen_id == person(4).citizen_id
    card.remove()
    assert reader.wait_removed(2.0)


@pytest.mark.parametrize("fields", [[Field.NAME_TH], [Field.PHOTO], list(ALL)])
def test_the_worker_itself_refuses_what_the_service_does_not_name(pcscd: PrivatePcscd, fields: list[Field]) -> None:
    attendance = WorkerReader("Virtual PCD", may_read=ATTENDANCE)
    held = VpcdCard(card := ThaiCard(person(4)))
    held.insert()
    wait_card(attendance)
    with pytest.raises(CommandForbidden):
        attendance.read(fields)
    assert [one[:2].hex() for one in card.log] == ["00a4"], "the applet was selected, and not a byte was read"
    assert attendance.read(ATTENDANCE).citizen_id == person(4).citizen_id
    held.remove()
    attendance.close()


def test_a_mute_card_costs_one_deadline_and_the_next_card_is_read(pcscd: PrivatePcscd, reader: WorkerReader) -> None:
    mute = VpcdCard(MuteCard())
    mute.insert()
    wait_card(reader)
    before_s = time.monotonic()
    with pytest.raises(CardDeadline):
        reader.read(ATTENDANCE)
    assert time.monotonic() - before_s < 3.0
    assert reader.wait_removed(0.2) is False, "the mute card is still in and must not be taken for a new one"
    assert reader.wait_card(0.2) is None
    mute.remove()
    assert reader.wait_removed(5.0)
    card = VpcdCard(ThaiCard(person(5)))
    time.sleep(0.5)
    card.insert()
    wait_card(reader)
    assert reader.read(ATTENDANCE).citizen_id == person(5).citizen_id
    card.remove()


def test_a_killed_worker_is_replaced(pcscd: PrivatePcscd, reader: WorkerReader) -> None:
    assert reader.wait_card(0.1) is None
    worker = reader._worker
    assert worker is not None
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    card = VpcdCard(ThaiCard(person(6)))
    card.insert()
    wait_card(reader)
    assert reader.read(ATTENDANCE).citizen_id == person(6).citizen_id
    card.remove()


def test_a_stopped_worker_does_not_stop_us(pcscd: PrivatePcscd, reader: WorkerReader) -> None:
    assert reader.wait_card(0.1) is None
    worker = reader._worker
    assert worker is not None
    os.kill(worker.pid, signal.SIGSTOP)
    with pytest.raises(CardServiceDown):
        reader.wait_card(0.1)
    assert reader.wait_card(0.1) is None


def test_pcscd_that_is_not_there_is_said_and_waited_for(tmp_path: Path, reader: WorkerReader) -> None:
    with pytest.raises(CardServiceDown):
        reader.wait_card(0.1)
    with PrivatePcscd(tmp_path):
        assert reader.wait_card(0.5) is None


def test_a_card_that_stayed_in_over_a_restart_of_pcscd_is_not_new(pcscd: PrivatePcscd, reader: WorkerReader) -> None:
    card = VpcdCard(ThaiCard(person(8)))
    card.insert()
    first = wait_card(reader)
    pcscd.kill()
    card.remove()
    with pytest.raises(ReaderUnavailable):
        reader.wait_removed(5.0)
    pcscd.start()
    card.insert()
    time.sleep(0.6)
    assert reader.wait_removed(0.5) is False
    assert reader.wait_card(0.5) is None
    card.remove()
    time.sleep(0.6)
    card.insert()
    assert wait_card(reader).number > first.number
    card.remove()


@pytest.mark.parametrize("held_by", ["wait_removed", "wait_card"])
def test_a_card_that_took_the_place_of_its_like_during_an_outage_is_new(
    pcscd: PrivatePcscd, reader: WorkerReader, held_by: str
) -> None:
    """Reader and ATR are the same: only the card itself can tell."""
    first, second = VpcdCard(ThaiCard(person(8))), VpcdCard(ThaiCard(person(9)))
    first.insert()
    wait_card(reader)
    assert reader.read(ATTENDANCE).citizen_id == person(8).citizen_id
    pcscd.kill()
    first.remove()
    with pytest.raises(ReaderUnavailable):
        reader.wait_removed(5.0)
    pcscd.start()
    second.insert()
    time.sleep(0.6)
    if held_by == "wait_removed":
        assert reader.wait_removed(0.5) is True
    wait_card(reader)
    assert reader.read(ATTENDANCE).citizen_id == person(9).citizen_id
    second.remove()


def test_a_card_that_was_read_and_stayed_in_is_asked_and_known_again(pcscd: PrivatePcscd, reader: WorkerReader) -> None:
    held = VpcdCard(card := ThaiCard(person(8)))
    held.insert()
    wait_card(reader)
    reader.read(ATTENDANCE)
    pcscd.kill()
    held.remove()
    with pytest.raises(ReaderUnavailable):
        reader.wait_removed(5.0)
    pcscd.start()
    held.insert()
    time.sleep(0.6)
    asked = len(card.log)
    assert reader.wait_card(0.5) is None
    assert len(card.log) == asked + 3, "its number, once"
    assert reader.wait_removed(0.3) is False
    assert len(card.log) == asked + 3
    held.remove()
    assert reader.wait_removed(2.0) is True


def test_twenty_restarts_of_pcscd_leave_the_worker_reading(pcscd: PrivatePcscd, reader: WorkerReader) -> None:
    for _ in range(20):
        pcscd.kill()
        assert is_outage_noticed(reader)
        pcscd.start()
    card = VpcdCard(ThaiCard(person(9)))
    card.insert()
    wait_card(reader)
    assert reader.read(ATTENDANCE).citizen_id == person(9).citizen_id
    card.remove()


@pytest.mark.parametrize("is_in", [False, True])
def test_pcscd_killed_while_we_wait_is_an_outage_and_no_card(
    pcscd: PrivatePcscd, reader: WorkerReader, is_in: bool
) -> None:
    card = VpcdCard(ThaiCard(person(1)))
    if is_in:
        card.insert()
        wait_card(reader)
    killer = threading.Timer(0.5, pcscd.kill)
    killer.start()
    wait = reader.wait_removed if is_in else reader.wait_card
    with pytest.raises(ReaderUnavailable):
        wait(5.0)
    killer.join()
    card.remove()
    pcscd.start()
    assert reader.wait_card(1.0) is None


def test_pcscd_killed_in_the_middle_of_a_read_leaves_the_card_to_be_read(
    pcscd: PrivatePcscd, reader: WorkerReader
) -> None:
    class Killing(ThaiCard):
        def answer(self, command: bytes) -> bytes | None:
            if command[:2] == b"\x80\xb0":
                pcscd.kill()
                return None
            return super().answer(command)

    card = VpcdCard(Killing(person(1)))
    card.insert()
    wait_card(reader)
    with pytest.raises((ReaderUnavailable, CardError)):
        reader.read(ATTENDANCE)
    card.remove()
    pcscd.start()
    good = VpcdCard(ThaiCard(person(1)))
    good.insert()
    wait_card(reader)
    assert reader.read(ATTENDANCE).citizen_id == person(1).citizen_id
    good.remove()


def test_a_card_that_stays_in_while_the_worker_is_lost_is_not_new(pcscd: PrivatePcscd, reader: WorkerReader) -> None:
    card = VpcdCard(ThaiCard(person(1)))
    card.insert()
    first = wait_card(reader)
    process = pcscd._process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    with pytest.raises(CardServiceDown):
        reader.wait_removed(0.1)
    process.send_signal(signal.SIGCONT)
    assert reader.wait_card(0.5) is None, "nobody touched the card"
    assert reader.wait_removed(0.5) is False
    card.remove()
    assert reader.wait_removed(2.0)
    card.insert()
    assert wait_card(reader).number == first.number + 1


def test_the_card_after_a_mute_one_is_new_also_while_no_worker_looks(pcscd: PrivatePcscd, reader: WorkerReader) -> None:
    mute, good = VpcdCard(MuteCard()), VpcdCard(ThaiCard(person(2)))
    mute.insert()
    wait_card(reader)
    with pytest.raises(CardDeadline):
        reader.read(ATTENDANCE)
    mute.remove()
    time.sleep(1.0)
    good.insert()
    time.sleep(1.0)
    assert reader.wait_removed(0.5), "the mute card is out, although nobody was there to see it"
    assert reader.wait_card(0.5) is not None
    assert reader.read(ATTENDANCE).citizen_id == person(2).citizen_id
    good.remove()


def test_a_mute_card_is_silent_the_second_time_too_and_nobody_else_is_blamed(
    pcscd: PrivatePcscd, reader: WorkerReader
) -> None:
    mute = VpcdCard(MuteCard())
    mute.insert()
    wait_card(reader)
    for _ in range(2):
        with pytest.raises(CardDeadline):
            reader.read(ATTENDANCE)
    mute.remove()


def test_a_restart_of_pcscd_with_two_cards_of_one_kind_mistakes_neither(
    pcscd: PrivatePcscd, reader: WorkerReader
) -> None:
    first, second = VpcdCard(ThaiCard(person(1))), VpcdCard(ThaiCard(person(2)), PORT + 1)
    first.insert()
    served = wait_card(reader)
    pcscd.kill()
    first.remove()
    with pytest.raises(ReaderUnavailable):
        reader.wait_removed(5.0)
    pcscd.start()
    first.insert()
    second.insert()
    time.sleep(1.0)
    assert reader.wait_removed(0.5) is False
    waiting = wait_card(reader)
    assert waiting.reader != served.reader
    assert reader.read(ATTENDANCE).citizen_id == person(2).citizen_id
    first.remove()
    second.remove()


@pytest.mark.parametrize("name", ["Virtual PCD \x1b[31m", "Virtual PCD \u0e44\u0e17\u0e22", "Virtual PCD \x07"])
def test_a_reader_whose_name_no_reader_may_have_is_no_reader(tmp_path: Path, reader: WorkerReader, name: str) -> None:
    daemon = PrivatePcscd(tmp_path)
    daemon.start(name)
    with pytest.raises(NoReader, match="name"):
        reader.wait_card(0.3)
    assert reader._worker is not None, "and costs no worker"
    daemon.stop()


def test_number_text_and_photo_come_one_after_the_other(pcscd: PrivatePcscd, reader: WorkerReader) -> None:
    """A verdict needs not wait for a picture: what came before it is on this side of the pipe already."""
    card = VpcdCard(OnLine(ThaiCard(person(5)), SerialLine.parse("372/12")))
    card.insert()
    wait_card(reader)
    told: list[tuple[set[Field], float]] = []

    def tell(so_far: Record | None) -> None:
        if so_far is not None:
            told.append((set(so_far.values), time.monotonic()))
            assert so_far.citizen_id == person(5).citizen_id

    reader.read(ALL, tell)
    whole_at_s = time.monotonic()
    number, text, photo = (fields for fields, _ in told)
    assert number == {Field.CITIZEN_ID}
    assert text == set(TEXT)
    assert photo == {*TEXT, Field.PHOTO}
    assert whole_at_s - told[1][1] > 0.3, "the text was there long before the photo"
    card.remove()


def test_sixty_thousand_bytes_of_answer_cost_no_memory(pcscd: PrivatePcscd, reader: WorkerReader) -> None:
    card = VpcdCard(deck("huge"))
    card.insert()
    wait_card(reader)
    with pytest.raises(CardGarbled):
        reader.read(ATTENDANCE)
    assert reader._worker is not None
    before_kb = rss_kb(reader._worker.pid)
    for _ in range(20):
        with pytest.raises(CardGarbled):
            reader.read(ATTENDANCE)
    assert rss_kb(reader._worker.pid) - before_kb < 1024
    card.remove()


def test_a_worker_that_reads_everything_again_and_again_grows_by_nothing(
    pcscd: PrivatePcscd, reader: WorkerReader
) -> None:
    card = VpcdCard(ThaiCard(person(5)))
    card.insert()
    wait_card(reader)
    held: list[int] = []
    for _ in range(300):
        assert reader.read(ALL).citizen_id == person(5).citizen_id
        assert reader._worker is not None
        held.append(rss_kb(reader._worker.pid))
    assert held[-1] - held[100] < 256, "not a photo, not a record in two hundred is kept"
    card.remove()


def rss_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1])


@pytest.mark.parametrize("serial", range(10, 13))
def test_a_card_swapped_within_one_look_of_pcscd_is_the_next_person(
    pcscd: PrivatePcscd, reader: WorkerReader, serial: int
) -> None:
    first, second = VpcdCard(ThaiCard(person(1))), VpcdCard(ThaiCard(person(serial)))
    first.insert()
    wait_card(reader)
    assert reader.read(ATTENDANCE).citizen_id == person(1).citizen_id
    first.remove()
    second.insert()
    assert reader.wait_removed(5.0) is True
    wait_card(reader)
    assert reader.read(ATTENDANCE).citizen_id == person(serial).citizen_id
    second.remove()


def test_a_worker_leaves_no_core_dump(pcscd: PrivatePcscd, reader: WorkerReader) -> None:
    reader.wait_card(0)
    assert reader._worker is not None
    limits = Path(f"/proc/{reader._worker.pid}/limits").read_text()
    assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE)
