"""Virtual cards: what a card answers, in memory or in a virtual reader.

``ThaiCard`` answers APDUs as a Thai ID card does over T=0 (61xx, GET RESPONSE). ``InMemorySlot`` puts cards into a
slot inside the process, ``VpcdCard`` into the virtual reader ``vpcd`` of a real pcscd. One contract suite runs
against both.
"""

import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from appliance.errors import CardRemoved, CardServiceDown, WrongUse
from appliance.ports import Insertion
from appliance.simulate.persons import Person, person

ATR_THAI = bytes.fromhex("3B79960000544820 4E4944203137".replace(" ", ""))  # "TH NID 17"
ATR_BANK = bytes.fromhex("3B6500002063CB6800")
VPCD_PORT = 35963

_MOI = bytes.fromhex("A000000054480001")
_FILE_BYTES = 5950


def file_image(who: Person) -> bytes:
    """Return the applet's file for an invented person, 5,950 bytes."""
    image = bytearray(b" " * _FILE_BYTES)

    def put(offset: int, size_bytes: int, text: str) -> None:
        image[offset : offset + size_bytes] = text.encode("tis-620").ljust(size_bytes)[:size_bytes]

    put(0x0000, 4, "0003")
    put(0x0004, 13, who.citizen_id)
    put(0x0011, 100, who.name_th)
    put(0x0075, 100, who.name_en)
    put(0x00D9, 8, who.birth)
    put(0x00E1, 1, who.sex)
    put(0x00F6, 100, "ท้องถิ่นจำลอง/จังหวัดสมมุติ")
    put(0x0167, 8, "25650101")
    put(0x016F, 8, who.expiry)
    put(0x0177, 2, "01")
    put(0x1579, 160, "99/9#หมู่ที่ 4####ตำบลตัวอย่าง#อำเภอทดสอบ#จังหวัดสมมุติ")
    return bytes(image)


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


def deck(name: str) -> VirtualCard:
    """Return a fresh card by name: ``person-1`` (any serial), ``expired``, ``bank``, ``mute``, ``bad-number``.

    Raises:
        WrongUse: no such card.
    """
    if name == "bank":
        return BankCard()
    if name == "mute":
        return MuteCard()
    if name == "expired":
        return ThaiCard(person(3, expiry="25630101"))
    if name == "bad-number":
        who = person(5)
        wrong = who.citizen_id[:12] + str((int(who.citizen_id[12]) + 1) % 10)
        return ThaiCard(Person(**{**vars(who), "citizen_id": wrong}))
    serial = name.removeprefix("person-")
    if serial != name and serial.isascii() and serial.isdigit() and len(serial) <= 7:
        return ThaiCard(person(int(serial)))
    raise WrongUse(f"no virtual card named {name!r}; there are person-N, expired, bank, mute, bad-number")


class InMemoryChannel:
    """An open line to a virtual card in this process (``ports.CardChannel``)."""

    def __init__(self, slot: "InMemorySlot", card: VirtualCard) -> None:
        self._slot, self._card, self.atr = slot, card, card.atr

    def transmit(self, command: bytes) -> bytes:
        """Send one APDU. Raises CardRemoved."""
        if self._slot.card is not self._card:
            raise CardRemoved("the card left")
        answer = self._card.answer(command)
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
            return Insertion(self._count, "In-memory slot", self.card.atr, self._noticed_s)

    def wait_removed(self, timeout_s: float) -> bool:
        """Say whether the card returned last is out."""
        with self._changed:
            return self._changed.wait_for(lambda: self.card is None or self._returned < self._count, timeout_s)

    @contextmanager
    def open(self) -> Iterator[InMemoryChannel]:
        """Connect to the card that is in. Raises CardRemoved."""
        card = self.card
        if card is None:
            raise CardRemoved("no card is in")
        yield InMemoryChannel(self, card)


class VpcdCard:
    """A virtual card in the virtual reader of a real pcscd.

    The card dials in (TCP): connecting is inserting, closing is removing. A frame is a length of two bytes, big
    endian, and the payload; a payload of one byte is control (0 off, 1 on, 2 reset, 4 "your ATR?").

    Args:
        card: what answers.
        port: where vpcd listens on this machine.
    """

    def __init__(self, card: VirtualCard, port: int = VPCD_PORT) -> None:
        self.card = card
        self._address = ("127.0.0.1", port)
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None

    def insert(self, timeout_s: float = 5.0) -> None:
        """Put the card in. Raises OSError where no virtual reader listens within ``timeout_s``."""
        end_s = time.monotonic() + timeout_s
        while True:
            try:
                line = socket.create_connection(self._address, timeout=1)
                break
            except OSError:
                if time.monotonic() > end_s:
                    raise
                time.sleep(0.02)
        line.settimeout(None)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = line
        self._thread = threading.Thread(target=self._serve, args=(line,), name="vpcd-card", daemon=True)
        self._thread.start()

    def remove(self) -> None:
        """Take the card out."""
        line, self._socket = self._socket, None
        if line is not None:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
            line.close()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(5)

    def is_in(self) -> bool:
        """Say whether the virtual reader still holds the card."""
        return self._thread is not None and self._thread.is_alive()

    def _serve(self, line: socket.socket) -> None:
        with suppress(OSError, EOFError):
            while True:
                (size_bytes,) = struct.unpack(">H", _receive(line, 2))
                message = _receive(line, size_bytes)
                if size_bytes == 1:
                    answer = self.card.atr if message == b"\x04" else None
                else:
                    answer = self.card.answer(message)
                if answer is not None:
                    line.sendall(struct.pack(">H", len(answer)) + answer)


def _receive(line: socket.socket, size_bytes: int) -> bytes:
    data = b""
    while len(data) < size_bytes:
        # vpcd sends length and payload apart with Nagle on; without an immediate ACK each exchange costs 44 ms.
        # The option holds for one receive only.
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        part = line.recv(size_bytes - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def main(name: str, port: int) -> int:
    """Keep the card ``name`` of the deck in the virtual reader until the end of standard input or Ctrl-C.

    Raises:
        WrongUse: no such card.
        CardServiceDown: no virtual reader.
    """
    card = VpcdCard(deck(name), port)
    try:
        card.insert()
    except OSError:
        raise CardServiceDown(
            f"no virtual reader listens on port {port}: run this inside scripts/private with pcscd"
        ) from None
    with suppress(OSError):
        sys.stderr.write(f"{name} is in; press Enter to take it out\n")
    with suppress(KeyboardInterrupt, EOFError):
        input()
    card.remove()
    return 0
