"""What a virtual card answers, command by command, whatever slot it is in.

``ThaiCard`` answers APDUs as a Thai ID card does over T=0: it announces data with ``61 nn`` and gives it to GET
RESPONSE, in parts if so asked. ``slot.InMemorySlot`` puts cards into a slot inside the process, ``vpcd.VpcdCard``
into the virtual reader of a real pcscd, and one contract suite runs against both; ``deck.deck`` knows cards by name,
``quirks`` makes them misbehave.

What no source tells is chosen so that a careless reader notices: a refused SELECT leaves no applet selected, data
that is not fetched at once is lost, and there is nothing behind a block id that the card does not have.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from appliance.errors import WrongUse
from appliance.simulate.persons import Person, blocks, file_image, health_image

ATR_THAI = bytes.fromhex("3B79960000544820 4E4944203137".replace(" ", ""))  # "TH NID 17"
ATR_BANK = bytes.fromhex("3B6500002063CB6800")

MOI = bytes.fromhex("A000000054480001")
HEALTH = bytes.fromhex("A000000054480083")
ADMINISTRATION = bytes.fromhex("A000000084060002")
CARD_MANAGER = b""

OK = b"\x90\x00"
WRONG_LENGTH = b"\x67\x00"
APPLET_LOST = b"\x69\x85"
NOT_FOUND = b"\x6a\x82"
WRONG_P1P2 = b"\x6a\x86"
NO_SUCH_DATA = b"\x6a\x88"
BEYOND = b"\x6b\x00"
UNKNOWN = b"\x6d\x00"
NO_CLASS = b"\x6e\x00"

SELECT = b"\x00\xa4\x04\x00"
_FETCH = b"\x00\xc0"
_READ = b"\x80\xb0"
_LASER = b"\x80\x00\x00\x00"
_CHIP = b"\x80\xca\x9f\x7f"

_MANAGER_SAYS = bytes.fromhex("6F108408A000000003000000A5049F6501FF")
_LASER_HEAD = b"0100\x00\x00\x00"
_LASER_BYTES = 16


def is_select(command: bytes) -> bool:
    """Say whether a command selects an applet by its name."""
    return command[:4] == SELECT


def is_read(command: bytes) -> bool:
    """Say whether a command reads from the file of an applet."""
    return command[:2] == _READ


def is_fetch(command: bytes) -> bool:
    """Say whether a command is GET RESPONSE."""
    return command[:2] == _FETCH


class Pulled(Exception):
    """Raised by a card that leaves its slot at this command; the slot sees to it."""


class VirtualCard:
    """What is in a slot: an ATR, answers, and a log of the commands.

    Args:
        atr: answer to reset; empty for a card that gives none.
    """

    def __init__(self, atr: bytes) -> None:
        self.atr = atr
        self.log: list[bytes] = []

    def answer(self, command: bytes) -> bytes | None:
        """Return data and status word; None where a card would say nothing at all. Raises Pulled."""
        self.log.append(command)
        return self._say(command)

    def reset(self) -> None:
        """Forget everything but the file: the power went, came, or the reader reset the card."""

    def _say(self, command: bytes) -> bytes | None:
        return UNKNOWN


@dataclass(frozen=True)
class Chip:
    """What depends on the chip, whoever the card belongs to.

    Args:
        atr: answer to reset.
        has_health: there is an applet of the health insurance.
        has_laser: there is an applet of the administration, and with it the laser number.
        has_number: the card manager gives the chip's record (CPLC).
        fetch_p2: what P2 of GET RESPONSE must be.
        wrong_fetch: status word where it is not.
    """

    atr: bytes = ATR_THAI
    has_health: bool = True
    has_laser: bool = True
    has_number: bool = True
    fetch_p2: int = 0x00
    wrong_fetch: bytes = WRONG_P1P2

    @property
    def applets(self) -> frozenset[bytes]:
        """Return the names of the applets there are."""
        optional = {HEALTH: self.has_health, ADMINISTRATION: self.has_laser}
        return frozenset({MOI, *(name for name, is_there in optional.items() if is_there)})


class ThaiCard(VirtualCard):
    """Answers APDUs like a Thai ID card, and keeps a log of them.

    Args:
        who: the person on it.
        chip: what the chip can do.
        image: the person's file, where it is not what ``file_image`` makes of ``who``.
    """

    def __init__(self, who: Person, chip: Chip | None = None, image: bytes | None = None) -> None:
        self.who = who
        self._chip = chip or Chip()
        super().__init__(self._chip.atr)
        self._files: Mapping[bytes, Mapping[int, bytes]] = {
            MOI: blocks(file_image(who) if image is None else image),
            HEALTH: {0: health_image(who)},
        }
        self.reset()

    def reset(self) -> None:
        """Unselect the applet and drop what is not fetched."""
        self._applet: bytes | None = None
        self._pending = b""

    def _say(self, command: bytes) -> bytes | None:
        if is_fetch(command):
            return self._fetch(command)
        self._pending = b""
        if is_select(command):
            return self._select(command)
        if is_read(command):
            return self._read(command)
        if command[:4] == _LASER and self._applet == ADMINISTRATION:
            return self._laser(command)
        if command[:4] == _CHIP and self._applet == CARD_MANAGER:
            return self._chip_record(command)
        return UNKNOWN

    def _fetch(self, command: bytes) -> bytes:
        if len(command) != 5 or not self._pending:
            return UNKNOWN
        if command[2:4] != bytes([0, self._chip.fetch_p2]):
            return self._chip.wrong_fetch
        if command[4] > len(self._pending):
            return bytes([0x6C, len(self._pending)])
        return self._give(command[4] or len(self._pending))

    def _give(self, size_bytes: int) -> bytes:
        """Return the first bytes of what is pending, and announce the rest of it."""
        data, self._pending = self._pending[:size_bytes], self._pending[size_bytes:]
        return data + (bytes([0x61, len(self._pending) % 256]) if self._pending else OK)

    def _select(self, command: bytes) -> bytes:
        self._applet = None
        if len(command) <= 5:
            return self._select_manager(command)
        name = command[5 : 5 + command[4]]
        if name not in self._chip.applets:
            return NOT_FOUND
        self._applet = name
        return self._announce(bytes(10))

    def _select_manager(self, command: bytes) -> bytes:
        if command[4:] != bytes([len(_MANAGER_SAYS)]):
            return bytes([0x6C, len(_MANAGER_SAYS)])
        self._applet = CARD_MANAGER
        return _MANAGER_SAYS + OK

    def _read(self, command: bytes) -> bytes:
        files = self._files.get(self._applet or b"")
        if files is None:
            return APPLET_LOST
        if len(command) != 7 or command[4] != 2:
            return WRONG_LENGTH
        offset, size_bytes = int.from_bytes(command[2:4], "big"), command[6] or 256
        file = files.get(command[5], b"")
        return BEYOND if offset + size_bytes > len(file) else self._announce(file[offset : offset + size_bytes])

    def _announce(self, data: bytes) -> bytes:
        self._pending = data
        return bytes([0x61, len(data) % 256])

    def _laser(self, command: bytes) -> bytes:
        number = self.who.laser.encode("ascii").ljust(_LASER_BYTES, b"\x00")
        self._pending = _LASER_HEAD + number
        size_bytes = len(self._pending)
        if not 0 < command[-1] <= size_bytes or len(command) != 5:
            self._pending = b""
            return bytes([0x6C, size_bytes])
        return self._give(command[4])

    def _chip_record(self, command: bytes) -> bytes:
        if not self._chip.has_number:
            return NO_SUCH_DATA
        record = chip_record(self.who)
        return record + OK if command[4:] == bytes([len(record)]) else bytes([0x6C, len(record)])


def chip_record(who: Person) -> bytes:
    """Return what an invented chip says of its making (CPLC), 45 bytes; bytes 13 to 20 are the chip's number."""
    if len(who.chip_number) != 8:
        raise WrongUse("a chip number has 8 bytes")
    return (bytes.fromhex("9F7F2A") + b"invented!!" + who.chip_number).ljust(45, b"\x00")


