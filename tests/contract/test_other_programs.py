"""Other programs on this machine that use the same card, through a real pcscd: who gets it, and what is said.

``smartcard.scard`` is the other program here.
"""

import subprocess
import sys
import threading
import time

import pytest
from smartcard import scard

from appliance.errors import CardBusy, CardError, CardGarbled, CardReset
from appliance.run.reader import WorkerReader
from appliance.simulate.card import ThaiCard
from appliance.simulate.pcscd import PrivatePcscd
from appliance.simulate.persons import person
from appliance.simulate.vpcd import VpcdCard
from tests.contract.card_table import ATTENDANCE, PATIENCE_S, Table

SELECT = bytes.fromhex("00A4040008A000000054480001")
READ_NUMBER = bytes.fromhex("80B0000402000D")


class OtherProgram:
    """Another program on this machine that uses the same card."""

    def __init__(self, share: int, protocol: int = scard.SCARD_PROTOCOL_T0) -> None:
        result, self._context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
        assert result == scard.SCARD_S_SUCCESS
        _, (name, *_) = scard.SCardListReaders(self._context, [])
        result, self._card, _ = scard.SCardConnect(self._context, name, share, protocol)
        assert result == scard.SCARD_S_SUCCESS

    def begin(self) -> None:
        assert scard.SCardBeginTransaction(self._card) == scard.SCARD_S_SUCCESS

    def end(self) -> None:
        assert scard.SCardEndTransaction(self._card, scard.SCARD_LEAVE_CARD) == scard.SCARD_S_SUCCESS

    def send(self, command: bytes) -> int:
        """Send a command, again and again while somebody else has the card."""
        for _ in range(100):
            result, _answer = scard.SCardTransmit(self._card, scard.SCARD_PCI_T0, list(command))
            if result != scard.SCARD_E_SHARING_VIOLATION:
                break
            time.sleep(0.05)
        return int(result)

    def let_go(self, disposition: int = scard.SCARD_LEAVE_CARD) -> None:
        assert scard.SCardDisconnect(self._card, disposition) == scard.SCARD_S_SUCCESS
        assert scard.SCardReleaseContext(self._context) == scard.SCARD_S_SUCCESS


def test_a_card_held_by_another_program_is_busy_until_it_lets_go(table: Table) -> None:
    table.insert(ThaiCard(person(1)))
    other = OtherProgram(scard.SCARD_SHARE_EXCLUSIVE)
    before_s = time.monotonic()
    with pytest.raises(CardBusy):
        table.reader.read(ATTENDANCE)
    assert 0.5 < time.monotonic() - before_s < 2.0, "it backs off, and not for ever"
    other.let_go()
    assert table.reader.read(ATTENDANCE).citizen_id == person(1).citizen_id


def test_a_card_that_is_let_go_in_time_is_read_without_a_word(table: Table) -> None:
    table.insert(ThaiCard(person(1)))
    letting_go = threading.Timer(0.25, OtherProgram(scard.SCARD_SHARE_EXCLUSIVE).let_go)
    letting_go.start()
    assert table.reader.read(ATTENDANCE).citizen_id == person(1).citizen_id
    letting_go.join()


def test_after_a_read_nothing_keeps_others_from_the_card(table: Table) -> None:
    table.insert(ThaiCard(person(1)))
    beside = OtherProgram(scard.SCARD_SHARE_SHARED)
    assert table.reader.read(ATTENDANCE).citizen_id == person(1).citizen_id
    beside.let_go()
    OtherProgram(scard.SCARD_SHARE_EXCLUSIVE).let_go()


@pytest.mark.parametrize("how", [scard.SCARD_RESET_CARD, scard.SCARD_UNPOWER_CARD], ids=["reset", "unpower"])
def test_a_card_reset_by_another_program_is_selected_again_and_read(table: Table, how: int) -> None:
    card = ThaiCard(person(1))
    table.insert(card)
    assert table.reader.read(ATTENDANCE).citizen_id == person(1).citizen_id
    OtherProgram(scard.SCARD_SHARE_SHARED).let_go(how)
    assert table.reader.wait_removed(0.1) is False, "a reset is no removal"
    assert table.reader.read(ATTENDANCE).citizen_id == person(1).citizen_id
    assert table.reader.wait_card(0.1) is None, "nor is it an insertion"


