"""Where the Thai national ID card keeps what: its applets, and which bytes of them hold which field.

Two applets (the Ministry of Interior's and the National Health Security Office's) hold one contiguous file each,
which is read by windows: ``80 B0 <offset> 02 00 <length>``. The laser number and the chip number come as the answer
to one command of an applet of their own.

Source: docs/card.md.
"""

from dataclasses import dataclass
from enum import Enum
from functools import cache

from appliance.cards.apdu import Command

MAX_PHOTO_BYTES = 5118
PHOTO_LENGTH = range(0x0179, 0x017B)

_CLA = 0x80
_INS_READ = 0xB0


class Applet(Enum):
    """An applet and the name that selects it; no name is the card manager."""

    MOI = bytes.fromhex("A000000054480001")
    NHSO = bytes.fromhex("A000000054480083")
    ADM = bytes.fromhex("A000000084060002")
    CARD_MANAGER = b""


class Field(Enum):
    """A field: symbolic name, applet, offset and size in bytes; in the order in which a record shows them.

    For the laser and the chip number the offset is the place in the answer of the applet's only command. ``stretch`` is
    the same as a range of bytes.
    """

    VERSION = ("version", Applet.MOI, 0x0000, 4)
    CITIZEN_ID = ("citizen_id", Applet.MOI, 0x0004, 13)
    NAME_TH = ("name_th", Applet.MOI, 0x0011, 100)
    NAME_EN = ("name_en", Applet.MOI, 0x0075, 100)
    BIRTH_DATE = ("birth_date", Applet.MOI, 0x00D9, 8)
    SEX = ("sex", Applet.MOI, 0x00E1, 1)
    REQUEST_NUMBER = ("request_number", Applet.MOI, 0x00E2, 20)
    ISSUER = ("issuer", Applet.MOI, 0x00F6, 100)
    ISSUER_CODE = ("issuer_code", Applet.MOI, 0x015A, 13)
    ISSUE_DATE = ("issue_date", Applet.MOI, 0x0167, 8)
    EXPIRY_DATE = ("expiry_date", Applet.MOI, 0x016F, 8)
    CARD_TYPE = ("card_type", Applet.MOI, 0x0177, 2)
    ADDRESS = ("address", Applet.MOI, 0x1579, 160)
    PHOTO_NUMBER = ("photo_number", Applet.MOI, 0x1619, 14)
    PHOTO = ("photo", Applet.MOI, 0x017B, MAX_PHOTO_BYTES)
    LASER_NUMBER = ("laser_number", Applet.ADM, 7, 16)
    CHIP_NUMBER = ("chip_number", Applet.CARD_MANAGER, 13, 8)
    HEALTH = ("health", Applet.NHSO, 0x0004, 346)

    def __init__(self, symbol: str, applet: Applet, offset: int, size_bytes: int) -> None:
        self.symbol = symbol
        self.applet = applet
        self.offset = offset
        self.size_bytes = size_bytes
        self.stretch = range(offset, offset + size_bytes)

    __hash__ = object.__hash__  # members are compared by identity; the inherited one hashes the name each time

    @classmethod
    def named(cls, symbol: str) -> "Field":
        """Return the field of a symbolic name. Raises KeyError."""
        return {field.symbol: field for field in cls}[symbol]


#: What ``card-station read --fields`` offers.
CID = (Field.CITIZEN_ID,)
TEXT = tuple(field for field in Field if field.applet is Applet.MOI and field is not Field.PHOTO)
WITH_PHOTO = (*TEXT, Field.PHOTO)
ALL = tuple(Field)


@dataclass(frozen=True)
class Answer:
    """The one command of an applet without a file, and the size of its answer."""

    command: Command
    size_bytes: int


ANSWERS = {
    Applet.ADM: Answer(Command(_CLA, 0x00, 0x00, 0x00, le=0x17), 0x17),
    Applet.CARD_MANAGER: Answer(Command(_CLA, 0xCA, 0x9F, 0x7F, le=0x2D), 0x2D),
}


@cache
def select(applet: Applet) -> Command:
    """Return the command that selects ``applet`` by its name."""
    return Command(0x00, 0xA4, 0x04, 0x00, applet.value, le=None if applet.value else 256)


@cache
def read_file(window: range) -> Command:
    """Return the command that reads the bytes ``window`` (1 to 255) of the selected applet's file."""
    return Command(_CLA, _INS_READ, window.start >> 8, window.start & 0xFF, bytes([0x00, len(window)]))
