"""Reads the cards of one slot, in this process: what the reader worker does, without the process around it.

Whatever goes through to the card passes the allow-list first. Three faults are worth another try: a card that was
reset (the applet is selected again), one that another program holds, and one that needs a moment after it was put in.
The tries back off, and end.
"""

import time
from collections.abc import Callable, Collection, Sequence

from appliance.cards import reading
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
    """

    def __init__(
        self, slot: CardSlot, allowed: Collection[Field], on_exchange: Callable[[], None] = lambda: None
    ) -> None:
        self._slot = slot
        self._allowed = frozenset(allowed)
        self._on_exchange = on_exchange

    def wait_card(self, timeout_s: float) -> Insertion | None:
        """Return a new insertion, or None. Raises ReaderUnavailable."""
        return self._slot.wait_card(timeout_s)

    def read(self, fields: Sequence[Field], tell: Tell = silence) -> Record:
        """Read ``fields``, all or nothing. Raises CardError, ReaderUnavailable."""
        last_s = time.monotonic() + AGAIN_WITHIN_S
        for pause_s in PAUSES_S:
            line = _Line(self._on_exchange)
            try:
                return self._read_once(fields, tell, line)
            except CardError as error:
                if time.monotonic() > last_s or not self._is_worth_another_try(error, line):
                    raise self._as_it_is(error) from None
            time.sleep(pause_s)
        try:
            return self._read_once(fields, tell, _Line(self._on_exchange))
        except CardError as error:
            raise self._as_it_is(error) from None

    def wait_removed(self, timeout_s: float) -> bool:
        """Say whether the last returned insertion is over. Raises ReaderUnavailable."""
        return self._slot.wait_removed(timeout_s)

    def readers(self) -> list[str]:
        """Return the names of all readers there are. Raises ReaderUnavailable."""
        return self._slot.readers()

    def _read_once(self, fields: Sequence[Field], tell: Tell, line: "_Line") -> Record:
        with self._slot.open() as channel:
            if not channel.atr:
                raise CardMute("the card gives no answer to reset")
            line.carry = channel.transmit
            return reading.read(Guard(line.transmit, self._allowed).transmit, fields, tell)

    def _as_it_is(self, error: CardError) -> CardError:
        """Return what a failed command means: the same code of PC/SC may be a card that left or one that is silent."""
        if isinstance(error, CardRemoved) and not self._slot.wait_removed(SETTLE_S):
            return CardMute("the card is in, and does not answer")
        return error

    def _is_worth_another_try(self, error: CardError, line: "_Line") -> bool:
        if isinstance(error, CardReset | CardBusy):
            return True
        if isinstance(error, CardProtocolMismatch) and not line.has_answered:
            return True  # PC/SC says so too while another program has the card powered anew
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
