"""The time that a real card's serial line takes, which a virtual reader does not have.

Over T=0 a character is a start bit, eight data bits, a parity bit and two etu of guard time: 12 etu. An etu is
F / (D · f) seconds, where the card's ATR offers F and D and the reader's clock is f. A command costs its header of
5 characters, a procedure byte, the data in whichever direction, and the status word of 2. Not counted are the
turns of direction, the time the card thinks, and USB.

Example::

    >>> round(SerialLine.parse("512/32").duration_s(bytes(5), bytes(15)) * 1e3, 3)
    1.008
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from appliance.errors import WrongUse
from appliance.simulate.card import VirtualCard
from appliance.simulate.quirks import Quirk

USUAL_CLOCK_HZ = 4_000_000

_CHARACTER_ETU = 12
_HEADER_CHARACTERS = 5
_PROCEDURE_CHARACTERS = 1
_F = (372, 512, 558, 744, 768, 1024, 1116, 1488, 1536, 1860, 2048)
_D = (1, 2, 4, 8, 12, 16, 20, 32, 64)


@dataclass(frozen=True)
class SerialLine:
    """A line between reader and card.

    Args:
        f: clock rate conversion integer F, of ISO 7816-3's table.
        d: baud rate adjustment integer D, of the same.
        clock_hz: the reader's clock.
    """

    f: int
    d: int
    clock_hz: int = USUAL_CLOCK_HZ

    @classmethod
    def parse(cls, text: str, clock_hz: int = USUAL_CLOCK_HZ) -> "SerialLine":
        """Return the line that a text such as ``512/32`` means. Raises WrongUse."""
        f, slash, d = text.partition("/")
        if not (slash and f in map(str, _F) and d in map(str, _D)):
            raise WrongUse(f"{text!r} is no line: write F/D as a card's ATR offers it, such as 372/1, 372/12 or 512/32")
        return cls(int(f), int(d), clock_hz)

    @property
    def character_s(self) -> float:
        """Return the time of one character in seconds."""
        return _CHARACTER_ETU * self.f / (self.d * self.clock_hz)

    def duration_s(self, command: bytes, answer: bytes | None) -> float:
        """Return how long a command and its answer are on the line, in seconds; None is no answer."""
        return characters(command, answer) * self.character_s


def characters(command: bytes, answer: bytes | None) -> int:
    """Return how many characters a command and its answer are on the line.

    A command of 4 bytes goes with a fifth, and a length that is expected in return after data does not go at all.
    """
    sent = command[_HEADER_CHARACTERS:][: command[4]] if len(command) > _HEADER_CHARACTERS else b""
    return _HEADER_CHARACTERS + _PROCEDURE_CHARACTERS + len(sent) + len(answer or b"")


class OnLine(Quirk):
    """A card at the end of a serial line: its answers come when the line has carried them.

    Args:
        card: the card inside.
        line: the line.
        sleep: how to wait.
    """

    def __init__(self, card: VirtualCard, line: SerialLine, sleep: Callable[[float], None] = time.sleep) -> None:
        super().__init__(card)
        self._line, self._sleep = line, sleep

    def _say(self, command: bytes) -> bytes | None:
        answer = super()._say(command)
        self._sleep(self._line.duration_s(command, answer))
        return answer
