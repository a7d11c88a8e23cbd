"""What PC/SC does under fault, against a real pcscd with the virtual reader: each fault is met and the next card read.

Source: the measured table of return codes. Other programs on the machine are in ``test_other_programs.py``.
"""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from appliance.cards.thai_id import Field
from appliance.errors import (
    CardDeadline,
    CardGarbled,
    CardMute,
    CardRemoved,
    CardServiceDown,
    NoReader,
    NotAThaiIdCard,
)
from appliance.hardware.pcsc import PcscSlot
from appliance.run.reader import WorkerReader
from appliance.run.slot_reader import SlotReader
from appliance.simulate.card import ThaiCard
from appliance.simulate.pcscd import PrivatePcscd
from appliance.simulate.persons import person
from appliance.simulate.vpcd import VPCD_PORT, VpcdCard
from tests.contract.card_table import ATTENDANCE, PATIENCE_S, TWO_WINDOWS, PulledAt, Table

APDUS_OF_TWO_WINDOWS = 7
SELECT = bytes.fromhex("00A4040008A000000054480001")
READ_NUMBER = bytes.fromhex("80B0000402000D")


class SaysAt(ThaiCard):
    """A Thai card whose answer to command number ``at`` is another one."""

    def __init__(self, at: int, says: bytes) -> None:
        super().__init__(person(1))
        self._at, self._says = at, says

    def answer(self, command: bytes) -> bytes | None:
        usual = super().answer(command)
        return self._says if len(self.log) == self._at else usual


def process_of(pcscd: PrivatePcscd) -> int:
    assert pcscd._process is not None
    return pcscd._process.pid


def worker_process(worker: WorkerReader) -> int:
    assert worker._worker is not None
    return worker._worker.pid


def held_by(pid: int) -> tuple[int, int]:
    """Return how many files and threads a process has."""
    proc = Path(f"/proc/{pid}")
    return len(list((proc / "fd").iterdir())), len(list((proc / "task").iterdir()))


def a_card_with(atr: bytes | None) -> ThaiCard:
    card = ThaiCard(person(1))
    card.atr = atr  # type: ignore[assignment]  # None: the ATR is never sent
    return card


@pytest.mark.parametrize("at", [1, 2, 3])
@pytest.mark.parametrize("says", [b"\x90", bytes(298) + b"\x90\x00"], ids=["1-byte", "300-bytes"])
def test_an_answer_of_impossible_length_is_garbled(table: Table, at: int, says: bytes) -> None:
    table.insert(SaysAt(at, says))
    with pytest.raises(CardGarbled, match=f"{len(says)} bytes"):
        table.reader.read(ATTENDANCE)
    assert table.reader.read(ATTENDANCE).citizen_id == person(1).citizen_id, "the same card, read once more"


def test_an_empty_answer_blocks_pcscd_and_costs_one_deadline(pcscd: PrivatePcscd, worker: WorkerReader) -> None:
    empty = VpcdCard(SaysAt(2, b""))
    empty.insert()
    assert worker.wait_card(PATIENCE_S)
    with pytest.raises(CardDeadline):
        worker.read(ATTENDANCE)
    empty.remove()
    assert worker.wait_removed(PATIENCE_S)
    following = VpcdCard(ThaiCard(person(2)))
    following.insert()
    assert worker.wait_card(PATIENCE_S)
    assert worker.read(ATTENDANCE).citizen_id == person(2).citizen_id
    following.remove()


@pytest.mark.parametrize("at", range(1, APDUS_OF_TWO_WINDOWS + 1))
def test_a_card_pulled_at_any_command_is_removed_and_nothing_of_it_stays(table: Table, at: int) -> None:
    card = PulledAt(at)
    table.insert(card)
    with pytest.raises(CardRemoved):
        table.reader.read(TWO_WINDOWS)
    assert len(card.log) == at
    table.check_next_card()