def test_another_program_in_a_transaction_makes_the_card_busy(pcscd: PrivatePcscd, worker: WorkerReader) -> None:
    """pcscd then blocks our connect for as long as the transaction lasts, whatever libpcsclite is told."""
    card = VpcdCard(ThaiCard(person(1)))
    card.insert()
    assert worker.wait_card(PATIENCE_S)
    other = OtherProgram(scard.SCARD_SHARE_SHARED)
    other.begin()
    before_s = time.monotonic()
    with pytest.raises(CardBusy):
        worker.read(ATTENDANCE)
    assert time.monotonic() - before_s < 2.0, "it does not wait for ever"
    other.end()
    assert worker.wait_removed(0.5) is False
    assert worker.read(ATTENDANCE).citizen_id == person(1).citizen_id
    other.let_go()
    card.remove()


def test_nobody_gets_between_our_commands(table: Table) -> None:
    """Another program that selects its own applet in the middle of a read would change what the same offsets hold."""
    table.insert(ThaiCard(person(1)))
    other = OtherProgram(scard.SCARD_SHARE_SHARED)
    with table.slot.open() as channel:
        channel.transmit(SELECT)
        meddling = threading.Thread(target=other.send, args=(bytes.fromhex("00A4040008A000000054480083"),))
        meddling.start()
        meddling.join(0.3)
        assert meddling.is_alive(), "it waits until we are done"
        assert channel.transmit(READ_NUMBER) == b"\x61\x0d"
    meddling.join(5)
    assert not meddling.is_alive()
    other.let_go()
    assert table.reader.read(ATTENDANCE).citizen_id == person(1).citizen_id


def test_an_error_inside_an_open_line_lets_the_card_go(table: Table) -> None:
    table.insert(ThaiCard(person(1)))
    with pytest.raises(CardError), table.slot.open():
        raise CardGarbled("an answer that cannot be")
    OtherProgram(scard.SCARD_SHARE_EXCLUSIVE).let_go()


def test_a_genuine_card_that_another_program_holds_as_raw_is_busy_and_not_foreign(table: Table) -> None:
    table.insert(ThaiCard(person(1)))
    raw = OtherProgram(scard.SCARD_SHARE_SHARED, scard.SCARD_PROTOCOL_RAW)
    with pytest.raises(CardBusy, match="another protocol"):
        table.reader.read(ATTENDANCE)
    raw.let_go(scard.SCARD_UNPOWER_CARD)
    assert table.reader.read(ATTENDANCE).citizen_id == person(1).citizen_id


RESETTING = """
from smartcard import scard
for _ in range(300):
    _, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
    _, names = scard.SCardListReaders(context, [])
    result, card, _ = scard.SCardConnect(context, names[0], scard.SCARD_SHARE_SHARED, scard.SCARD_PROTOCOL_T0)
    if result == scard.SCARD_S_SUCCESS:
        scard.SCardDisconnect(card, scard.SCARD_RESET_CARD)
    scard.SCardReleaseContext(context)
"""


def test_programs_that_reset_the_card_again_and_again_never_make_it_foreign(table: Table) -> None:
    table.insert(ThaiCard(person(1)))
    storm = [subprocess.Popen([sys.executable, "-c", RESETTING]) for _ in range(2)]
    ends: list[str] = []
    while any(each.poll() is None for each in storm):
        try:
            ends.append(str(table.reader.read(ATTENDANCE).citizen_id))
        except CardError as error:
            ends.append(error.code)
    assert [each.wait() for each in storm] == [0, 0]
    assert set(ends) <= {person(1).citizen_id, CardBusy.code, CardReset.code}, "busy or reset, never anything else"
    assert person(1).citizen_id in ends