class RefusingCard(VirtualCard):
    """A card of another kind, which refuses everything.

    Args:
        atr: answer to reset.
        to_select: status word to a SELECT.
        to_others: status word to every other command.
    """

    def __init__(self, atr: bytes, to_select: bytes = NOT_FOUND, to_others: bytes = UNKNOWN) -> None:
        super().__init__(atr)
        self._to_select, self._to_others = to_select, to_others

    def _say(self, command: bytes) -> bytes | None:
        return self._to_select if command[1:2] == SELECT[1:2] else self._to_others


class BankCard(RefusingCard):
    """A card that knows the directory of payment systems, and nothing of the Ministry of Interior."""

    _DIRECTORY = b"1PAY.SYS.DDF01"
    _SAYS = bytes.fromhex("6F1A840E") + _DIRECTORY + bytes.fromhex("A5088801015F2D02656E")

    def __init__(self) -> None:
        super().__init__(ATR_BANK)
        self._is_announced = False

    def _say(self, command: bytes) -> bytes | None:
        was_announced, self._is_announced = self._is_announced, False
        if is_select(command) and command[5:19] == self._DIRECTORY:
            self._is_announced = True
            return bytes([0x61, len(self._SAYS)])
        if was_announced and command == bytes([0x00, 0xC0, 0x00, 0x00, len(self._SAYS)]):
            return self._SAYS + OK
        return super()._say(command)


class MuteCard(VirtualCard):
    """Gives its ATR and then never answers."""

    def __init__(self) -> None:
        super().__init__(ATR_THAI)

    def _say(self, command: bytes) -> bytes | None:
        return None