@pytest.mark.parametrize("wait_s", [0.1, 0.8], ids=["unseen-by-pcscd", "seen-by-pcscd"])
def test_a_card_pulled_between_two_commands_is_removed(table: Table, wait_s: float) -> None:
    table.insert(PulledAt(1, is_answered=True))
    with table.slot.open() as channel:
        assert channel.transmit(SELECT) == b"\x61\x0a"
        time.sleep(wait_s)
        with pytest.raises(CardRemoved):
            channel.transmit(READ_NUMBER)
    table.check_next_card()


def test_reading_an_empty_slot_is_a_removed_card(table: Table) -> None:
    assert table.reader.wait_card(0.1) is None
    before_s = time.monotonic()
    with pytest.raises(CardRemoved):
        table.reader.read(ATTENDANCE)
    assert time.monotonic() - before_s < 0.5, "an empty slot is not worth waiting for"


@pytest.mark.parametrize("atr", [b"\x3b", b"\xff\xff"], ids=["cut-short", "no-TS"])
def test_a_malformed_atr_is_no_thai_card(table: Table, atr: bytes) -> None:
    assert table.insert(a_card_with(atr)).atr == atr
    with pytest.raises(NotAThaiIdCard):
        table.reader.read(ATTENDANCE)
    table.check_next_card()


def test_an_atr_longer_than_any_can_be_is_a_mute_card(table: Table) -> None:
    assert table.insert(a_card_with(bytes(40))).atr == b""
    with pytest.raises(CardMute):
        table.reader.read(ATTENDANCE)
    table.check_next_card()


def test_a_card_that_never_sends_its_atr_is_never_in(table: Table) -> None:
    table.put(a_card_with(None))
    assert table.reader.wait_card(1.2) is None
    table.pull()
    table.insert(ThaiCard(person(2)))
    assert table.reader.read(ATTENDANCE).citizen_id == person(2).citizen_id


def test_a_card_that_speaks_only_t1_is_read(table: Table) -> None:
    table.insert(a_card_with(bytes.fromhex("3B800181")))
    assert table.reader.read(TWO_WINDOWS).citizen_id == person(1).citizen_id


class LosesItsApplet(ThaiCard):
    """Is reset once, by itself, at command number ``at``."""

    def __init__(self, at: int) -> None:
        super().__init__(person(1))
        self._at = at

    def answer(self, command: bytes) -> bytes | None:
        if len(self.log) == self._at - 1:
            self.reset()
        return super().answer(command)


@pytest.mark.parametrize("at", [2, 4, 6])
def test_a_card_that_loses_its_applet_is_selected_again_and_read_from_the_beginning(table: Table, at: int) -> None:
    card = LosesItsApplet(at)
    table.insert(card)
    assert table.reader.read(TWO_WINDOWS).citizen_id == person(1).citizen_id
    assert card.log.count(SELECT) == 2
    assert len(card.log) == at + APDUS_OF_TWO_WINDOWS


def test_a_swap_that_nobody_watched_is_a_new_insertion(table: Table) -> None:
    first = table.insert(ThaiCard(person(1)))
    table.pull()
    time.sleep(1.0)  # pcscd sees both turns; between two looks of ours they are one
    table.put(ThaiCard(person(2)))
    time.sleep(1.0)
    assert table.reader.wait_removed(0.1) is True
    second = table.reader.wait_card(0.1)
    assert second is not None
    assert (second.number, second.atr) == (first.number + 1, first.atr), "the same kind of card, another one"
    assert table.reader.read(ATTENDANCE).citizen_id == person(2).citizen_id


def test_a_look_without_waiting_sees_the_card_that_is_in(table: Table) -> None:
    assert table.reader.wait_card(0.1) is None
    table.put(ThaiCard(person(1)))
    time.sleep(0.8)
    assert table.reader.wait_card(0) is not None


