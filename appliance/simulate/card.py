"""What a virtual card answers, command by command, whatever slot it is in.

``ThaiCard`` answers APDUs as a Thai ID card does over T=0 (61xx, GET RESPONSE). ``slot.InMemorySlot`` puts cards
into a slot inside the process, ``vpcd.VpcdCard`` into the virtual reader of a real pcscd, and one contract suite
runs against both; ``deck.deck`` knows cards by name.
"""

from appliance.simulate.persons import Person, file_image, person

ATR_THAI = bytes.fromhex("3B79960000544820 4E4944203137".replace(" ", ""))  # "TH NID 17"
ATR_BANK = bytes.fromhex("3B6500002063CB6800")

_MOI = bytes.fromhex("A000000054480001")


class ThaiCard:
    """Answers APDUs like a Thai ID card, and keeps a log of them.

    Args:
        who: the person on it.
    """

    atr = ATR_THAI

    def __init__(self, who: Person) -> None:
        self._file = file_image(who)
        self._pending = b""
        self._is_selected = False
        self.log: list[bytes] = []

    def answer(self, command: bytes) -> bytes | None:
        """Return data and status word; None where a card would say nothing at all."""
        self.log.append(command)
        if command[:4] == b"\x00\xa4\x04\x00":
            self._is_selected = command[5:] == _MOI
            self._pending = bytes(10) if self._is_selected else b""
            return b"\x61\x0a" if self._is_selected else b"\x6a\x82"
        if command[:4] == b"\x00\xc0\x00\x00" and len(command) == 5:
            data, self._pending = self._pending[: command[4] or 256], b""
            return data + b"\x90\x00" if data else b"\x6d\x00"
        if command[:2] == b"\x80\xb0" and len(command) == 7 and self._is_selected:
            return self._read(int.from_bytes(command[2:4], "big"), command[6])
        return b"\x69\x85" if command[:2] == b"\x80\xb0" else b"\x6d\x00"

    def _read(self, offset: int, size_bytes: int) -> bytes:
        if offset + size_bytes > len(self._file):
            return b"\x6b\x00"
        self._pending = self._file[offset : offset + size_bytes]
        return bytes([0x61, size_bytes])


class BankCard:
    """A card that knows nothing of the Ministry of Interior."""

    atr = ATR_BANK

    def __init__(self) -> None:
        self.log: list[bytes] = []

    def answer(self, command: bytes) -> bytes | None:
        """Refuse everything."""
        self.log.append(command)
        return b"\x6a\x82" if command[1:2] == b"\xa4" else b"\x6d\x00"


class MuteCard(ThaiCard):
    """Gives its ATR and then never answers."""

    def __init__(self) -> None:
        super().__init__(person(0))

    def answer(self, command: bytes) -> bytes | None:
        """Say nothing."""
        self.log.append(command)
        return None


VirtualCard = ThaiCard | BankCard | MuteCard
