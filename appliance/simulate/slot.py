"""A slot inside this process: what a person's hand does to it, and an open line to the card that is in."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from appliance.errors import CardRemoved
from appliance.ports import Insertion
from appliance.simulate.card import Pulled, VirtualCard

READER_NAME = "In-memory slot"


class InMemoryChannel:
    """An open line to a virtual card in this process (``ports.CardChannel``)."""

    def __init__(self, slot: "InMemorySlot", card: VirtualCard) -> None:
        self._slot, self._card, self.atr = slot, card, card.atr

    def transmit(self, command: bytes) -> bytes:
        """Send one APDU. Raises CardRemoved."""
        if self._slot.card is not self._card:
            raise CardRemoved("the card left")
        try:
            answer = self._card.answer(command)
        except Pulled:
            self._slot.remove()
            raise CardRemoved("the card left in the middle of a command") from None
        if answer is None:
            raise CardRemoved("the card gives no answer")
        return answer


class InMemorySlot:
    """A slot in this process (``ports.CardSlot``); ``insert`` and ``remove`` are the hand of the person."""

    def __init__(self) -> None:
        self.card: VirtualCard | None = None
        self._count = 0
        self._returned = 0
        self._noticed_s = 0.0
        self._changed = threading.Condition()
        self.is_doubtful = False

    def insert(self, card: VirtualCard) -> None:
        """Put a card in; the one that was in is out."""
        with self._changed:
            self.card, self._count = card, self._count + 1
            self._noticed_s = time.clock_gettime(time.CLOCK_BOOTTIME)
            self._changed.notify_all()

    def remove(self) -> None:
        """Take the card out."""
        with self._changed:
            self.card = None
            self._changed.notify_all()

    def wait_card(self, timeout_s: float) -> Insertion | None:
        """Return the insertion that was not returned yet."""
        with self._changed:
            self._changed.wait_for(lambda: self.card is not None and self._returned < self._count, timeout_s)
            if self.card is None or self._returned == self._count:
                return None
            self._returned = self._count
            return Insertion(self._count, READER_NAME, self.card.atr, self._noticed_s)

    def wait_removed(self, timeout_s: float) -> bool:
        """Say whether the card returned last is out."""
        with self._changed:
            return self._changed.wait_for(lambda: self.card is None or self._returned < self._count, timeout_s)

    def settle(self, is_same: bool) -> None:
        """End a doubt that this slot never has."""
        self.is_doubtful = False
        if not is_same:
            self._returned = 0

    def is_held(self) -> bool:
        """Say that no other program has the card."""
        return False

    def readers(self) -> list[str]:
        """Return the only reader."""
        return [READER_NAME]

    @contextmanager
    def open(self) -> Iterator[InMemoryChannel]:
        """Connect to the card that is in. Raises CardRemoved."""
        card = self.card
        if card is None:
            raise CardRemoved("no card is in")
        yield InMemoryChannel(self, card)