def test_the_second_of_two_readers_is_used_when_it_is_named(pcscd: PrivatePcscd) -> None:
    first, second = VpcdCard(ThaiCard(person(1))), VpcdCard(ThaiCard(person(2)), VPCD_PORT + 1)
    first.insert()
    second.insert()
    for slot, serial in (
        (PcscSlot("Virtual PCD 00 01"), 2),
        (PcscSlot("Virtual PCD 00 00"), 1),
        (PcscSlot("", ("Virtual PCD 00 01",)), 2),
        (PcscSlot("Virtual PCD"), 1),
    ):
        insertion = slot.wait_card(PATIENCE_S)
        assert insertion is not None
        assert insertion.reader == f"Virtual PCD 00 0{serial - 1}"
        assert SlotReader(slot, list(Field)).read(ATTENDANCE).citizen_id == person(serial).citizen_id
        slot.close()
    first.remove()
    second.remove()


@pytest.mark.parametrize(
    ("name", "allowed"),
    [("ACS ACR39U", ()), ("virtual pcd", ()), ("Virtual PCD", ("ACS",)), ("PCD", ())],
    ids=["another", "case", "not-allowed", "middle"],
)
def test_a_reader_whose_name_does_not_fit_is_no_reader(
    pcscd: PrivatePcscd, name: str, allowed: tuple[str, ...]
) -> None:
    slot = PcscSlot(name, allowed)
    with pytest.raises(NoReader, match="no reader fits; plugged in: 'Virtual PCD 00 00'"):
        slot.wait_card(0.3)
    before_s, cpu_s = time.monotonic(), time.process_time()
    with pytest.raises(NoReader):
        slot.wait_card(0.4)
    assert time.monotonic() - before_s > 0.3, "it waits for a reader to be plugged in"
    assert time.process_time() - cpu_s < 0.1
    slot.close()


@pytest.mark.slow
def test_thirty_cards_leave_files_and_threads_as_they_were(pcscd: PrivatePcscd, worker: WorkerReader) -> None:
    seen: list[tuple[int, int]] = []
    at_pcscd: list[tuple[int, int]] = []
    for serial in range(30):
        card = VpcdCard(ThaiCard(person(serial)))
        card.insert()
        assert worker.wait_card(PATIENCE_S)
        assert worker.read(ATTENDANCE).citizen_id == person(serial).citizen_id
        card.remove()
        assert worker.wait_removed(PATIENCE_S)
        seen.append(held_by(worker_process(worker)))
        at_pcscd.append(held_by(process_of(pcscd)))
    assert len(set(seen[2:])) == 1, seen
    assert len(set(at_pcscd[2:])) == 1, at_pcscd


def test_pcscd_that_stands_still_for_two_seconds_is_waited_for(pcscd: PrivatePcscd, worker: WorkerReader) -> None:
    assert worker.wait_card(0.1) is None
    pid = worker_process(worker)
    os.kill(process_of(pcscd), signal.SIGSTOP)
    going_on = threading.Timer(2.0, os.kill, (process_of(pcscd), signal.SIGCONT))
    going_on.start()
    card = VpcdCard(ThaiCard(person(3)))
    card.insert()
    assert worker.wait_card(0.5) or worker.wait_card(PATIENCE_S)
    going_on.join()
    assert worker.read(ATTENDANCE).citizen_id == person(3).citizen_id
    assert worker_process(worker) == pid, "no worker had to be killed"
    card.remove()


def test_pcscd_that_stands_still_in_a_read_costs_one_deadline(pcscd: PrivatePcscd, worker: WorkerReader) -> None:
    card = VpcdCard(ThaiCard(person(3)))
    card.insert()
    assert worker.wait_card(PATIENCE_S)
    os.kill(process_of(pcscd), signal.SIGSTOP)
    before_s = time.monotonic()
    with pytest.raises(CardDeadline):
        worker.read(ATTENDANCE)
    assert time.monotonic() - before_s < 2.0
    with pytest.raises(CardServiceDown):
        worker.wait_removed(0.1)
    os.kill(process_of(pcscd), signal.SIGCONT)
    assert worker.wait_removed(0.5) is False
    assert worker.read(ATTENDANCE).citizen_id == person(3).citizen_id
    card.remove()
