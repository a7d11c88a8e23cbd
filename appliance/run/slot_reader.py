"""Reads the cards of one slot, in this process: what the reader worker does, without the process around it.

Whatever goes through to the card passes the allow-list first. Three faults are worth another try: a card that was
reset (the applet is selected again), one that another program holds, and one that needs a moment after it was put in.
The tries back off, and end.
"""

import time
from collections.abc import Callable, Collection, Sequence

from appliance.cards import reading
from appliance.cards.atr import protocols
from appliance.cards.guard import Guard
from appliance.cards.record import Record
from appliance.cards.thai_id import Field
from appliance.errors import CardBusy, CardError, CardMute, CardProtocolMismatch, CardRemoved, CardReset
from appliance.ports import CardSlot, Insertion, Tell, silence

PAUSES_S = (0.05, 0.1, 0.2, 0.4)
SETTLE_S = 0.6  # by then pcscd has seen that a card left, also where it has to look
AGAIN_WITHIN_S = 1.0  # a connect alone may take seconds with a card that does not start


class SlotReader:
    """A reader of one slot (``ports.CardReader``).

    Args:
        slot: where the cards go in.
        allowed: the fields that the active service may read.
        on_exchange: called after every answer of the card.
        resumed: the insertion that the reader before this one returned, and that may still be in.
    """

    def __init__(
        self,
        slot: CardSlot,
        allowed: Collection[Field],
        on_exchange: Callable[[], None] = lambda: None,
        resumed: Insertion | None = None,
    ) -> None:
        self._slot = slot
        self._allowed = frozenset(allowed)
        self._on_exchange = on_exchange
        self._insertion = resumed
        self._number: str | None = None

    def wait_card(self, timeout_s: float) -> Insertion | None:
        """Return a new insertion, or None. Raises ReaderUnavailable."""
        found = self._slot.wait_card(timeout_s)
        if found is None and self._is_swapped():
            found = self._slot.wait_card(0)
        if found is not None:
            self._insertion, self._number = found, None
        return found

    def read(self, fields: Sequence[Field], tell: Tell = silence) -> Record:
        """Read ``fields``, all or nothing. Raises CardError, ReaderUnavailable."""
        record = self._read_patiently(fields, tell)
        self._number = record.citizen_id
        return record

    def wait_removed(self, timeout_s: float) -> bool:
        """Say whether the last returned insertion is over. Raises ReaderUnavailable."""
        is_removed = self._slot.wait_removed(timeout_s) or self._is_swapped()
        if is_removed:
            self._number = None
        return is_removed

    def is_held(self) -> bool:
        """Say whether another program has the card for itself alone. Raises ReaderUnavailable."""
        return self._slot.is_held()

    def readers(self) -> list[str]:
        """Return the names of all readers there are. Raises ReaderUnavailable."""
        return self._slot.readers()

    def _read_patiently(self, fields: Sequence[Field], tell: Tell) -> Record:
        last_s = time.monotonic() + AGAIN_WITHIN_S
        for pause_s in (*PAUSES_S, None):
            line = _Line(self._on_exchange)
            try:
                return self._read_once(fields, tell, line)
            except CardError as error:
                is_over = pause_s is None or time.monotonic() > last_s
                if is_over or not self._is_worth_another_try(error, line):
                    raise self._as_it_is(error, line) from None
            time.sleep(pause_s or 0)
        raise AssertionError("the last try returns or raises")

    def _is_swapped(self) -> bool:
        """Where the slot cannot tell the card that is in from the one before an outage, ask the card itself.

        The number decides. Where none was read, there is nothing to compare, and it counts as the same.
        """
        if not self._slot.is_doubtful:
            return False
        is_same = self._number is None or self._number == self._number_now()
        self._slot.settle(is_same)
        return not is_same

    def _number_now(self) -> str | None:
        try:
            return self._read_patiently([Field.CITIZEN_ID], silence).citizen_id
        except CardError:
            return None

    def _read_once(self, fields: Sequence[Field], tell: Tell, line: "_Line") -> Record:
        with self._slot.open() as channel:
            if not channel.atr:
                raise CardMute("the card gives no answer to reset")
            line.carry = channel.transmit
            return reading.read(Guard(line.transmit, self._allowed).transmit, fields, tell)

    def _as_it_is(self, error: CardError, line: "_Line") -> CardError:
        """Return what a failed command means: the same code of PC/SC may stand for different things.

        A card that left, or one that is silent. A card without a protocol of ours, or a good one that another program
        holds under another protocol: an ATR that offers T=0 tells.
        """
        if isinstance(error, CardRemoved) and not self._slot.wait_removed(SETTLE_S):
            return CardMute("the card is in, and does not answer")
        offered = protocols(self._insertion.atr) if self._insertion else frozenset()
        if isinstance(error, CardProtocolMismatch) and (line.has_answered or 0 in offered):
            return CardBusy("another program uses the card with another protocol")
        return error

    def _is_worth_another_try(self, error: CardError, line: "_Line") -> bool:
        if isinstance(error, CardReset | CardBusy | CardProtocolMismatch):
            return True  # PC/SC speaks of the protocol, too, while another program has the card powered anew
        is_early = isinstance(error, CardRemoved | CardMute) and not line.has_answered
        return is_early and not self._slot.wait_removed(0)


class _Line:
    """Carries commands and knows whether the card ever answered."""

    def __init__(self, on_exchange: Callable[[], None]) -> None:
        self._on_exchange = on_exchange
        self.carry: Callable[[bytes], bytes]
        self.has_answered = False

    def transmit(self, command: bytes) -> bytes:
        answer = self.carry(command)
        self.has_answered = True
        self._on_exchange()
        return answer
