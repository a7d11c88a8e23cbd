"""The Ministry of Interior's applet on the Thai national ID card: which bytes hold what, and how to read them.

One contiguous file is read by windows: ``80 B0 <offset> 02 00 <length>``, at most 255 bytes each. Only the bytes of
the wanted fields are asked for; adjacent fields share a window. Where a read took more than one window, the citizen
number is read again at the end, so that two cards can never mix.

Source: docs/card.md.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from appliance.cards import citizen_id, dates
from appliance.cards.apdu import Command
from appliance.cards.dates import CardDate
from appliance.cards.session import Session
from appliance.errors import CardGarbled

AID = bytes.fromhex("A000000054480001")
MAX_WINDOW_BYTES = 255

_CLA = 0x80
_INS_READ = 0xB0


class Field(Enum):
    """A field of the applet's file: symbolic name, offset and size in bytes."""

    CITIZEN_ID = ("citizen_id", 0x0004, 13)
    BIRTH_DATE = ("birth_date", 0x00D9, 8)
    EXPIRY_DATE = ("expiry_date", 0x016F, 8)

    def __init__(self, symbol: str, offset: int, size_bytes: int) -> None:
        self.symbol = symbol
        self.offset = offset
        self.size_bytes = size_bytes

    @classmethod
    def named(cls, symbol: str) -> "Field":
        """Return the field of a symbolic name. Raises KeyError."""
        return {field.symbol: field for field in cls}[symbol]


@dataclass(frozen=True)
class Window:
    """A stretch of the file that one command reads."""

    offset: int
    size_bytes: int

    def command(self) -> Command:
        """Return the read command."""
        return Command(_CLA, _INS_READ, self.offset >> 8, self.offset & 0xFF, bytes([0x00, self.size_bytes]))


@dataclass(frozen=True)
class Reading:
    """What one card said.

    Args:
        citizen_id: 13 digits; None where it was not asked for or is not digits.
        is_number_valid: the number was read and its check digit agrees.
        birth_date: None where it was not asked for.
        expiry_date: None where it was not asked for.
        apdus: commands sent to the card.
    """

    citizen_id: str | None
    is_number_valid: bool
    birth_date: CardDate | None
    expiry_date: CardDate | None
    apdus: int


def plan(fields: Sequence[Field]) -> list[Window]:
    """Return the windows that read ``fields`` and nothing else, in the order of the file."""
    windows: list[Window] = []
    for field in sorted(set(fields), key=lambda field: field.offset):
        last = windows[-1] if windows else None
        if (
            last is not None
            and last.offset + last.size_bytes == field.offset
            and last.size_bytes + field.size_bytes <= MAX_WINDOW_BYTES
        ):
            windows[-1] = Window(last.offset, last.size_bytes + field.size_bytes)
        else:
            windows.append(Window(field.offset, field.size_bytes))
    return windows


def read(transmit: Callable[[bytes], bytes], fields: Sequence[Field]) -> Reading:
    """Read ``fields`` of the card behind ``transmit``, all or nothing.

    Raises:
        NotAThaiIdCard: no such applet.
        CardError: the read is not whole.
    """
    session = Session(transmit)
    session.select(AID)
    windows = plan(fields)
    parts = {window: session.ask(window.command(), window.size_bytes) for window in windows}
    if len(windows) > 1:
        _same_card(session, parts)
    raw = {field: _cut(parts, field) for field in fields}
    number = _number(raw.get(Field.CITIZEN_ID))
    return Reading(
        citizen_id=number,
        is_number_valid=number is not None and citizen_id.is_valid(number),
        birth_date=_date(raw.get(Field.BIRTH_DATE)),
        expiry_date=_date(raw.get(Field.EXPIRY_DATE)),
        apdus=session.apdus,
    )


def _same_card(session: Session, parts: dict[Window, bytes]) -> None:
    first, before = next(iter(parts.items()))
    if session.ask(first.command(), first.size_bytes) != before:
        raise CardGarbled("the card changed while it was read")


def _cut(parts: dict[Window, bytes], field: Field) -> bytes:
    for window, data in parts.items():
        at = field.offset - window.offset
        if 0 <= at < window.size_bytes:
            return data[at : at + field.size_bytes]
    raise KeyError(field)


def _number(raw: bytes | None) -> str | None:
    return raw.decode("ascii") if raw is not None and raw.isdigit() else None


def _date(raw: bytes | None) -> CardDate | None:
    return None if raw is None else dates.parse(raw)
