"""What every answer of PC/SC becomes, with ``smartcard.scard`` scripted: no fault ever reaches anybody as data.

The faults were measured on pcsc-lite 1.9.9 and 2.3.3; those that can be provoked with a virtual reader are provoked in
``tests/contract/test_pcsc_faults.py``. Here are the others too: polkit, unplugging, readers that need a moment.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smartcard import scard

from appliance import config, errors
from appliance.cards.thai_id import CID
from appliance.errors import CardMute, CardRemoved, CardReset, CardServiceDown, NoReader, ReaderGone
from appliance.hardware import pcsc
from appliance.hardware.pcsc import PcscSlot
from appliance.ports import Insertion
from appliance.run.slot_reader import PAUSES_S, SlotReader
from appliance.simulate.card import ATR_THAI, ThaiCard
from appliance.simulate.persons import person

OK = scard.SCARD_S_SUCCESS
PRESENT, EMPTY, CHANGED = scard.SCARD_STATE_PRESENT, scard.SCARD_STATE_EMPTY, scard.SCARD_STATE_CHANGED
NO_SERVICE = 0x8010001D
PNP = "\\\\?PnP?\\Notification"

CARD_FAULTS = {
    0x8010000C: errors.CardRemoved,
    0x80100069: errors.CardRemoved,
    0x80100016: errors.CardRemoved,
    0x80100066: errors.CardMute,
    0x80100067: errors.CardUnpowered,
    0x80100065: errors.CardProtocolMismatch,
    0x8010000F: errors.CardProtocolMismatch,
    0x8010000B: errors.CardBusy,
    0x80100068: errors.CardReset,
    0x80100008: errors.CardGarbled,
}
READER_FAULTS = {0x80100009: errors.ReaderGone, 0x80100017: errors.ReaderGone}
SERVICE_FAULTS = {
    0x8010006A: errors.CardServiceRefuses,
    0x80100013: errors.CardServiceDown,
    0x8010001D: errors.CardServiceDown,
    0x8010001E: errors.CardServiceDown,
    0x80100003: errors.CardServiceDown,
    0x80100002: errors.CardServiceDown,
    0x8010002F: errors.CardServiceDown,
    0x80100001: errors.CardServiceDown,
    0x8010FFFF: errors.CardServiceDown,
    0x00000001: errors.CardServiceDown,
}
FAULTS = CARD_FAULTS | READER_FAULTS | SERVICE_FAULTS


@dataclass
class Script:
    """Stands where ``smartcard.scard`` stands; each list is played from its front, then all is well.

    Args:
        connects: results of SCardConnect.
        transmits: results of SCardTransmit, or (result, answer).
        begins: results of SCardBeginTransaction.
        establishes: results of SCardEstablishContext.
        lists: results of SCardListReaders.
        statuses: results of SCardGetStatusChange.
        states: what the slot's states are, the last for ever.
        readers: names of readers.
        is_still: who knows a state hears of no other one; only who asks without memory is told.
    """

    card: ThaiCard = field(default_factory=lambda: ThaiCard(person(1)))
    connects: list[int] = field(default_factory=list)
    transmits: list[Any] = field(default_factory=list)
    begins: list[int] = field(default_factory=list)
    establishes: list[int] = field(default_factory=list)
    lists: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    states: list[int] = field(default_factory=lambda: [PRESENT])
    readers: list[str] = field(default_factory=lambda: ["Reader 00 00"])
    is_still: bool = False
    calls: list[str] = field(default_factory=list)
    contexts: int = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(scard, name)

    def _next(self, name: str, results: list[Any]) -> Any:
        self.calls.append(name)
        return results.pop(0) if results else OK

    def SCardEstablishContext(self, scope: int) -> tuple[int, int]:  # noqa: N802
        result = self._next("establish", self.establishes)
        self.contexts += result == OK
        return result, 1

    def SCardReleaseContext(self, context: int) -> int:  # noqa: N802
        self.contexts -= 1
        return NO_SERVICE

    def SCardListReaders(self, context: int, groups: list[str]) -> tuple[int, list[str]]:  # noqa: N802
        result = self._next("list", self.lists)
        return (result, self.readers) if self.readers or result else (scard.SCARD_E_NO_READERS_AVAILABLE, [])

    def SCardGetStatusChange(  # noqa: N802
        self, context: int, timeout_ms: int, readers: list[tuple[str, int]]
    ) -> tuple[int, list[tuple[str, int, bytes]]]:
        result = self._next("status", self.statuses)
        if self.is_still and any(was for _, was in readers):
            result = scard.SCARD_E_TIMEOUT
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        found = [
            (name, was if name == PNP else state | CHANGED, b"" if name == PNP else ATR_THAI) for name, was in readers
        ]
        return result, found

    def SCardConnect(self, context: int, reader: str, share: int, protocols: int) -> tuple[int, int, int]:  # noqa: N802
        return self._next("connect", self.connects), 7, int(scard.SCARD_PROTOCOL_T0)

    def SCardBeginTransaction(self, handle: int) -> int:  # noqa: N802
        return int(self._next("begin", self.begins))

    def SCardDisconnect(self, handle: int, disposition: int) -> int:  # noqa: N802
        self.calls.append(f"disconnect {disposition}")
        self.card.reset()
        return 0

    def SCardTransmit(self, handle: int, pci: object, command: list[int]) -> tuple[int, list[int]]:  # noqa: N802
        outcome = self._next("transmit", self.transmits)
        if isinstance(outcome, tuple):
            return outcome
        answer = self.card.answer(bytes(command)) if outcome == OK else b""
        return outcome, list(answer or b"")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    made = Script()
    monkeypatch.setattr(pcsc, "scard", made)
    monkeypatch.setattr("appliance.run.slot_reader.PAUSES_S", (0.0,) * len(PAUSES_S))
    yield made
    assert made.contexts <= 1, "a context was left behind"


def signed(code: int) -> int:
    """Return a result as some versions of the library give it: negative."""
    return code - (1 << 32) if code > 0x7FFFFFFF else code


def put_in() -> PcscSlot:
    slot = PcscSlot()
    assert slot.wait_card(0)
    return slot


@pytest.mark.parametrize("is_signed", [False, True])
@pytest.mark.parametrize("code", FAULTS)
def test_every_fault_of_a_connect_has_its_error(script: Script, code: int, is_signed: bool) -> None:
    slot = put_in()
    script.connects = [signed(code) if is_signed else code]
    with pytest.raises(FAULTS[code]) as caught, slot.open():
        pass
    assert type(caught.value) is FAULTS[code]
    assert "transmit" not in script.calls


@pytest.mark.parametrize("code", FAULTS)
def test_every_fault_of_a_transmit_has_its_error_and_the_card_is_left(script: Script, code: int) -> None:
    slot = put_in()
    script.transmits = [code]
    with pytest.raises(FAULTS[code]) as caught, slot.open() as channel:
        channel.transmit(b"\x00\xa4\x04\x00")
    assert type(caught.value) is FAULTS[code]
    assert script.calls[-1] == f"disconnect {scard.SCARD_LEAVE_CARD}"


@pytest.mark.parametrize("code", FAULTS)
def test_a_fault_beside_an_answer_is_a_fault(script: Script, code: int) -> None:
    slot = put_in()
    script.transmits = [(code, [0x90, 0x00])]
    with pytest.raises(FAULTS[code]), slot.open() as channel:
        channel.transmit(b"\x00\xa4\x04\x00")


@pytest.mark.parametrize("code", FAULTS)
def test_every_fault_of_a_transaction_has_its_error(script: Script, code: int) -> None:
    slot = put_in()
    script.begins = [code]
    with pytest.raises(FAULTS[code]), slot.open():
        raise AssertionError("the card must not be used")
    assert "transmit" not in script.calls


def test_success_without_a_byte_is_a_card_that_left(script: Script) -> None:
    slot = put_in()
    script.transmits = [(OK, [])]
    with pytest.raises(CardRemoved), slot.open() as channel:
        channel.transmit(b"\x00\xa4\x04\x00")


@pytest.mark.parametrize("code", SERVICE_FAULTS)
@pytest.mark.parametrize("call", ["establishes", "lists", "statuses"])
def test_a_service_that_is_lost_is_asked_anew_with_a_new_context(script: Script, code: int, call: str) -> None:
    slot = PcscSlot()
    setattr(script, call, [code])
    with pytest.raises(SERVICE_FAULTS[code]):
        slot.wait_card(0)
    assert script.contexts == 0, "a dead context is released, whatever it says of itself"
    assert slot.wait_card(0) is not None


def test_no_reader_is_no_fault_of_the_service(script: Script) -> None:
    script.readers = []
    slot = PcscSlot()
    assert slot.readers() == []
    with pytest.raises(NoReader):
        slot.wait_card(0)
    script.readers = ["Reader 00 00"]
    assert slot.wait_card(0) is not None


def test_a_reader_that_is_unplugged_in_use_is_gone_and_comes_back_under_another_name(script: Script) -> None:
    slot = put_in()
    script.transmits = [0x80100009]
    with pytest.raises(ReaderGone), slot.open() as channel:
        channel.transmit(b"\x00\xa4\x04\x00")
    script.readers = []
    with pytest.raises(NoReader):
        slot.wait_removed(0)
    script.readers = ["Reader (1) 00 00"]
    insertion = slot.wait_card(0)
    assert insertion is not None
    assert insertion.reader == "Reader (1) 00 00"
    assert SlotReader(slot, CID).read(CID).citizen_id == person(1).citizen_id


def test_a_reader_that_vanishes_from_a_wait_is_looked_for_again(script: Script) -> None:
    """An unplugged reader is EMPTY at first, and unknown only the next time."""
    slot = put_in()
    script.states, script.statuses = [EMPTY, PRESENT], []
    assert slot.wait_removed(0) is True
    script.statuses, script.readers = [0x80100009], ["Other 00 00"]
    insertion = slot.wait_card(0.5)
    assert insertion is not None
    assert insertion.reader == "Other 00 00"


@pytest.mark.parametrize("code", [0x80100069, 0x80100066, 0x8010000B, 0x80100068])
@pytest.mark.parametrize("call", ["connects", "transmits", "begins"])
def test_what_passes_in_a_moment_is_waited_for(script: Script, code: int, call: str) -> None:
    """A reader that needs a moment after the card was put in, a busy card, a reset one."""
    slot = put_in()
    setattr(script, call, [code, code])
    assert SlotReader(slot, CID).read(CID).citizen_id == person(1).citizen_id


@pytest.mark.parametrize(
    ("code", "error"), [(0x80100069, CardMute), (0x80100016, CardMute), (0x80100066, CardMute), (0x80100068, CardReset)]
)
def test_what_does_not_pass_is_said_in_the_end(script: Script, code: int, error: type[Exception]) -> None:
    slot = put_in()
    script.connects = [code] * 99
    with pytest.raises(error):
        SlotReader(slot, CID).read(CID)
    assert script.calls.count("connect") == len(PAUSES_S) + 1


def test_a_card_that_left_is_not_waited_for(script: Script) -> None:
    slot = put_in()
    script.states, script.connects = [PRESENT, EMPTY], [0x80100069] * 99
    with pytest.raises(CardRemoved):
        SlotReader(slot, CID).read(CID)
    assert script.calls.count("connect") == 1


def test_a_card_that_answered_before_it_left_is_not_asked_again(script: Script) -> None:
    slot = put_in()
    script.transmits, script.states = [OK, 0x80100069], [PRESENT, EMPTY]
    with pytest.raises(CardRemoved):
        SlotReader(slot, CID).read(CID)
    assert script.calls.count("connect") == 1


@pytest.mark.parametrize("code", [0x80100016, 0x80100069])
def test_a_card_that_falls_silent_but_is_still_in_is_mute(script: Script, code: int) -> None:
    """libccid says the same of a card that left and of one that does not answer; only the slot tells."""
    slot = put_in()
    script.transmits = [OK, code]
    with pytest.raises(CardMute):
        SlotReader(slot, CID).read(CID)
    assert script.calls.count("connect") == 1


@pytest.mark.parametrize("call", ["connects", "transmits"])
def test_a_card_that_offers_our_protocol_is_never_foreign(script: Script, call: str) -> None:
    """PC/SC speaks of a mismatch, too, while another program has the card under another protocol."""
    slot = put_in()
    reader = SlotReader(slot, CID, resumed=Insertion(1, "Reader 00 00", ATR_THAI, 0.0))
    setattr(script, call, [0x8010000F] * 99)
    with pytest.raises(errors.CardBusy):
        reader.read(CID)
    setattr(script, call, [0x8010000F])
    assert reader.read(CID).citizen_id == person(1).citizen_id


def test_a_card_without_a_protocol_of_ours_is_foreign(script: Script) -> None:
    slot = put_in()
    script.connects = [0x8010000F] * 99
    with pytest.raises(errors.CardProtocolMismatch):
        SlotReader(slot, CID, resumed=Insertion(1, "Reader 00 00", b"\x3b", 0.0)).read(CID)


def test_another_card_than_the_one_that_was_returned_is_not_read(script: Script) -> None:
    slot = put_in()
    script.states = [2 << 16 | PRESENT]
    with pytest.raises(CardRemoved, match="is out"), slot.open():
        raise AssertionError("the card must not be used")
    assert "connect" not in script.calls


def test_a_reader_with_an_unreadable_name_takes_nobody_else_s_away(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = put_in()
    monkeypatch.setattr(script, "SCardListReaders", lambda context, groups: b"\xe0".decode("utf-8"), raising=False)
    assert SlotReader(slot, CID).read(CID).citizen_id == person(1).citizen_id
    assert slot.wait_removed(0) is False
    slot.close()
    with pytest.raises(NoReader):
        PcscSlot().wait_card(0)


def test_a_swap_that_the_counter_hides_is_seen(script: Script) -> None:
    """A card that came with its reader has counter 0, and pcsc-lite compares only counters that are not 0."""
    slot = put_in()
    script.states, script.is_still = [2 << 16 | PRESENT], True
    assert slot.wait_removed(0.01) is True
    assert slot.wait_card(0) is not None


def test_a_service_that_dies_in_a_read_leaves_the_card_to_be_read(script: Script) -> None:
    slot = put_in()
    script.transmits = [OK, 0x8010001D]
    with pytest.raises(CardServiceDown):
        SlotReader(slot, CID).read(CID)
    assert slot.wait_card(0) is not None, "the card was not read to its end: it is new when the service is back"


def test_two_cards_in_two_readers_are_two_insertions(script: Script) -> None:
    script.readers = ["A 00 00", "B 00 00"]
    slot = PcscSlot()
    found = [slot.wait_card(0), slot.wait_card(0), slot.wait_card(0)]
    assert [one.reader if one else None for one in found] == ["A 00 00", "B 00 00", None]


def test_a_card_whose_every_connect_takes_long_is_given_up_after_a_second(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = put_in()
    clock = iter(range(1000))
    monkeypatch.setattr("appliance.run.slot_reader.time.monotonic", lambda: next(clock))
    script.connects = [0x80100066] * 99
    with pytest.raises(CardMute):
        SlotReader(slot, CID).read(CID)
    assert script.calls.count("connect") <= 2


NAMES = st.text("AB 0", max_size=4)


@given(st.lists(NAMES.filter(bool), min_size=1, max_size=4, unique=True), NAMES, st.lists(NAMES, max_size=2))
def test_doctor_and_station_mean_the_same_readers(there: list[str], name: str, allow: list[str]) -> None:
    made, wanted = Script(readers=there), config.Reader(name=name, allow=tuple(allow))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pcsc, "scard", made)
        slot = PcscSlot(wanted.name, wanted.allow)
        with suppress(NoReader):
            slot.wait_card(0)
        assert set(slot._presences) == {one for one in there if wanted.accepts(one)}
