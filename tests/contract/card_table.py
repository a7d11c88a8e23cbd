"""The reader on the table and the hand that puts cards in, for the suites with a real pcscd."""

import threading
from collections.abc import Callable

from appliance.cards.thai_id import Field
from appliance.hardware.pcsc import PcscSlot
from appliance.ports import Insertion
from appliance.run.slot_reader import SlotReader
from appliance.simulate.card import ThaiCard
from appliance.simulate.persons import person
from appliance.simulate.vpcd import VpcdCard

PATIENCE_S = 5.0
ATTENDANCE = [Field.CITIZEN_ID]
TWO_WINDOWS = [Field.CITIZEN_ID, Field.EXPIRY_DATE]


class PulledAt(ThaiCard):
    """A Thai card that is pulled at command number ``at``: before its answer, or right after it."""

    def __init__(self, at: int, is_answered: bool = False) -> None:
        super().__init__(person(1))
        self._at, self._is_answered = at, is_answered
        self.pull: Callable[[], None] = lambda: None

    def answer(self, command: bytes) -> bytes | None:
        answer = super().answer(command)
        if len(self.log) == self._at:
            if self._is_answered:
                threading.Timer(0.02, self.pull).start()
            else:
                self.pull()
        return answer


class Table:
    """The reader on the table: one slot in this process, and the cards that a hand puts in."""

    def __init__(self) -> None:
        self.slot = PcscSlot("Virtual PCD")
        self.reader = SlotReader(self.slot, list(Field))
        self._card: VpcdCard | None = None

    def insert(self, card: ThaiCard) -> Insertion:
        self.put(card)
        insertion = self.reader.wait_card(PATIENCE_S)
        assert insertion is not None
        return insertion

    def put(self, card: ThaiCard) -> None:
        self.pull()
        self._card = VpcdCard(card)
        if isinstance(card, PulledAt):
            card.pull = self._card.remove
        self._card.insert()

    def pull(self) -> None:
        if self._card is not None:
            self._card.remove()
            self._card = None

    def check_next_card(self, serial: int = 2) -> None:
        """The next person must be served as if nothing had been."""
        self.pull()
        assert self.reader.wait_removed(PATIENCE_S)
        self.insert(ThaiCard(person(serial)))
        assert self.reader.read(TWO_WINDOWS).citizen_id == person(serial).citizen_id
